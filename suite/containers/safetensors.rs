//! Safetensors: a length of 64 bits, a header in JSON, and the numbers of all tensors.
//!
//! The header is read here and not by the crate `safetensors`: that takes the second of two tensors
//! with one name without a word, does not say which tensor is wrong, and unfolds a hostile header to
//! many times its size.

use crate::number::Number;
use crate::source::Source;
use crate::tensor::{AXES, Place};
use crate::{ContainerError, Entry};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes of the header's length.
const LENGTH: u64 = 8;

/// Most bytes of a header. The format allows more, but a tensor takes about a hundred.
const HEADER: u64 = bridle_files::SETTINGS;

/// Reads the names and shapes of a file's tensors. `number` is its place among the checkpoint's files.
///
/// # Errors
/// If the file cannot be read, or its header is damaged or does not fit its numbers.
pub(crate) fn read(source: &Source, number: usize) -> Result<BTreeMap<String, Entry>, ContainerError> {
    let damaged = |reason: String| source.content(reason);
    let length = source.bytes(0, LENGTH as usize)?;
    let length = length.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    if length > HEADER {
        return Err(damaged(format!("its header has {length} bytes, more than {HEADER}")));
    }
    let header = source.bytes(LENGTH, length as usize)?;
    let Header(tensors) =
        serde_json::from_slice(&header).map_err(|error| damaged(format!("its header cannot be read: {error}")))?;
    let first = LENGTH + length;
    let room = source.length() - first;

    let mut entries = BTreeMap::new();
    let mut places = Vec::new();
    for (name, told) in tensors {
        let wrong = |reason: &str| source.content(format!("tensor `{name}`: {reason}"));
        let stored = Number::of_safetensors(&told.dtype);
        let stored = stored.ok_or_else(|| wrong(&format!("numbers of the type `{}` are not known", told.dtype)))?;
        if told.shape.len() > AXES {
            return Err(wrong(&format!("it has {} axes, more than {AXES}", told.shape.len())));
        }
        let count = told
            .shape
            .iter()
            .try_fold(1_usize, |count, &size| count.checked_mul(size));
        let bytes = count.and_then(|count| count.checked_mul(stored.bytes()));
        let [start, end] = told.data_offsets;
        if bytes.is_none_or(|bytes| start.checked_add(bytes as u64) != Some(end)) {
            return Err(wrong(&format!(
                "{:?} numbers of the type `{}` do not fit its place",
                told.shape, told.dtype
            )));
        }
        if end > room {
            return Err(wrong("it lies behind the end of the file"));
        }
        let place = Place {
            source: number,
            number: stored,
            big: false,
            start: first + start,
            span: count.unwrap_or_default(),
            strides: None,
        };
        places.push((start, end, name.clone()));
        entries.insert(name, Entry::new(told.shape, place));
    }
    places.sort();
    // every byte belongs to one tensor
    let mut free = 0;
    for (start, end, name) in places {
        if start != free {
            return Err(source.content(format!("tensor `{name}` overlaps another one, or lies behind a gap")));
        }
        free = end;
    }
    match free == room {
        true => Ok(entries),
        false => Err(source.content("there are bytes behind its last tensor")),
    }
}

/// What a header tells of one tensor.
#[derive(Deserialize)]
struct Told {
    dtype: String,
    shape: Vec<usize>,
    /// First byte and the one behind the last, from the header's end on.
    data_offsets: [u64; 2],
}

/// The tensors of a header by name.
struct Header(BTreeMap<String, Told>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Tensors)
    }
}

struct Tensors;

impl<'de> Visitor<'de> for Tensors {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut tensors = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<BTreeMap<String, String>>()?;
                continue;
            }
            let told = map.next_value()?;
            if tensors.contains_key(&name) {
                return Err(A::Error::custom(format_args!("tensor `{name}` is there twice")));
            }
            tensors.insert(name, told);
        }
        Ok(Header(tensors))
    }
}
