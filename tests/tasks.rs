//! The tasks of files on the real program: data in the layout of the original, made from real clips where the original
//! is not at hand.
//!
//! A run here is short and says nothing about accuracy; it shows that every step works and that the record is whole.
//! `BRIDLE_TASKS_KEEP` names a folder in which the data that is made stays, for runs by hand.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use bridle_tasks::decode;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What makes a run short: the plan's values that cost time.
const SHORT: &str = "--preset smoke --set model.dim=32 --set model.depth=1 --set pretrain.rounds=1 \
                     --set pretrain.encoder.epochs=1 --set probe.epochs=5";

/// The folder `name` within `$BRIDLE_DATA`; without it the test says so, and fails where `$BRIDLE_REQUIRE_DATA` is 1.
fn outside_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BRIDLE_DATA").map(|data| PathBuf::from(data).join(name));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        assert!(
            std::env::var("BRIDLE_REQUIRE_DATA").as_deref() != Ok("1"),
            "needs outside data: {name}, and $BRIDLE_REQUIRE_DATA is 1"
        );
        eprintln!("needs outside data: {name}");
    }
    folder
}

fn bench(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.output().unwrap()
}

/// Runs to the end and gives the records.
fn records(folder: &Path, line: &str) -> Vec<Value> {
    let output = bench(folder, &format!("run {SHORT} {line} --format json"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {told}");
    let mut found = Vec::new();
    all_records(&folder.join("results/records"), &mut found);
    found
}

fn all_records(folder: &Path, found: &mut Vec<Value>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_records(&path, found);
        } else if path.extension().unwrap() == "json" {
            found.push(serde_json::from_slice(&fs::read(path).unwrap()).unwrap());
        }
    }
}

fn metrics(record: &Value) -> Vec<(String, String)> {
    let word = |score: &Value, key: &str| score[key].as_str().unwrap().to_owned();
    let scores = record["scores"].as_array().unwrap().iter();
    scores
        .map(|score| (word(score, "protocol"), word(score, "metric")))
        .collect()
}

/// A clip of ESC-50 and its class.
struct Clip {
    stem: String,
    class: usize,
    fold: u8,
}

/// The clips of ESC-10, and the names of their classes.
fn esc10(folder: &Path) -> (Vec<Clip>, Vec<String>) {
    let text = fs::read_to_string(folder.join("meta/esc50.csv")).unwrap();
    let (mut clips, mut classes) = (Vec::new(), Vec::new());
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[4] != "True" {
            continue;
        }
        let class = classes.iter().position(|class| class == fields[3]).unwrap_or_else(|| {
            classes.push(fields[3].to_owned());
            classes.len() - 1
        });
        clips.push(Clip {
            stem: fields[0].trim_end_matches(".wav").to_owned(),
            class,
            fold: fields[1].parse().unwrap(),
        });
    }
    (clips, classes)
}

/// Two clips of one part, one after `step` others, summed: their samples and classes.
fn mixture(folder: &Path, clips: &[&Clip], index: usize, step: usize) -> (Vec<f32>, Vec<usize>) {
    let of = |clip: &Clip| {
        let bytes = fs::read(folder.join("audio").join(format!("{}.flac", clip.stem))).unwrap();
        decode(bytes, "flac").unwrap().samples
    };
    let (first, second) = (clips[index], clips[(index + step) % clips.len()]);
    let sum = of(first).iter().zip(of(second)).map(|(a, b)| 0.5 * (a + b)).collect();
    let mut classes = vec![first.class, second.class];
    classes.sort_unstable();
    classes.dedup();
    (sum, classes)
}

