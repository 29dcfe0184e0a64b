//! What a difference shows, over test samples and over seeds.

use super::LEVEL;
use crate::stats::Interval;

/// Which side is better, as far as samples or seeds show.
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

    /// The verdict over samples in words, and over seeds where several ran.
    pub fn beside(self, over_seeds: Option<Self>) -> String {
        match over_seeds {
            None => self.words().into(),
            Some(Self::NotShown) if self == Self::NotShown => "no difference shown over samples or seeds".into(),
            Some(Self::NotShown) => format!("{}, shown over samples, not over seeds", self.words()),
            Some(same) if same == self => format!("{}, shown over samples and over seeds", self.words()),
            Some(other) if self == Self::NotShown => format!("{}, shown over seeds, not over samples", other.words()),
            Some(other) => format!("{} over samples, {} over seeds", self.words(), other.words()),
        }
    }

    /// From the interval and the test over samples.
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
    pub(super) fn of_interval(interval: &Interval) -> Self {
        if interval.low > 0.0 {
            Self::A
        } else if interval.high < 0.0 {
            Self::B
        } else {
            Self::NotShown
        }
    }
}
