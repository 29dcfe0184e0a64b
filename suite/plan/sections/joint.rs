//! The joint step of encoder and tokenizer (`bridle-joint`).

use super::{Section, Stage};
use crate::plan::Core;
use bridle_values::check::{Checked, at_least_one, not_negative};
use bridle_values::choices;
use serde::{Deserialize, Serialize};

/// Joint training: every step trains the encoder, some the tokenizer too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joint {
    /// Steps between two that add the tokenizer's loss.
    pub every: usize,
    pub weight: f64,
    /// Where the count of steps begins. Plans omit the phase, which is what plans without this value
    /// meant.
    #[serde(default = "CountedFrom::earlier", skip_serializing_if = "CountedFrom::is_phase")]
    pub counted_from: CountedFrom,
}

choices! {
    /// Where steps are counted from.
    "start of counting" CountedFrom {
        /// each epoch's first step, as the authors' loop over the data does (unit_pretrain.py:61)
        Epoch = "epoch",
        /// the phase's first step, as in plans of earlier versions
        Phase = "phase",
    }
}

impl CountedFrom {
    const fn earlier() -> Self {
        Self::Phase
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
    fn is_phase(&self) -> bool {
        *self == Self::Phase
    }
}

impl Joint {
    /// If step `step` of the phase adds the tokenizer's loss, the last step before it that did (at
    /// the phase's first step, that one); else None.
    pub fn last_before(&self, step: u64, steps_per_epoch: u64) -> Option<u64> {
        let (every, per_epoch) = (self.every as u64, steps_per_epoch.max(1));
        let within = match self.counted_from {
            CountedFrom::Epoch => step % per_epoch,
            CountedFrom::Phase => step,
        };
        within.is_multiple_of(every).then(|| match within {
            0 if step > 0 => step - 1 - (per_epoch - 1) % every,
            0 => step,
            _ => step - every,
        })
    }
}

impl Section for Joint {
    const STAGE: Stage = Stage::Pretraining;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("counted_from", "\"phase\"")];
    const DEFAULTS: &'static str = "
        [joint]
        every = 4
        weight = 0.2
        counted_from = \"epoch\"
    ";

    fn check(&self, _plan: &Core) -> Checked {
        at_least_one("joint.every", self.every)?;
        not_negative("joint.weight", self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught(counted_from: CountedFrom, steps_per_epoch: u64) -> Vec<u64> {
        let joint = Joint {
            every: 4,
            weight: 0.2,
            counted_from,
        };
        let mut last = 0;
        let mut taught = Vec::new();
        for step in 0..3 * steps_per_epoch {
            if let Some(before) = joint.last_before(step, steps_per_epoch) {
                assert_eq!(before, last, "before step {step} of epochs of {steps_per_epoch}");
                taught.push(step);
                last = step;
            }
        }
        taught
    }

    #[test]
    fn every_epoch_begins_with_a_step_that_teaches() {
        let of_epochs = taught(CountedFrom::Epoch, 10);
        assert_eq!(of_epochs, [0, 4, 8, 10, 14, 18, 20, 24, 28]);
        assert_eq!(taught(CountedFrom::Phase, 10), [0, 4, 8, 12, 16, 20, 24, 28]);
        // the same where epochs are a multiple
        assert_eq!(taught(CountedFrom::Epoch, 8), taught(CountedFrom::Phase, 8));
        assert_eq!(taught(CountedFrom::Epoch, 3), [0, 3, 6]);
    }
}
