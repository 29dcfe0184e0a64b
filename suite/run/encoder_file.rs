//! Encoder files: the weights of one encoder and what they are, in one safetensors file. `export`
//! and `import` write them, `--init` reads them.
//!
//! The card is in the file's header, so that nothing about the weights has to be repeated, and
//! nothing can be wrong: sizes, input, order of the position rows, and where the weights
//! came from.

use crate::plan::{AudioRows, InitRequest, Plan, Sizes};
use crate::run::checkpoint::{self, CheckpointError};
use bridle::weights::{self, Weights, WeightsError};
use bridle_tasks::InputSpec;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The header's entry that holds the card.
const CARD: &str = "bridle-bench";
/// Raised when older programs could no longer read a card.
const FORMAT: u32 = 1;

/// What the weights of a file are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderCard {
    /// Version of this card.
    pub format: u32,
    /// The inputs that the weights were trained on.
    pub input: InputSpec,
    /// Sizes of the encoder.
    pub model: Sizes,
    /// Order of the position table's rows (audio).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_rows: Option<AudioRows>,
    /// How the weights came about, if it was in a run of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The run that trained a file's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Its task.
    pub task: String,
    /// What was left out of training: the test fold, of a task with folds.
    pub fold: Option<u8>,
    /// Whether it saw the inputs of test samples all the same.
    pub transductive: bool,
    /// Its method, with the quantizer.
    pub method: String,
    /// Its root seed.
    pub seed: u64,
    /// Names the pretraining, as in its record.
    pub pretrain_hash: String,
    /// Commit of the program.
    pub commit: String,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct EncoderFile {
    /// The file's name, without its folder.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What the weights are.
    pub card: EncoderCard,
    /// The encoder's parameters.
    pub weights: Weights,
}

/// Why an encoder file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EncoderFileError {
    /// The file system refused.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No safetensors file of 32-bit floats.
    #[error("`{}` holds no weights", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: WeightsError,
    },
    /// No card, or one that cannot be read.
    #[error("`{}` does not say what its weights are: {reason}", path.display())]
    Card {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl EncoderCard {
    /// The card of an encoder as this plan makes it. Panics for speech, whose encoders have no
    /// encoder files.
    pub fn of(plan: &Plan, origin: Option<Origin>) -> Self {
        Self {
            format: FORMAT,
            input: plan.fixed_input().clone(),
            model: plan.vit().sizes.clone(),
            audio_rows: plan.position.as_ref().map(|position| position.audio_rows),
            origin,
        }
    }
}

impl EncoderFile {
    /// What a plan takes from it.
    pub fn request(&self) -> InitRequest {
        InitRequest {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            input: self.card.input.clone(),
            sizes: self.card.model.clone(),
            audio_rows: self.card.audio_rows,
        }
    }

    /// Reads card and weights.
    ///
    /// # Errors
    /// If the file cannot be read or is no encoder file.
    pub fn read(path: &Path) -> Result<Self, EncoderFileError> {
        let bytes = std::fs::read(path).map_err(|source| EncoderFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        let (weights, header) = weights::from_safetensors(&bytes).map_err(|source| EncoderFileError::Weights {
            path: path.to_owned(),
            source,
        })?;
        let wrong = |reason: String| EncoderFileError::Card {
            path: path.to_owned(),
            reason,
        };
        let text = header
            .get(CARD)
            .ok_or_else(|| wrong("it was not written by this program".to_owned()))?;
        let card: EncoderCard = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if card.format != FORMAT {
            return Err(wrong(format!(
                "its card has format {}, this program knows {FORMAT}",
                card.format
            )));
        }
        Ok(Self {
            name: path
                .file_name()
                .map_or(String::new(), |name| name.to_string_lossy().into()),
            sha256: Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            card,
            weights,
        })
    }
}

/// Writes an encoder file, whole or not at all; `weights` by the encoder's own names, or by those
/// of a foreign program.
///
/// # Errors
/// If the disk is full or the folder cannot be written.
pub fn write(path: &Path, card: &EncoderCard, weights: &Weights) -> Result<(), CheckpointError> {
    let text = serde_json::to_string(card).expect("a card is plain data");
    let bytes = weights::to_safetensors(weights, HashMap::from([(CARD.to_owned(), text)]))?;
    checkpoint::write_bytes(path, &bytes)
}
