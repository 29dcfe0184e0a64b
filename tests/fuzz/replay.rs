//! Runs the laws of parsers over their kept inputs, and over damaged ones made of these.
//!
//! A law takes any bytes and panics if a parser breaks its word. The fuzzer calls the same laws. Each
//! crate includes this file into its tests.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::Path;

use bridle_seed::{Seed, Stream};

/// What holds for a parser, whatever the bytes.
pub(crate) type Law = fn(&[u8]);

/// How many damaged inputs of each format a test tries: `$BRIDLE_FUZZ`, and `unless` it is set.
pub(crate) fn fuzz_inputs(unless: u64) -> u64 {
    std::env::var("BRIDLE_FUZZ").map_or(unless, |inputs| inputs.parse().expect("$BRIDLE_FUZZ is a number"))
}

/// Holds each law to its kept inputs, those of `corpus/<law>`, and to `inputs` damaged ones.
pub(crate) fn hold(laws: &[(&str, Law)], inputs: u64) {
    for (name, law) in laws {
        let kept = kept(name);
        for (file, bytes) in &kept {
            let _named = Named(format!("law {name}, kept input {file}"));
            law(bytes);
        }
        for number in 0..fuzz_inputs(inputs) {
            let stream = &mut Seed::root(23).child(name).indexed(number).stream();
            let bytes = damaged(&kept, stream);
            let _named = Named(format!(
                "law {name}, damaged input {number}: {:?}",
                bytes.escape_ascii()
            ));
            law(&bytes);
        }
    }
}

/// The kept inputs of a law, by name.
fn kept(law: &str) -> Vec<(String, Vec<u8>)> {
    // the crate is the workspace's root or lies in it
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/fuzz/corpus"));
    let folder = folders.find(|folder| folder.is_dir()).expect("the corpus").join(law);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap()).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    assert!(!files.is_empty(), "{} has no inputs", folder.display());
    let read = |file: std::fs::DirEntry| {
        let name = file.file_name().into_string().unwrap();
        (name, std::fs::read(file.path()).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// Says what was tried when a law panics.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Damage to a kept input, to the head of one with the tail of another, or to one with a piece of
/// another in it.
fn damaged(kept: &[(String, Vec<u8>)], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = kept[stream.below(kept.len())].1.clone();
    let other = &kept[stream.below(kept.len())].1;
    let from = stream.below(other.len() + 1);
    let at = stream.below(bytes.len() + 1);
    match stream.below(3) {
        0 => drop(bytes.splice(at.., other[from..].iter().copied())),
        1 => {
            let piece = &other[from..other.len().min(from + stream.below(80))];
            drop(bytes.splice(at..at, piece.iter().copied()));
        }
        _ => {}
    }
    mutated(&bytes, stream)
}

/// Bytes with one to four faults: altered bits, extreme numbers, a cut, a piece taken out, a piece
/// put in twice.
pub(crate) fn mutated(original: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=stream.below(4) {
        // directories lie at the end, headers at the start: half of the faults go there
        let near = bytes.len().clamp(1, 200);
        let at = match stream.below(4) {
            0 => stream.below(near),
            1 => bytes.len().saturating_sub(1 + stream.below(near)),
            _ => stream.below(bytes.len().max(1)),
        };
        let end = bytes.len().min(at + 1 + stream.below(64));
        match stream.below(6) {
            0 if at < end => bytes[at] ^= 1 << stream.below(8),
            1 if at < end => bytes[at..end].fill(0xff),
            2 if at < end => bytes[at..end].fill(stream.bits() as u8),
            3 => bytes.truncate(at),
            4 if at < end => drop(bytes.drain(at..end)),
            _ if at < end => drop(bytes.splice(at..at, original[..original.len().min(64)].to_vec())),
            _ => {}
        }
    }
    bytes
}
