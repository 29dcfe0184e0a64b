//! Encoder files: the weights of one encoder and what they are, in one safetensors file. `export`
//! and `import` write them, `--init` reads them.
//!
//! The card is in the file's header, so that nothing about the weights has to be repeated, and
//! nothing can be wrong: sizes, input, order of the position rows, and where the weights
//! came from.

use crate::card::WEIGHTS;
use crate::card::names::{self, Names};
use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use crate::plan::{AudioRows, InitRequest, Plan, Sizes};
use crate::run::checkpoint::{self, CheckpointError};
use crate::run::locate::Located;
use crate::sizes;
use bridle::config::Geometry;
use bridle::weights::{self, Weights};
use bridle_tasks::InputSpec;
use bridle_values::ChoiceError;
use burn::module::Module;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The header's entry that holds the card.
const CARD: &str = "bridle-bench";
/// The header's entry that says whose names the weights have; ours without it.
const NAMES: &str = "bridle-bench-names";
/// Bytes of an encoder file; a ViT-H of 32-bit floats has 2.5 GB.
pub const LARGEST: u64 = 16 << 30;
/// Bytes of the header of a safetensors file.
const LONGEST_HEADER: u64 = 25_000_000;
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
    /// No safetensors file of 32-bit floats, or not as it was written.
    #[error("`{}` holds no weights that can be used", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: CheckpointError,
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

/// The most tokens of one input, and the most frames, bands or pixels along an edge.
const MOST_TOKENS: usize = 1 << 17;
const LONGEST: usize = 1 << 17;

impl EncoderCard {
    /// Fails if the file has too few tensors for so many blocks.
    fn check_depth(&self, tensors: usize) -> Result<(), String> {
        match self.model.depth <= tensors {
            true => Ok(()),
            false => Err(format!("{} blocks cannot be in {tensors} tensors", self.model.depth)),
        }
    }

    /// Holds the card to the file's tensors: nothing is made of sizes that the file does not have.
    fn check(&self, weights: &Weights) -> Result<(), String> {
        self.check_input()?;
        let Sizes {
            dim, depth, mlp_ratio, ..
        } = self.model;
        // matrices of attention (queries, keys, values, projection) and MLP
        let block = [dim, dim, mlp_ratio.saturating_mul(2).saturating_add(4)];
        let numbers = block.into_iter().fold(depth, usize::saturating_mul);
        let found: usize = weights.values().map(|values| values.data.len()).sum();
        if numbers > found {
            return Err(format!(
                "an encoder of dim {dim}, depth {depth} and mlp_ratio {mlp_ratio} has more than {numbers} numbers, \
                 the file has {found}"
            ));
        }
        Ok(())
    }

    fn check_input(&self) -> Result<(), String> {
        let (edges, means, stds): (&[usize], &[f64], &[f64]) = match &self.input {
            InputSpec::Audio {
                frames,
                mels,
                mean,
                std,
                ..
            } => (&[*frames, *mels], std::slice::from_ref(mean), std::slice::from_ref(std)),
            InputSpec::Image { side, mean, std } => (&[*side, *side], mean, std),
            InputSpec::Video {
                frames,
                side,
                mean,
                std,
            } => (&[*side, *side, *frames], mean, std),
            InputSpec::Pipeline(_) => return Err("its inputs are those of an encoder of others".to_owned()),
        };
        if let Some(edge) = edges.iter().find(|edge| !(1..=LONGEST).contains(*edge)) {
            return Err(format!("its inputs are {edge} long, not from 1 to {LONGEST}"));
        }
        let lengths = [self.model.patch, self.model.patch, self.model.tubelet.unwrap_or(1)];
        let tokens = edges.iter().zip(lengths).try_fold(1_usize, |tokens, (edge, length)| {
            tokens.checked_mul(edge.checked_div(length)?)
        });
        if !tokens.is_some_and(|tokens| (1..=MOST_TOKENS).contains(&tokens)) {
            return Err(format!(
                "patches of {} do not make 1 to {MOST_TOKENS} tokens",
                self.model.patch
            ));
        }
        let is_usual = |value: &f64| (1e-6..=1e6).contains(value);
        if !means.iter().all(|mean| mean.abs() <= 1e6) || !stds.iter().all(is_usual) {
            return Err("the mean and standard deviation of its inputs are no such numbers".to_owned());
        }
        Ok(())
    }
}

