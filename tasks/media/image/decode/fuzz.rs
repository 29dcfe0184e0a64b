//! Damaged files by the thousand: cut, altered, or the head of one with the tail of another. Each
//! gives a picture or an error.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::time::{Duration, Instant};

use bridle_seed::{Seed, Stream};
use serde::Deserialize;

use super::*;
use crate::fixtures::{fuzz_inputs, mutated};
use crate::media::image::tests::unhex;

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
}

/// Every file of one format among the reference's.
fn files(format: &str) -> Vec<Vec<u8>> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../reference/files.json")).unwrap();
    cases
        .iter()
        .filter(|case| case.name.starts_with(format))
        .map(|case| unhex(&case.file))
        .collect()
}

/// Damage to one of the files, or to the head of one with the tail of another.
fn damaged(files: &[Vec<u8>], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = files[stream.below(files.len())].clone();
    if stream.below(4) == 0 {
        let other = &files[stream.below(files.len())];
        bytes.truncate(stream.below(bytes.len()));
        bytes.extend_from_slice(&other[stream.below(other.len())..]);
    }
    mutated(&bytes, stream)
}

#[test]
fn damaged_files_give_pictures_or_named_errors() {
    let inputs = fuzz_inputs(1_000);
    for format in ["jpeg", "png"] {
        let files = files(format);
        assert!(files.len() > 3);
        let (mut pictures, mut slowest) = (0, Duration::ZERO);
        for index in 0..inputs {
            let bytes = damaged(&files, &mut Seed::root(1).child(format).indexed(index).stream());
            let begun = Instant::now();
            match decode(&bytes) {
                Ok(Picture { width, height, rgb }) => {
                    pictures += 1;
                    assert_eq!(rgb.len(), 3 * width * height, "{format} {index}");
                    // what the file's bytes can hold at best bounds the memory
                    assert!(width * height <= bytes.len() * 8 * 1_032, "{format} {index}");
                }
                Err(error) => assert!(!error.to_string().is_empty(), "{format} {index}"),
            }
            slowest = slowest.max(begun.elapsed());
        }
        println!("{format}: {inputs} inputs, {pictures} pictures, slowest {slowest:?}");
        assert!(slowest < Duration::from_secs(20), "{format}: {slowest:?}");
        assert!(pictures < inputs, "{format}: nothing was damaged");
    }
}
