//! Laws of the gate: what passes, what does not, and that a baseline file says what was written.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::{other, record};
use crate::record::RunRecord;
use proptest::prelude::*;
use serde_json::{Value, json};

mod file;

fn run_of(record: &RunRecord) -> GateRun {
    GateRun::from_json(&record.to_json().unwrap()).unwrap()
}

/// The run of this record after an edit of its JSON.
fn edited(record: &RunRecord, edit: impl FnOnce(&mut Value)) -> GateRun {
    let mut value = serde_json::from_str(&record.to_json().unwrap()).unwrap();
    edit(&mut value);
    GateRun::from_json(&value.to_string()).unwrap()
}

/// rq with three seeds, vq and random-init with one.
fn runs() -> Vec<GateRun> {
    let mut records: Vec<RunRecord> = [(0, 165), (1, 160), (2, 172)]
        .map(|(seed, top1)| record(seed, top1))
        .into();
    records.push(other(record(0, 0), Some("vq"), "bbbbbbbbbbbb", 140));
    records.push(other(record(0, 0), None, "cccccccccccc", 110));
    records.iter().map(run_of).collect()
}

fn baseline(runs: &[GateRun]) -> Baseline {
    Baseline::of(runs, Bands::new(Bands::ABSOLUTE, Bands::RELATIVE), None).unwrap()
}

/// The regressions of these runs against the baseline of one clean record with 200 of 400 right.
fn regressions(run: GateRun) -> Vec<(String, Standing)> {
    let verdict = check(&baseline(&[run_of(&record(0, 200))]), &[run]);
    let closed = verdict.checks.iter().filter(|check| check.outcome.is_regression());
    let found: Vec<_> = closed
        .map(|check| (check.quantity.to_string(), check.outcome))
        .collect();
    assert_eq!(verdict.passed(), found.is_empty());
    found
}

fn one(name: &str, outcome: Standing) -> Vec<(String, Standing)> {
    vec![(name.to_owned(), outcome)]
}

#[test]
fn records_pass_their_own_baseline_in_any_order() {
    let runs = runs();
    let baseline = baseline(&runs);
    // 2 scores each; 2 phases with 2 levels of 2 statistics and a joint entropy, but not for
    // random-init
    assert_eq!(baseline.len(), 5 * 2 + 4 * 10);
    let verdict = check(&baseline, &runs);
    assert!(verdict.passed());
    assert_eq!(verdict.count(Standing::Within), baseline.len());
    assert_eq!((verdict.new_runs.len(), verdict.remarks.len()), (0, 0));
    let reversed: Vec<GateRun> = runs.iter().rev().cloned().collect();
    assert_eq!(check(&baseline, &reversed), verdict);
    assert_eq!(self::baseline(&reversed), baseline);
}

#[test]
fn an_accuracy_below_its_band_is_a_regression_and_its_edge_is_not() {
    // 200 of 400 less 0.05 is 180
    assert_eq!(regressions(run_of(&record(0, 180))), []);
    let lower = |top1| edited(&record(0, 200), |value| value["scores"][0]["value"] = top1);
    assert_eq!(regressions(lower(json!(0.45))), []);
    assert_eq!(
        regressions(lower(json!(0.4499999))),
        one("linear-probe top1", Standing::Worse)
    );
    // an integer is a number like any other
    assert_eq!(regressions(lower(json!(0))), one("linear-probe top1", Standing::Worse));
}

#[test]
fn decimal_edges_are_inside() {
    // in binary 0.4 - 0.35 is a little more than 0.05
    let with = |top1: f64| edited(&record(0, 200), |value| value["scores"][0]["value"] = json!(top1));
    assert!(check(&baseline(&[with(0.4)]), &[with(0.35)]).passed());
    assert!(!check(&baseline(&[with(0.4)]), &[with(0.349_999_99)]).passed());
}

#[test]
fn an_accuracy_above_its_band_is_told_and_passes_unless_the_file_says_otherwise() {
    let better = run_of(&record(0, 240));
    let mut baseline = baseline(&[run_of(&record(0, 200))]);
    let verdict = check(&baseline, std::slice::from_ref(&better));
    // top5 moved as well
    assert!(verdict.passed());
    assert_eq!(verdict.count(Standing::Better), 2);
    baseline.bands.scores.two_sided = true;
    assert_eq!(
        check(&baseline, std::slice::from_ref(&better)).count(Standing::Worse),
        2
    );
    baseline.runs[0].entries[0].two_sided = Some(false);
    assert_eq!(check(&baseline, &[better]).count(Standing::Worse), 1);
}

#[test]
fn an_error_rate_is_better_below() {
    let rate = |wer: f64| {
        edited(&record(0, 200), |value| {
            value["scores"][0]["metric"] = "wer".into();
            value["scores"][0]["value"] = wer.into();
        })
    };
    let baseline = baseline(&[rate(0.5)]);
    assert_eq!(check(&baseline, &[rate(0.3)]).count(Standing::Better), 1);
    assert_eq!(check(&baseline, &[rate(0.7)]).count(Standing::Worse), 1);
}

