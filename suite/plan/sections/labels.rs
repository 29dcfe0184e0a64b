//! Labels that were made elsewhere, in place of a tokenizer's (`--labels`).

use super::{Choices, FactOf, Section, Stage};
use crate::plan::{Core, LabelsRequest, PhaseKind, Roll};
use bridle::quantizer::QuantizerValues as _;
use bridle_values::check::{Checked, require};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Labels that all encoder phases train on. The quantizer's values say how many levels and codes they
/// have, and make nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenLabels {
    /// Their file's name, without its folder: a name, not part of the hash.
    pub name: String,
    /// SHA-256 of their file.
    pub sha256: String,
    /// Whether what made them may have seen the inputs of test samples. Scores are then transductive.
    pub transductive: bool,
}

impl Section for GivenLabels {
    const STAGE: Stage = Stage::Pretraining;
    const NAMES: &'static [&'static str] = &["name"];

    fn absent(choices: &Choices<'_>) -> Option<String> {
        let none = || "no labels were given with --labels".to_owned();
        choices.labels.is_none().then(none)
    }

    fn decided(choices: &Choices<'_>) -> Value {
        let values = |given: &LabelsRequest| json!({"name": given.name, "sha256": given.sha256, "transductive": false});
        choices.labels.map_or(Value::Null, values)
    }

    fn fact(value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        matches!(value, "name" | "sha256").then_some(FactOf::Labels)
    }

    fn check(&self, plan: &Core) -> Checked {
        require(!plan.is_speech(), "labels", || {
            "labels are given for inputs of one shape, not for speech".to_owned()
        })?;
        let mut phases = plan.phases().into_iter();
        require(
            phases.all(|phase| phase.kind == PhaseKind::Encoder),
            "pretrain.relabel",
            || {
                "labels given with --labels stay as they are: --set pretrain.relabel=false, or pretrain.rounds=1"
                    .to_owned()
            },
        )?;
        let rolls = plan
            .augment
            .as_ref()
            .is_some_and(|augment| augment.roll == Roll::Uniform);
        require(!rolls, "augment.roll", || {
            "labels given with --labels are of inputs as they are, which are not rolled".to_owned()
        })
    }
}

impl Core {
    /// Checks that this plan has a place for the given labels, and that they have its sizes.
    ///
    /// # Errors
    /// Names the value that does not fit.
    pub(in crate::plan) fn check_labels(&self, given: &LabelsRequest) -> Checked {
        let quantizer = self.quantizer.as_ref().filter(|_| self.labels.is_some());
        let Some(quantizer) = quantizer else {
            let method = self.method;
            let why = || format!("method `{method}` takes no labels from elsewhere; `bridle` does");
            return require(false, "labels", why);
        };
        let (name, tokens, levels) = (&given.name, self.tokens(), quantizer.label_codes());
        require(given.tokens == tokens, "labels", || {
            format!(
                "`{name}` has {} tokens for each sample, and this plan's inputs have {tokens}",
                given.tokens
            )
        })?;
        require(given.levels == levels, "quantizer.levels", || {
            format!("{levels} codes for each token, but `{name}` has {}", given.levels)
        })?;
        let ((greatest, sample), codes) = (&given.greatest, quantizer.codebook_size());
        require(usize::from(*greatest) < codes, "quantizer.codes", || {
            format!(
                "{codes}, but `{name}` has the code {greatest} (of `{sample}`): at least {}",
                greatest + 1
            )
        })
    }
}
