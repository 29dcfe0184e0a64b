//! The weights of one file, and those of several files joined.

use crate::folder::Files;
use crate::kind::Kind;
use crate::source::Source;
use crate::weights::Weights;
use crate::{ContainerError, Form, old, safetensors, zip};
use serde_json::Value as Json;

/// The weights of one file of a checkpoint.
pub(crate) struct Piece {
    form: Form,
    weights: Weights,
}

impl Piece {
    /// Reads names and settings of the file with this number.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or holds no weights.
    pub fn read((number, source): (usize, &Source)) -> Result<Self, ContainerError> {
        let (form, weights) = match source.kind() {
            Kind::Safetensors => {
                let weights = Weights {
                    entry: String::new(),
                    tensors: safetensors::read(source, number)?,
                    options: Json::Null,
                };
                (Form::Safetensors, weights)
            }
            Kind::Zip => (Form::Zip, zip::read(source, number)?),
            Kind::Pickle => (Form::Old, old::read(source, number)?),
        };
        Ok(Self { form, weights })
    }
}

/// The weights of all pieces. Each tensor must lie in one of them, and where the index says.
///
/// # Errors
/// If a tensor is missing or lies elsewhere, or the pieces are of several forms.
pub(crate) fn joined(files: &Files, sources: &[Source], pieces: Vec<Piece>) -> Result<(Form, Weights), ContainerError> {
    let wrong = |reason: String| ContainerError::content(&files.folder, reason);
    let mut pieces = pieces.into_iter().zip(sources);
    let (first, source) = pieces
        .next()
        .ok_or_else(|| wrong("its index names no files".to_owned()))?;
    let Piece { form, mut weights } = first;
    let Some(index) = &files.index else {
        return match weights.tensors.is_empty() {
            true => Err(source.content("it has no tensors")),
            false => Ok((form, weights)),
        };
    };
    let mut listed = 0;
    let mut hold = |source: &Source, found: &Weights| {
        listed += found.tensors.len();
        let file = source.path().file_name().and_then(|name| name.to_str());
        let elsewhere = found
            .tensors
            .keys()
            .find(|&name| index.get(name).map(String::as_str) != file);
        match elsewhere {
            Some(name) => Err(source.content(format!("the index does not say that tensor `{name}` lies in it"))),
            None => Ok(()),
        }
    };
    hold(source, &weights)?;
    for (piece, source) in pieces {
        if piece.form != form || piece.weights.entry != weights.entry {
            return Err(source.content("it is stored in another way than the file before it"));
        }
        hold(source, &piece.weights)?;
        weights.tensors.extend(piece.weights.tensors);
    }
    if listed < index.len() {
        let missing = index.iter().find(|(name, _)| !weights.tensors.contains_key(*name));
        let missing = missing.map(|(name, file)| format!("tensor `{name}` is not in `{file}`"));
        return Err(wrong(missing.unwrap_or_default()));
    }
    Ok((form, weights))
}
