//! `judge` on the real program: embeddings have the scores of the encoder that made them, and files
//! that do not fit are named.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod program;

use bridle::weights;
use bridle_results::record::{RunRecord, Score};
use bridle_results::store;
use program::{done, refusal, write_tones};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A pretraining of a second on them.
const RUN: &str = "run --task tones.toml --preset smoke --quantizer rq --set quantizer.codes=8 \
                   --set pretrain.encoder.epochs=1 --set pretrain.encoder.warmup_epochs=0 --set pretrain.rounds=1 \
                   --set model.estimator.depth=1 --set model.decoder.dim=32 --set model.decoder.depth=1";
const PROTOCOLS: &str = "--preset smoke --protocol linear-probe,knn --seeds 2 --format json";

/// `encoder.safetensors`, and `features.safetensors` with a vector for each file.
fn prepare(folder: &Path) {
    write_tones(folder, 32);
    done(folder, &format!("{RUN} --out made"));
    let records = store::find(&[folder.join("made")]).unwrap();
    let (path, _) = records.iter().find(|(_, record)| record.method() == "bridle").unwrap();
    done(folder, &format!("export {} --to encoder.safetensors", path.display()));
    done(folder, "features --init encoder.safetensors --files files");
}

/// The records of a method, by seed.
fn records(folder: &Path, method: &str) -> Vec<(PathBuf, RunRecord)> {
    let mut records = store::find(&[folder.join("results/records")]).unwrap();
    records.retain(|(_, record)| record.method() == method);
    records.sort_by_key(|(_, record)| record.seed);
    records
}

/// A score without what a record says of the features in words.
fn numbers(score: &Score) -> Score {
    let mut score = score.clone();
    score.details.shift_remove("features");
    score
}

/// How many files there are at any depth.
fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |path: &Path| if path.is_dir() { files_below(path) } else { 1 };
    entries.map(|entry| count(&entry.path())).sum()
}

#[test]
fn features_that_were_written_have_the_scores_of_their_encoder_digit_for_digit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    done(
        folder,
        &format!("run --task tones.toml --init encoder.safetensors {PROTOCOLS}"),
    );
    let table = done(
        folder,
        &format!("judge --task tones.toml --embeddings features.safetensors --name mine {PROTOCOLS}"),
    );
    assert!(table.contains("\"mine\""), "{table}");
    let (own, judged) = (records(folder, "init"), records(folder, "mine"));
    assert_eq!((own.len(), judged.len()), (2, 2));
    // the control of own data is a random encoder, not the given one
    let control = records(folder, "random-init");
    let predictions = |path: &Path| fs::read(path.with_extension("predictions.csv")).unwrap();
    assert!(
        control
            .iter()
            .zip(&own)
            .all(|(control, own)| predictions(&control.0) != predictions(&own.0))
    );
    for ((path, own), (judged_path, judged)) in own.iter().zip(&judged) {
        assert_eq!(
            own.scores.iter().map(numbers).collect::<Vec<_>>(),
            judged.scores.iter().map(numbers).collect::<Vec<_>>()
        );
        assert_eq!(predictions(path), predictions(judged_path));
        assert!(judged_path.starts_with(folder.join("results/records/tones/mine")));
        assert!(judged.pretrain_hash.is_none() && judged.phases.is_empty());
        assert_eq!(judged.plan["method"], "embeddings");
        assert_eq!(judged.plan["model.dim"], own.plan["model.dim"]);
        assert!(judged.scores.iter().all(|score| score.protocol != "linear-probe"
            || score.metric != "top1"
            || score.details["features"] == "vectors as they were given"));
    }

    // everything that reads records knows them by their name
    let mine = "results/records/tones/mine";
    let compared = done(
        folder,
        &format!("compare {mine} results/records/tones/init --format json"),
    );
    assert!(compared.contains("\"value\": 0.0"), "{compared}");
    let filtered = done(
        folder,
        "compare results/records results/records --where-a method=mine --where-b method=init --format json",
    );
    assert!(filtered.contains("mine"), "{filtered}");
    done(folder, &format!("regress --baseline gate.toml --write {mine}"));
    assert!(
        fs::read_to_string(folder.join("gate.toml"))
            .unwrap()
            .contains("method = \"mine\"")
    );
    done(folder, &format!("regress --baseline gate.toml {mine}"));
    assert!(done(folder, "table --format html").contains("mine"));

    // the same vectors by the samples' ids in a matrix, under another name: another row, the same hash
    let (vectors, _) = weights::from_safetensors(&fs::read(folder.join("features.safetensors")).unwrap()).unwrap();
    let ids: Vec<&String> = vectors.keys().collect();
    let bytes: Vec<u8> = vectors
        .values()
        .flat_map(|vector| &vector.data)
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let matrix = TensorView::new(Dtype::F32, vec![ids.len(), bytes.len() / 4 / ids.len()], &bytes).unwrap();
    let header = HashMap::from([("ids".to_owned(), serde_json::to_string(&ids).unwrap())]);
    let file = safetensors::serialize([("embeddings", matrix)], Some(header)).unwrap();
    fs::write(folder.join("matrix"), file).unwrap();
    let judge = |embeddings: &str, name: &str| {
        let line = format!("judge --task tones.toml --embeddings {embeddings} --name {name} {PROTOCOLS}");
        done(folder, &line);
        records(folder, name)
    };
    let (again, other) = (judge("features.safetensors", "again"), judge("matrix", "other"));
    assert_eq!(again[0].1.plan_hash, judged[0].1.plan_hash);
    assert_ne!(
        other[0].1.plan_hash, judged[0].1.plan_hash,
        "another file is another plan"
    );
    for (found, judged) in again.iter().chain(&other).zip(judged.iter().chain(&judged)) {
        assert_eq!(found.1.scores, judged.1.scores);
    }
}

