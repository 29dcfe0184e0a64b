//! Augmentation of the waveform (audio).

use super::{Choices, Core, LeftOut, Section, Stage};
use bridle_values::check::{Checked, require};
use bridle_values::choices;
use serde::{Deserialize, Serialize};

/// Augmentation of the waveform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    pub roll: Roll,
    /// Whether pretraining draws the waveform's magnitude anew at every step, Beta(10, 10) + 0.5, as
    /// `finetune.magnitude` does in fine-tuning. Plans omit false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub magnitude: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
const fn is_false(value: &bool) -> bool {
    !*value
}

choices! {
    /// Rolling the waveform in time.
    "roll" Roll {
        /// the waveform stays as it is
        Never = "never",
        /// by any number of frames, anew at every step
        Uniform = "uniform",
    }
}

impl Section for Augment {
    const STAGE: Stage = Stage::Pretraining;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("magnitude", "false")];

    fn left_out(choices: &Choices<'_>) -> Vec<LeftOut> {
        let method = choices.method;
        let why = || format!("method `{method}` pretrains nothing; fine-tuning has `finetune.magnitude`");
        let idle = !method.pretrains();
        idle.then(|| ("magnitude".to_owned(), why())).into_iter().collect()
    }

    fn check(&self, plan: &Core) -> Checked {
        require(!self.magnitude || plan.method.pretrains(), "augment.magnitude", || {
            format!(
                "method `{}` pretrains nothing; fine-tuning has `finetune.magnitude`",
                plan.method
            )
        })
    }

    fn absent(choices: &Choices<'_>) -> Option<String> {
        let method = choices.method;
        let trains = method.pretrains() || choices.judging_trains;
        let idle = (!trains).then(|| format!("method `{method}` trains nothing"));
        idle.or_else(|| choices.not_audio())
    }
}
