//! Tables and `compare` say the same of a difference: on the committed records, those of a table's
//! baseline are those of `compare`, with what they could show, and bold in a paper is what `compare` does not tell from the best.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use bridle_results::compare::{self, Filter, ScoredRun};
use bridle_results::evidence::Evidence;
use bridle_results::record::RunRecord;
use bridle_results::store;
use bridle_results::table::{Style, Table, View, score_tables};
use bridle_seed::Seed;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn records() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("records/esc50")
}

fn filters() -> Vec<Filter> {
    ["backend=tch", "dtype=fp32"].map(|text| text.parse().unwrap()).into()
}

fn tables(view: &View) -> Vec<Table> {
    let found = store::find(&[records()]).unwrap();
    let found = compare::kept(&records(), found, &filters()).unwrap();
    let evidence = Evidence::read(&found).unwrap();
    let records: Vec<RunRecord> = found.into_iter().map(|(_, record)| record).collect();
    score_tables(&records, &evidence, view)
}

/// The ends of the interval of A - B by `compare` and what it could have shown, where both have this protocol and metric.
fn compared(a: &str, b: &str, protocol: &str, metric: &str) -> Option<[f64; 3]> {
    let side = |method: &str| {
        let folder = records().join(method.replace(' ', "-"));
        ScoredRun::read(&folder, &filters()).unwrap()
    };
    let found = compare::compare(&side(a), &side(b), 99, &Seed::root(0)).ok()?;
    let of_protocol = found.comparisons.iter().filter(|found| found.protocol == protocol);
    let mut differences = of_protocol.flat_map(|found| &found.differences);
    let found = differences.find(|found| found.metric.name() == metric)?;
    let interval = found.interval.as_ref()?;
    Some([interval.low, interval.high, found.detectable?])
}

fn scores(row: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let all = row["scores"].as_array().unwrap().iter();
    all.map(|score| {
        (
            score["protocol"].as_str().unwrap(),
            score["metric"].as_str().unwrap(),
            score,
        )
    })
}

#[test]
fn differences_from_a_baseline_are_those_of_compare() {
    let view = View {
        baseline: Some("random-init".into()),
        ..View::default()
    };
    let table = tables(&view)[1].to_json();
    let mut count = 0;
    for row in table["rows"].as_array().unwrap() {
        let method = row["method"].as_str().unwrap();
        for (protocol, metric, score) in scores(row) {
            let expected = compared(method, "random-init", protocol, metric).unwrap();
            let interval = &score["interval"];
            let printed = [&interval["low"], &interval["high"], &score["detectable"]].map(|x| x.as_f64().unwrap());
            let is_close = printed.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(is_close, "{method} {protocol} {metric}: {printed:?} {expected:?}");
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn bold_in_a_paper_is_the_best_and_what_compare_does_not_tell_from_it() {
    let view = View {
        style: Style::Paper,
        ..View::default()
    };
    let (mut bold, mut plain) = (0, 0);
    for table in tables(&view) {
        let json = table.to_json();
        let rows = json["rows"].as_array().unwrap();
        for (protocol, metric, _) in rows.iter().flat_map(scores) {
            let of_row = |row: &Value| -> Option<(String, f64, bool)> {
                let (_, _, score) = scores(row).find(|(p, m, _)| (*p, *m) == (protocol, metric))?;
                let is_bold = score["best"].as_bool().unwrap();
                Some((row["method"].as_str().unwrap().into(), score["mean"].as_f64()?, is_bold))
            };
            let found: Vec<(String, f64, bool)> = rows.iter().filter_map(of_row).collect();
            let best = found.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            for (method, mean, is_bold) in &found {
                let interval = compared(method, &best.0, protocol, metric);
                let is_told = interval.is_some_and(|[low, high, _]| low > 0.0 || high < 0.0);
                assert_eq!(*is_bold, *mean == best.1 || !is_told, "{method} {protocol} {metric}");
                if *is_bold { bold += 1 } else { plain += 1 }
            }
        }
    }
    assert!(bold > 10 && plain > 10, "{bold} bold, {plain} plain");
}
