//! The joint step of encoder and tokenizer (`bridle-joint`).

use super::{Section, Stage};
use crate::plan::Core;
use bridle_values::check::{Checked, at_least_one, not_negative};
use serde::{Deserialize, Serialize};

/// Joint training: every step trains the encoder, some the tokenizer too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joint {
    /// Steps between two that add the tokenizer's loss.
    pub every: usize,
    pub weight: f64,
}

impl Section for Joint {
    const STAGE: Stage = Stage::Pretraining;
    const DEFAULTS: &'static str = "
        [joint]
        every = 4
        weight = 0.2
    ";

    fn check(&self, _plan: &Core) -> Checked {
        at_least_one("joint.every", self.every)?;
        not_negative("joint.weight", self.weight)
    }
}
