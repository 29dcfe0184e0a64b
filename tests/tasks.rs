//! The tasks of files on the real program: data in the layout of the original, made from real clips where the original
//! is not at hand.
//!
//! A run here is short and says nothing about accuracy; it shows that every step works and that the record is whole.
//! `BRIDLE_TASKS_KEEP` names a folder in which the data that is made stays, for runs by hand.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../tasks/examples/mixtures/mix.rs"]
mod mix;

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

#[test]
fn audioset_in_its_own_layout_is_judged_by_map() {
    let Some(esc50) = outside_data("esc50") else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = match std::env::var_os("BRIDLE_TASKS_KEEP") {
        Some(keep) => PathBuf::from(keep).join("audioset"),
        None => folder.path().join("audioset"),
    };
    mix::write(&esc50, &data, mix::Classes::Ten).unwrap();
    // a copy that lacks the last clip of each list
    for list in mix::LISTS {
        let rows = fs::read_to_string(data.join(list)).unwrap();
        let id = rows.lines().last().unwrap().split(',').next().unwrap();
        fs::remove_file(data.join(format!("clips/{id}.wav"))).unwrap();
    }
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
    assert!(told.contains("reuses the pretraining"), "{told}");
}

#[test]
fn a_quantizer_without_codebooks_runs_on_every_kind_of_input() {
    for task in ["synthetic", "synthetic-image", "synthetic-video"] {
        for method in ["bridle", "bridle-joint"] {
            let folder = tempfile::tempdir().unwrap();
            let interleaved = if method == "bridle" {
                "--set pretrain.rounds=2"
            } else {
                ""
            };
            let line = format!("--task {task} --subset 16 --method {method} --quantizer fsq {interleaved}");
            let short = SHORT.replace("--set pretrain.rounds=1", "");
            let output = bench(folder.path(), &format!("run {short} {line}"));
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {told}");
            let mut found = Vec::new();
            all_records(&folder.path().join("results/records"), &mut found);
            assert_eq!(found[0]["plan"]["quantizer.sizes"], serde_json::json!([8, 5, 5, 5]));
            for phase in found[0]["phases"].as_array().unwrap() {
                let codes = &phase["codebooks"][0];
                assert_eq!(codes["codes"], 1000, "{line}: {phase}");
                assert!(codes["used"].as_u64().unwrap() > 1, "{line}: {phase}");
                assert!(codes["perplexity"].as_f64().unwrap() > 1.0, "{line}: {phase}");
            }
        }
    }
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
    let mut found = records(folder.path(), "--task digits.toml --quantizer rq --subset 20");
    found.retain(|record| record["plan"]["method"] == "bridle"); // the other one is its control
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

/// A folder with tones of 16-bit samples at 8 kHz, each with its own pitch, and a task file `t.toml` over `data`.
fn tones(names: &[String], keys: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, name) in names.iter().enumerate() {
        let path = folder.path().join("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let tone = |n: usize| (9_000.0 * (0.02 * (3 + number) as f32 * n as f32).sin()) as i16;
        let samples: Vec<u8> = (0..4_000).flat_map(|n| tone(n).to_le_bytes()).collect();
        let mut bytes = [
            b"RIFF".as_slice(),
            &8_036u32.to_le_bytes(),
            b"WAVEfmt ",
            &16u32.to_le_bytes(),
        ]
        .concat();
        bytes.extend(
            [1, 0, 1, 0]
                .iter()
                .chain(&8_000u32.to_le_bytes())
                .chain(&16_000u32.to_le_bytes()),
        );
        bytes.extend([2, 0, 16, 0].iter().chain(b"data").chain(&8_000u32.to_le_bytes()));
        fs::write(path, [bytes, samples].concat()).unwrap();
    }
    let input = "[input]\nframes = 128\nmels = 64\nsample_rate = 8000\nmean = -5\nstd = 3\n";
    let file = format!("name = \"mine\"\nmodality = \"audio\"\nfolder = \"data\"\n{keys}\n{input}");
    fs::write(folder.path().join("t.toml"), file).unwrap();
    folder
}

#[test]
fn a_division_without_a_sample_to_train_on_or_to_judge_is_refused_before_any_work() {
    let names: Vec<String> = ["a/0.wav", "b/0.wav"].map(str::to_owned).to_vec();
    for (keys, lacking) in [
        ("holdout = 1e-300", "no usable test sample"),
        ("holdout = 0.999999999999", "no usable training sample"),
        ("folds = 100", "no usable test sample with test fold"),
    ] {
        let folder = tones(&names, keys);
        for line in [
            "check --task t.toml --preset smoke",
            "run --task t.toml --quantizer rq --preset smoke",
        ] {
            let output = bench(folder.path(), line);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{line}, {keys}: {told}");
            assert!(
                told.contains(lacking) && told.contains("try: more samples"),
                "{line}, {keys}: {told}"
            );
        }
        let mut found = Vec::new();
        all_records(&folder.path().join("results/records"), &mut found);
        assert!(found.is_empty() && !folder.path().join("runs/mine").exists());
    }
}

#[test]
fn a_class_to_judge_that_training_never_shows_is_refused_and_a_spelling_is_no_class() {
    let own = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        tones(&names, "")
    };
    let told = |folder: &Path, line: &str, code: i32| {
        let output = bench(folder, line);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {told}");
        told
    };
    let parts = ["train/Wren/0.wav", "train/robin/0.wav", "test/robin/1.wav"];
    let lines = ["check --task t.toml --preset smoke", "run --task t.toml --preset smoke"];
    for line in lines {
        let folder = own(&[&parts[..], &["test/images/1.wav", "test/images/2.wav"]].concat());
        let message = told(folder.path(), line, 3);
        let right = "class 'images' has 2 test samples and none to train on\ntry: training samples of every class";
        assert!(message.contains(right), "{message}");
        assert!(!folder.path().join("runs/mine").exists());

        let folder = own(&[&parts[..], &["test/wren/1.wav"]].concat());
        let message = told(folder.path(), line, 3);
        assert!(
            message.contains("training has 'Wren', which differs in capital letters only"),
            "{message}"
        );
    }
    // the same letters, composed and decomposed
    let folder = own(&[
        "train/m\u{e9}sange/0.wav",
        "train/robin/0.wav",
        "test/me\u{301}sange/1.wav",
    ]);
    let output = bench(folder.path(), &format!("{} --format json", lines[0]));
    let copy: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        copy["copy"]["samples"]["test"],
        serde_json::json!({"m\u{e9}sange": 1}),
        "{copy}"
    );
    // and in a table, of a file
    fs::write(
        folder.path().join("t.csv"),
        "path,label,split\ntrain/me\u{301}sange/0.wav,a,train\ntrain/robin/0.wav,b,train\ntest/m\u{e9}sange/1.wav,a,test\n",
    )
    .unwrap();
    let file = fs::read_to_string(folder.path().join("t.toml")).unwrap();
    let file = file.replace("folder = \"data\"", "csv = \"t.csv\"\nroot = \"data\"");
    fs::write(folder.path().join("t.toml"), file).unwrap();
    let output = bench(folder.path(), &format!("{} --format json", lines[0]));
    let copy: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(copy["copy"]["skipped"], 0, "{copy}");
}

