//! Laws of the files that this crate reads: whatever the bytes, there is a value that keeps its word
//! or an error that names the file; never a panic. Only tests call them: a fuzzer would have
//! to build burn.
#![allow(clippy::unwrap_used)] // a failed unwrap is a broken law

use crate::bench::against::Against;
use crate::command::splice;
use crate::embeddings::Embeddings;
use crate::plan::hash::{plan_hash, require_same};
use crate::plan::{Flat, Plan, PlanRequest};
use crate::replay::{self, Law};
use crate::run::checkpoint;
use crate::run::encoder_file::{self, EncoderFile};
use crate::run::metrics_log::MetricsLog;
use crate::study::Study;
use bridle::weights;
use bridle_baselines::import::{from_authors, to_authors};
use std::path::{Path, PathBuf};

/// The laws by name, which is also that of the folder of their kept inputs.
const LAWS: [(&str, Law); 9] = [
    ("bench-report", bench_report),
    ("checkpoint", checkpoint),
    ("embeddings", embeddings),
    ("encoder-file", encoder_file),
    ("metrics-log", metrics_log),
    ("plan", plan),
    ("plan-values", plan_values),
    ("splice", splice),
    ("study", study),
];

#[test]
fn every_law_holds_for_kept_and_damaged_inputs() {
    replay::hold(&LAWS, 300);
}

/// A file of this name and content in a folder of its own.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// An error names the file.
fn names(path: &Path, error: impl ToString) {
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
}

/// Vectors that are read have a length.
fn embeddings(bytes: &[u8]) {
    let (_folder, path) = file("vectors", bytes);
    match Embeddings::read(&path) {
        Ok(read) => assert!(read.dim > 0),
        Err(error) => names(&path, error),
    }
}

fn bench_report(bytes: &[u8]) {
    let (_folder, path) = file("report.json", bytes);
    let _ = Against::read(&path).map_err(|error| names(&path, error));
}

/// Weights and header that are read are written and read again the same, with a checksum now.
fn checkpoint(bytes: &[u8]) {
    let path = Path::new("c.safetensors");
    match checkpoint::from_bytes(path, bytes, false) {
        Ok((read, header)) => {
            let size = |values: &weights::Values| values.shape.iter().product::<usize>();
            assert!(read.values().all(|values| values.data.len() == size(values)));
            let written = checkpoint::to_bytes(&read, header.clone()).unwrap();
            let (again, same) = checkpoint::from_bytes(path, &written, true).unwrap();
            let bits = |all: weights::Weights| -> Vec<(String, Vec<usize>, Vec<u32>)> {
                let bits = |data: Vec<f32>| data.into_iter().map(f32::to_bits).collect();
                all.into_iter()
                    .map(|(name, values)| (name, values.shape, bits(values.data)))
                    .collect()
            };
            assert_eq!((bits(again), same), (bits(read.clone()), header));
            for values in read.values() {
                foreign_weights(values);
            }
        }
        Err(error) => names(path, error),
    }
    let (_folder, path) = file("c.safetensors", bytes);
    let _ = checkpoint::read_file::<serde_json::Value>(&path).map_err(|error| names(&path, error));
}

/// Foreign weights of any shape become ours of the shape that is asked for, or none.
fn foreign_weights(theirs: &weights::Values) {
    for name in [
        "encoder.blocks.0.attn.weight",
        "encoder.norm.weight",
        "tokenizer.vectors",
    ] {
        for shape in [vec![2, 3], vec![3, 2], vec![1], vec![0, 4], theirs.shape.clone()] {
            if let Some(ours) = from_authors(name, &shape, theirs) {
                assert_eq!(ours.data.len(), shape.iter().product::<usize>());
                assert_eq!(ours.shape, shape);
                assert_eq!(to_authors(name, &ours).len(), ours.data.len());
            }
        }
    }
}

/// An encoder file that is read can be written, and reads the same.
fn encoder_file(bytes: &[u8]) {
    let (folder, path) = file("a.safetensors", bytes);
    match EncoderFile::read(&path) {
        Ok(read) => {
            let again = folder.path().join("b.safetensors");
            encoder_file::write(&again, &read.card, &read.weights).unwrap();
            let again = EncoderFile::read(&again).unwrap();
            assert_eq!((again.card, again.weights.len()), (read.card, read.weights.len()));
        }
        Err(error) => names(&path, error),
    }
}

/// A log is cut to whole lines at its start, and not cut again.
fn metrics_log(bytes: &[u8]) {
    let (_folder, path) = file("metrics.jsonl", bytes);
    MetricsLog::open(&path, Some(5)).unwrap();
    let kept = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(&kept) && (kept.is_empty() || kept.ends_with(b"\n")));
    MetricsLog::open(&path, Some(5)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), kept);
}

/// The flat map of a plan, as a run's folder stores it: equal to itself, and read to what it says.
fn plan(bytes: &[u8]) {
    let Ok(stored) = serde_json::from_slice::<Flat>(bytes) else {
        return;
    };
    require_same(&stored, &stored, Path::new("runs/1")).unwrap();
    if let Ok(plan) = Plan::from_flat(&stored) {
        assert_eq!(Plan::from_flat(&plan.to_flat()).unwrap(), plan);
        assert_eq!(plan_hash(plan.to_flat()), plan.plan_hash());
    }
}

/// Lines of `key=value`, as `--set` and studies give them: a plan that is resolved can be stored.
fn plan_values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let request = PlanRequest {
        task: "synthetic".to_owned(),
        set: text.lines().map(str::to_owned).collect(),
        ..PlanRequest::default()
    };
    // a task file is read like the file that the words name
    if text.contains("task") {
        return;
    }
    if let Ok(plan) = Plan::resolve(&request) {
        assert_eq!(Plan::from_flat(&plan.to_flat()).unwrap(), plan);
    }
}

/// A page that is filled is not filled otherwise a second time; an error names file and line.
fn splice(bytes: &[u8]) {
    let page = String::from_utf8_lossy(bytes);
    // tables are of whatever lies there
    if ["table", "compare"].iter().any(|word| page.contains(word)) {
        return;
    }
    match splice::fill(Path::new("page.md"), &page) {
        Ok(filled) => {
            let again = splice::fill(Path::new("page.md"), &filled.page)
                .map_err(|error| error.message())
                .unwrap();
            assert!(again.page == filled.page && again.outdated.is_empty());
        }
        Err(error) => {
            let message = error.message();
            let place = message.strip_prefix("page.md:").unwrap_or_else(|| panic!("{message}"));
            let line: usize = place.split(':').next().unwrap().parse().unwrap();
            assert!((1..=page.lines().count()).contains(&line), "{message}");
        }
    }
}

/// A study that is read has time to run in, and its reference among its arms.
fn study(bytes: &[u8]) {
    let (_folder, path) = file("study.toml", bytes);
    match Study::read(&path) {
        Ok(study) => {
            assert!(study.hours > 0.0 && study.arms.iter().any(|arm| arm.name == study.reference));
        }
        Err(error) => names(&path, error.message()),
    }
}
