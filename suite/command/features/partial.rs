//! What an interrupted `features` had computed: batch after batch, in a file beside the one to write.

use crate::cli::error::{Failure, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Arrays of the samples of a batch, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub values: Vec<f32>,
    /// Tokens of each sample, where they may differ.
    pub lengths: Vec<usize>,
}

/// The file, which begins with the hash of all that decides what is in it. Each batch is followed by its own, so that
/// one that was cut off, or is not what was written, ends what is used.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
}

/// Bytes of a hash.
const HASH: usize = blake3::OUT_LEN;
/// The largest file that is read back.
const LARGEST: u64 = 1 << 36;

impl Partial {
    /// The batches of such a file beside `to` that was made under the same `key`, and the file, to go on with.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub(super) fn open(to: &Path, key: &str) -> Result<(Vec<Batch>, Self)> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let path = to.with_file_name(name);
        let key = blake3::hash(key.as_bytes());
        let found = match bridle_files::read(&path, LARGEST) {
            Ok(bytes) => bytes.strip_prefix(key.as_bytes()).map(batches).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable(&path, error)),
        };
        let create = || {
            let mut file = bridle_files::create(&path)?;
            file.write_all(key.as_bytes())?;
            Ok(file)
        };
        let file = create().map_err(|error| unusable(&path, error))?;
        let mut partial = Self { path, file };
        found.iter().try_for_each(|batch| partial.add(batch))?;
        Ok((found, partial))
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub(super) fn add(&mut self, batch: &Batch) -> Result<()> {
        let sizes = [batch.lengths.len(), batch.values.len()].into_iter();
        let mut bytes: Vec<u8> = sizes
            .chain(batch.lengths.iter().copied())
            .flat_map(|number| (number as u64).to_le_bytes())
            .collect();
        bytes.extend(batch.values.iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(blake3::hash(&bytes).as_bytes());
        self.file.write_all(&bytes).map_err(|error| unusable(&self.path, error))
    }

    /// Removes the file: what it held is written.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|error| unusable(&self.path, error))
    }
}

fn unusable(path: &Path, error: io::Error) -> Failure {
    Failure::fault(format!("cannot use `{}`", path.display()), error)
}

/// The batches that are whole, up to the first that is not.
fn batches(mut bytes: &[u8]) -> Vec<Batch> {
    std::iter::from_fn(|| {
        let (batch, rest) = batch(bytes)?;
        bytes = rest;
        Some(batch)
    })
    .collect()
}

/// The first batch, and what follows it; none if it is not whole.
fn batch(bytes: &[u8]) -> Option<(Batch, &[u8])> {
    let number = |place: usize| {
        let at = place.checked_mul(8)?;
        let bytes = bytes.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let (samples, values) = (number(0)?, number(1)?);
    let begin = samples.checked_add(2)?.checked_mul(8)?;
    let end = begin.checked_add(values.checked_mul(4)?)?;
    let (body, rest) = bytes.split_at_checked(end)?;
    let (hash, rest) = rest.split_at_checked(HASH)?;
    if blake3::hash(body).as_bytes() != hash {
        return None;
    }
    let lengths = (2..samples + 2).map(number).collect::<Option<_>>()?;
    let (values, _) = body[begin..].as_chunks();
    let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Some((Batch { values, lengths }, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn some(first: f32) -> Batch {
        Batch {
            values: vec![first, -0.0, f32::MIN_POSITIVE],
            lengths: vec![1, 2],
        }
    }

    #[test]
    fn what_was_whole_is_found_again_under_the_same_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("features.npz");
        let (found, mut partial) = Partial::open(&to, "a").unwrap();
        assert!(found.is_empty());
        partial.add(&some(1.0)).unwrap();
        partial.add(&some(2.0)).unwrap();
        let path = folder.path().join("features.npz.partial");
        let whole = fs::read(&path).unwrap();
        let again = |bytes: &[u8], key: &str| {
            fs::write(&path, bytes).unwrap();
            Partial::open(&to, key).unwrap().0
        };
        assert_eq!(again(&whole, "a"), [some(1.0), some(2.0)]);
        assert_eq!(fs::read(&path).unwrap(), whole, "opening loses nothing");
        assert!(again(&whole, "b").is_empty());
        // cut anywhere, or with any bit flipped, only what is whole before is used
        let one = HASH + (whole.len() - HASH) / 2;
        for end in 0..whole.len() {
            let expected: &[Batch] = if end < one { &[] } else { &[some(1.0)] };
            assert_eq!(again(&whole[..end], "a"), expected, "{end}");
            let mut flipped = whole.clone();
            flipped[end] ^= 4;
            assert_eq!(again(&flipped, "a"), expected, "{end}");
        }
        Partial::open(&to, "a").unwrap().1.remove().unwrap();
        assert!(!path.exists());
    }
}