#[test]
fn the_metric_of_a_task_file_is_the_one_that_a_record_has() {
    let names: Vec<String> = (0..16)
        .map(|n| format!("{}/{}/{n}.wav", ["train", "train", "test"][n % 3], ["a", "b"][n / 8]))
        .collect();
    for (key, first) in [("", "top1"), ("metric = \"top1\"", "top1"), ("metric = \"map\"", "map")] {
        let folder = tones(&names, key);
        let found = records(
            folder.path(),
            "--task t.toml --quantizer vq --protocol linear-probe,knn",
        );
        assert_eq!(found.len(), 2, "a run and its control");
        for record in &found {
            let metrics = metrics(record);
            for protocol in ["linear-probe", "knn"] {
                let headline = metrics.iter().find(|(of, _)| of == protocol).unwrap();
                assert_eq!(headline.1, first, "{key}");
            }
        }
    }
}

#[test]
fn own_data_is_compared_with_the_random_encoder_without_asking() {
    let names: Vec<String> = (0..24)
        .map(|n| format!("{}/{}/{n}.wav", ["train", "train", "test"][n % 3], ["a", "b"][n / 12]))
        .collect();
    let folder = tones(&names, "");
    let line = format!(
        "run {SHORT} --task t.toml --quantizer vq --protocol linear-probe,knn,finetune --set finetune.epochs=1"
    );
    let output = bench(folder.path(), &line);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (against, tables) = told.split_once("Scores").unwrap();
    assert!(
        against.starts_with("Against the random encoder") && against.contains("knn"),
        "{told}"
    );
    assert!(tables.contains("random-init") && tables.contains("bridle vq"), "{told}");
    let mut found = Vec::new();
    all_records(&folder.path().join("results/records"), &mut found);
    let [trained, control] = ["bridle", "random-init"].map(|method| {
        let is_it = |record: &&Value| record["plan"]["method"] == method;
        found.iter().find(is_it).unwrap()["plan"].as_object().unwrap()
    });
    for (key, value) in control {
        let of_its_own = matches!(key.as_str(), "method" | "quantizer" | "protocols");
        assert!(of_its_own || trained.get(key) == Some(value), "{key}");
    }
    // other data: on demand
    let line = format!("run {SHORT} --task synthetic --quantizer vq --subset 40");
    let lines = |options: &str| String::from_utf8(bench(folder.path(), &format!("{line} {options}")).stdout).unwrap();
    assert!(!lines("").contains("Against") && lines("--control").contains("Against the random encoder"));
}

