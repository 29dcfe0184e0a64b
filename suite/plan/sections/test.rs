//! Views of test samples (video).

use super::{Choices, Section, Stage};
use crate::plan::Core;
use bridle_values::check::{Checked, at_least_one};
use serde::{Deserialize, Serialize};

/// Features, or class probabilities after fine-tuning, are averaged over these views of a test
/// sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Clips from the first frame to the last, three squares along the long edge each; 1: the
    /// middle of the middle.
    pub clips: usize,
}

impl Section for Test {
    const STAGE: Stage = Stage::Judging;

    fn absent(choices: &Choices<'_>) -> Option<String> {
        choices.not_of_task("test")
    }

    fn check(&self, _plan: &Core) -> Checked {
        at_least_one("test.clips", self.clips)
    }
}

impl Core {
    pub fn test_clips(&self) -> usize {
        self.test.as_ref().map_or(1, |test| test.clips)
    }
}
