//! Laws of files of weights: whatever the bytes, there are tensors within the file or an error that
//! names it; never a panic, and nothing that is run.
//!
//! The fuzzer of `tests/fuzz` and this crate's tests call the same laws, so this is compiled for them
//! only.
#![allow(clippy::unwrap_used)] // a failed unwrap is a broken law

use crate::storage::Storages;
use crate::{Checkpoint, pickle, weights};

/// What holds for a parser, whatever the bytes.
pub type Law = fn(&[u8]);

/// The laws by name, which is also that of the folder of their kept inputs.
pub const LAWS: &[(&str, Law)] = &[("pickle", program), ("pytorch", file), ("safetensors", file)];

/// The pickle of an archive with a few storages: tensors lie within them, settings are JSON.
fn program(bytes: &[u8]) {
    const STORAGE: u64 = 200;
    let (pickle, length) = match pickle::read(bytes) {
        Ok(read) => read,
        Err(error) => return assert!(error.at <= bytes.len(), "{error}"),
    };
    assert!(length <= bytes.len());
    let storages = Storages {
        bytes: (0..20)
            .map(|key| (key.to_string(), key * STORAGE..(key + 1) * STORAGE))
            .collect(),
        big: false,
        file: 20 * STORAGE,
    };
    let Ok(found) = weights::find(&pickle, &storages, 0) else {
        return;
    };
    for (name, entry) in &found.tensors {
        let place = &entry.place;
        let end = place.start + (place.span * place.number.bytes()) as u64;
        assert!(
            end <= storages.file && place.start / STORAGE >= end.saturating_sub(1) / STORAGE,
            "{name}"
        );
        assert!(entry.shape.contains(&0) || entry.shape.iter().product::<usize>() as u64 <= storages.file);
    }
    let written = serde_json::to_string(&found.options).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&written).unwrap(),
        found.options
    );
}

/// A file: every tensor that it tells of is read, and has as many numbers as its shape says.
fn file(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::fs::write(&path, bytes).unwrap();
    match Checkpoint::open(&path) {
        Ok(checkpoint) => {
            for (name, entry) in &checkpoint.tensors {
                let values = checkpoint.read(name).unwrap().unwrap();
                assert_eq!(values.len(), entry.shape.iter().product::<usize>(), "{name}");
            }
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(!message.contains(char::is_control), "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay;

    #[test]
    fn the_laws_hold_for_kept_and_damaged_inputs() {
        replay::hold(LAWS, 300);
    }
}
