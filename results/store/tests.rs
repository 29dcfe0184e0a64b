//! Records on disk: paths, replacement as a whole, search, and errors that name the file.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::{other, record};
use crate::predictions::ProtocolScores;
use std::error::Error;

fn predictions() -> Predictions {
    let scores = vec![0.25, -1.5, 1e-7, 3.0];
    let protocols = vec![ProtocolScores {
        protocol: "linear-probe".into(),
        scores,
    }];
    Predictions::new(
        vec!["1-1-A".into(), "1-2-A".into()],
        vec![vec![0], vec![1]],
        2,
        protocols,
    )
    .unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn paths_say_what_was_run() {
    let mut run = record(3, 165);
    assert_eq!(
        RunName::of(&run).path(),
        Path::new("esc50/bridle-rq/0123456789ab-flex-fp32-s3-f1.json")
    );
    run.fold = None;
    assert_eq!(
        RunName::of(&run).path(),
        Path::new("esc50/bridle-rq/0123456789ab-flex-fp32-s3.json")
    );
    let control = other(record(0, 165), None, "ffffffffffffffff", 100);
    assert_eq!(
        RunName::of(&control).path(),
        Path::new("esc50/random-init/ffffffffffff-flex-fp32-s0-f1.json")
    );
    run.plan["task"] = "../my data".into();
    assert_eq!(
        RunName::of(&run).path(),
        Path::new("-..-my-data/bridle-rq/0123456789ab-flex-fp32-s3.json")
    );
}

#[test]
fn a_run_replaces_its_like_whole() {
    let out = tempfile::tempdir().unwrap();
    let written = write(out.path(), &record(0, 165), Some(&predictions())).unwrap();
    let folder = written.parent().unwrap();
    let stem = "0123456789ab-flex-fp32-s0-f1";
    assert_eq!(
        files(folder),
        [format!("{stem}.json"), format!("{stem}.predictions.csv")]
    );
    let read_back = read(&written).unwrap();
    assert_eq!(read_back.predictions, Some(format!("{stem}.predictions.csv")));
    assert_eq!(
        read_predictions(&written, &read_back).unwrap(),
        Some(Outputs::Scores(predictions()))
    );

    let again = write(out.path(), &record(0, 170), None).unwrap();
    assert_eq!(again, written);
    assert_eq!(read(&again).unwrap(), record(0, 170).with_hash().unwrap());
    assert_eq!(files(folder), [format!("{stem}.json")]);
}

#[test]
fn a_record_is_the_same_with_a_byte_order_mark() {
    let out = tempfile::tempdir().unwrap();
    let path = write(out.path(), &record(0, 165), None).unwrap();
    let marked = [b"\xef\xbb\xbf".to_vec(), std::fs::read(&path).unwrap()].concat();
    std::fs::write(&path, marked).unwrap();
    assert_eq!(read(&path).unwrap(), record(0, 165).with_hash().unwrap());
}

#[test]
fn an_unwritable_record_leaves_the_old_one() {
    let out = tempfile::tempdir().unwrap();
    let path = write(out.path(), &record(0, 165), Some(&predictions())).unwrap();
    let mut broken = record(0, 165);
    broken.phases[0].loss.last = f64::NAN;
    assert!(matches!(
        write(out.path(), &broken, None),
        Err(StoreError::Record { .. })
    ));
    let mut nan = predictions();
    nan.protocols[0].scores[0] = f32::NAN;
    assert!(matches!(
        write(out.path(), &record(0, 1), Some(&nan)),
        Err(StoreError::Predictions { .. })
    ));
    assert_eq!(read(&path).unwrap().scores, record(0, 165).scores);
}

#[test]
fn every_record_is_found_once_and_in_order() {
    let out = tempfile::tempdir().unwrap();
    for seed in [2, 0, 1] {
        write(out.path(), &record(seed, 165), Some(&predictions())).unwrap();
    }
    let vq = write(
        out.path(),
        &other(record(0, 165), Some("vq"), "aaaaaaaaaaaa", 150),
        None,
    )
    .unwrap();
    fs::write(vq.with_file_name(".half.json.1.tmp"), "{").unwrap();
    fs::write(out.path().join("README.md"), "not searched").unwrap();
    let found = find(&[vq.clone(), out.path().to_path_buf()]).unwrap();
    let seeds: Vec<_> = found
        .iter()
        .map(|(_, record)| (record.quantizer().unwrap(), record.seed))
        .collect();
    assert_eq!(seeds, [("rq", 0), ("rq", 1), ("rq", 2), ("vq", 0)]);
}

#[test]
fn errors_name_the_file() {
    let out = tempfile::tempdir().unwrap();
    let told = |error: StoreError| {
        let message = error.to_string().replace(&out.path().display().to_string(), "OUT");
        error
            .source()
            .map_or(message.clone(), |source| format!("{message}: {source}"))
    };
    let mut messages = vec![told(find(&[out.path().to_path_buf()]).unwrap_err())];
    messages.push(told(find(&[out.path().join("gone")]).unwrap_err()));
    fs::write(out.path().join("note.json"), "{\"a\": 1}").unwrap();
    messages.push(told(find(&[out.path().to_path_buf()]).unwrap_err()));
    fs::write(out.path().join("note.json"), [0xff, 0xfe, 0]).unwrap();
    messages.push(told(find(&[out.path().join("note.json")]).unwrap_err()));
    let mut lost = record(0, 165);
    lost.predictions = Some("lost.predictions.csv".into());
    messages.push(told(read_predictions(&out.path().join("x.json"), &lost).unwrap_err()));
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_folder_that_cannot_be_written_is_found_at_once() {
    let out = tempfile::tempdir().unwrap();
    let new = out.path().join("a/b");
    prove_writable(&new).unwrap();
    assert_eq!(files(&new), Vec::<String>::new());
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = prove_writable(&path).unwrap_err();
        assert!(
            matches!(&error, StoreError::NotWritable { path: named, .. } if *named == path),
            "{error}"
        );
    }
    assert!(matches!(
        write(&file, &record(0, 165), None),
        Err(StoreError::Write { .. })
    ));
}

#[test]
fn runs_on_other_data_of_ones_own_have_names_of_their_own() {
    let mut run = record(0, 165);
    let known = RunName::of(&run).path();
    run.data.counts = [("train".to_owned(), 1_599), ("test".to_owned(), 401)].into();
    assert_eq!(RunName::of(&run).path(), known, "a known variant is named by the plan");
    run.data.variant = record::DIFFERENT.into();
    let mut names = vec![RunName::of(&run).path()];
    run.data.samples_sha256 = Some("1".repeat(64));
    names.push(RunName::of(&run).path());
    run.data.manifest_sha256 = Some("2".repeat(64));
    names.push(RunName::of(&run).path());
    run.data.counts.insert("test".to_owned(), 400);
    names.push(RunName::of(&run).path());
    names.push(known);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), 5, "{names:?}");
    assert!(
        names[0].to_str().unwrap().ends_with("-flex-fp32-s0-f1.json"),
        "{names:?}"
    );
}

