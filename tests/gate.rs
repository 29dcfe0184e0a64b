//! What is made of records, on the real program: the gate, comparisons, and every form of the tables.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

fn code(folder: &Path, line: &str) -> i32 {
    let output = run(folder, line);
    let code = output.status.code().unwrap();
    assert_ne!(code, 1, "{line}: {}", String::from_utf8_lossy(&output.stderr));
    code
}

fn stdout(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn all_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_below(&path, found)
        } else {
            found.push(path)
        }
    }
}

/// A folder with copies of the committed ESC-50 records and their predictions.
fn copies() -> (tempfile::TempDir, Vec<PathBuf>) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/records/esc50");
    let to = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    all_below(&from, &mut files);
    let mut records = Vec::new();
    for file in files {
        let copy = to.path().join("records").join(file.strip_prefix(&from).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(&file, &copy).unwrap();
        records.extend((copy.extension().unwrap() == "json").then_some(copy));
    }
    records.sort();
    assert!(records.len() > 1);
    (to, records)
}

fn edit(record: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(record, value.to_string()).unwrap();
}

/// A change to a record.
type Edit = fn(&mut Value);

/// The first record with a codebook.
fn quantized(records: &[PathBuf]) -> &PathBuf {
    records
        .iter()
        .find(|path| path.to_string_lossy().contains("bridle-rq"))
        .unwrap()
}

#[test]
fn the_gate_holds_what_was_written_and_catches_what_moved() {
    let gate = "regress --baseline baseline.toml records";
    let write = format!("{gate} --write");
    let edits: [(&str, Edit); 4] = [
        ("an accuracy that fell", |record| {
            let value = record["scores"][0]["value"].as_f64().unwrap();
            record["scores"][0]["value"] = json!(value - 0.06);
        }),
        ("a score without a value", |record| {
            record["scores"][0]["value"] = Value::Null
        }),
        ("a collapsed codebook", |record| {
            let book = &mut record["phases"][1]["codebooks"][2];
            book["used"] = json!(1);
            book["usage"] = json!(1.0 / 256.0);
            book["perplexity"] = json!(1.0);
        }),
        ("another plan", |record| record["plan_hash"] = json!("000000000000")),
    ];
    for (what, change) in edits {
        let (folder, records) = copies();
        assert_eq!(code(folder.path(), &write), 0);
        assert_eq!(code(folder.path(), gate), 0, "unchanged records pass");
        edit(quantized(&records), change);
        assert_eq!(code(folder.path(), gate), 10, "{what}");
    }
    let (folder, records) = copies();
    assert_eq!(code(folder.path(), &write), 0);
    std::fs::remove_file(quantized(&records)).unwrap();
    assert_eq!(
        code(folder.path(), &format!("{gate} --summary summary.md")),
        10,
        "a missing record"
    );
    assert!(
        std::fs::read_to_string(folder.path().join("summary.md"))
            .unwrap()
            .contains("FAILED")
    );
    let verdict: Value = serde_json::from_slice(&run(folder.path(), &format!("{gate} --format json")).stdout).unwrap();
    assert_eq!(verdict["passed"], json!(false));
}

#[test]
fn a_number_that_json_does_not_know_is_a_regression() {
    let (folder, records) = copies();
    let gate = "regress --baseline baseline.toml records";
    assert_eq!(code(folder.path(), &format!("{gate} --write")), 0);
    let record = quantized(&records);
    let text = std::fs::read_to_string(record).unwrap();
    let value = serde_json::from_str::<Value>(&text).unwrap()["scores"][0]["value"].to_string();
    std::fs::write(
        record,
        text.replacen(&format!("\"value\": {value}"), "\"value\": NaN", 1),
    )
    .unwrap();
    assert_eq!(code(folder.path(), gate), 10);
}

