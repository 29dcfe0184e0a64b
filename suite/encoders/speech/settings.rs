//! Reads the settings that lie beside weights. One that is missing, of another kind, or that this
//! program does not know is an error which names it.

use crate::names::{EncoderError, Taker};
use serde_json::Value;
use std::collections::BTreeMap;

/// Settings by their names.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a>(pub &'a Value);

/// That `key` has this value, and why it cannot be used.
pub fn refused(key: &str, value: impl ToString, reason: impl Into<String>) -> EncoderError {
    EncoderError::Setting {
        key: key.to_owned(),
        value: value.to_string(),
        reason: reason.into(),
    }
}

impl<'a> Settings<'a> {
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn needed<T>(
        &self,
        key: &str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, EncoderError> {
        match self.get(key) {
            None => Err(refused(key, "missing", "the weights do not say it")),
            Some(value) => read(value).ok_or_else(|| refused(key, value, format!("it must be {kind}"))),
        }
    }

    /// A positive whole number below 2^24.
    ///
    /// # Errors
    /// If it is missing or anything else, as in all that follow.
    pub fn number(&self, key: &str) -> Result<usize, EncoderError> {
        self.needed(key, "a positive whole number", count)
    }

    /// A number that fits and divides a width.
    ///
    /// # Errors
    /// If it does not divide it.
    pub fn divisor(&self, key: &str, width: usize) -> Result<usize, EncoderError> {
        let number = self.number(key)?;
        match width.is_multiple_of(number) {
            true => Ok(number),
            false => Err(refused(key, number, format!("it does not divide the width, {width}"))),
        }
    }

    /// # Errors
    /// If it is missing or no number.
    pub fn real(&self, key: &str) -> Result<f64, EncoderError> {
        self.needed(key, "a number", Value::as_f64)
    }

    /// # Errors
    /// If it is missing or no number between 0 and 1.
    pub fn epsilon(&self, key: &str) -> Result<f64, EncoderError> {
        let small = |value: &Value| value.as_f64().filter(|value| (0.0..1.0).contains(value));
        self.needed(key, "a number from 0 to 1", small)
    }

    /// # Errors
    /// If it is missing or neither true nor false.
    pub fn flag(&self, key: &str) -> Result<bool, EncoderError> {
        self.needed(key, "true or false", Value::as_bool)
    }

    /// # Errors
    /// If it is missing or no text.
    pub fn text(&self, key: &str) -> Result<&'a str, EncoderError> {
        self.needed(key, "a text", Value::as_str)
    }

    /// # Errors
    /// If it is missing or no list of positive whole numbers.
    pub fn numbers(&self, key: &str) -> Result<Vec<usize>, EncoderError> {
        let all = |value: &Value| value.as_array()?.iter().map(count).collect();
        self.needed(key, "a list of positive whole numbers", all)
    }

    /// One of these words.
    ///
    /// # Errors
    /// If it is missing or another one.
    pub fn word<T: Copy>(&self, key: &str, known: &[(&str, T)]) -> Result<T, EncoderError> {
        let value = self.text(key)?;
        let found = known.iter().find(|(word, _)| *word == value);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            refused(key, value, format!("only {} is supported", words.join(" or ")))
        })
    }

    /// Holds a setting to the only value that is supported; where it is missing, it is that.
    ///
    /// # Errors
    /// If it is another.
    pub fn only(&self, key: &str, supported: &Value) -> Result<(), EncoderError> {
        match self.get(key) {
            Some(value) if value != supported => {
                Err(refused(key, value, format!("only {supported} is supported")))
            }
            _ => Ok(()),
        }
    }
}

fn count(value: &Value) -> Option<usize> {
    let number = value.as_u64().filter(|number| (1..1 << 24).contains(number))?;
    usize::try_from(number).ok()
}

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
            Err(refused(key, size, format!("the weights have {first}")))
        }
        _ => Ok(()),
    }
}

/// Holds a number of blocks to the weights, whose names begin with `encoder.layers.`.
///
/// # Errors
/// If they are of another number.
pub fn has_blocks(taker: &Taker, key: &str, depth: usize) -> Result<(), EncoderError> {
    match blocks(taker, "encoder.layers.") {
        found if found == depth => Ok(()),
        found => Err(refused(key, depth, format!("the weights have {found} blocks"))),
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
