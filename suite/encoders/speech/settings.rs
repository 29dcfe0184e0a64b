//! Settings that must be there, held to what is supported and to the weights.

use crate::names::{EncoderError, Taker};
use crate::settings::{Settings, refuse};
use serde_json::Value;
use std::collections::BTreeMap;

/// Settings of which none has a default.
#[derive(Clone, Copy)]
pub struct Needed<'a>(pub Settings<'a>);

impl<'a> Needed<'a> {
    /// A positive whole number below 2^24.
    ///
    /// # Errors
    /// If it is missing or anything else, as in all that follow.
    pub fn count(self, key: &str) -> Result<usize, EncoderError> {
        let size = self.0.required(key, self.0.size(key)?)?;
        match SIZES.contains(&size) {
            true => Ok(size),
            false => Err(refuse(key, size, "it is no size")),
        }
    }

    /// A positive whole number that divides a width.
    ///
    /// # Errors
    /// If it does not divide it.
    pub fn divisor(self, key: &str, width: usize) -> Result<usize, EncoderError> {
        let number = self.count(key)?;
        match width.is_multiple_of(number) {
            true => Ok(number),
            false => Err(refuse(key, number, format!("it does not divide the width, {width}"))),
        }
    }

    /// Two settings by their keys, with their values.
    pub fn pair<'k>(self, keys: [&'k str; 2]) -> [(&'k str, &'a Value); 2] {
        keys.map(|key| (key, self.0.get(key).unwrap_or(&Value::Null)))
    }

    /// # Errors
    /// If it is missing or no list of positive whole numbers.
    pub fn counts(self, key: &str) -> Result<Vec<usize>, EncoderError> {
        let value = self.0.required(key, self.0.get(key))?;
        let count = |value: &Value| {
            let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
            size.filter(|size| SIZES.contains(size))
        };
        let counts = value.as_array().and_then(|list| list.iter().map(count).collect());
        counts.ok_or_else(|| refuse(key, value, "it is no list of sizes"))
    }

    /// # Errors
    /// If it is missing or no number.
    pub fn real(self, key: &str) -> Result<f64, EncoderError> {
        self.0.required(key, self.0.number(key)?)
    }

    /// # Errors
    /// If it is missing or no number from 0 to 1.
    pub fn epsilon(self, key: &str) -> Result<f64, EncoderError> {
        self.0.required(key, self.0.epsilon(key)?)
    }

    /// # Errors
    /// If it is missing or neither true nor false.
    pub fn flag(self, key: &str) -> Result<bool, EncoderError> {
        self.0.required(key, self.0.flag(key)?)
    }

    /// # Errors
    /// If it is missing or no text.
    pub fn text(self, key: &str) -> Result<&'a str, EncoderError> {
        self.0.required(key, self.0.word(key)?)
    }

    /// What one of these words means.
    ///
    /// # Errors
    /// If it is missing or another word.
    pub fn word<T: Copy>(self, key: &str, known: &[(&str, T)]) -> Result<T, EncoderError> {
        let value = self.text(key)?;
        let found = known.iter().find(|(word, _)| *word == value);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            refuse(key, value, format!("this program supports {}", words.join(" and ")))
        })
    }
}

/// More than any size of an encoder.
const SIZES: std::ops::Range<usize> = 1..1 << 24;

/// Holds a size to the axes of tensors that show it. One tensor alone may be of a wrong shape, which
/// is found when it is read; where all agree on another size, the setting is wrong.
///
/// # Errors
/// If they do.
pub fn agrees(taker: &Taker, key: &str, size: usize, shown: &[(String, usize)]) -> Result<(), EncoderError> {
    let axis = |(name, axis): &(String, usize)| taker.shape(name)?.get(*axis).copied();
    let found: Vec<usize> = shown.iter().filter_map(axis).collect();
    match found[..] {
        [first, _, ..] if first != size && found.iter().all(|&found| found == first) => {
            Err(refuse(key, size, format!("the weights have {first}")))
        }
        _ => Ok(()),
    }
}

/// The size that most of these axes of tensors have.
///
/// # Errors
/// If there is none of them.
pub fn shown(taker: &Taker, axes: &[(String, usize)]) -> Result<usize, EncoderError> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for (name, axis) in axes {
        if let Some(size) = taker.shape(name).and_then(|shape| shape.get(*axis)) {
            *counts.entry(*size).or_default() += 1;
        }
    }
    counts.remove(&0);
    let most = counts
        .into_iter()
        .max_by_key(|(size, count)| (*count, std::cmp::Reverse(*size)));
    most.map(|(size, _)| size).ok_or_else(|| {
        let name = axes.first().map_or("", |(name, _)| name);
        taker.missing(name, |shape| !shape.is_empty())
    })
}

/// The number of blocks, as the setting `key` says and as the weights have them, whose names begin with
/// `encoder.layers.`.
///
/// # Errors
/// If it is missing, or the weights have another number.
pub fn depth(settings: Needed, taker: &Taker, key: &str) -> Result<usize, EncoderError> {
    let depth = settings.count(key)?;
    match blocks(taker, "encoder.layers.") {
        found if found == depth => Ok(depth),
        found => Err(refuse(key, depth, format!("the weights have {found} blocks"))),
    }
}

/// How many blocks there are under `start`: up to the last number that two tensors have.
pub fn blocks(taker: &Taker, start: &str) -> usize {
    let mut tensors: BTreeMap<usize, usize> = BTreeMap::new();
    for rest in taker.names().filter_map(|name| name.strip_prefix(start)) {
        if let Some(Ok(index)) = rest.split_once('.').map(|(number, _)| number.parse()) {
            *tensors.entry(index).or_default() += 1;
        }
    }
    let last = tensors.into_iter().rev().find(|(_, count)| *count > 1);
    last.map_or(0, |(index, _)| index + 1)
}
