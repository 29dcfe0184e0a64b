//! Vectors that were given in place of an encoder (`judge`).

use super::{Choices, FactOf, Section, Stage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Vectors that were given in place of an encoder. Their length is `model.dim`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenEmbeddings {
    /// What they are called in tables: a name, not part of the hash.
    pub name: String,
    /// SHA-256 of their file.
    pub sha256: String,
}

impl Section for GivenEmbeddings {
    const STAGE: Stage = Stage::Judging;
    const NAMES: &'static [&'static str] = &["name"];

    fn decided(choices: &Choices<'_>) -> Value {
        let values = |given: &super::EmbeddingsRequest| json!({"name": given.name, "sha256": given.sha256});
        choices.embeddings.map_or(Value::Null, values)
    }

    fn fact(_value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        Some(FactOf::Embeddings)
    }
}
