//! Arrays of anyone's making: one vector for each of a task's samples, or the codes of its tokens,
//! read from a safetensors file or a zip of numpy's arrays (`npz`). JUDGE.md describes both for those
//! who write them.
//!
//! The kind of a file is told by its first bytes. Of what a file claims, nothing is believed before it
//! is held against the file's own size.

mod labels;
mod matching;
mod npy;
mod npz;
mod tensors;

pub use labels::{Codes, LabelsFile, laid_out as labels_laid_out, place as labels_place};
pub use matching::{MatchError, Matched};
pub use npz::write as to_npz;

use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Bytes of a file, and of what it unpacks to: 5 million vectors of 768 32-bit floats.
const LARGEST: u64 = 16 << 30;
/// What the list of its rows' samples is called.
const LISTS: [&str; 4] = ["ids", "names", "files", "paths"];

/// What a file holds of each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// A vector of floats.
    Embeddings,
    /// Codes [T, L]: whole numbers.
    Labels,
}

impl Holds {
    /// What one array of all samples is called, one a row.
    const fn arrays(self) -> &'static [&'static str] {
        match self {
            Self::Embeddings => &["embeddings", "features", "vectors"],
            Self::Labels => &["codes", "labels"],
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Labels => "labels",
        }
    }

    /// The shape of what a sample has in an array of this shape, if it is one.
    fn of_sample(self, shape: &[usize]) -> Option<&[usize]> {
        let own = match (self, shape) {
            (Self::Embeddings, [1, _]) => &shape[1..],
            (Self::Embeddings, [_]) | (Self::Labels, [_, _]) => shape,
            _ => return None,
        };
        own.iter().all(|&length| length > 0).then_some(own)
    }
}

/// Vectors, or codes, by name.
#[derive(Debug)]
pub struct Embeddings {
    holds: Holds,
    path: PathBuf,
    /// SHA-256 of the file's bytes.
    pub sha256: String,
    /// Length D of a vector; all codes of a sample.
    pub dim: usize,
    /// Shape of what a sample has.
    shape: Vec<usize>,
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
    #[error("`{}` holds no {what} that can be used: {reason}", path.display())]
    Content {
        path: PathBuf,
        what: &'static str,
        reason: String,
    },
}

impl Embeddings {
    /// Reads a whole file.
    ///
    /// # Errors
    /// If it cannot be read, is no safetensors or npz file, or does not hold vectors of one length by
    /// name.
    pub fn read(path: &Path) -> Result<Self, EmbeddingsError> {
        Self::of(path, Holds::Embeddings)
    }

    fn of(path: &Path, holds: Holds) -> Result<Self, EmbeddingsError> {
        let bytes = bridle_files::read(path, LARGEST).map_err(|source| EmbeddingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let vectors = if bytes.starts_with(b"PK") {
            npz::read(&bytes, most_unpacked(bytes.len() as u64), holds)
        } else if is_safetensors(&bytes) {
            tensors::read(&bytes, holds)
        } else {
            let kind = bridle_files::foreign(&bytes).map_or_else(String::new, |kind| format!("; it is {kind}"));
            Err(format!("it is neither a safetensors nor an npz file{kind}"))
        };
        let digits = Sha256::digest(&bytes);
        let vectors = vectors.map_err(|reason| EmbeddingsError::Content {
            path: path.to_owned(),
            what: holds.word(),
            reason,
        })?;
        Ok(Self {
            holds,
            path: path.to_owned(),
            sha256: digits.iter().map(|byte| format!("{byte:02x}")).collect(),
            dim: vectors.shape.iter().product(),
            shape: vectors.shape,
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

/// What samples have, of one shape, by name; of either kind of file.
#[derive(Debug, Default, PartialEq)]
struct Vectors {
    names: Vec<String>,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Vectors {
    /// One array for each sample, of shape [D] or [1, D]; of codes [T, L].
    fn one_each(arrays: impl IntoIterator<Item = (String, Array)>, holds: Holds) -> Result<Self, String> {
        let mut all = Self::default();
        for (name, array) in arrays {
            let Some(shape) = holds.of_sample(&array.shape) else {
                if holds.arrays().contains(&&*name) {
                    let lists = LISTS.join(" or ");
                    return Err(format!(
                        "it has an array `{name}` of all samples, and no list {lists} of whose its rows are"
                    ));
                }
                let (is_none, matrix) = match holds {
                    Holds::Embeddings => ("is no vector", "a matrix"),
                    Holds::Labels => ("is not [tokens, levels]", "one array of all samples"),
                };
                return Err(format!(
                    "array `{name}` has shape {:?}, which {is_none} ({matrix} is called {}, with a list {})",
                    array.shape,
                    holds.arrays().join(" or "),
                    LISTS.join(" or ")
                ));
            };
            match (all.names.first(), holds) {
                (None, _) => all.shape = shape.to_vec(),
                (Some(first), Holds::Embeddings) if shape != all.shape => {
                    let (length, dim) = (all.shape[0], shape[0]);
                    return Err(format!("vector `{first}` has {length} numbers, and `{name}` has {dim}"));
                }
                (Some(first), Holds::Labels) if shape != all.shape => {
                    let theirs = &all.shape;
                    return Err(format!(
                        "codes of `{first}` have shape {theirs:?}, and those of `{name}` {shape:?}"
                    ));
                }
                (Some(_), _) => {}
            }
            all.names.push(name);
            all.values.extend(array.values);
        }
        match all.names.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(all),
        }
    }

    /// A matrix [N, D], or codes [N, T, L], and the samples of its rows.
    fn rows(matrix: Array, names: Vec<String>, holds: Holds) -> Result<Self, String> {
        let (axes, wanted) = match holds {
            Holds::Embeddings => (2, "[samples, length]"),
            Holds::Labels => (3, "[samples, tokens, levels]"),
        };
        match matrix.shape[..] {
            [rows, ref shape @ ..] if rows == names.len() && shape.len() + 1 == axes && !matrix.values.is_empty() => {
                Ok(Self {
                    names,
                    shape: shape.to_vec(),
                    values: matrix.values,
                })
            }
            [rows, ref shape @ ..] if shape.len() + 1 == axes && !matrix.values.is_empty() => Err(format!(
                "its matrix has {rows} rows, and its list {} names",
                names.len()
            )),
            _ => Err(format!("its matrix has shape {:?}, not {wanted}", matrix.shape)),
        }
    }
}

/// The name of the matrix among those of a file's arrays: a usual one, or the only one.
fn matrix_name<'a>(names: impl Iterator<Item = &'a str> + Clone, holds: Holds) -> Result<&'a str, String> {
    let usual = holds
        .arrays()
        .iter()
        .find_map(|usual| names.clone().find(|name| name == usual));
    let mut all = names.clone();
    match (usual, all.next(), all.next()) {
        (Some(name), ..) | (None, Some(name), None) => Ok(name),
        _ => Err(format!(
            "it has a list of names, and no array `{}` beside it",
            holds.arrays().join("`, `")
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
