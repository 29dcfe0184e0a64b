//! Files of weights that other programs wrote, read without running anything: safetensors,
//! PyTorch's pickles in both of their forms, and Hugging Face folders.
//!
//! A file is told by its bytes, never by its name. What is read is bounded by the file's size, not
//! by what it claims.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

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
    /// `config.json` of a folder, or null.
    pub config: Value,
    /// `preprocessor_config.json` of a folder, or null.
    pub preprocessor: Value,
    /// What else a pickle says in plain values, such as `cfg` and `args`, or null. Objects of
    /// classes nobody knows are objects with a key `__class__`.
    pub options: Value,
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

impl Checkpoint {
    /// Reads the names, shapes and settings of a file or folder; numbers are read when asked for.
    ///
    /// # Errors
    /// If the file system refuses, or the file is none of the known forms, damaged or harmful.
    pub fn open(path: &Path) -> Result<Self, ContainerError> {
        todo!("{}", path.display())
    }

    /// The numbers of a tensor, row-major, as 32-bit floats. None if there is no such tensor.
    ///
    /// # Errors
    /// If the file cannot be read any more, or is not what it was when it was opened.
    pub fn read(&self, name: &str) -> Option<Result<Vec<f32>, ContainerError>> {
        todo!("{name}")
    }
}