#[test]
fn a_plan_of_few_steps_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let told = |line: &str| String::from_utf8(bench(folder.path(), line).stdout).unwrap();
    let few = "check --task synthetic --preset mini --subset 40";
    assert!(
        told(few).contains("steps of the encoder in all are few"),
        "{}",
        told(few)
    );
    assert!(!told("check --task synthetic --preset smoke --subset 40").contains("are few"));
    let more = told(&format!("{few} --set pretrain.encoder.epochs=1000"));
    assert!(!more.contains("steps of the encoder in all are few"), "{more}");
    // the same of a mask, whatever the number of steps
    let masked = told("check --task synthetic --preset mini --set mask.ratio=0.9 --set pretrain.encoder.epochs=1000");
    assert!(
        masked.contains("tokens, which are few") && masked.contains("--set mask.ratio=0.75"),
        "{masked}"
    );
}

/// Runs the program without root's right to read everything. None, and the test says so, where that cannot be done;
/// fails there if `$BRIDLE_REQUIRE_DATA` is 1.
#[cfg(unix)]
fn as_somebody_else(folder: &Path, line: &str) -> Option<Output> {
    use std::os::unix::fs::{PermissionsExt, chown};
    let closed = folder.join("closed");
    fs::write(&closed, "").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    let is_root = fs::read(&closed).is_ok();
    fs::remove_file(&closed).unwrap();
    if !is_root {
        return Some(bench(folder, line));
    }
    const NOBODY: u32 = 65_534;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.join("program");
    fs::copy(env!("CARGO_BIN_EXE_bridle-bench"), &program).unwrap();
    for path in [folder, &folder.join("runs"), &folder.join("results")] {
        fs::create_dir_all(path).unwrap();
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let output = command
        .arg(program)
        .args(line.split_whitespace())
        .current_dir(folder)
        .output();
    if output.is_err() {
        let required = std::env::var("BRIDLE_REQUIRE_DATA").as_deref() == Ok("1");
        assert!(!required, "needs the program setpriv, and $BRIDLE_REQUIRE_DATA is 1");
        eprintln!("needs the program setpriv: root may read everything");
    }
    output.ok()
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_a_sample_left_out_or_an_error_that_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let close = |path: PathBuf| fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("{}/{n}.wav", ["a", "b"][n % 2])).collect();
    let folder = tones(&names, "");
    fs::set_permissions(folder.path().join("data"), fs::Permissions::from_mode(0o755)).unwrap();
    close(folder.path().join("data/a/4.wav"));
    let line = "run --preset smoke --task t.toml --method random-init --protocol knn --format json";
    let Some(output) = as_somebody_else(folder.path(), line) else {
        return;
    };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("left out: a/4.wav: it cannot be read: Permission denied"),
        "{told}"
    );
    let mut found = Vec::new();
    all_records(&folder.path().join("results/records"), &mut found);
    assert_eq!(found[0]["data"]["skipped"][0]["id"], "a/4.wav");

    let refused = |line: &str, code: i32, of: &str| {
        let output = as_somebody_else(folder.path(), line).unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let says = told.contains(&format!("cannot read {of}")) && told.contains("Permission denied");
        assert!(output.status.code() == Some(code) && says, "{line}: {told}");
    };
    close(folder.path().join("data/b"));
    refused(line, 3, "./data/b");
    close(folder.path().join("t.toml"));
    refused(line, 3, "t.toml");
    close(folder.path().join("results/records/mine"));
    refused("table", 2, "results/records/mine");
    // or nothing could remove them
    for path in ["data/b", "results/records/mine"] {
        fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn an_archive_with_a_member_that_cannot_be_read_is_read_without_it() {
    let names: Vec<String> = (0..20).map(|n| format!("{}/{n}.wav", ["a", "b"][n % 2])).collect();
    let folder = tones(&names, "");
    std::os::unix::fs::symlink("/nonexistent", folder.path().join("data/a/zz.wav")).unwrap();
    let packed = Command::new("tar")
        .args(["-cf", "data.tar", "data"])
        .current_dir(folder.path())
        .status();
    assert!(packed.unwrap().success());
    let file = fs::read_to_string(folder.path().join("t.toml")).unwrap();
    let counts = |at: &str| {
        fs::write(
            folder.path().join("t.toml"),
            file.replace("\"data\"", &format!("\"{at}\"")),
        )
        .unwrap();
        let output = bench(folder.path(), "check --task t.toml --preset smoke --format json");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["copy"]["skipped"], 1, "{at}: {told}");
        told["copy"]["samples"].clone()
    };
    assert_eq!(counts("data.tar"), counts("data"));
    let packed = Command::new("gzip").arg("data.tar").current_dir(folder.path()).status();
    assert!(packed.unwrap().success());
    fs::write(
        folder.path().join("t.toml"),
        file.replace("\"data\"", "\"data.tar.gz\""),
    )
    .unwrap();
    let output = bench(folder.path(), "check --task t.toml --preset smoke");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3));
    assert!(
        told.contains("data.tar.gz is packed by gzip; `gunzip` unpacks it"),
        "{told}"
    );
}

