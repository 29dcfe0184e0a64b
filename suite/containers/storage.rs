//! From a tensor in a pickle to its place in the file: views of storages, held to their bounds.

use crate::Entry;
use crate::number::Number;
use crate::pickle::{Id, Pickle, Value};
use crate::tensor::{AXES, Place};
use std::collections::BTreeMap;
use std::ops::Range;

/// Where the storages of a file lie.
pub(crate) struct Storages {
    /// The bytes of each by its key.
    pub bytes: BTreeMap<String, Range<u64>>,
    /// Whether numbers are stored high byte first.
    pub big: bool,
    /// Bytes of the file: no tensor has more numbers, and few have more than their storage.
    pub file: u64,
}

/// What a pickle says of a storage.
pub(crate) struct Storage<'a> {
    pub number: Number,
    pub key: &'a str,
    /// How many numbers.
    pub count: u64,
}

/// Reads the tuple that stands for a storage: a word, its class, its key, a device, its count, and in
/// the old form what it is a part of.
pub(crate) fn storage<'a>(pickle: &Pickle<'a>, place: Id) -> Result<Storage<'a>, String> {
    let (class, key, count, part) = match pickle.tuple(place) {
        Some(&[_, class, key, _, count]) => (class, key, count, None),
        Some(&[_, class, key, _, count, part]) => (class, key, count, Some(part)),
        _ => return Err("its storage is not described as PyTorch does".to_owned()),
    };
    let (module, name) = pickle.global(class).unwrap_or_default();
    let number = match module {
        "torch" => Number::of_storage(name),
        "torch.storage" if name == "UntypedStorage" => Some(Number::U8),
        _ => None,
    };
    let number = number.ok_or_else(|| format!("its storage is a `{module}.{name}`, which no weights are"))?;
    let key = pickle.text(key).ok_or("its storage's key is no short text")?;
    let count = pickle.size(count).ok_or("its storage's count is no size")?;
    match part.is_none_or(|part| matches!(pickle.value(part), Value::None)) {
        true => Ok(Storage { number, key, count }),
        false => Err("its storage is part of another one, as PyTorch before 0.4 wrote them".to_owned()),
    }
}

/// The place of the tensor that `_rebuild_tensor` makes of `arguments`: a storage, the place of the
/// first number in it, a size and a stride.
pub(crate) fn entry(pickle: &Pickle, arguments: Id, storages: &Storages, source: usize) -> Result<Entry, String> {
    let odd = || "it is not described as PyTorch does".to_owned();
    let Some(&[place, offset, size, stride, ..]) = pickle.tuple(arguments) else {
        return Err(odd());
    };
    let &Value::Persistent(place) = pickle.value(place) else {
        return Err(odd());
    };
    let Storage { number, key, count } = storage(pickle, place)?;
    let bytes = storages.bytes.get(key);
    let bytes = bytes.ok_or_else(|| format!("its storage `{key}` is not in the file"))?;
    if u128::from(count) * number.bytes() as u128 > u128::from(bytes.end - bytes.start) {
        let there = bytes.end - bytes.start;
        return Err(format!(
            "its storage should have {count} numbers, and has {there} bytes"
        ));
    }
    let sizes = |id: Id| {
        let items = pickle.tuple(id).filter(|items| items.len() <= AXES)?;
        items
            .iter()
            .map(|&size| pickle.size(size))
            .collect::<Option<Vec<u64>>>()
    };
    let (Some(offset), Some(shape), Some(strides)) = (pickle.size(offset), sizes(size), sizes(stride)) else {
        return Err("its offset, its shape or its strides are no sizes".to_owned());
    };
    if shape.len() != strides.len() {
        return Err(odd());
    }
    view(offset, &shape, &strides, [count, storages.file]).map(|(span, contiguous)| {
        // all are at most the file's bytes, or belong to a tensor without numbers
        let small = |sizes: &[u64]| sizes.iter().map(|&size| size as usize).collect();
        let place = Place {
            source,
            number,
            big: storages.big,
            start: bytes.start + offset * number.bytes() as u64,
            span: span as usize,
            strides: (!contiguous).then(|| small(&strides)),
        };
        Entry::new(small(&shape), place)
    })
}

/// Numbers from the first to the last one of a view of a storage of `count` numbers in a file of
/// `file` bytes, and whether they lie in their order.
fn view(offset: u64, shape: &[u64], strides: &[u64], [count, file]: [u64; 2]) -> Result<(u64, bool), String> {
    if shape.contains(&0) {
        // a shape without numbers must not become one with many
        let rest = product(shape.iter().filter(|&&size| size > 0));
        return match offset <= count && rest.is_some_and(|rest| isize::try_from(rest).is_ok()) {
            true => Ok((0, true)),
            false => Err("it lies beyond its storage".to_owned()),
        };
    }
    // a stride of 0 makes many numbers of one
    if product(shape.iter()).is_none_or(|numbers| numbers > file) {
        return Err(format!("it has {shape:?} numbers, more than the file has bytes"));
    }
    let reach = |at: Option<u64>, (&size, &stride): (&u64, &u64)| at?.checked_add((size - 1).checked_mul(stride)?);
    let last = shape.iter().zip(strides).fold(Some(0), reach);
    let span = last.and_then(|last| last.checked_add(1));
    let end = span.and_then(|span| span.checked_add(offset));
    let span = span.filter(|_| end.is_some_and(|end| end <= count));
    let span = span.ok_or_else(|| format!("it reaches beyond the {count} numbers of its storage"))?;
    let mut next = 1;
    let contiguous = shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == next;
        next *= size;
        fits
    });
    Ok((span, contiguous))
}

fn product<'a>(mut sizes: impl Iterator<Item = &'a u64>) -> Option<u64> {
    sizes.try_fold(1_u64, |all, &size| all.checked_mul(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_stay_within_their_storage() {
        assert_eq!(view(0, &[6, 4], &[4, 1], [24, 30]), Ok((24, true)));
        assert_eq!(view(0, &[4, 6], &[1, 4], [24, 30]), Ok((24, false)));
        assert_eq!(view(23, &[], &[], [24, 30]), Ok((1, true)));
        assert_eq!(view(0, &[1, 24], &[7, 1], [24, 30]), Ok((24, true)));
        assert_eq!(view(0, &[3, 4], &[0, 1], [24, 30]), Ok((4, false)));
        assert_eq!(view(0, &[7, 4], &[0, 1], [24, 30]), Ok((4, false)));
        assert_eq!(view(24, &[0, 4], &[4, 1], [24, 30]), Ok((0, true)));
        for (offset, shape, strides) in [
            (1, &[6, 4][..], &[4, 1][..]),
            (24, &[], &[]),
            (0, &[8, 4], &[0, 1]),
            (u64::MAX, &[1], &[1]),
            (0, &[2], &[u64::MAX]),
            (0, &[1 << 32, 1 << 32], &[0, 0]),
            (0, &[3, 2], &[1 << 63, 1 << 63]),
            (0, &[0, u64::MAX, u64::MAX], &[0, 0, 0]),
            (25, &[0], &[1]),
        ] {
            assert!(
                view(offset, shape, strides, [24, 30]).is_err(),
                "{offset} {shape:?} {strides:?}"
            );
        }
    }
}
