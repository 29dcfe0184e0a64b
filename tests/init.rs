//! Weights that leave a run as a file and come back: judged again, they give the run's own numbers.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle::weights::{self, Values, Weights};
use bridle_baselines::import;
use bridle_bench::run::encoder_file::EncoderFile;
use bridle_results::record::RunRecord;
use bridle_results::store;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A pretraining of a few seconds on the built-in task.
const PLAN: &str = "--task synthetic --preset smoke --subset 40 --set data.frames=128";
const PRETRAINING: &str = "--quantizer rq --set quantizer.codes=64 --set model.estimator.depth=1 \
                           --set model.decoder.dim=32 --set model.decoder.depth=1 \
                           --set pretrain.encoder.epochs=1 --set pretrain.rounds=1";

fn program(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    // so that no cell of a table takes several lines
    command.env("COLUMNS", "300");
    command.args(line.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).env_remove("BRIDLE_DATA").output().unwrap()
}

fn done(folder: &Path, line: &str) {
    let output = program(folder, line);
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The exit code and what was told.
fn refusal(folder: &Path, line: &str) -> (Option<i32>, String) {
    let output = program(folder, line);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The one record of a method, and where it lies.
fn record(folder: &Path, method: &str) -> (PathBuf, RunRecord) {
    let records = store::find(&[folder.join("results/records/synthetic").join(method)]).unwrap();
    let [(path, record)] = &records[..] else {
        panic!("one record of {method} was to be written")
    };
    (path.clone(), record.clone())
}

/// A state dictionary as the authors' program saves it: a whole model's, of which the encoder is a part.
fn write_by_authors_names(path: &Path, encoder: &Weights) {
    let rename = |(name, values): (&String, &Values)| {
        let name = format!("encoder.{name}");
        let data = import::to_authors(&name, values);
        let shape = match values.shape[..] {
            [rows, columns] if import::is_transposed(&name) => vec![columns, rows],
            _ => values.shape.clone(),
        };
        let theirs = import::authors_name(&name, import::Release::AudioImage);
        (format!("encoder_decoder.{theirs}"), Values { shape, data })
    };
    let weights = encoder.iter().map(rename).collect();
    std::fs::write(path, weights::to_safetensors(&weights, HashMap::new()).unwrap()).unwrap();
}

#[test]
fn exported_weights_judged_again_give_the_runs_own_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, &format!("run {PLAN} {PRETRAINING} --protocol linear-probe,knn"));
    let (path, own) = record(folder, "bridle-rq");
    done(folder, &format!("export {} --to encoder.safetensors", path.display()));
    done(
        folder,
        &format!("run {PLAN} --init encoder.safetensors --protocol linear-probe,knn"),
    );
    let (again_path, again) = record(folder, "init");
    assert_eq!(own.scores, again.scores);
    let predictions = |path: &Path| std::fs::read(path.with_extension("predictions.csv")).unwrap();
    assert_eq!(predictions(&path), predictions(&again_path));
    assert!(again.phases.is_empty() && again.pretrain_hash.is_none());
    assert_eq!(again.plan["init.name"], "encoder.safetensors");
    assert_eq!(again.plan["model.dim"], own.plan["model.dim"]);

    // the same weights under another name are the same plan; fine-tuning starts from them too
    std::fs::rename(folder.join("encoder.safetensors"), folder.join("other.safetensors")).unwrap();
    let short = "--protocol finetune --set finetune.epochs=1 --set finetune.warmup_epochs=0";
    done(
        folder,
        &format!("run {PLAN} --init other.safetensors {short} --out finetuned"),
    );

    // by the authors' names and in their layout, imported again, they are the same weights
    let own = EncoderFile::read(&folder.join("other.safetensors")).unwrap();
    write_by_authors_names(&folder.join("theirs.safetensors"), &own.weights);
    let sizes = "--task synthetic --preset smoke --set data.frames=128";
    done(
        folder,
        &format!("import theirs.safetensors --release audio-image {sizes} --to imported.safetensors"),
    );
    let imported = EncoderFile::read(&folder.join("imported.safetensors")).unwrap();
    assert_eq!(imported.weights, own.weights);
    assert_eq!((imported.card.origin, imported.card.model), (None, own.card.model));
    let (code, told) = refusal(
        folder,
        &format!("import theirs.safetensors --release audio-image {sizes} --set model.dim=96 --to x.safetensors"),
    );
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("which does not fit"), "{told}");

    // a file cut short is no encoder file, and says so
    let bytes = std::fs::read(folder.join("other.safetensors")).unwrap();
    std::fs::write(folder.join("cut.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    let (code, told) = refusal(folder, &format!("run {PLAN} --init cut.safetensors"));
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("`cut.safetensors` holds no weights"), "{told}");
    let (code, told) = refusal(folder, &format!("run {PLAN} --init none.safetensors"));
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("cannot read `none.safetensors`"), "{told}");
    let (code, told) = refusal(folder, &format!("export {} --to x.safetensors", again_path.display()));
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("which pretrains nothing"), "{told}");
}

#[test]
fn an_ablation_runs_every_change_that_the_plan_has_a_place_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let output = program(
        folder,
        &format!("run {PLAN} {PRETRAINING} --set probe.epochs=20 --ablation"),
    );
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let records = store::find(&[folder.join("results/records")]).unwrap();
    let changes = [
        ("quantizer.restart", "by-usage"),
        ("quantizer.space", "raw"),
        ("position.audio_rows", "token-order"),
        ("cold_start.position", "out"),
        ("augment.roll", "uniform"),
        ("init.patch", "glorot"),
    ];
    // plans do not write Glorot's weights
    let value = |record: &RunRecord, key: &str| record.plan.get(key).map_or("glorot".into(), Clone::clone);
    // the authors' plan, each change alone, all together
    assert_eq!(records.len(), changes.len() + 2);
    let changed = |record: &RunRecord| {
        changes
            .iter()
            .filter(|(key, wanted)| value(record, key) == **wanted)
            .count()
    };
    let mut counts: Vec<usize> = records.iter().map(|(_, record)| changed(record)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 1, 1, 1, 1, 1, 1, changes.len()]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("all together"), "{table}");
}
