//! From log-probabilities to words (speech).

use super::{Choices, FactOf, Section, Stage};
use crate::plan::{LmRequest, Plan};
use bridle_values::check::{Checked, require};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// From log-probabilities to words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    /// Prefixes that the beam search keeps; 0: no beam search, only the likeliest symbol of each
    /// frame.
    pub beam: usize,
    /// What a language model's log-probability weighs.
    pub lm_weight: f64,
    /// What each word adds.
    pub word_bonus: f64,
    /// The language model's file name: a name, not part of the hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm_sha256: Option<String>,
}

impl Section for Decoding {
    const STAGE: Stage = Stage::Judging;
    const NAMES: &'static [&'static str] = &["lm"];

    fn absent(choices: &Choices<'_>) -> Option<String> {
        (!choices.is_speech()).then(|| format!("task `{}` has no transcripts", choices.task.name))
    }

    fn decided(choices: &Choices<'_>) -> Value {
        let values = |lm: &LmRequest| json!({"lm": lm.name, "lm_sha256": lm.sha256});
        choices.lm.map_or(Value::Null, values)
    }

    fn fact(value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        matches!(value, "lm" | "lm_sha256").then_some(FactOf::LanguageModel)
    }

    fn check(&self, _plan: &Plan) -> Checked {
        for (key, value) in [
            ("decoding.lm_weight", self.lm_weight),
            ("decoding.word_bonus", self.word_bonus),
        ] {
            require(value.is_finite(), key, || format!("{value} is no number"))?;
        }
        require(self.beam > 0 || self.lm_sha256.is_none(), "decoding.beam", || {
            "a language model needs a beam search: at least 1".to_owned()
        })
    }
}
