//! What a step may be made of without changing what is learnt: one batch or several, f32 or bf16.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_backends::kernel::Product;
use bridle_results::store;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A plan of a few seconds. Its decoder drops nothing out, and nothing of one sample touches another in its first phase.
const PLAN: &str = "--task synthetic --preset smoke --subset 12 --set data.frames=64 --set quantizer.codes=16 \
                    --set model.estimator.depth=1 --set probe.epochs=2 --set pretrain.encoder.epochs=3 \
                    --set pretrain.encoder.warmup_epochs=0";

fn run(folder: &Path, options: &str) {
    let line = format!("run {PLAN} {options}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    let output = command.env_remove("BRIDLE_DATA").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options}: {said}");
}

/// All files below `folder` of this name or ending.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let found = paths.flat_map(|path| if path.is_dir() { files(&path, end) } else { vec![path] });
    found
        .filter(|path| path.to_str().is_some_and(|name| name.ends_with(end)))
        .collect()
}

/// The losses of a phase, step by step.
fn losses(folder: &Path, phase: &str) -> Vec<f64> {
    let [log] = &files(&folder.join("runs/synthetic"), "metrics.jsonl")[..] else {
        panic!("one log was to be written")
    };
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_phase = lines.filter(|line| line["phase"] == phase);
    of_phase.map(|line| line["loss"].as_f64().unwrap()).collect()
}

/// The largest difference over the value.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    assert!(a.len() > 3);
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max)
}

#[test]
fn several_batches_of_a_step_are_one_of_their_samples() {
    let of = |options: &str| {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), options);
        ["encoder-1", "tokenizer-1"].map(|phase| losses(folder.path(), phase))
    };
    let whole = of("--set pretrain.batch=12");
    for (batch, accumulate) in [(6, 2), (3, 4)] {
        let parts = of(&format!(
            "--set pretrain.batch={batch} --set pretrain.accumulate={accumulate}"
        ));
        let difference = apart(&parts[0], &whole[0]);
        assert!(difference < 1e-4, "{accumulate} x {batch}: {difference}");
        // codebooks move once for each batch, so that a tokenizer phase is another one
        assert_eq!(parts[1].len(), whole[1].len());
    }
}

#[test]
fn blocks_that_keep_their_input_alone_learn_the_same() {
    let of = |options: &str| {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), options);
        ["encoder-1", "tokenizer-1"].map(|phase| losses(folder.path(), phase))
    };
    let (all, little) = (
        of("--set pretrain.batch=6"),
        of("--set pretrain.batch=6 --set pretrain.checkpoint=true"),
    );
    for (all, little) in all.iter().zip(&little) {
        let difference = apart(little, all);
        assert!(difference < 1e-4, "{difference}");
    }
}

#[test]
fn one_batch_a_step_is_no_value_of_a_plan() {
    let hash = |options: &str| {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), options);
        let [path] = &files(&folder.path().join("results/records"), ".json")[..] else {
            panic!("one record was to be written")
        };
        let record = store::read(path).unwrap();
        (record.plan_hash, record.plan.contains_key("pretrain.accumulate"))
    };
    let one = hash("");
    assert!(!one.1);
    assert_eq!(hash("--set pretrain.accumulate=1 --set pretrain.checkpoint=false"), one);
    let two = hash("--set pretrain.accumulate=2");
    assert!(two.1);
    assert_ne!(two.0, one.0);
}

#[test]
fn losses_in_bf16_follow_those_in_f32_and_the_record_says_which() {
    let of = |dtype: &str| {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &format!("--dtype {dtype}"));
        let [path] = &files(&folder.path().join("results/records"), ".json")[..] else {
            panic!("one record was to be written")
        };
        let record = store::read(path).unwrap();
        assert_eq!(record.backend.dtype, dtype);
        let product = (dtype == "bf16").then(|| Product::of_this_processor().about());
        assert_eq!(record.machine.bf16.as_deref(), product);
        losses(folder.path(), "encoder-1")
    };
    let (single, half) = (of("fp32"), of("bf16"));
    let difference = apart(&half, &single);
    assert!(difference < 0.01, "{difference}");
    let rounds = Product::of_this_processor() != Product::F32;
    assert_eq!(difference > 1e-7, rounds, "{difference}");
}
