//! Damaged files by the hundred: cut, with flipped bits, spliced with another. Each gives a picture or a named error.
//!
//! `BRIDLE_FUZZ=100000 cargo test -p bridle-tasks --release mutated` tries that many of each format; without it, 1,000.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::time::{Duration, Instant};

use bridle_seed::{Seed, Stream};
use serde::Deserialize;

use super::*;
use crate::image::tests::unhex;

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

fn mutated(files: &[Vec<u8>], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = files[stream.below(files.len())].clone();
    match stream.below(4) {
        0 => bytes.truncate(stream.below(bytes.len())),
        1 => {
            let other = &files[stream.below(files.len())];
            bytes.truncate(stream.below(bytes.len()));
            bytes.extend_from_slice(&other[stream.below(other.len())..]);
        }
        2 => {
            let (from, to) = (stream.below(bytes.len()), stream.below(bytes.len()));
            bytes.drain(from.min(to)..from.max(to));
        }
        _ => {}
    }
    // headers are a small part of a file but the one most worth damaging
    for _ in 0..stream.below(6).min(bytes.len()) {
        let reach = if stream.below(2) == 0 {
            bytes.len()
        } else {
            bytes.len().min(200)
        };
        bytes[stream.below(reach)] ^= 1 << stream.below(8);
    }
    bytes
}

#[test]
fn mutated_files_give_pictures_or_named_errors() {
    let inputs: u64 = std::env::var("BRIDLE_FUZZ").map_or(1_000, |n| n.parse().unwrap());
    for format in ["jpeg", "png"] {
        let files = files(format);
        assert!(files.len() > 3);
        let (mut pictures, mut slowest) = (0, Duration::ZERO);
        for index in 0..inputs {
            let bytes = mutated(&files, &mut Seed::root(1).child(format).indexed(index).stream());
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
