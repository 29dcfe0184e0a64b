//! The form of PyTorch before 1.6: pickles one after the other, and then the numbers of all storages.
//!
//! A magic number, the version 1001, a dictionary about the machine, the object, a list of keys; then
//! for each key, in that order, a count of 64 bits and the numbers.

use crate::pickle::{Pickle, Value};
use crate::source::Source;
use crate::storage::{Storages, storage};
use crate::weights::{self, Weights};
use crate::{ContainerError, PICKLE, pickle};
use std::collections::BTreeMap;
use std::ops::Range;

/// The number that such a file begins with: 0x1950a86a20f9469cfc6c, low byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: i64 = 1001;

/// Bytes of a storage's count.
const COUNT: u64 = 8;

/// Reads names and settings. `number` is the file's place among those of the checkpoint.
///
/// # Errors
/// If the file cannot be read, is damaged, or holds no weights.
pub(crate) fn read(source: &Source, number: usize) -> Result<Weights, ContainerError> {
    let bytes = source.bytes(0, source.length().min(PICKLE as u64) as usize)?;
    let mut at = 0;
    let mut next = || {
        let (pickle, length) = pickle::read(&bytes[at..]).map_err(|error| source.content(error))?;
        at += length;
        Ok::<_, ContainerError>(pickle)
    };
    let magic = next()?;
    if !matches!(magic.value(magic.root), Value::Long(number) if **number == MAGIC) {
        return Err(source.content("it is a pickle, but none of PyTorch's"));
    }
    let (version, machine, object, keys) = (next()?, next()?, next()?, next()?);
    if !matches!(version.value(version.root), &Value::Int(VERSION)) {
        return Err(source.content("it is of another version than 1001"));
    }
    let facts = machine.dict(machine.root).unwrap_or_default();
    let order = machine.get(facts, "little_endian").map(|order| machine.value(order));
    if !matches!(order, Some(Value::Bool(true))) {
        return Err(source.content("its numbers are stored high byte first, which is not supported in the old form"));
    }
    let storages = Storages {
        bytes: places(source, at as u64, &keys, &object)?,
        big: false,
        file: source.length(),
    };
    weights::find(&object, &storages, number).map_err(|reason| source.content(reason))
}

/// Where the storages lie that follow from the byte `at` on, in the order of their keys.
fn places(
    source: &Source,
    mut at: u64,
    keys: &Pickle,
    object: &Pickle,
) -> Result<BTreeMap<String, Range<u64>>, ContainerError> {
    let sizes = sizes(object).map_err(|reason| source.content(reason))?;
    let Value::List(keys_in_order) = keys.value(keys.root) else {
        return Err(source.content("it has no list of its storages"));
    };
    let mut places = BTreeMap::new();
    for &key in keys_in_order {
        let Some((key, size)) = keys.text(key).and_then(|key| Some((key, sizes.get(key)?))) else {
            return Err(source.content("it lists a storage that nothing in it uses"));
        };
        let count = source.bytes(at, COUNT as usize)?;
        let start = at + COUNT;
        let end = start.checked_add(size.bytes).filter(|&end| end <= source.length());
        if count != size.count.to_le_bytes() || end.is_none() {
            return Err(source.content(format!(
                "storage `{key}` has not the {} numbers that it should",
                size.count
            )));
        }
        at = end.unwrap_or(start);
        if places.insert(key.to_owned(), start..at).is_some() {
            return Err(source.content(format!("storage `{key}` is listed twice")));
        }
    }
    Ok(places)
}

#[derive(PartialEq)]
struct Size {
    count: u64,
    bytes: u64,
}

/// The sizes of all storages that an object uses, by key.
fn sizes<'a>(object: &Pickle<'a>) -> Result<BTreeMap<&'a str, Size>, String> {
    let mut sizes = BTreeMap::new();
    for value in object.values() {
        let &Value::Persistent(place) = value else {
            continue;
        };
        let storage = storage(object, place)?;
        let bytes = storage.count.checked_mul(storage.number.bytes() as u64);
        let size = Size {
            count: storage.count,
            bytes: bytes.ok_or("a storage is larger than any file")?,
        };
        if sizes.get(storage.key).is_some_and(|other| *other != size) {
            return Err(format!("storage `{}` has two sizes", storage.key));
        }
        sizes.insert(storage.key, size);
    }
    Ok(sizes)
}
