//! An encoder of others that was given with `--init`: what was recognised, and what is known of where
//! it comes from.

use super::{Choices, FactOf, Section, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An encoder of others. Its inputs are `data.pipeline`, its width and depth are in `model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenEncoder {
    /// Its file or folder, without those above it: a name, not part of the hash.
    pub name: String,
    /// SHA-256 of its files.
    pub sha256: String,
    pub family: String,
    /// How its tensors are named.
    pub scheme: String,
    /// What the names of its tensors begin with.
    pub prefix: String,
    /// How tokens become a vector.
    pub pooling: String,
    /// Its sizes and options.
    pub body: Value,
    /// What its file did not say, in sentences.
    pub assumed: Vec<String>,
    /// Of the published weights of its family, if one is known.
    pub licence: Option<String>,
    /// Labels that its training saw: `none`, names of data sets, or `unknown`.
    pub labels: String,
    /// Whether its training saw the inputs of test samples: `unknown`.
    pub test_inputs: String,
    /// Repository and commit on the hub; none for a file or folder of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Section for GivenEncoder {
    const STAGE: Stage = Stage::Judging;
    const NAMES: &'static [&'static str] = &["name", "assumed", "licence", "labels", "test_inputs", "source"];

    fn decided(choices: &Choices<'_>) -> Value {
        choices.foreign.map_or(Value::Null, |foreign| foreign.values.clone())
    }

    fn fact(_value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        Some(FactOf::Weights)
    }
}
