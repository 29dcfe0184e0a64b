//! The published numbers keep their own rules, and stay apart from measured ones.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::{other, record};
use crate::table::Format;
use std::collections::HashSet;

#[test]
fn every_row_keeps_the_rules_of_the_file() {
    let mut seen = HashSet::new();
    for (source, row) in all() {
        let known = |list: &[&str], word: &String| assert!(list.contains(&word.as_str()), "{word}: {row:?}");
        known(&["finetune", "linear-probe", "knn"], &row.protocol);
        known(&["mAP", "accuracy", "top-1", "top-5", "WER"], &row.metric);
        known(&["audio", "speech", "image", "video"], &row.modality);
        let reports = [
            "self-reported",
            "quoted",
            "same-harness",
            "third-party-reproduction",
            "ensemble",
        ];
        known(&reports, &row.report);
        assert!(row.value > 0.0 && row.value < 100.0, "{row:?}");
        // no source has more than three decimals
        let thousandths = row.value * 1000.0;
        assert!((thousandths - thousandths.round()).abs() < 1e-9, "{row:?}");
        assert_eq!(row.metric == "WER", row.modality == "speech", "{row:?}");
        assert!(source.address.starts_with("https://") && !source.title.is_empty());
        let words = [&row.method, &row.benchmark, &row.pretraining_data];
        assert!(
            words
                .iter()
                .all(|word| !word.is_empty() && word.trim() == word.as_str())
        );
        assert!(seen.insert(format!("{source:?}{row:?}")), "twice: {row:?}");
    }
    assert_eq!(all().len(), 309);
}

#[test]
fn bridle_s_own_tables_are_not_quoted() {
    assert!(
        all()
            .iter()
            .all(|(_, row)| !row.method.to_lowercase().contains("bridle"))
    );
}

#[test]
fn every_task_with_a_benchmark_has_rows() {
    for (task, _) in BENCHMARKS {
        assert!(all().iter().any(|(_, row)| row.is_of(task)), "{task}");
    }
    assert!(all().iter().all(|(_, row)| !row.is_of("synthetic")));
    let audioset = all().iter().filter(|(_, row)| row.is_of("audioset"));
    assert!(audioset.clone().count() > 0);
    assert!({ audioset }.all(|(_, row)| row.benchmark == "AudioSet-2M"));
}

#[test]
fn only_what_was_measured_is_set_beside_it() {
    let records = [record(0, 165), other(record(0, 0), None, "cccccccccccc", 110)];
    assert_eq!(tables(&records, Shown::None), []);
    let protocol = tables(&records, Shown::Protocol);
    assert_eq!(protocol.len(), 1);
    assert!(protocol[0].rows.iter().all(|row| row[1].text == "linear-probe"));
    let all = tables(&records, Shown::All);
    assert!(all[0].rows.len() > protocol[0].rows.len());
    insta::assert_snapshot!(protocol[0].render(Format::Terminal { columns: 250 }));
}

#[test]
fn a_task_without_scores_or_benchmark_has_no_block() {
    let mut unscored = record(0, 165);
    unscored.scores.clear();
    let mut synthetic = record(0, 165);
    synthetic.plan["task"] = "synthetic".into();
    assert_eq!(tables(&[unscored, synthetic], Shown::All), []);
}

#[test]
fn the_lowest_error_rate_comes_first() {
    let mut speech = record(0, 165);
    speech.plan["task"] = "librispeech".into();
    let table = &tables(&[speech], Shown::All)[0];
    let values = |benchmark: &str| -> Vec<f64> {
        let rows = table.rows.iter().filter(|row| row[1].text == benchmark);
        rows.map(|row| row[4].value.as_f64().unwrap()).collect()
    };
    let clean = values("LibriSpeech-100h test-clean");
    assert!(clean.len() > 1 && clean.is_sorted(), "{clean:?}");
}

#[test]
fn remarks_have_letters_of_their_own() {
    assert_eq!([0, 25, 26, 27, 702].map(letters), ["a", "z", "aa", "ab", "aaa"]);
}
