//! Files of weights that other programs wrote, read without running anything: safetensors,
//! PyTorch's pickles in both of their forms, and Hugging Face folders.
//!
//! A file is told by its bytes, never by its name. What is read is bounded by the file's size, not
//! by what it claims. Numbers are read when they are asked for, and are those of the bytes that
//! [`Checkpoint::sha256`] is of: a file that changes meanwhile is an error.
//!
//! ```text
//! folder       the files of a checkpoint, and their settings
//! piece        one file's weights, and those of several joined
//! source       one file: hashed when it is opened, held to that later
//! kind         what a file is by its first bytes
//! safetensors  the header of safetensors
//! zip, old     the two forms of PyTorch: where the pickle and the storages lie
//! pickle       a reader of pickles that builds inert values
//! weights      which dictionary of a pickle holds the weights
//! storage      from a tensor of a pickle to its place in the file
//! options      what else a pickle says, as JSON
//! tensor       reading a tensor's numbers, views too
//! number       types of numbers
//! ```

mod budget;
mod folder;
mod kind;
mod number;
mod old;
mod options;
mod pickle;
mod piece;
mod safetensors;
mod source;
mod storage;
mod tensor;
mod weights;
mod zip;

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

use folder::Files;
use piece::Piece;
use serde_json::Value;
use source::Source;
use std::collections::BTreeMap;
use std::path::Path;

/// Most bytes of a pickle, without the numbers of its tensors.
const PICKLE: usize = 64 << 20;

/// Weights as a file holds them, with the settings that lie beside them.
#[derive(Debug)]
pub struct Checkpoint {
    /// Name of the file or folder, without the folders above it.
    pub name: String,
    /// SHA-256 of the bytes of all files that were read, in the order of their names.
    pub sha256: String,
    pub form: Form,
    /// Where in a pickle the weights lie, such as `model` or `state_dict`; empty at the top.
    pub entry: String,
    /// Tensors by the names of the file within `entry`; those of nested dictionaries with dots.
    pub tensors: BTreeMap<String, Entry>,
    /// `config.json` of the folder, or null.
    pub config: Value,
    /// `preprocessor_config.json` of the folder, or null.
    pub preprocessor: Value,
    /// What else a pickle says in plain values, such as `cfg` and `args`, or null. Objects of
    /// classes nobody knows are objects with a key `__class__`.
    pub options: Value,
    sources: Vec<Source>,
}

/// How the weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Safetensors,
    /// A zip archive with a pickle (PyTorch since 1.6).
    Zip,
    /// Pickles one after the other (PyTorch before 1.6).
    Old,
}

/// One tensor of a file.
#[derive(Debug)]
pub struct Entry {
    pub shape: Vec<usize>,
    /// The type of its numbers in the file, such as `float32` or `bfloat16`.
    pub dtype: &'static str,
    place: tensor::Place,
}

/// Why a file of weights cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The file system refused.
    #[error("cannot read `{}`", path.display())]
    Read {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    /// Not a file of weights, a damaged one, or one that is not to be trusted.
    #[error("`{}` holds no weights that can be used: {reason}", path.display())]
    Content { path: std::path::PathBuf, reason: String },
}

impl ContainerError {
    /// What a file says of itself may be long, and may hold what steers a terminal.
    fn content(path: &Path, reason: impl ToString) -> Self {
        const LONGEST: usize = 500;
        let escaped = |letter: char| match letter.is_control() {
            true => letter.escape_default().collect(),
            false => String::from(letter),
        };
        let reason = reason.to_string().chars().take(LONGEST).map(escaped).collect();
        let path = path.to_owned();
        Self::Content { path, reason }
    }
}

impl Checkpoint {
    /// Reads the names, shapes and settings of a file or folder; numbers are read when asked for.
    /// `config.json` and `preprocessor_config.json` are taken from the folder of a file too.
    ///
    /// # Errors
    /// If the file system refuses, or the file is none of the known forms, damaged or harmful.
    pub fn open(path: &Path) -> Result<Self, ContainerError> {
        let files = Files::find(path)?;
        let (sources, sha256) = files.open()?;
        let pieces: Result<Vec<_>, _> = sources.iter().enumerate().map(Piece::read).collect();
        let (form, weights) = piece::joined(&files, &sources, pieces?)?;
        Ok(Self {
            name: name(path),
            sha256,
            form,
            entry: weights.entry,
            tensors: weights.tensors,
            config: files.config,
            preprocessor: files.preprocessor,
            options: weights.options,
            sources,
        })
    }

    /// The numbers of a tensor, row-major, as 32-bit floats. None if there is no such tensor.
    ///
    /// # Errors
    /// If the file cannot be read any more, or is not what it was when it was opened.
    pub fn read(&self, name: &str) -> Option<Result<Vec<f32>, ContainerError>> {
        Some(self.tensors.get(name)?.read(&self.sources))
    }
}

/// A path's last name; that of the folder itself for `.` and `..`.
fn name(path: &Path) -> String {
    let full = || path.canonicalize().ok();
    let name = path.file_name().map(ToOwned::to_owned);
    let name = name.or_else(|| Some(full()?.file_name()?.to_owned()));
    name.unwrap_or_default().to_string_lossy().into_owned()
}
