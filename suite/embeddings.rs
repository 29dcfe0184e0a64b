//! Embeddings of anyone's making: one vector for each of a task's samples, read from a safetensors
//! file or a zip of numpy's arrays (`npz`). JUDGE.md describes both for those who write them.
//!
//! The kind of a file is told by its first bytes. Of what a file claims, nothing is believed before it
//! is held against the file's own size.

mod matching;
mod npy;
mod npz;
mod tensors;

pub use matching::{MatchError, Matched};
pub use npz::write as to_npz;

use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Bytes of a file, and of what it unpacks to: 5 million vectors of 768 32-bit floats.
const LARGEST: u64 = 16 << 30;
/// What a matrix of vectors is called, one a row.
const MATRICES: [&str; 3] = ["embeddings", "features", "vectors"];
/// What the list of its rows' samples is called.
const LISTS: [&str; 4] = ["ids", "names", "files", "paths"];

/// Vectors by name.
#[derive(Debug)]
pub struct Embeddings {
    path: PathBuf,
    /// SHA-256 of the file's bytes.
    pub sha256: String,
    /// Length D of a vector.
    pub dim: usize,
    names: Vec<String>,
    /// Row-major [n, D].
    values: Vec<f32>,
}

/// One array of a file, row-major.
#[derive(Debug, PartialEq)]
struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Why a file of embeddings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    /// The file system refused.
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Not a file of embeddings, or a damaged one.
    #[error("`{}` holds no embeddings that can be used: {reason}", path.display())]
    Content { path: PathBuf, reason: String },
}

impl Embeddings {
    /// Reads a whole file.
    ///
    /// # Errors
    /// If it cannot be read, is no safetensors or npz file, or does not hold vectors of one length by
    /// name.
    pub fn read(path: &Path) -> Result<Self, EmbeddingsError> {
        let bytes = bridle_files::read(path, LARGEST).map_err(|source| EmbeddingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let vectors = if bytes.starts_with(b"PK") {
            npz::read(&bytes, most_unpacked(bytes.len() as u64))
        } else if is_safetensors(&bytes) {
            tensors::read(&bytes)
        } else {
            let kind = bridle_files::foreign(&bytes).map_or_else(String::new, |kind| format!("; it is {kind}"));
            Err(format!("it is neither a safetensors nor an npz file{kind}"))
        };
        let digits = Sha256::digest(&bytes);
        let vectors = vectors.map_err(|reason| EmbeddingsError::Content {
            path: path.to_owned(),
            reason,
        })?;
        Ok(Self {
            path: path.to_owned(),
            sha256: digits.iter().map(|byte| format!("{byte:02x}")).collect(),
            dim: vectors.dim,
            names: vectors.names,
            values: vectors.values,
        })
    }
}

/// Most bytes that a packed file of so many bytes unpacks to. Numbers pack to a tenth at best; a file
/// made of repetitions would fill the memory.
fn most_unpacked(bytes: u64) -> u64 {
    const SMALL: u64 = 64 << 20;
    const RATIO: u64 = 64;
    LARGEST.min(bytes.saturating_mul(RATIO).max(SMALL))
}

/// Whether a file begins as a safetensors file: the length of a header of JSON, and its brace.
fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

/// Vectors of one length by name, of either kind of file.
#[derive(Debug, Default, PartialEq)]
struct Vectors {
    names: Vec<String>,
    dim: usize,
    values: Vec<f32>,
}

impl Vectors {
    /// One array for each sample, of shape [D] or [1, D].
    fn one_each(arrays: impl IntoIterator<Item = (String, Array)>) -> Result<Self, String> {
        let mut all = Self::default();
        for (name, array) in arrays {
            let dim = match array.shape[..] {
                [dim] | [1, dim] if dim > 0 => dim,
                [_, _] if MATRICES.contains(&&*name) => {
                    let lists = LISTS.join(" or ");
                    return Err(format!(
                        "it has a matrix `{name}`, and no list {lists} of whose its rows are"
                    ));
                }
                _ => {
                    return Err(format!(
                        "array `{name}` has shape {:?}, which is no vector (a matrix is called {}, with a list {})",
                        array.shape,
                        MATRICES.join(" or "),
                        LISTS.join(" or ")
                    ));
                }
            };
            match all.names.first() {
                None => all.dim = dim,
                Some(first) if dim != all.dim => {
                    let length = all.dim;
                    return Err(format!("vector `{first}` has {length} numbers, and `{name}` has {dim}"));
                }
                Some(_) => {}
            }
            all.names.push(name);
            all.values.extend(array.values);
        }
        match all.names.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(all),
        }
    }

    /// A matrix [N, D] and the samples of its rows.
    fn rows(matrix: Array, names: Vec<String>) -> Result<Self, String> {
        match matrix.shape[..] {
            [rows, dim] if rows == names.len() && rows * dim > 0 => Ok(Self {
                names,
                dim,
                values: matrix.values,
            }),
            [rows, dim] if rows * dim > 0 => Err(format!(
                "its matrix has {rows} rows, and its list {} names",
                names.len()
            )),
            _ => Err(format!(
                "its matrix has shape {:?}, not [samples, length]",
                matrix.shape
            )),
        }
    }
}

/// The name of the matrix among those of a file's arrays: a usual one, or the only one.
fn matrix_name<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<&'a str, String> {
    let usual = MATRICES
        .iter()
        .find_map(|usual| names.clone().find(|name| name == usual));
    let mut all = names.clone();
    match (usual, all.next(), all.next()) {
        (Some(name), ..) | (None, Some(name), None) => Ok(name),
        _ => Err(format!(
            "it has a list of names, and no array `{}` beside it",
            MATRICES.join("`, `")
        )),
    }
}

/// The count of an array's numbers, if its bytes hold exactly that many of this size.
fn count(shape: &[usize], size: usize, bytes: usize) -> Option<usize> {
    let count = shape
        .iter()
        .try_fold(1_usize, |count, &length| count.checked_mul(length))?;
    (count.checked_mul(size)? == bytes).then_some(count)
}

impl From<EmbeddingsError> for Failure {
    fn from(error: EmbeddingsError) -> Self {
        let hint = match &error {
            EmbeddingsError::Read { .. } => "--embeddings FILE, which exists and can be read",
            EmbeddingsError::Content { .. } => {
                "numpy.savez(FILE, ids=numpy.array(ids), embeddings=matrix), with a row of floats for each id; \
                 suite/JUDGE.md describes the files"
            }
        };
        Self::new(Exit::Data, error).with_hint(hint)
    }
}

#[cfg(test)]
mod tests;