impl EncoderCard {
    /// What an input looks like to the encoder.
    pub fn geometry(&self) -> Geometry {
        sizes::geometry_of(&self.input, &self.model, self.audio_rows)
    }

    /// Names of all parameters.
    fn parameters(&self) -> impl Iterator<Item = String> {
        let is_video = matches!(self.input, InputSpec::Video { .. });
        let qkv: &[&str] = match is_video {
            true => &["attn.query_value_bias.query", "attn.query_value_bias.value"],
            false => &["attn.qkv.bias"],
        };
        let layers = ["norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2"];
        let both = |layer: &str| ["weight", "bias"].map(|part| format!("{layer}.{part}"));
        let of_block: Vec<String> = layers.into_iter().flat_map(both).collect();
        let of_block: Vec<String> = qkv
            .iter()
            .chain(&["attn.qkv.weight"])
            .map(|name| (*name).to_owned())
            .chain(of_block)
            .collect();
        let blocks = (0..self.model.depth).flat_map(move |block| {
            of_block
                .clone()
                .into_iter()
                .map(move |name| format!("blocks.{block}.{name}"))
        });
        let cls = (!is_video).then(|| "cls_token".to_owned());
        ["patch_embed.proj", "norm"]
            .into_iter()
            .flat_map(both)
            .chain(cls)
            .chain(blocks)
    }
}

impl EncoderFile {
    /// The encoder with these weights.
    ///
    /// # Errors
    /// If one is missing or of another shape.
    pub fn fill<B: Backend, M: Module<B>>(&self, encoder: M) -> Result<M, Failure> {
        weights::load(encoder, &self.weights).map_err(|error| {
            let hint = format!("write `{}` again with `bridle-bench export` or `import`", self.name);
            Failure::new(Exit::Data, error).with_hint(hint)
        })
    }

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

    /// Whether a path leads to nothing that can be read, or to a safetensors file with a card, or the
    /// folder of one: to no checkpoint that another program wrote.
    pub fn has_card(path: &Path) -> bool {
        let header = |mut file: std::fs::File| {
            let mut length = [0; 8];
            file.read_exact(&mut length).ok()?;
            let length = u64::from_le_bytes(length).min(LONGEST_HEADER);
            let mut header = Vec::new();
            file.take(length).read_to_end(&mut header).ok()?;
            let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
            header.get("__metadata__")?.get(CARD).map(drop)
        };
        match bridle_files::open(&file(path)) {
            Ok(file) => header(file).is_some(),
            Err(_) => !path.is_dir(),
        }
    }