#[test]
fn one_collapsed_codebook_is_a_regression_and_so_is_an_explosion() {
    let statistic = |name: &'static str, factor: f64| {
        edited(&record(0, 200), move |value| {
            let place = &mut value["phases"][0]["codebooks"][1][name];
            *place = json!(place.as_f64().unwrap() * factor);
        })
    };
    assert_eq!(
        regressions(statistic("perplexity", 0.25)),
        one("encoder-1 level-2 perplexity", Standing::Worse)
    );
    assert_eq!(
        regressions(statistic("perplexity", 1.3)),
        one("encoder-1 level-2 perplexity", Standing::Worse)
    );
    assert_eq!(
        regressions(statistic("usage", 0.5)),
        one("encoder-1 level-2 usage", Standing::Worse)
    );
    assert_eq!(regressions(statistic("usage", 0.75)), []);
    let joint = |bits: f64| {
        edited(&record(0, 200), |value| {
            value["phases"][1]["labels"]["joint_entropy_bits"] = bits.into()
        })
    };
    assert_eq!(
        regressions(joint(0.0)),
        one("tokenizer-1 joint_entropy_bits", Standing::Worse)
    );
}

#[test]
fn what_is_gone_is_a_regression() {
    let runs = runs();
    let baseline = baseline(&runs);
    for gone in 0..runs.len() {
        let mut rest = runs.clone();
        let entries = rest.remove(gone).values.len();
        let verdict = check(&baseline, &rest);
        assert_eq!((verdict.passed(), verdict.count(Standing::Missing)), (false, entries));
    }
    let without = |path: &str, name: &str| {
        edited(&record(0, 200), |value| {
            drop(value.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(name))
        })
    };
    assert_eq!(
        regressions(without("/phases/0/codebooks/0", "usage")),
        one("encoder-1 level-1 usage", Standing::Undefined)
    );
    assert_eq!(
        regressions(without("/scores/1", "value")),
        one("linear-probe top5", Standing::Undefined)
    );
    assert_eq!(
        regressions(without("/phases/0", "labels")),
        one("encoder-1 joint_entropy_bits", Standing::Missing)
    );
    assert_eq!(regressions(without("", "scores")).len(), 2);
    assert_eq!(regressions(without("", "phases")).len(), 10);
}

#[test]
fn a_null_and_a_nan_are_regressions() {
    let null = |path: &str| edited(&record(0, 200), |value| *value.pointer_mut(path).unwrap() = Value::Null);
    assert_eq!(
        regressions(null("/scores/0/value")),
        one("linear-probe top1", Standing::Undefined)
    );
    let perplexity = one("tokenizer-1 level-1 perplexity", Standing::Undefined);
    assert_eq!(regressions(null("/phases/1/codebooks/0/perplexity")), perplexity);
    for word in ["NaN", "Infinity", "-Infinity"] {
        let text = record(0, 200).to_json().unwrap();
        let text = text.replacen("\"value\": 0.5", &format!("\"value\": {word}"), 1);
        let text = text.replace("a processor", r#"\\\" NaN \" Infinity"#);
        assert_eq!(
            regressions(GateRun::from_json(&text).unwrap()),
            one("linear-probe top1", Standing::Undefined)
        );
    }
}

#[test]
fn what_has_no_number_does_not_enter_a_baseline() {
    let null = edited(&record(0, 200), |value| value["scores"][0]["value"] = Value::Null);
    let baseline = baseline(std::slice::from_ref(&null));
    assert_eq!(baseline.len(), 11);
    let verdict = check(&baseline, &[null]);
    assert_eq!((verdict.passed(), verdict.count(Standing::New)), (true, 1));
    let nothing = edited(&record(0, 200), |value| {
        value["scores"] = json!([]);
        value["phases"] = json!([]);
    });
    for runs in [vec![], vec![nothing]] {
        let error = Baseline::of(&runs, baseline.bands, None).unwrap_err();
        assert!(matches!(error, BaselineError::Empty), "{error}");
    }
}

#[test]
fn a_plan_that_is_gone_is_missing_and_its_successor_is_named() {
    let baseline = baseline(&[run_of(&record(0, 200))]);
    let verdict = check(
        &baseline,
        &[run_of(&other(record(0, 0), Some("rq"), "dddddddddddd", 200))],
    );
    assert_eq!((verdict.passed(), verdict.count(Standing::Missing)), (false, 12));
    assert_eq!(verdict.new_runs.len(), 1);
    assert!(
        verdict.remarks[0].ends_with("There is plan dddddddddddd"),
        "{:?}",
        verdict.remarks
    );
}

#[test]
fn every_part_of_the_key_tells_runs_apart() {
    let edits: [fn(&mut Value); 8] = [
        |value| value["plan"]["task"] = "other".into(),
        |value| value["plan"]["method"] = "other".into(),
        |value| value["plan"]["quantizer"] = "vq".into(),
        |value| value["plan_hash"] = "other".into(),
        |value| value["backend"]["name"] = "tch".into(),
        |value| value["backend"]["dtype"] = "bf16".into(),
        |value| value["seed"] = 1.into(),
        |value| value["fold"] = Value::Null,
    ];
    for edit in edits {
        assert_eq!(regressions(edited(&record(0, 200), edit)).len(), 12);
    }
}

#[test]
fn of_two_records_of_one_run_the_later_counts() {
    let later = |top1| {
        edited(&record(0, top1), |value| {
            value["finished"] = "2027-01-02T03:04:05Z".into()
        })
    };
    let baseline = baseline(&[run_of(&record(0, 200))]);
    for (newer, passes) in [(200, true), (100, false)] {
        let older = run_of(&record(0, 300 - newer));
        for runs in [[older.clone(), later(newer)], [later(newer), older.clone()]] {
            let verdict = check(&baseline, &runs);
            assert_eq!((verdict.passed(), verdict.remarks.len()), (passes, 1));
        }
    }
}

#[test]
fn a_run_without_entry_is_new_and_passes() {
    let runs = runs();
    let verdict = check(&baseline(&runs[..1]), &runs);
    assert!(verdict.passed());
    let keys: Vec<&RunKey> = verdict.new_runs.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 4);
    assert!(!keys.contains(&&runs[0].key));
}

