//! Augmentation of the waveform (audio).

use super::{Choices, Section, Stage};
use bridle_values::choices;
use serde::{Deserialize, Serialize};

/// Augmentation of the waveform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    pub roll: Roll,
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

    fn absent(choices: &Choices<'_>) -> Option<String> {
        let method = choices.method;
        let trains = method.pretrains() || choices.judging_trains;
        let idle = (!trains).then(|| format!("method `{method}` trains nothing"));
        idle.or_else(|| choices.not_audio())
    }
}