#[test]
fn a_curve_that_leaves_its_envelope_fails_the_gate_and_is_told_with_its_step() {
    let (folder, records) = copies();
    let folder = folder.path();
    let gate = "regress --baseline baseline.toml records";
    assert_eq!(code(folder, &format!("{gate} --write")), 0);
    let told = run(folder, &format!("{gate} --write-envelope"));
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        told.contains("baseline.envelope.json") && told.contains("3 runs"),
        "{told}"
    );
    assert_eq!(code(folder, gate), 0, "the runs themselves lie in it");
    // the loss of an encoder phase rises at its tenth point; the numbers of the baseline stay
    let record = records
        .iter()
        .find(|path| path.to_string_lossy().contains("b37bf53d72f0-tch-fp32-s1"));
    let mut step = 0;
    edit(record.unwrap(), |record| {
        let curve = &mut record["phases"][2]["curve"];
        step = curve["steps"][10].as_u64().unwrap();
        for loss in &mut curve["loss"].as_array_mut().unwrap()[10..] {
            *loss = json!(3.0 * loss.as_f64().unwrap());
        }
    });
    let found = run(folder, &format!("{gate} --format json"));
    assert_eq!(found.status.code(), Some(10));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["left_envelopes"].as_array().unwrap().len(), 1);
    let curve = &found["left_envelopes"][0]["curves"][0];
    assert_eq!(
        (&curve["phase"], &curve["what"], &curve["step"]),
        (&json!("encoder-2"), &json!("loss"), &json!(step))
    );
    for (format, what) in [
        ("terminal", "left the envelope of 3 runs"),
        ("github", "::error"),
        ("gitlab", "leaves at step"),
    ] {
        let found = run(folder, &format!("{gate} --format {format}"));
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(
            text.contains(what) && text.contains(&format!("step {step}")),
            "{format}: {text}"
        );
    }
    // what is no envelope; too few runs
    std::fs::write(folder.join("baseline.envelope.json"), "{}").unwrap();
    assert_eq!(code(folder, gate), 2);
    std::fs::remove_file(folder.join("baseline.envelope.json")).unwrap();
    let line = format!(
        "regress --baseline b.toml --write-envelope {}",
        record.unwrap().display()
    );
    assert_eq!(code(folder, &line), 2);
    assert!(!folder.join("b.envelope.json").exists());
}

#[test]
fn a_gate_that_cannot_judge_is_wrong_use() {
    let (folder, _) = copies();
    std::fs::write(folder.path().join("broken.toml"), "schema = 1\n[[run]]\ntask = 7\n").unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for line in [
        "regress --baseline nowhere.toml records",
        "regress --baseline broken.toml records",
        "regress --baseline baseline.toml empty --write",
        "compare empty records",
        "table records --only label",
        "table records --format pdf",
    ] {
        assert_eq!(code(folder.path(), line), 2, "{line}");
    }
}

#[test]
fn a_record_does_not_differ_from_its_copy() {
    let (folder, records) = copies();
    let record = quantized(&records).display().to_string();
    let found: Value = serde_json::from_str(&stdout(
        folder.path(),
        &format!("compare {record} {record} --format json"),
    ))
    .unwrap();
    let rows = found[0]["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let text = row.to_string();
        assert!(text.contains("no difference shown"), "{text}");
    }
    let table = stdout(folder.path(), &format!("compare {record} {record}"));
    // the same predictions on 400 samples do not prove that two methods are the same on all
    assert!(table.contains("+0.00 [-0.63, +0.63]"), "{table}");
}

#[test]
fn tables_come_in_every_form() {
    let (folder, _) = copies();
    let form = |format: &str| stdout(folder.path(), &format!("table records --format {format}"));
    assert!(form("latex").contains("\\toprule"));
    assert!(form("csv").starts_with("table,"));
    assert!(form("html").starts_with("<!DOCTYPE html>"));
    assert!(form("markdown").contains("| method"));
    let tables = |options: &str| serde_json::from_str::<Vec<Value>>(&form(&format!("json {options}"))).unwrap();
    let titles = |tables: &[Value]| {
        tables
            .iter()
            .map(|table| table["title"].to_string())
            .collect::<Vec<_>>()
    };
    let scores = tables("--published none");
    assert_eq!(titles(&scores), ["\"Scores\""]);
    assert_eq!(scores[0]["rows"][0]["scores"][0]["metric"], "top1");
    assert_eq!(
        titles(&tables("--only codebooks,labels")),
        ["\"Codebooks\"", "\"Labels\""]
    );
    assert!(form("latex").contains("\\label{tab:scores-") && !form("latex --style full").contains("\\cmidrule"));
    assert!(form("terminal").contains("Published numbers"));
}
