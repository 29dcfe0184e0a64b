//! The choice of fine-tuning's rate, on the real program: the curve is that of held-out samples, the
//! outcome that of the chosen rate, and tables mark what was still rising.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod program;

use bridle_results::record::RunRecord;
use bridle_results::store;
use program::{done, program};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const RUN: &str = "run --task synthetic-image --preset smoke --method scratch --set data.subset=60 --set finetune.epochs=12 \
                   --set finetune.warmup_epochs=1";
/// Fixed, and the same among others of which one learns nothing.
const RATES: [&str; 2] = ["--set finetune.rate=1e-3", "--set finetune.rates=1e-9,1e-3"];

fn record(folder: &Path, options: &str, out: &str) -> (PathBuf, RunRecord) {
    done(folder, &format!("{RUN} {options} --out {out}"));
    store::find(&[folder.join(out)]).unwrap().remove(0)
}

/// Slope of the line through these points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (x, y) = (sum(&|point| point.0), sum(&|point| point.1));
    let (xy, xx) = (sum(&|point| point.0 * point.1), sum(&|point| point.0 * point.0));
    (count * xy - x * y) / (count * xx - x * x)
}

#[test]
fn a_rate_is_chosen_on_held_out_samples_and_the_test_is_that_of_the_rate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (fixed_path, fixed) = record(folder, RATES[0], "fixed");
    let (path, chosen) = record(folder, RATES[1], "chosen");
    let details = &chosen.scores[0].details;
    assert_eq!((&details["rate"], &details["at_edge"]), (&json!(1e-3), &json!(true)));
    let (quality, held_out) = (&details["held_out_accuracy"], &details["held_out"]);
    assert!(quality["0.001"].as_f64() > quality["0.000000001"].as_f64(), "{quality}");
    assert_eq!(held_out["rule"], "0.2 of every class");
    // trained anew on all samples at the chosen rate: the same predictions as with that rate alone
    let predictions = |record: &Path| fs::read_to_string(record.with_extension("predictions.csv")).unwrap();
    assert_eq!(predictions(&path), predictions(&fixed_path));
    assert_eq!(chosen.scores[0].value, fixed.scores[0].value);
    assert_ne!(chosen.plan_hash, fixed.plan_hash);
    assert!(!fixed.scores[0].details.contains_key("learning_curve"));
    // a point an epoch, the last of which chose
    let curve: Vec<(f64, f64)> = serde_json::from_value(details["learning_curve"].clone()).unwrap();
    let epochs: Vec<f64> = curve.iter().map(|point| point.0).collect();
    assert_eq!(epochs, (1..=12).map(f64::from).collect::<Vec<_>>());
    assert_eq!(quality["0.001"].as_f64(), curve.last().map(|point| point.1));
    let end: Vec<(f64, f64)> = curve.into_iter().filter(|point| point.0 >= 12.0 - 11.0 / 3.0).collect();
    let told = &details["trend"];
    assert_eq!(told["points"], json!(end.len()));
    assert!((told["slope"].as_f64().unwrap() - slope(&end)).abs() < 1e-9, "{told}");
    assert!(details["under_trained"].is_boolean());

    // tables mark what was still rising, and what has not learnt its samples
    let marked = |rises: bool, loss_left: f64| {
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let details = &mut record["scores"][0]["details"];
        details["under_trained"] = json!(rises);
        details["loss_last"] = json!(loss_left * details["loss_first"].as_f64().unwrap());
        fs::write(&path, record.to_string()).unwrap();
        done(folder, "table chosen --published none").contains('↑')
    };
    assert!(marked(true, 0.1) && marked(false, 0.6) && !marked(false, 0.1));

    // speech learns at a single rate
    let told = program(
        folder,
        "check --task digits --protocol finetune --set finetune.rates=1e-3",
    );
    assert_eq!(told.status.code(), Some(2), "{}", String::from_utf8_lossy(&told.stderr));
    let told = program(folder, &format!("{RUN} --set finetune.rates=1e-3,-1"));
    assert_eq!(told.status.code(), Some(2), "{}", String::from_utf8_lossy(&told.stderr));
}
