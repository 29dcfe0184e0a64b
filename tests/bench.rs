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
    assert_eq!(report["runtime"]["bf16"], product_of_bf16());
    assert_eq!(report["results"].as_object().unwrap().len(), 5);
}

/// What `list backends` says of products in bf16, with or without AMX.
fn listed_product(amx: &str) -> String {
    let listed = Command::new(env!("CARGO_BIN_EXE_bridle-bench"))
        .args("list backends --format json".split_whitespace())
        .env("BRIDLE_AMX", amx)
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let [flex, tch] = [0, 1].map(|place| listed[place]["bf16"].as_str().unwrap().to_owned());
    assert_eq!(flex, tch);
    flex
}

/// What products in bf16 are on this processor.
fn product_of_bf16() -> String {
    listed_product("")
}

/// By what the system says of the processor. Where it has AMX, the system may still not permit it.
#[cfg(target_os = "linux")]
#[test]
fn products_in_bf16_are_what_the_processor_has() {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let has = |word: &str| about.split_whitespace().any(|found| found == word);
    let without = if has("avx512_bf16") && has("avx512bw") && !has("GenuineIntel") {
        "bf16 by AVX-512"
    } else {
        "f32, as no bf16 products are faster here"
    };
    assert_eq!(listed_product("0"), without);
    let product = listed_product("");
    assert!(
        product == without || product == "bf16 by AMX" && has("amx_bf16"),
        "{product}"
    );
}

#[test]
fn bf16_says_how_it_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &format!("{SMALL} --tasks quantize --dtype bf16"));
    // notes of a table are wrapped
    let words = |text: &[u8]| {
        String::from_utf8_lossy(text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let said = [words(&output.stderr), words(&output.stdout)];
    let product = product_of_bf16();
    assert!(said.iter().all(|text| text.contains(&product)), "{said:?}");
}

/// A row for every backend on the processor and every number type, with the times that it measured and ratios to an
/// earlier report.
#[test]
fn a_report_makes_the_rows_of_this_processor() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = report(folder.path(), "--tasks quantize");
    std::fs::write(folder.path().join("earlier.json"), earlier.to_string()).unwrap();
    let options = "--report --tasks quantize,features --against earlier.json";
    let found = report(folder.path(), options);
    let backends = if cfg!(feature = "tch") {
        &["flex", "tch"][..]
    } else {
        &["flex"][..]
    };
    let expected: Vec<[String; 2]> = backends
        .iter()
        .flat_map(|backend| {
            let half = product_of_bf16();
            [[*backend, "fp32"].map(str::to_owned), [(*backend).to_owned(), half]]
        })
        .collect();
    let rows = found["rows"].as_array().unwrap();
    let by = |row: &Value| ["backend", "products"].map(|key| row[key].as_str().unwrap().to_owned());
    assert_eq!(rows.iter().map(by).collect::<Vec<_>>(), expected);
    for row in rows {
        assert_eq!(row["processor"], rows[0]["processor"]);
        assert!(
            row["processor"]
                .as_str()
                .unwrap()
                .starts_with(earlier["runtime"]["cpu"].as_str().unwrap())
        );
        assert!(row["features"]["median_s"].as_f64().unwrap() > 0.0 && row["features"]["ratio"].is_null());
        let [ours, ratio] = ["median_s", "ratio"].map(|key| row["quantize"][key].as_f64().unwrap());
        let theirs = earlier["results"]["quantize"]["median_s"].as_f64().unwrap();
        assert!((ours * ratio / theirs - 1.0).abs() < 1e-9, "{row}");
    }

    let output = bench(folder.path(), &format!("{SMALL} --report --tasks quantize"));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(lines.len(), 2 + expected.len(), "{text}");
    assert!(lines.iter().all(|line| line.matches('|').count() == 6), "{text}");

    let told = ["--report --backend flex", "--report --dtype bf16"].map(|options| refusal(folder.path(), options));
    assert!(
        told.iter()
            .all(|told| told.contains("cannot be used with") && told.ends_with("exit 2\n")),
        "{told:?}"
    );
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