/// A verdict in which every outcome occurs.
fn mixed() -> Verdict {
    let runs = runs();
    let mut baseline = baseline(&runs[..4]);
    baseline.runs[1].entries.truncate(3);
    let mut found = vec![
        edited(&record(0, 120), |value| {
            value["phases"][1]["codebooks"][0]["perplexity"] = json!(1.0)
        }),
        edited(&record(1, 200), |value| value["scores"][1]["value"] = Value::Null),
    ];
    found.push(runs[2].clone());
    found.push(runs[4].clone());
    found.push(run_of(&other(record(0, 0), Some("vq"), "dddddddddddd", 140)));
    check(&baseline, &found)
}

#[test]
fn a_verdict_is_printed() {
    let verdict = mixed();
    assert!(Standing::ALL.iter().all(|outcome| verdict.count(*outcome) > 0));
    insta::assert_snapshot!("terminal", verdict.terminal(100));
    insta::assert_snapshot!("markdown", verdict.markdown());
    let json = verdict.to_json();
    assert_eq!(json["passed"], false);
    assert_eq!(json["entries"].as_array().unwrap().len(), verdict.checks.len());
    insta::assert_snapshot!(
        "json",
        format!(
            "{:#}",
            json!({
                "counts": json["counts"], "first": json["entries"][0], "new_runs": json["new_runs"],
            })
        )
    );
    let runs = runs();
    insta::assert_snapshot!("passed", check(&baseline(&runs[4..]), &runs[4..]).markdown());
    let widest = verdict
        .terminal(100)
        .lines()
        .filter(|line| line.contains('|'))
        .map(|line| line.chars().count())
        .max();
    assert!(widest <= Some(100), "{widest:?} columns");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_one_sided_band_lets_pass_all_that_is_at_least_its_lower_edge(value in 0.0..1.0f64, found in 0.0..1.0f64) {
        let with = |top1: f64| edited(&record(0, 200), |record| record["scores"][0]["value"] = json!(top1));
        let passed = check(&baseline(&[with(value)]), &[with(found)]).passed();
        // within rounding of the edge, either answer will do
        if (found - (value - Bands::ABSOLUTE)).abs() > 1e-9 {
            prop_assert_eq!(passed, found > value - Bands::ABSOLUTE);
        }
    }
}

#[test]
fn a_run_on_other_data_of_ones_own_is_not_the_run_of_the_baseline() {
    let on = |manifest: &str, top1| {
        let mut run = record(0, top1);
        run.data.variant = "different".into();
        run.data.manifest_sha256 = Some(manifest.repeat(64));
        run_of(&run)
    };
    let expected = baseline(&[on("1", 200)]);
    assert!(check(&expected, &[on("1", 200)]).passed());
    let verdict = check(&expected, &[on("2", 200)]);
    assert!(verdict.count(Standing::Missing) > 0 && verdict.new_runs.len() == 1);
    assert!(
        verdict.remarks[0].contains("has the data changed?"),
        "{:?}",
        verdict.remarks
    );
    // of two runs that differ in their data alone, none is left out as the older one
    let both = check(&expected, &[on("1", 200), on("2", 0)]);
    assert!(both.passed() && both.remarks.is_empty() && both.new_runs.len() == 1);
    assert_eq!(baseline(&[on("1", 200), on("2", 0)]).runs.len(), 2);
    // an older baseline does not say which data it was
    let mut older = expected;
    older.runs[0].key.data = None;
    assert!(check(&older, &[on("2", 200)]).passed());
    let unsure = check(&older, &[on("1", 200), on("2", 200)]);
    assert!(unsure.remarks[0].contains("different data"), "{:?}", unsure.remarks);
}
