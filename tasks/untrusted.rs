//! Laws of everything that reads what others wrote: whatever the bytes, there is a value or an error,
//! never a panic, and never memory without end. `media/fuzz.rs`, `media/image/decode/fuzz.rs` and
//! `files/archive/tests/fuzz.rs` hold sounds, pictures, videos and archives to the same.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::Path;

use proptest::prelude::*;

use crate::files::archive::members::objection;
use crate::files::table::CsvTable;
use crate::fixtures::peak_memory;
use crate::hub::tests::{reads_lock, reads_page};

/// Above what the process has used before, for all cases of one law.
const MEMORY: u64 = 256 << 20;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs a law for many inputs and holds the memory of all of them to the limit.
fn hold<S: Strategy>(strategy: &S, law: impl Fn(S::Value)) {
    let before = peak_memory();
    let mut runner = proptest::test_runner::TestRunner::new(config());
    runner
        .run(strategy, |value| {
            law(value);
            Ok(())
        })
        .unwrap();
    let more = peak_memory()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    assert!(more.is_none_or(|bytes| bytes < MEMORY), "{more:?} bytes more");
}

/// Pieces of a format in any order, mixed with any text: near enough to be read far.
fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let other = proptest::collection::vec(any::<u8>(), 0..8);
    let piece = prop_oneof![8 => word, 1 => other];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_table_is_read_or_its_line_is_named() {
    let words = &[
        "path", "label", "split", ",", ",", "\n", "\r\n", "\"", "\"\"", "a.wav", " ", "\t", "\u{feff}", "train", "1",
    ];
    hold(&pieces(words), |bytes| {
        if let Err(error) = CsvTable::parse(Path::new("t.csv"), &bytes) {
            assert!(error.to_string().starts_with("t.csv, line "), "{error}");
        }
    });
}

#[test]
fn a_page_of_the_hub_is_read_or_refused() {
    let words = &[
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"type\"",
        "\"file\"",
        "\"path\"",
        "\"data/a.bin\"",
        "\"../a\"",
        "\"size\"",
        "-1",
        "18446744073709551616",
        "1e400",
        "7",
        "\"oid\"",
        "\"lfs\"",
        "null",
        "\"\\ud800\"",
    ];
    hold(&pieces(words), |bytes| reads_page(&bytes));
}

#[test]
fn deep_json_does_not_end_the_program() {
    for opening in ["[", "{\"a\":"] {
        reads_page(opening.repeat(1_000_000).as_bytes());
    }
}

#[test]
fn a_lock_file_is_read_or_refused_and_its_names_stay_within() {
    let words = &[
        "repository = \"a/b\"\n",
        "revision = \"",
        "cccccccccccccccccccccccccccccccccccccccc\"\n",
        "complete = true\n",
        "files = []\n",
        "[[files]]\n",
        "name = \"",
        "../x\"\n",
        "data/x.bin\"\n",
        "size = 3\n",
        "size = -3\n",
        "oid = \"\"\n",
        "sha256 = \"0\"\n",
        "\"\n",
    ];
    hold(&pieces(words), |bytes| {
        for name in reads_lock(&bytes) {
            assert_eq!(objection(&name), None, "{name:?}");
        }
    });
}
