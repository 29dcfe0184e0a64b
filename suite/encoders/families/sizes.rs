//! Sizes of a vision transformer, from the shapes of its tensors.
//!
//! What several tensors say is taken by majority, so that a single one of a wrong shape is the one that is named.

use crate::names::{EncoderError, Taker};
use crate::settings::refuse;
use crate::vit::config::MlpKind;
use crate::vit::words::Words;
use std::collections::BTreeMap;

/// What the shapes of blocks say.
pub struct Sizes {
    pub dim: usize,
    pub depth: usize,
    pub hidden: usize,
    pub mlp: MlpKind,
}

impl Sizes {
    /// # Errors
    /// If there are no blocks, or none whose tensors say a size.
    pub fn of(taker: &Taker, words: &Words) -> Result<Self, EncoderError> {
        let depth = depth(taker, words);
        let blocks: Vec<String> = (0..depth).map(|number| words.block(number, taker)).collect();
        let along = |name: &str, axis: usize| -> Vec<usize> {
            let shape = |block: &String| taker.shape(&format!("{block}{name}"))?.get(axis).copied();
            blocks.iter().filter_map(shape).collect()
        };
        let norms = words
            .norms
            .iter()
            .flat_map(|norm| [format!("{norm}.weight"), format!("{norm}.bias")]);
        let widths = norms.flat_map(|name| along(&name, 0)).collect();
        let block = blocks.first().map_or("", String::as_str);
        let any = |_: &[usize]| true;
        let dim = majority(widths).ok_or_else(|| taker.missing(&format!("{block}{}.weight", words.norms[0]), any))?;
        let gated = words
            .swiglu
            .iter()
            .any(|name| !along(&format!("{name}.weight"), 0).is_empty());
        let mlp = if gated { MlpKind::SwiGlu } else { MlpKind::Gelu };
        let [first, second] = if gated { words.swiglu } else { words.mlp };
        let halved = |sizes: Vec<usize>| sizes.into_iter().map(|size| if gated { size / 2 } else { size });
        let mut inner = along(&format!("{second}.weight"), 1);
        inner.extend(halved(along(&format!("{first}.weight"), 0)));
        inner.extend(halved(along(&format!("{first}.bias"), 0)));
        let hidden = majority(inner).ok_or_else(|| taker.missing(&format!("{block}{first}.weight"), any))?;
        Ok(Self {
            dim,
            depth,
            hidden,
            mlp,
        })
    }

    /// Attention heads: as said, or by the usual width of one.
    ///
    /// # Errors
    /// If nothing says it and it has no usual one, or the heads do not divide the width.
    pub fn heads(&self, said: Option<(&str, usize)>, assumed: &mut Vec<String>) -> Result<usize, EncoderError> {
        match said {
            Some((key, heads)) if heads == 0 || !self.dim.is_multiple_of(heads) => Err(refuse(
                key,
                heads,
                format!("it does not divide the width, {}", self.dim),
            )),
            Some((_, heads)) => Ok(heads),
            None => {
                let heads = if self.dim == 1280 { 16 } else { self.dim / 64 };
                if heads == 0 || !self.dim.is_multiple_of(heads) || (self.dim != 1280 && !self.dim.is_multiple_of(64)) {
                    let what = format!("number of attention heads (its width is {})", self.dim);
                    return Err(EncoderError::Ask { option: "heads", what });
                }
                assumed.push(format!(
                    "{heads} attention heads, as is usual for a width of {}: the file does not say",
                    self.dim
                ));
                Ok(heads)
            }
        }
    }
}

/// One more than the largest number of a block.
fn depth(taker: &Taker, words: &Words) -> usize {
    let start = words.block.split('#').next().unwrap_or_default();
    let number = |name: &str| {
        let mut parts = name
            .strip_prefix(start)?
            .split('.')
            .map(|part| part.parse::<usize>().ok());
        let first = parts.next().flatten()?;
        // in chunks, the second number counts
        Some(parts.next().flatten().unwrap_or(first))
    };
    let last = taker.names().filter_map(number).max();
    // a block has a tensor at least
    last.map_or(0, |last| last.saturating_add(1).min(taker.names().count()))
}

/// The value that occurs most often, the smallest on ties.
pub fn majority(values: Vec<usize>) -> Option<usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_insert(0) += 1;
    }
    let most = counts.values().copied().max()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(value, _)| value)
}

/// Channels and kernel [frames, rows, columns] of the patches.
pub struct Kernel {
    pub channels: usize,
    pub sizes: [usize; 3],
    pub is_video: bool,
}

