//! Laws of error rates: jiwer's numbers, cases by hand, and the axioms of a distance.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn edits(length: u64, substitutions: u64, deletions: u64, insertions: u64) -> Edits {
    Edits {
        length,
        substitutions,
        deletions,
        insertions,
    }
}

/// Pairs and counts that `tests/wer_reference.py` made.
#[test]
fn jiwer_says_the_same_of_a_thousand_pairs() {
    let stored: Value = serde_json::from_str(include_str!("../jiwer.json")).unwrap();
    let pairs: Vec<(String, String, [u64; 3], [u64; 3])> = serde_json::from_value(stored["pairs"].clone()).unwrap();
    assert_eq!(pairs.len(), 1000);
    for (reference, hypothesis, words, characters) in &pairs {
        for (unit, expected) in [(Unit::Words, words), (Unit::Characters, characters)] {
            let found = unit.edits(reference, hypothesis);
            assert_eq!(
                [found.substitutions, found.deletions, found.insertions],
                *expected,
                "{unit:?}: `{reference}` and `{hypothesis}`"
            );
        }
    }
    for (unit, name) in [(Unit::Words, "wer"), (Unit::Characters, "cer")] {
        let texts = pairs.iter().map(|(wanted, found, ..)| (&wanted[..], &found[..]));
        let rate = ErrorRate::of(unit, texts).unwrap();
        assert_eq!(rate.value(), stored[name].as_f64().unwrap(), "{name}");
    }
}

#[test]
fn a_few_by_hand() {
    let words = |reference, hypothesis| Unit::Words.edits(reference, hypothesis);
    assert_eq!(words("ONE TWO THREE", "ONE TWO THREE"), edits(3, 0, 0, 0));
    assert_eq!(words("ONE TWO THREE", "ONE FOUR THREE"), edits(3, 1, 0, 0));
    assert_eq!(words("ONE TWO THREE", "ONE THREE"), edits(3, 0, 1, 0));
    assert_eq!(words("ONE THREE", "ONE TWO THREE FOUR"), edits(2, 0, 0, 2));
    assert_eq!(words("ONE", ""), edits(1, 0, 1, 0));
    assert_eq!(Unit::Characters.edits("ONE TWO", "ONETWO"), edits(7, 0, 1, 0));
    // white space is what parts words, however much of it there is
    assert_eq!(words(" ONE \t TWO\n", "ONE TWO"), edits(2, 0, 0, 0));
    assert_eq!(Unit::Characters.edits(" ONE  TWO ", "ONE TWO"), edits(7, 0, 0, 0));
}

#[test]
fn an_empty_transcript_has_insertions_only_and_no_rate() {
    let found = Unit::Words.edits("", "ONE TWO");
    assert_eq!((found, found.rate()), (edits(0, 0, 0, 2), None));
    // beside others it counts with its insertions
    let rate = ErrorRate::of(Unit::Words, [("", "ONE TWO"), ("ONE TWO", "ONE TWO")]).unwrap();
    assert_eq!(rate.value(), 1.0);
    assert_eq!(
        ErrorRate::of(Unit::Words, [("", "ONE"), (" ", "")]),
        Err(MetricError::NoTranscript)
    );
    assert_eq!(ErrorRate::of(Unit::Words, []), Err(MetricError::Empty));
}

/// The least number of edits by its definition, without a table.
fn least(a: &[u8], b: &[u8]) -> u64 {
    match (a, b) {
        ([], rest) | (rest, []) => rest.len() as u64,
        ([x, a @ ..], [y, b @ ..]) if x == y => least(a, b),
        ([_, left @ ..], [_, right @ ..]) => 1 + least(left, right).min(least(left, b)).min(least(a, right)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_sum_is_the_least_and_the_counts_fit_the_lengths(
        a in prop::collection::vec(0u8..3, 0..7),
        b in prop::collection::vec(0u8..3, 0..7),
    ) {
        let found = Edits::between(&a, &b);
        prop_assert_eq!(found.errors(), least(&a, &b));
        prop_assert_eq!(found.length, a.len() as u64);
        prop_assert_eq!(a.len() as u64 + found.insertions, b.len() as u64 + found.deletions);
        prop_assert!(found.substitutions + found.deletions <= a.len() as u64);
        prop_assert_eq!(found.errors() == 0, a == b);
    }

    #[test]
    fn it_is_a_distance(
        a in prop::collection::vec(0u8..3, 0..20),
        b in prop::collection::vec(0u8..3, 0..20),
        c in prop::collection::vec(0u8..3, 0..20),
    ) {
        let distance = |a: &[u8], b: &[u8]| Edits::between(a, b).errors();
        prop_assert_eq!(distance(&a, &b), distance(&b, &a));
        prop_assert!(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
    }
}
