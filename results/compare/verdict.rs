//! What a difference shows.

use super::LEVEL;
use crate::stats::Interval;

/// Which side is better, as far as runs and samples show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The interval is on A's side of 0 (above; below for error rates) and p, if any, is at most
    /// 0.05.
    A,
    /// The interval is on B's side of 0 and p, if any, is at most 0.05.
    B,
    /// Neither; this does not show that there is no difference.
    NotShown,
}

impl Conclusion {
    pub fn words(self) -> &'static str {
        match self {
            Self::A => "A is better",
            Self::B => "B is better",
            Self::NotShown => "no difference shown",
        }
    }

    /// From the interval and the test.
    pub(super) fn of(interval: Option<&Interval>, p: Option<f64>) -> Self {
        match p {
            Some(p) if p <= 1.0 - LEVEL => interval.map_or(Self::NotShown, Self::of_interval),
            _ => Self::NotShown,
        }
    }

    /// The verdict where less is better.
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
            Self::NotShown => Self::NotShown,
        }
    }

    /// From the interval only.
    fn of_interval(interval: &Interval) -> Self {
        if interval.low > 0.0 {
            Self::A
        } else if interval.high < 0.0 {
            Self::B
        } else {
            Self::NotShown
        }
    }
}