/// The patches' kernel, which is square on rows and columns.
///
/// # Errors
/// If the tensor is missing, or of a shape that no kernel of this width has.
pub fn kernel(taker: &Taker, words: &Words, width: usize) -> Result<Kernel, EncoderError> {
    let name = format!("{}.weight", words.patch);
    let could_be = |shape: &[usize]| matches!(shape.len(), 4 | 5) && shape[0] == width;
    let shape = taker.shape(&name).ok_or_else(|| taker.missing(&name, could_be))?;
    let (channels, sizes, is_video) = match *shape {
        [_, channels, rows, columns] if rows == columns => (channels, [1, rows, columns], false),
        [_, channels, frames, rows, columns] if rows == columns => (channels, [frames, rows, columns], true),
        _ => {
            let expected = match *shape {
                [_, channels, frames, rows, _] => vec![width, channels, frames, rows, rows],
                [_, channels, rows, _] => vec![width, channels, rows, rows],
                _ => vec![width, 3, 16, 16],
            };
            return Err(shape_error(taker, &name, expected));
        }
    };
    if !matches!(channels, 1 | 3) || sizes.contains(&0) {
        let mut expected = shape.to_vec();
        expected[1] = 3;
        return Err(shape_error(taker, &name, expected));
    }
    Ok(Kernel {
        channels,
        sizes,
        is_video,
    })
}

/// The error that a tensor has another shape.
pub fn shape_error(taker: &Taker, name: &str, expected: Vec<usize>) -> EncoderError {
    EncoderError::Shape {
        name: taker.full(name),
        found: taker.shape(name).unwrap_or_default().to_vec(),
        expected,
    }
}

/// The rows of a table of positions [1, rows, D].
///
/// # Errors
/// If it is missing, or no such table.
pub fn table_rows(taker: &Taker, words: &Words, dim: usize) -> Result<usize, EncoderError> {
    let could_be = |shape: &[usize]| matches!(*shape, [1, rows, width] if rows > 1 && width == dim);
    let name = words.positions;
    match taker.shape(name) {
        None => Err(taker.missing(name, could_be)),
        Some([1, rows, _]) => Ok(*rows),
        Some([_, rows, _]) => Err(shape_error(taker, name, vec![1, *rows, dim])),
        Some(shape) => {
            let rows = shape.iter().product::<usize>() / dim.max(1);
            Err(shape_error(taker, name, vec![1, rows, dim]))
        }
    }
}

/// Rows for tokens in front, and the side of the square of patches, of a table with `prefixes` such rows at most,
/// the likeliest number first.
///
/// # Errors
/// If no square is left.
pub fn square_table(
    taker: &Taker,
    words: &Words,
    dim: usize,
    prefixes: &[usize],
) -> Result<(usize, usize), EncoderError> {
    let rows = table_rows(taker, words, dim)?;
    let side = |prefix: usize| {
        let patches = rows.checked_sub(prefix).filter(|patches| *patches > 0)?;
        let side = patches.isqrt();
        (side * side == patches).then_some((prefix, side))
    };
    prefixes.iter().find_map(|prefix| side(*prefix)).ok_or_else(|| {
        let prefix = prefixes.first().copied().unwrap_or(0);
        let side = rows.saturating_sub(prefix).isqrt();
        shape_error(taker, words.positions, vec![1, prefix + side * side, dim])
    })
}

/// Classes of AST's own head, if there is a part of it.
///
/// # Errors
/// If its weight and its bias are of different numbers of classes.
pub fn head_classes(taker: &Taker, words: &Words, dim: usize) -> Result<Option<usize>, EncoderError> {
    let part = |layer: &str, part: &str| taker.shape(&format!("{layer}.{part}"));
    let [norm, linear] = words.head;
    match (part(linear, "weight"), part(linear, "bias")) {
        (Some(weight), Some(bias)) if weight.first() != bias.first() => {
            let reason = format!(
                "it has shape {weight:?}, not {:?}; or `{}.bias` has shape {bias:?}, not {:?}",
                [bias.first().copied().unwrap_or(0), dim],
                taker.full(linear),
                &weight[..weight.len().min(1)],
            );
            let name = taker.full(&format!("{linear}.weight"));
            Err(EncoderError::Values { name, reason })
        }
        (Some(shape), _) | (None, Some(shape)) => Ok(shape.first().copied()),
        (None, None) => {
            let has_norm = ["weight", "bias"].iter().any(|half| part(norm, half).is_some());
            Ok(has_norm.then_some(0))
        }
    }
}

/// The error that a setting and a tensor's shape contradict each other.
pub fn contradicts(
    (key, value): (&str, impl std::fmt::Display),
    taker: &Taker,
    name: &str,
    expected: &[usize],
) -> EncoderError {
    let found = taker.shape(name).unwrap_or_default();
    refuse(
        key,
        value,
        format!("tensor `{}` has shape {found:?}, not {expected:?}", taker.full(name)),
    )
}
