//! What a plan takes from outside: the task's facts, weights, a language model.

use super::sections::{Input, Sizes};
use bridle::config::AudioRows;
use bridle_encoders::Body;
use bridle_tasks::InputSpec;
use bridle_tasks::pipeline::FixedPipeline;

/// What a plan takes from its task.
#[derive(Clone, Debug)]
pub struct TaskFacts {
    pub name: &'static str,
    /// Raised whenever the task's numbers change.
    pub version: u32,
    /// The input unless a plan says otherwise.
    pub input: Input,
    /// Number of folds; None where train and test are given.
    pub folds: Option<u8>,
    /// Whether a sample may have several classes.
    pub several_classes: bool,
    /// Sections of the plan that only tasks use which name them.
    pub sections: &'static [&'static str],
}

/// Weights that were given, and what their file says of them.
#[derive(Clone, Debug)]
pub struct InitRequest {
    pub name: String,
    pub sha256: String,
    /// The inputs that the weights were trained on.
    pub input: InputSpec,
    /// Sizes of the encoder.
    pub sizes: Sizes,
    /// Order of the position table's rows (audio).
    pub audio_rows: Option<AudioRows>,
}

/// Vectors that were given in place of an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingsRequest {
    /// What they are called in tables.
    pub name: String,
    pub sha256: String,
    /// Length of a vector.
    pub dim: usize,
}

/// Labels that were given in place of a tokenizer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelsRequest {
    pub name: String,
    pub sha256: String,
    /// Tokens of each sample.
    pub tokens: usize,
    /// Codes of a token.
    pub levels: usize,
    /// The greatest code, and a sample that has it.
    pub greatest: (u16, String),
}

/// An encoder of others that was given, and what is known of it.
#[derive(Clone, Debug)]
pub struct ForeignRequest {
    /// Its file or folder, without those above it.
    pub name: String,
    /// Its inputs.
    pub input: FixedPipeline,
    /// Its sizes.
    pub body: Body,
    /// Width of a pooled vector.
    pub dim: usize,
    /// Values of the section `foreign`.
    pub values: serde_json::Value,
}

/// A language model's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LmRequest {
    pub name: String,
    pub sha256: String,
}