#[test]
fn the_control_of_own_data_stays_out_of_studies_and_of_the_folders_of_other_runs() {
    let names: Vec<String> = (0..24)
        .map(|n| format!("{}/{}/{n}.wav", ["train", "train", "test"][n % 3], ["a", "b"][n / 12]))
        .collect();
    let folder = tones(&names, "");
    let plan = format!("run {SHORT} --task t.toml --quantizer vq");
    let told = |line: &str| {
        let output = bench(folder.path(), line);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };
    told(&plan);
    let runs: Vec<PathBuf> = fs::read_dir(folder.path().join("runs/mine/bridle-vq"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(told(&format!("{plan} --resume {}", runs[0].display())).contains("Against the random encoder"));

    let study = "question = \"Which?\"\ntasks = [\"t.toml\"]\npreset = \"smoke\"\nprotocols = [\"knn\"]\n\
                 set = [\"model.dim=32\", \"pretrain.rounds=1\", \"pretrain.encoder.epochs=1\"]\nseeds = 1\nhours = 1.0\n\
                 reference = \"a\"\n[[arm]]\nname = \"a\"\nquantizer = \"vq\"\n[[arm]]\nname = \"b\"\nquantizer = \"rq\"\n";
    fs::write(folder.path().join("s.toml"), study).unwrap();
    let answer = told("study s.toml --out arms");
    assert!(
        answer.contains("== b against a: 1 runs of each") && !answer.contains("random-init"),
        "{answer}"
    );
}
