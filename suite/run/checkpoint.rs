//! Checkpoints: everything a run needs to resume exactly where it was, in one safetensors file.
//!
//! Every file holds a BLAKE3 checksum of its weights and its header, which is compared when the file
//! is read. A checkpoint's name also ends in the first digits of the BLAKE3 hash of its bytes. A
//! damaged file is named, moved aside, and never counted again. The newest two of a run are kept.

use bridle::weights::{self, Weights, WeightsError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes of a checkpoint: weights and moments of the largest models that fit a machine.
const LARGEST: u64 = 64 << 30;
const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".safetensors";
/// Added to the name of a damaged file.
const DAMAGED: &str = "damaged";
const KEPT: usize = 2;
const STATE: &str = "state";
/// The header's entry that holds the checksum.
const CHECKSUM: &str = "blake3";

/// A checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file is no checkpoint.
    #[error("`{}` is no checkpoint of this version", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Weights and state do not fit the model.
    #[error("the checkpoint does not fit the model")]
    Weights(#[from] WeightsError),
}

fn io(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { verb, path, source }
}

fn damaged(path: &Path, reason: impl ToString) -> CheckpointError {
    CheckpointError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// A hash of all weights, by which ranks compare theirs.
pub fn digest(weights: &Weights) -> String {
    checksum(weights, &Header::new())[..16].to_owned()
}

fn digest_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// Text by name, beside the tensors.
pub type Header = HashMap<String, String>;

/// Weights and header as a file's bytes, with a checksum over both.
///
/// # Errors
/// If the tensors cannot be laid out (never for weights made here).
pub fn to_bytes(weights: &Weights, mut header: Header) -> Result<Vec<u8>, WeightsError> {
    header.insert(CHECKSUM.to_owned(), checksum(weights, &header));
    weights::to_safetensors(weights, header)
}

/// Weights and header of a file's bytes, which must have the checksum that they were written with.
///
/// # Errors
/// If they are damaged, or `needs_checksum` and have none, as older versions wrote them.
pub fn from_bytes(path: &Path, bytes: &[u8], needs_checksum: bool) -> Result<(Weights, Header), CheckpointError> {
    let (weights, mut header) = weights::from_safetensors(bytes).map_err(|error| damaged(path, error))?;
    match header.remove(CHECKSUM) {
        Some(written) if written != checksum(&weights, &header) => Err(damaged(
            path,
            "its weights do not have the checksum that they were written with",
        )),
        None if needs_checksum => Err(damaged(path, "it has no checksum")),
        _ => Ok((weights, header)),
    }
}

/// BLAKE3 over names, shapes and values of all tensors and all entries of the header.
fn checksum(weights: &Weights, header: &Header) -> String {
    let mut hasher = blake3::Hasher::new();
    let sorted: BTreeMap<_, _> = header.iter().filter(|(name, _)| *name != CHECKSUM).collect();
    hasher.update(format!("{sorted:?}").as_bytes());
    for (name, values) in weights {
        hasher.update(format!("{name:?} {:?}", values.shape).as_bytes());
        for values in values.data.chunks(1 << 14) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Writes weights and state to exactly `path`, whole or not at all.
///
/// # Errors
/// If the disk is full or the folder cannot be written.
pub fn write_file<S: Serialize>(path: &Path, weights: &Weights, state: &S) -> Result<(), CheckpointError> {
    write_bytes(path, &bytes(weights, state)?)
}

/// Weights and state as the bytes of a file.
///
/// # Errors
/// If the tensors cannot be laid out (never for weights made here).
pub fn bytes<S: Serialize>(weights: &Weights, state: &S) -> Result<Vec<u8>, CheckpointError> {
    let state = serde_json::to_string(state).map_err(|error| CheckpointError::Format {
        path: PathBuf::new(),
        source: error.into(),
    })?;
    Ok(to_bytes(weights, HashMap::from([(STATE.to_owned(), state)]))?)
}

/// Writes exactly these bytes to `path`, whole or not at all.
///
/// # Errors
/// If the disk is full or the folder cannot be written.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    bridle_files::replace(path, bytes).map_err(io("write", path))
}

/// Reads weights and state from exactly `path`.
///
/// # Errors
/// If the file is missing, unreadable, damaged or no checkpoint.
pub fn read_file<S: DeserializeOwned>(path: &Path) -> Result<(Weights, S), CheckpointError> {
    parse(
        path,
        &bridle_files::read(path, LARGEST).map_err(io("read", path))?,
        true,
    )
}

/// As [`read_file`]; none if there is no such file, or only a damaged one, which is named by `say` and
/// moved aside.
///
/// # Errors
/// If the file is there and cannot be read or moved.
pub fn read_whole<S: DeserializeOwned>(
    path: &Path,
    say: &dyn Fn(&str),
) -> Result<Option<(Weights, S)>, CheckpointError> {
    match read_file(path) {
        Err(CheckpointError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error @ (CheckpointError::Damaged { .. } | CheckpointError::Format { .. })) => {
            set_aside(path, &error, say)?;
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// Weights and state from the bytes of a file, which `path` names in errors.
///
/// # Errors
/// If they are damaged, or no checkpoint.
pub fn parse<S: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    needs_checksum: bool,
) -> Result<(Weights, S), CheckpointError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| CheckpointError::Format {
        path: path.to_owned(),
        source,
    };
    let (weights, header) = from_bytes(path, bytes, needs_checksum)?;
    let state = header.get(STATE).ok_or_else(|| wrong("it has no state".into()))?;
    let state = serde_json::from_str(state).map_err(|error| wrong(error.into()))?;
    Ok((weights, state))
}

/// Gives a file that cannot be used another name, so that it is never read or counted again.
fn set_aside(path: &Path, error: &CheckpointError, say: &dyn Fn(&str)) -> Result<(), CheckpointError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{DAMAGED}"));
    std::fs::rename(path, &aside).map_err(io("move aside", path))?;
    say(&format!("note: {error}; moved to `{}`", Path::new(&aside).display()));
    Ok(())
}

/// Writes the checkpoint of step `step` into a run's folder and drops all earlier ones but the newest.
/// Gives the file.
///
/// # Errors
/// If the disk is full or the folder cannot be written or read; the earlier checkpoints are then
/// untouched.
pub fn save<S: Serialize>(folder: &Path, step: u64, weights: &Weights, state: &S) -> Result<PathBuf, CheckpointError> {
    let bytes = bytes(weights, state)?;
    let path = folder.join(format!("{PREFIX}{step:010}-{}{SUFFIX}", digest_of(&bytes)));
    write_bytes(&path, &bytes)?;
    // one of a later step was not written by this run, and pushes out none of its own
    let own = |old: &PathBuf| *old != path && step_of(old).is_some_and(|old| old <= step);
    let earlier: Vec<PathBuf> = list(folder)?.into_iter().filter(own).collect();
    for old in earlier.iter().rev().skip(KEPT - 1) {
        // an old checkpoint that cannot be removed costs room only
        let _ = std::fs::remove_file(old);
    }
    Ok(path)
}

/// The step in a checkpoint's name.
fn step_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    name.split('-').next()?.parse().ok()
}

/// The checkpoints of a run's folder, oldest first; none if there is no folder.
///
/// # Errors
/// If the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io("read", folder))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(io("read", folder))?;
    let mut found: Vec<PathBuf> = paths.into_iter().filter(is_one).collect();
    found.sort();
    Ok(found)
}

/// The newest checkpoint of a run's folder whose bytes are what its name says; damaged ones are named
/// by `say` and moved aside.
///
/// # Errors
/// If the folder or a file cannot be read, or a whole file is no checkpoint of this version.
pub fn newest<S: DeserializeOwned>(folder: &Path, say: &dyn Fn(&str)) -> Result<Option<(Weights, S)>, CheckpointError> {
    for path in list(folder)?.into_iter().rev() {
        let bytes = bridle_files::read(&path, LARGEST).map_err(io("read", &path))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        if stem.ends_with(&digest_of(&bytes)) {
            return parse(&path, &bytes, false).map(Some);
        }
        set_aside(
            &path,
            &damaged(&path, "its bytes are not those that its name tells of"),
            say,
        )?;
    }
    Ok(None)
}

/// Removes all checkpoints of a run's folder.
///
/// # Errors
/// If one cannot be removed: it would be taken for one of the next run.
pub fn clear(folder: &Path) -> Result<(), CheckpointError> {
    let remove = |path: PathBuf| std::fs::remove_file(&path).map_err(io("remove", &path));
    list(folder)?.into_iter().try_for_each(remove)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle::weights::Values;
    use std::cell::RefCell;

    fn weights(value: f32) -> Weights {
        Weights::from([(
            "a.b".to_owned(),
            Values {
                shape: vec![2, 1],
                data: vec![value, -0.0],
            },
        )])
    }

    /// The newest checkpoint, and how many notes were said.
    fn found(folder: &Path) -> (Option<(Weights, u64)>, usize) {
        let notes = RefCell::new(Vec::new());
        let found = newest::<u64>(folder, &|note| notes.borrow_mut().push(note.to_owned())).unwrap();
        let notes = notes.into_inner();
        assert!(
            notes
                .iter()
                .all(|note| note.contains("is damaged") && note.contains("moved to")),
            "{notes:?}"
        );
        (found, notes.len())
    }

    fn step(value: u64) -> Option<(Weights, u64)> {
        Some((weights(value as f32), value))
    }

    fn damage(path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        std::fs::write(path, &bytes).unwrap();
    }

    #[test]
    fn the_newest_whole_checkpoint_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(found(&folder.join("none")), (None, 0));
        for step in 1..=4u64 {
            save(folder, step, &weights(step as f32), &step).unwrap();
        }
        assert_eq!(list(folder).unwrap().len(), KEPT);
        assert_eq!(found(folder), (step(4), 0));
        // a damaged one is named once, and the one before is taken
        damage(&list(folder).unwrap().pop().unwrap());
        assert_eq!(found(folder), (step(3), 1));
        assert_eq!(found(folder), (step(3), 0));
        let last = list(folder).unwrap().pop().unwrap();
        std::fs::write(&last, &std::fs::read(&last).unwrap()[..20]).unwrap();
        assert_eq!(found(folder), (None, 1));
        clear(folder).unwrap();
        assert_eq!(found(folder), (None, 0));
    }

    #[test]
    fn a_run_keeps_its_own_newest_checkpoints_whatever_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for step in [24, 25u64] {
            save(folder, step, &weights(0.0), &step).unwrap();
        }
        for step in 1..=13u64 {
            let path = save(folder, step, &weights(step as f32), &step).unwrap();
            assert!(path.exists(), "step {step}");
        }
        let steps: Vec<_> = list(folder).unwrap().iter().filter_map(|path| step_of(path)).collect();
        assert_eq!(steps, [12, 13, 24, 25]);
        // the same step again: the one just written stays
        let again = save(folder, 13, &weights(0.5), &13u64).unwrap();
        assert!(again.exists());
        let steps: Vec<_> = list(folder).unwrap().iter().filter_map(|path| step_of(path)).collect();
        assert_eq!(steps, [13, 13, 24, 25]);
    }

    #[test]
    fn every_flipped_bit_of_a_file_is_noticed_or_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pretrained.safetensors");
        let state = "a state".to_owned();
        write_file(&path, &weights(1.5), &state).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let expected = read_file::<String>(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            match read_file::<String>(&path) {
                Ok(found) => assert_eq!(found, expected, "bit {bit}"),
                Err(error) => assert!(matches!(error, CheckpointError::Damaged { .. }), "bit {bit}: {error}"),
            }
        }
        let say = |_: &str| ();
        assert_eq!(read_whole::<String>(&path, &say).unwrap(), None);
        assert!(!path.exists() && path.with_extension("safetensors.damaged").exists());
        assert_eq!(read_whole::<String>(&path, &say).unwrap(), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_not_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint-0000000001-aa.safetensors");
        std::fs::create_dir(&path).unwrap();
        let say = |_: &str| ();
        assert!(matches!(
            newest::<u64>(folder.path(), &say),
            Err(CheckpointError::Io { .. })
        ));
        assert!(matches!(
            read_whole::<u64>(&path, &say),
            Err(CheckpointError::Io { .. })
        ));
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(
            list(&folder.path().join("file")),
            Err(CheckpointError::Io { .. })
        ));
    }
}