#[test]
fn files_and_names_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let judge = |code: i32, rest: &str| refusal(folder, code, &format!("judge --task tones.toml {rest}"));
    // ids as `check` prints them
    let checked = done(folder, "check --task tones.toml --format json");
    let checked: serde_json::Value = serde_json::from_str(&checked).unwrap();
    let parts = checked["ids"].as_object().unwrap().values();
    let mut ids: Vec<&str> = parts
        .flat_map(|part| part.as_array().unwrap())
        .map(|id| id.as_str().unwrap())
        .collect();
    ids.sort_unstable();
    let (mut vectors, header) =
        weights::from_safetensors(&fs::read(folder.join("features.safetensors")).unwrap()).unwrap();
    assert!(ids.iter().copied().eq(vectors.keys().map(String::as_str)), "{ids:?}");

    let missing = vectors
        .remove("files/high/high3.wav")
        .or_else(|| vectors.remove("high/high3.wav"))
        .unwrap();
    vectors.insert("high/high99.wav".to_owned(), missing);
    vectors.get_mut("low/low1.wav").unwrap().data[0] = f32::INFINITY;
    fs::write(folder.join("bad"), weights::to_safetensors(&vectors, header).unwrap()).unwrap();
    let told = judge(3, "--embeddings bad --name x");
    for part in [
        "1 sample without a vector: high/high3.wav",
        "1 vector of no sample: high/high99.wav",
        "1 vector with numbers that are not finite as 32-bit floats: low/low1.wav",
        "try: ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(judge(3, "--embeddings none.npz --name x").contains("cannot read `none.npz`"));
    assert!(judge(3, "--embeddings tones.toml --name x").contains("neither a safetensors nor an npz"));
    let good = "--embeddings features.safetensors";
    assert!(judge(2, &format!("{good} --name bridle-rq")).contains("this program's own method"));
    assert!(judge(2, &format!("{good} --name x --protocol finetune")).contains("judged by linear-probe or knn"));
    assert!(judge(2, &format!("{good} --name x --set probe.layer=1")).contains("have no layers"));
    let told = refusal(
        folder,
        2,
        "judge --task digits --embeddings features.safetensors --name x",
    );
    assert!(told.contains("no method `embeddings`"), "{told}");
    let told = refusal(folder, 2, "run --task synthetic --method embeddings");
    assert!(told.contains("bridle-bench judge"), "{told}");
    assert_eq!(files_below(&folder.join("results")), 0, "nothing was written");
}
