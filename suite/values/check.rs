//! Checks of single plan values. Each fails with the value's dotted name and what it must satisfy.

/// A plan value that is impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {why}")]
pub struct Impossible {
    /// Dotted name.
    pub key: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// The outcome of a check.
pub type Checked = Result<(), Impossible>;

/// Fails with the value's name unless the condition holds.
pub fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Checked {
    if holds {
        return Ok(());
    }
    Err(Impossible {
        key: key.to_owned(),
        why: why(),
    })
}

pub fn at_least_one(key: &str, value: usize) -> Checked {
    require(value >= 1, key, || "must be at least 1".to_owned())
}

pub fn positive(key: &str, value: f64) -> Checked {
    require(value.is_finite() && value > 0.0, key, || {
        format!("{value} is not above 0")
    })
}

pub fn not_negative(key: &str, value: f64) -> Checked {
    require(value.is_finite() && value >= 0.0, key, || format!("{value} is below 0"))
}

/// From 0 up to but without 1.
pub fn share(key: &str, value: f64) -> Checked {
    require((0.0..1.0).contains(&value), key, || {
        format!("{value} is not in 0 up to but without 1")
    })
}

/// Above 0 and below 1.
pub fn held_out(key: &str, share: f64) -> Checked {
    require(share > 0.0 && share < 1.0, key, || {
        format!("{share} is not a share between 0 and 1")
    })
}
