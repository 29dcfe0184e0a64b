//! The file that `features` writes: safetensors, or numpy's zip of arrays, and what the vectors are.

use crate::cli::error::{Failure, Result};
use crate::embeddings;
use crate::run::encoder_file::Origin;
use bridle::weights::{self, Values};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The header's entry that says what the vectors are.
const CARD: &str = "bridle-bench";
/// Raised when older programs could no longer read a file of features.
pub(super) const FORMAT: u32 = 1;

/// What the vectors of a file are.
#[derive(Debug, Serialize)]
pub(super) struct Card<'a> {
    pub format: u32,
    /// What a vector is, in words.
    pub features: &'a str,
    /// Its length.
    pub dim: usize,
    pub encoder: Encoder<'a>,
    pub backend: &'a str,
    pub dtype: &'a str,
}

/// The encoder that made them.
#[derive(Debug, Serialize)]
pub(super) struct Encoder<'a> {
    /// Its file's name, without its folder.
    pub name: &'a str,
    pub sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<&'a Origin>,
    /// Of an encoder of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<&'a str>,
}

/// The bytes of a file of arrays [ids, shape], whose form its ending says. With `lengths` the first axis of each
/// array is its own.
///
/// # Errors
/// If there is no memory for it, or arrays of different shapes are to be one matrix.
pub(super) fn laid_out(
    to: &Path,
    ids: &[&str],
    values: &[f32],
    (shape, lengths): (&[usize], Option<&[usize]>),
    card: &Card<'_>,
) -> Result<Vec<u8>> {
    let wrong = |error: anyhow::Error| Failure::fault("cannot lay out the features", error);
    let card = serde_json::to_string(card).expect("a card is plain data");
    if to.extension().is_some_and(|ending| ending == "npz") {
        if lengths.is_some() {
            let message = "tokens of sounds of different lengths are no one matrix, which npz has here";
            return Err(Failure::wrong_use(message).with_hint("--to FILE.safetensors"));
        }
        let whole = [&[ids.len()][..], shape].concat();
        return embeddings::to_npz(ids, values, &whole, &card).map_err(|error| wrong(error.into()));
    }
    let (mut rest, mut named) = (values, BTreeMap::new());
    for (place, id) in ids.iter().enumerate() {
        let mut shape = shape.to_vec();
        if let Some(lengths) = lengths {
            shape[0] = lengths[place];
        }
        let (row, others) = rest.split_at(shape.iter().product());
        rest = others;
        let data = row.to_vec();
        named.insert((*id).to_owned(), Values { shape, data });
    }
    let header = HashMap::from([(CARD.to_owned(), card)]);
    weights::to_safetensors(&named, header).map_err(|error| wrong(error.into()))
}
