//! Checks of single values, each of which fails with the value's name.

use crate::plan::PlanError;

pub(super) type Checked = Result<(), PlanError>;

/// Fails with the value's name unless the condition holds.
pub(super) fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(PlanError::Value {
            key: key.to_owned(),
            why: why(),
        })
    }
}

pub(super) fn at_least_one(key: &str, value: usize) -> Checked {
    require(value >= 1, key, || "must be at least 1".to_owned())
}

pub(super) fn positive(key: &str, value: f64) -> Checked {
    require(value.is_finite() && value > 0.0, key, || {
        format!("{value} is not above 0")
    })
}

pub(super) fn not_negative(key: &str, value: f64) -> Checked {
    require(value.is_finite() && value >= 0.0, key, || format!("{value} is below 0"))
}

/// From 0 up to but without 1.
pub(super) fn share(key: &str, value: f64) -> Checked {
    require((0.0..1.0).contains(&value), key, || {
        format!("{value} is not in 0 up to but without 1")
    })
}

/// Above 0 and below 1.
pub(super) fn held_out(key: &str, share: f64) -> Checked {
    require(share > 0.0 && share < 1.0, key, || {
        format!("{share} is not a share between 0 and 1")
    })
}

/// One of the encoder's layers, counted from 1.
pub(super) fn layer(key: &str, layer: usize, depth: usize) -> Checked {
    require((1..=depth).contains(&layer), key, || {
        format!("{layer} is not between 1 and model.depth, {depth}")
    })
}