    /// Reads card and weights; those of the hub have the name of where they are from.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn located(given: &Located) -> Result<Self, EncoderFileError> {
        let file = Self::read(&given.path)?;
        let name = given.source.clone().unwrap_or_else(|| file.name.clone());
        Ok(Self { name, ..file })
    }

    /// Reads card and weights.
    ///
    /// # Errors
    /// If the file cannot be read or is no encoder file.
    pub fn read(path: &Path) -> Result<Self, EncoderFileError> {
        let file = &file(path);
        let bytes = bridle_files::read(file, LARGEST).map_err(|source| EncoderFileError::Read {
            path: file.clone(),
            source,
        })?;
        // older files have no checksum
        let (mut weights, header) =
            checkpoint::from_bytes(file, &bytes, false).map_err(|source| EncoderFileError::Weights {
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
        if let Some(names) = header.get(NAMES) {
            let names: Names = names.parse().map_err(|error: ChoiceError| wrong(error.to_string()))?;
            card.check_depth(weights.len()).map_err(wrong)?;
            let ours: Vec<String> = card.parameters().collect();
            weights = names::from(names, &weights, ours.iter().map(|name| &**name));
        }
        card.check(&weights).map_err(wrong)?;
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

/// The file at a path, or in the folder there.
fn file(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join(WEIGHTS),
        false => path.to_owned(),
    }
}

/// What the header of a file says of its weights; `names` says whose names they have if not ours.
pub fn header(card: &EncoderCard, names: Option<Names>) -> HashMap<String, String> {
    let text = serde_json::to_string(card).expect("a card is plain data");
    let names = names.map(|names| (NAMES.to_owned(), names.word().to_owned()));
    [(CARD.to_owned(), text)].into_iter().chain(names).collect()
}

/// Writes an encoder file, whole or not at all; `weights` by the encoder's own names, or by those
/// of a foreign program.
///
/// # Errors
/// If the disk is full or the folder cannot be written.
pub fn write(path: &Path, card: &EncoderCard, weights: &Weights) -> Result<(), CheckpointError> {
    let bytes = checkpoint::to_bytes(weights, header(card, None))?;
    checkpoint::write_bytes(path, &bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle::weights::Values;

    /// A file with these changes in its card, beside a few numbers.
    fn read(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) -> Result<EncoderFile, EncoderFileError> {
        let mut card = serde_json::json!({
            "format": FORMAT,
            "input": {"kind": "audio", "frames": 128, "mels": 128, "sample_rate": 16000, "mean": -5.0, "std": 3.0},
            "model": {"patch": 16, "dim": 8, "depth": 2, "heads": 2, "mlp_ratio": 4},
            "audio_rows": "scrambled",
        });
        change(&mut card);
        let data = vec![0.0; 8 * 8 * 12 * 2];
        let weights = Weights::from([(
            "a".to_owned(),
            Values {
                shape: vec![data.len()],
                data,
            },
        )]);
        let header = HashMap::from([(CARD.to_owned(), card.to_string())]);
        let path = folder.join("a.safetensors");
        std::fs::write(&path, bridle::weights::to_safetensors(&weights, header).unwrap()).unwrap();
        EncoderFile::read(&path)
    }

    #[test]
    fn a_card_that_claims_more_than_the_file_has_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        read(folder.path(), |_| ()).unwrap();
        for (section, key, values) in [
            ("model", "dim", ["1000000000", "16", "18446744073709551615"]),
            ("model", "depth", ["100000", "3", "18446744073709551615"]),
            ("model", "mlp_ratio", ["1000000000", "5", "18446744073709551615"]),
            ("model", "patch", ["0", "256", "18446744073709551615"]),
            ("input", "frames", ["1000000000000", "0", "8"]),
            ("input", "mels", ["1000000000000", "0", "8"]),
            ("input", "std", ["0", "-1", "1e308"]),
            ("input", "mean", ["1e308", "-1e7", "1e7"]),
        ] {
            for value in values {
                let number: serde_json::Value = serde_json::from_str(value).unwrap();
                let error = read(folder.path(), |card| card[section][key] = number).unwrap_err();
                assert!(
                    matches!(error, EncoderFileError::Card { .. }),
                    "{key} = {value}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_header_of_countless_tensors_is_refused_by_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut bytes = (30_000_000_u64).to_le_bytes().to_vec();
        bytes.resize(30_000_100, b' ');
        std::fs::write(&path, bytes).unwrap();
        let error = EncoderFile::read(&path).unwrap_err();
        let EncoderFileError::Weights {
            source: CheckpointError::Damaged { reason, .. },
            ..
        } = error
        else {
            panic!("{error}")
        };
        let header = bridle::weights::WeightsError::Header(30_000_000);
        assert_eq!(reason, header.to_string());
    }
}