fn write_wav(path: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let whole = |&sample: &f32| (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16;
    samples
        .iter()
        .for_each(|sample| writer.write_sample(whole(sample)).unwrap());
    writer.finalize().unwrap();
}

/// AudioSet's own layout over mixtures of two clips of ESC-10: folds 2 to 5 train, fold 1 is the evaluation. `steps`
/// mixtures are made of each clip, the last listed one of each part is not there.
fn audioset(esc50: &Path, to: &Path, steps: usize) {
    let (clips, classes) = esc10(esc50);
    let mut index = "index,mid,display_name\n".to_owned();
    let names = classes.iter().enumerate();
    names.for_each(|(number, name)| writeln!(index, "{number},/m/{number:04},\"{name}, mixed\"").unwrap());
    fs::create_dir_all(to.join("clips")).unwrap();
    fs::write(to.join("class_labels_indices.csv"), index).unwrap();
    for (part, list) in ["balanced_train_segments.csv", "eval_segments.csv"].iter().enumerate() {
        let clips: Vec<&Clip> = clips.iter().filter(|clip| (clip.fold == 1) == (part == 1)).collect();
        let mut rows = String::new();
        let count = clips.len() * steps;
        for number in 0..count {
            let id = format!("{part}{number:010}");
            let (samples, classes) = mixture(esc50, &clips, number % clips.len(), 7 + 10 * (number / clips.len()));
            let labels: Vec<String> = classes.iter().map(|class| format!("/m/{class:04}")).collect();
            writeln!(rows, "{id}, 0.000, 5.000, \"{}\"", labels.join(",")).unwrap();
            if number + 1 < count {
                write_wav(&to.join(format!("clips/{id}.wav")), &samples);
            }
        }
        let head = format!(
            "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids={count}, num_segs={count}, num_unique_labels={}, num_positive_labels={count}\n# YTID, start_seconds, end_seconds, positive_labels\n",
            classes.len()
        );
        fs::write(to.join(list), head + &rows).unwrap();
    }
}

#[test]
fn audioset_in_its_own_layout_is_judged_by_map() {
    let Some(esc50) = outside_data("esc50") else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = match std::env::var_os("BRIDLE_TASKS_KEEP") {
        Some(keep) => PathBuf::from(keep).join("audioset"),
        None => folder.path().join("audioset"),
    };
    audioset(&esc50, &data, 1);
    let line = format!(
        "--task audioset-20k --data {} --quantizer rq --protocol linear-probe,knn,finetune --set data.frames=512 --set finetune.epochs=1",
        data.display()
    );
    // the lists are not the published ones, which must be said
    let output = bench(folder.path(), &format!("run {SHORT} {line}"));
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("10 classes, not 527"));

    let found = records(folder.path(), &format!("{line} --allow-different-data"));
    assert_eq!(found.len(), 1);
    let record = &found[0];
    let expected = ["linear-probe", "knn", "finetune"]
        .iter()
        .flat_map(|protocol| ["map", "map_all_classes", "auc", "dprime"].map(|metric| (protocol, metric)));
    let expected: Vec<(String, String)> = expected.map(|(p, m)| ((*p).to_owned(), m.to_owned())).collect();
    assert_eq!(metrics(record), expected);
    assert_eq!(record["data"]["missing"]["count"], 2);
    assert_eq!(record["plan"]["finetune.loss"], "binary");
    assert_eq!(record["scores"][0]["per_class"]["names"].as_array().unwrap().len(), 10);
    assert!(record["scores"][0]["details"]["held_out_map"].is_object());
    let table = String::from_utf8(bench(folder.path(), "table --format markdown").stdout).unwrap();
    assert!(table.contains("2 of 400 listed samples are missing"), "{table}");

    let wrong = format!("check {SHORT} {line} --allow-different-data --set finetune.loss=cross-entropy");
    assert_eq!(bench(folder.path(), &wrong).status.code(), Some(2));
}

#[test]
fn kinetics_runs_from_files_to_a_record() {
    let Some(kinetics) = outside_data("kinetics-mini") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "--task kinetics --data {} --allow-different-data --quantizer vq --subset 4 --set data.side=32 --set mask.ratio=0.5",
        kinetics.display()
    );
    let found = records(folder.path(), &line);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["data"]["variant"], "different");
    assert_eq!(found[0]["data"]["counts"]["train"], 24);
    assert_eq!(metrics(&found[0])[0], ("linear-probe".to_owned(), "top1".to_owned()));
    // several test views are another protocol on the same pretraining
    let again = bench(folder.path(), &format!("run {SHORT} {line} --set test.clips=2"));
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.success(), "{told}");
    assert!(told.contains("takes over the pretraining"), "{told}");
}

#[test]
fn ones_own_sounds_need_a_task_file_only() {
    let Some(fsdd) = outside_data("fsdd") else { return };
    let folder = tempfile::tempdir().unwrap();
    // <digit>_<speaker>_<n>.wav, the recordings 0 to 4 of each being the usual test part
    let mut table = "path,label,split\n".to_owned();
    let mut names: Vec<String> = fs::read_dir(fsdd.join("recordings"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".wav"))
        .collect();
    names.sort();
    for name in names {
        let parts: Vec<&str> = name.trim_end_matches(".wav").split('_').collect();
        let split = if parts[2].parse::<u32>().unwrap() < 5 {
            "test"
        } else {
            "train"
        };
        writeln!(table, "{name},{},{split}", parts[0]).unwrap();
    }
    fs::write(folder.path().join("digits.csv"), table).unwrap();
    let file = format!(
        "name = \"spoken-digits\"\nmodality = \"audio\"\ncsv = \"digits.csv\"\nroot = \"{}\"\n\n[input]\nframes = 64\n",
        fsdd.join("recordings").display()
    );
    fs::write(folder.path().join("digits.toml"), file).unwrap();
    let found = records(folder.path(), "--task digits.toml --quantizer rq --subset 20");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["plan"]["task"], "spoken-digits");
    assert_eq!(found[0]["data"]["counts"]["train"], 200);
    let table = String::from_utf8(bench(folder.path(), "table --format markdown").stdout).unwrap();
    assert!(table.contains("spoken-digits"), "{table}");

    fs::write(folder.path().join("wrong.toml"), "name = \"x\"\nmodality = \"smell\"\n").unwrap();
    let output = bench(folder.path(), "check --task wrong.toml");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) || output.status.code() == Some(3),
        "{told}"
    );
    assert!(told.contains("wrong.toml") && told.contains("modality"), "{told}");
}
