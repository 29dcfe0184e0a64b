//! The laws over kept and damaged inputs, and over pieces of formats in any order, without memory
//! without end. `media/fuzz.rs`, `media/image/decode/fuzz.rs` and `files/archive/tests/fuzz.rs` hold
//! whole samples of sounds, pictures, videos and archives to more.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use proptest::prelude::*;

use super::*;
use crate::fixtures::peak_memory;
use crate::replay;

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
fn every_law_holds_for_kept_and_damaged_inputs() {
    replay::hold(LAWS, 200);
}

#[test]
fn a_table_is_read_or_its_line_is_named() {
    let words = &[
        "path", "label", "split", ",", ",", "\n", "\r\n", "\"", "\"\"", "a.wav", " ", "\t", "\u{feff}", "train", "1",
    ];
    hold(&pieces(words), |bytes| csv_table(&bytes));
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
    hold(&pieces(words), |bytes| hub::untrusted::page(&bytes));
}

#[test]
fn deep_nesting_does_not_end_the_program() {
    for (before, opening, after) in [
        ("", "[", ""),
        ("", "{\"a\":", ""),
        ("a=", "[", ""),
        ("a=", "{a=", ""),
        ("", "a.", "a=1"),
        ("[", "a.", "a]"),
        ("[[", "a.", "a]]"),
        ("a={", "a.", "a=1}"),
    ] {
        let text = format!("{before}{}{after}", opening.repeat(1_000_000));
        for (name, law) in LAWS {
            if ["hub-page", "ffprobe", "hub-lock", "task-file", "speech-file"].contains(name) {
                law(text.as_bytes());
            }
        }
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
    hold(&pieces(words), |bytes| hub::untrusted::lock_file(&bytes));
}
