//! `bench` with the real binary: it measures the peer's model under the peer's keys, and compares only the same work.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Smallest work that still is the peer's.
const SMALL: &str = "--batch 1 --vectors 64 --warmup 0 --repeats 2";

fn bench(folder: &Path, options: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.arg("bench").args(options.split_whitespace());
    command.current_dir(folder).output().unwrap()
}

fn report(folder: &Path, options: &str) -> Value {
    let output = bench(folder, &format!("{SMALL} --format json {options}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Exit code and stderr of a command that fails.
fn refusal(folder: &Path, options: &str) -> String {
    let output = bench(folder, options);
    let told = String::from_utf8(output.stderr).unwrap();
    format!("$ bench {options}\n{told}exit {}\n", output.status.code().unwrap())
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_task_is_checked_and_timed_under_the_keys_of_the_peer() {
    let folder = tempfile::tempdir().unwrap();
    let report = report(folder.path(), "");
    insta::assert_json_snapshot!("config", report["config"]);
    insta::assert_json_snapshot!(
        "keys",
        (keys(&report), keys(&report["runtime"]), keys(&report["results"]))
    );
    for row in report["results"].as_object().unwrap().values() {
        let [median, min, max, per_s] = ["median_s", "min_s", "max_s", "per_s"].map(|key| row[key].as_f64().unwrap());
        assert!(0.0 < min && min <= median && median <= max, "{row}");
        let items = if row["unit"] == "vectors" { 64.0 } else { 1.0 };
        assert!((per_s * median - items).abs() < 1e-9, "{row}");
    }
}

#[test]
fn every_task_is_checked_in_bf16_too() {
    let folder = tempfile::tempdir().unwrap();
    let report = report(folder.path(), "--dtype bf16");
    assert_eq!(report["runtime"]["dtype"], "bf16");
    assert_eq!(report["results"].as_object().unwrap().len(), 5);
}

/// The counts were printed by the peer for the same values.
#[test]
fn the_models_have_the_parameters_of_the_peers() {
    let folder = tempfile::tempdir().unwrap();
    for (options, encoder, tokenizer) in [
        ("", 6_338_560, 6_945_280),
        (
            "--decoder-dim 64 --decoder-depth 2 --decoder-heads 2 --codes 32 --code-dim 16 --levels 2",
            5_504_960,
            6_806_800,
        ),
        ("--quantizer vq --codes 1024", 6_338_560, 6_945_280),
        ("--decoder swin", 6_349_344, 6_945_280),
        ("--input image-224", 6_436_864, 7_043_584),
    ] {
        let config = &report(folder.path(), &format!("--tasks quantize {options}"))["config"];
        let found = ["encoder_parameters", "tokenizer_parameters"].map(|key| config[key].as_u64().unwrap());
        assert_eq!(found, [encoder, tokenizer], "{options}");
    }
}

#[test]
fn an_earlier_report_is_compared_with_if_it_did_the_same_work() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = report(folder.path(), "--tasks quantize");
    let file = folder.path().join("earlier.json");
    std::fs::write(&file, earlier.to_string()).unwrap();
    let later = report(folder.path(), "--tasks quantize,features --against earlier.json");
    let rows = later["against"]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), rows[0]["task"].as_str()), (1, Some("quantize")));
    let seconds = |report: &Value| report["results"]["quantize"]["median_s"].as_f64().unwrap();
    assert_eq!(rows[0]["ratio"], seconds(&earlier) / seconds(&later));

    std::fs::write(folder.path().join("notes.json"), "not JSON").unwrap();
    let told: Vec<String> = [
        "--tasks quantize --against earlier.json",
        "--batch 1 --vectors 64 --tasks features --against earlier.json",
        "--against notes.json",
        "--against nowhere.json",
    ]
    .iter()
    .map(|options| refusal(folder.path(), options))
    .collect();
    insta::assert_snapshot!("refused_reports", told.join("\n"));
}

#[test]
fn unknown_names_and_values_that_make_no_model_are_wrong_use() {
    let folder = tempfile::tempdir().unwrap();
    let told: Vec<String> = [
        "--tasks encoder-step",
        "--size huge",
        "--input audio-256",
        "--decoder local",
        "--quantizer residual",
        "--backend torch",
        "--dtype fp16",
        "--decoder-dim 100",
        "--mask-ratio 1.5",
        "--decoder swin --input image-224",
        "--batch 0",
        "--repeats 0",
    ]
    .iter()
    .map(|options| refusal(folder.path(), options))
    .collect();
    insta::assert_snapshot!("refused_values", told.join("\n"));
}
