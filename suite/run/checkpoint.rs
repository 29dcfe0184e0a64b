//! Checkpoints: everything a run needs to resume exactly where it was, in one safetensors file.
//!
//! A file is written under a temporary name, synced, renamed. Its name ends in the first digits of
//! the BLAKE3 hash of its bytes, so that a damaged file is never taken for a whole one. The newest
//! two of a run are kept.

use bridle::weights::{self, Weights, WeightsError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of a checkpoint: weights and moments of the largest models that fit a machine.
const LARGEST: u64 = 64 << 30;
const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".safetensors";
const KEPT: usize = 2;
const STATE: &str = "state";

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
    /// The file is not what its name says.
    #[error("`{}` is damaged", .0.display())]
    Damaged(PathBuf),
    /// The file is no checkpoint.
    #[error("`{}` is no checkpoint", path.display())]
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

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// Writes weights and state to exactly `path`, whole or not at all.
///
/// # Errors
/// If the disk is full or the folder cannot be written.
pub fn write_file<S: Serialize>(path: &Path, weights: &Weights, state: &S) -> Result<(), CheckpointError> {
    write_bytes(path, &bytes(weights, state)?)
}

fn bytes<S: Serialize>(weights: &Weights, state: &S) -> Result<Vec<u8>, CheckpointError> {
    let state = serde_json::to_string(state).map_err(|error| CheckpointError::Format {
        path: PathBuf::new(),
        source: error.into(),
    })?;
    Ok(weights::to_safetensors(
        weights,
        HashMap::from([(STATE.to_owned(), state)]),
    )?)
}

/// Writes exactly these bytes to `path`, whole or not at all.
///
/// # Errors
/// If the disk is full or the folder cannot be written.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io("create", folder))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| std::fs::rename(&temporary, path));
    renamed.map_err(|error| {
        // the half-written file is of no use; the error at hand is the one to report
        let _ = std::fs::remove_file(&temporary);
        io("write", path)(error)
    })
}

/// Reads weights and state from exactly `path`.
///
/// # Errors
/// If the file is missing or no checkpoint.
pub fn read_file<S: DeserializeOwned>(path: &Path) -> Result<(Weights, S), CheckpointError> {
    parse(path, &bridle_files::read(path, LARGEST).map_err(io("read", path))?)
}

fn parse<S: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<(Weights, S), CheckpointError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| CheckpointError::Format {
        path: path.to_owned(),
        source,
    };
    let (weights, header) = weights::from_safetensors(bytes).map_err(|error| wrong(error.into()))?;
    let state = header.get(STATE).ok_or_else(|| wrong("it has no state".into()))?;
    let state = serde_json::from_str(state).map_err(|error| wrong(error.into()))?;
    Ok((weights, state))
}

/// Writes the checkpoint of step `step` into a run's folder and drops all but the newest two. Gives
/// the file.
///
/// # Errors
/// If the disk is full or the folder cannot be written; the earlier checkpoints are then untouched.
pub fn save<S: Serialize>(folder: &Path, step: u64, weights: &Weights, state: &S) -> Result<PathBuf, CheckpointError> {
    let bytes = bytes(weights, state)?;
    let path = folder.join(format!("{PREFIX}{step:010}-{}{SUFFIX}", digest(&bytes)));
    write_bytes(&path, &bytes)?;
    for old in list(folder).into_iter().rev().skip(KEPT) {
        // an old checkpoint that cannot be removed costs room only
        let _ = std::fs::remove_file(old);
    }
    Ok(path)
}

/// The checkpoints of a run's folder, oldest first.
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_one).collect();
    found.sort();
    found
}

/// The newest checkpoint of a run's folder whose bytes are what its name says; damaged ones are
/// passed over.
///
/// # Errors
/// If a whole file is no checkpoint of this program.
pub fn newest<S: DeserializeOwned>(folder: &Path) -> Result<Option<(Weights, S)>, CheckpointError> {
    for path in list(folder).into_iter().rev() {
        let Ok(bytes) = bridle_files::read(&path, LARGEST) else {
            continue;
        };
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        if stem.ends_with(&digest(&bytes)) {
            return parse(&path, &bytes).map(Some);
        }
    }
    Ok(None)
}

/// Removes all checkpoints of a run's folder.
pub fn clear(folder: &Path) {
    list(folder).iter().for_each(|path| {
        // what cannot be removed is overwritten or passed over later
        let _ = std::fs::remove_file(path);
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle::weights::Values;

    fn weights(value: f32) -> Weights {
        Weights::from([(
            "a.b".to_owned(),
            Values {
                shape: vec![2, 1],
                data: vec![value, -0.0],
            },
        )])
    }

    #[test]
    fn the_newest_whole_checkpoint_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=4u64 {
            save(folder.path(), step, &weights(step as f32), &step).unwrap();
        }
        assert_eq!(list(folder.path()).len(), KEPT);
        assert_eq!(newest::<u64>(folder.path()).unwrap(), Some((weights(4.0), 4)));
        // damage to the newest falls back to the one before
        let last = list(folder.path()).pop().unwrap();
        let mut bytes = std::fs::read(&last).unwrap();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        std::fs::write(&last, &bytes).unwrap();
        assert_eq!(newest::<u64>(folder.path()).unwrap(), Some((weights(3.0), 3)));
        std::fs::write(&last, &bytes[..end / 2]).unwrap();
        assert_eq!(newest::<u64>(folder.path()).unwrap(), Some((weights(3.0), 3)));
        clear(folder.path());
        assert_eq!(newest::<u64>(folder.path()).unwrap(), None);
    }
}