#[test]
fn hidden_files_envelopes_and_schemas_are_no_records() {
    let out = tempfile::tempdir().unwrap();
    let path = write(out.path(), &record(0, 165), None).unwrap();
    fs::write(path.with_file_name("._x.json"), [0, 5, 22, 7]).unwrap();
    fs::create_dir(out.path().join(".git")).unwrap();
    fs::write(out.path().join(".git/a.json"), "{").unwrap();
    for name in ["esc50.envelope.json", "record.schema.json"] {
        fs::write(out.path().join(name), "{}").unwrap();
    }
    let found = find(&[out.path().to_path_buf()]).unwrap();
    assert_eq!(found.len(), 1);
}

#[test]
fn predictions_are_a_plain_file_beside_the_record() {
    let out = tempfile::tempdir().unwrap();
    let path = write(out.path(), &record(0, 165), Some(&predictions())).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let own = "\"0123456789ab-flex-fp32-s0-f1.predictions.csv\"";
    for name in [
        "/etc/passwd",
        "../a.csv",
        "below/a.csv",
        "..",
        "",
        ".",
        "C:a.csv",
        "a\\b",
        "/proc/self/environ",
    ] {
        let edited = text.replace(own, &serde_json::to_string(name).unwrap());
        assert_ne!(edited, text);
        let error = RunRecord::from_json(&edited).unwrap_err();
        assert!(matches!(error, RecordError::PredictionsName { .. }), "{name}: {error}");
    }
    let error = |record: &RunRecord| read_predictions(&path, record).unwrap_err();
    let mut run = read(&path).unwrap();
    run.predictions = Some("folder".into());
    fs::create_dir(path.with_file_name("folder")).unwrap();
    assert!(matches!(error(&run), StoreError::NoFile { .. }));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/dev/zero", path.with_file_name("zero")).unwrap();
        run.predictions = Some("zero".into());
        assert!(matches!(error(&run), StoreError::NoFile { .. }));
    }
}

#[test]
fn predictions_of_another_run_are_noticed() {
    let out = tempfile::tempdir().unwrap();
    let path = write(out.path(), &record(0, 165), Some(&predictions())).unwrap();
    let run = read(&path).unwrap();
    let csv = path.with_extension("predictions.csv");
    let other = fs::read_to_string(&csv).unwrap().replace("0.25", "0.5");
    fs::write(&csv, other).unwrap();
    let error = read_predictions(&path, &run).unwrap_err();
    assert!(matches!(error, StoreError::OtherPredictions { .. }), "{error}");
    let older = RunRecord {
        predictions_sha256: None,
        ..run
    };
    assert!(read_predictions(&path, &older).unwrap().is_some());
}
