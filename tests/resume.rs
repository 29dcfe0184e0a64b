//! A run that is killed at any moment and resumed ends as if nothing had happened; a polite stop says so by its exit code.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_results::record::RunRecord;
use bridle_results::store;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A plan of a few seconds with every kind of phase; its three phases have 20, 10 and 20 steps.
const PLAN: &str = "--task synthetic --quantizer rq --preset smoke --subset 40 --set data.frames=128 \
                    --set quantizer.codes=64 --set model.estimator.depth=1 --set probe.epochs=20 \
                    --set model.decoder.dim=32 --set model.decoder.depth=1 --set pretrain.encoder.epochs=2 \
                    --set pretrain.encoder.rate=1e-3";
/// All steps of the plan's phases together.
const STEPS: usize = 50;
const SIGKILL: i32 = 9;
/// No wait below takes this long unless the program hangs.
const PATIENCE: Duration = Duration::from_secs(120);

fn program(folder: &Path, line: &str) -> Command {
    // what starts the tests may ignore SIGHUP, as nohup does, and the program would too
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_bridle-bench")]);
    command.args(line.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).env_remove("BRIDLE_DATA");
    command
}

/// Starts a run in `folder` whose talk can be read when it has ended.
fn start(folder: &Path, options: &str) -> Child {
    let mut command = program(folder, &format!("run {PLAN} {options}"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn run(folder: &Path, options: &str) -> Output {
    program(folder, &format!("run {PLAN} {options}")).output().unwrap()
}

/// Runs to the end and gives the record, with the predictions as written.
fn finish(folder: &Path, options: &str) -> (RunRecord, Vec<u8>) {
    let output = run(folder, options);
    assert!(
        output.status.success(),
        "{options}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    outcome(folder)
}

fn outcome(folder: &Path) -> (RunRecord, Vec<u8>) {
    let [path] = &files(&folder.join("results/records"), ".json")[..] else {
        panic!("one record was to be written")
    };
    let predictions = std::fs::read(path.with_extension("predictions.csv")).unwrap();
    (store::read(path).unwrap(), predictions)
}

/// All files below `folder` whose names end so; none if there is no such folder.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let found = paths.flat_map(|path| if path.is_dir() { files(&path, end) } else { vec![path] });
    found
        .filter(|path| path.to_str().is_some_and(|name| name.ends_with(end)))
        .collect()
}

/// Steps in the training log so far.
fn logged(folder: &Path) -> usize {
    let logs = files(&folder.join("runs/synthetic"), "metrics.jsonl");
    logs.iter()
        .map(|log| std::fs::read_to_string(log).unwrap_or_default().lines().count())
        .sum()
}

/// The log's lines, without the moment and the speed, which no two runs share.
fn log(folder: &Path) -> Vec<String> {
    let logs = files(&folder.join("runs/synthetic"), "metrics.jsonl");
    let [log] = &logs[..] else {
        panic!("one log was to be written")
    };
    let lines = std::fs::read_to_string(log).unwrap();
    let timeless = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        for timed in ["time", "samples_per_second"] {
            let taken = line.as_object_mut().unwrap().remove(timed);
            assert!(taken.is_some_and(|value| !value.is_null()), "{line} has no {timed}");
        }
        line.to_string()
    };
    lines.lines().map(timeless).collect()
}

/// Waits until `reached`, and fails if the program ends before it.
fn wait_until(child: &mut Child, moment: &str, reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert_eq!(child.try_wait().unwrap(), None, "the run ended before {moment}");
        assert!(begun.elapsed() < PATIENCE, "the run never came to {moment}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A moment in a run's life, told by what it has left on the disk.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The program has just been started, and data is being made.
    Start,
    /// So many steps are in the log.
    Steps(usize),
    /// Pretraining is complete and the probe is at work.
    Evaluation,
    /// A protocol's training, by the name of its checkpoints' folder, has written one.
    Judging(&'static str),
}

impl Moment {
    fn reached(self, folder: &Path) -> bool {
        match self {
            Self::Start => folder.join("results").exists(),
            Self::Steps(steps) => logged(folder) >= steps,
            Self::Evaluation => !files(&folder.join("runs/pretrained"), ".safetensors").is_empty(),
            Self::Judging(name) => files(&folder.join("runs/synthetic"), ".safetensors")
                .iter()
                .any(|path| path.components().any(|part| part.as_os_str() == name)),
        }
    }
}

/// Starts a run in an empty folder, kills it without warning, resumes it, and compares it with the unbroken one.
fn kill_and_resume(moment: Moment, options: &str, unbroken: &(RunRecord, Vec<u8>, Vec<String>)) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut child = start(folder, options);
    wait_until(&mut child, &format!("{moment:?}"), || moment.reached(folder));
    child.kill().unwrap();
    assert_eq!(
        child.wait().unwrap().signal(),
        Some(SIGKILL),
        "{moment:?}: the run was over before it was killed"
    );
    let (record, predictions) = finish(folder, &format!("{options} --resume"));
    let differences = record.differences(&unbroken.0).unwrap();
    let told = differences.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        differences.is_empty(),
        "{moment:?} {options}: {} differences\n{told}",
        differences.len()
    );
    assert!(predictions == unbroken.1, "{moment:?} {options}: other predictions");
    assert_eq!(log(folder), unbroken.2, "{moment:?} {options}: another log");
}

fn unbroken(options: &str) -> (RunRecord, Vec<u8>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (record, predictions) = finish(folder.path(), options);
    (record, predictions, log(folder.path()))
}

#[test]
fn killed_at_any_moment_and_resumed_a_run_ends_in_the_same_record() {
    let unbroken = unbroken("");
    assert_eq!(
        unbroken.2.len(),
        STEPS,
        "the moments below are spread over so many steps"
    );
    // with a checkpoint after every step a kill may hit the writing of one; with none but at the end of each phase,
    // up to a whole phase is done again
    let (always, never) = ("--checkpoint-every 0", "--checkpoint-every 100000");
    kill_and_resume(Moment::Start, never, &unbroken);
    kill_and_resume(Moment::Steps(7), always, &unbroken);
    kill_and_resume(Moment::Steps(14), never, &unbroken);
    kill_and_resume(Moment::Steps(25), always, &unbroken);
    kill_and_resume(Moment::Steps(42), always, &unbroken);
    kill_and_resume(Moment::Evaluation, never, &unbroken);
}

#[test]
fn a_replacement_that_is_killed_is_what_resume_goes_on_with() {
    let unbroken = unbroken("");
    for (steps, options) in [(7, "--checkpoint-every 0"), (3, "--checkpoint-every 100000")] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        finish(folder, options);
        let mut child = start(folder, &format!("{options} --fresh"));
        wait_until(&mut child, "a few steps", || (steps..STEPS).contains(&logged(folder)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (record, predictions) = finish(folder, &format!("{options} --resume"));
        assert!(record.differences(&unbroken.0).unwrap().is_empty() && predictions == unbroken.1);
        assert_eq!(log(folder), unbroken.2, "{options}");
    }
}

#[test]
fn joint_training_resumes_too() {
    // every fourth step trains the tokenizer as well, so that the two optimizers have taken different numbers of steps
    let joint = "--method bridle-joint --set pretrain.encoder.epochs=1";
    kill_and_resume(
        Moment::Steps(7),
        &format!("{joint} --checkpoint-every 0"),
        &unbroken(joint),
    );
}

/// Codebooks that each phase starts in a way of its own, with labels of several codes per level.
#[test]
fn phases_with_values_of_their_own_resume_too() {
    let own = "--set pretrain.encoder.soft_codes=2 --set pretrain.encoder.restart=on";
    for start in ["kmeans", "uniform"] {
        let own = format!("{own} --set pretrain.tokenizer.start={start}");
        let unbroken = unbroken(&own);
        let phases = &unbroken.0.phases;
        let names: Vec<&str> = phases.iter().map(|phase| &phase.name[..]).collect();
        assert_eq!(names, ["encoder-1", "tokenizer-1", "encoder-2"]);
        // two codes of each level are counted with the level
        let counted = |phase: usize| {
            phases[phase]
                .codebooks
                .iter()
                .map(|level| level.counts.iter().sum())
                .collect()
        };
        let (labels, single): (Vec<u64>, Vec<u64>) = (counted(2), counted(1));
        assert_eq!(labels, single.iter().map(|count| 2 * count).collect::<Vec<_>>());
        assert_eq!(
            phases[2].labels.as_ref().unwrap().place_information_bits.len(),
            2 * labels.len()
        );
        for moment in [Moment::Steps(25), Moment::Steps(42)] {
            kill_and_resume(moment, &format!("{own} --checkpoint-every 0"), &unbroken);
        }
    }
}

#[test]
fn fine_tuning_resumes_too() {
    let finetune =
        "--protocol linear-probe,finetune --set pretrain.rounds=1 --set finetune.epochs=3 --set finetune.drop_path=0.3";
    kill_and_resume(
        Moment::Judging("finetune"),
        &format!("{finetune} --checkpoint-every 0"),
        &unbroken(finetune),
    );
}

#[test]
fn probes_resume_too() {
    let probes =
        "--protocol attentive-probe,linear-probe --set pretrain.rounds=1 --set attentive.epochs=4 --set probe.layer=1";
    let unbroken = unbroken(probes);
    for moment in [
        Moment::Judging("attentive-probe-rates"),
        Moment::Judging("attentive-probe"),
    ] {
        kill_and_resume(moment, &format!("{probes} --checkpoint-every 0"), &unbroken);
    }
}

#[test]
fn a_polite_stop_leaves_a_checkpoint_and_the_documented_code() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (signal, steps, code) in [("INT", 4, 130), ("TERM", 24, 143)] {
        let mut child = start(folder, "--resume");
        wait_until(&mut child, &format!("step {steps}"), || logged(folder) >= steps);
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", child.id())])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "SIG{signal}");
        assert!(
            !files(&folder.join("runs/synthetic"), ".safetensors").is_empty(),
            "SIG{signal}: no checkpoint"
        );
    }
    let (record, _) = finish(folder, "--resume");
    // a run that is complete is not done again
    let again = run(folder, "--resume");
    assert!(again.status.success());
    assert_eq!(outcome(folder).0.id, record.id);
    // a run without a checkpoint of its own starts from the pretraining that is there
    let other = run(folder, "--resume --protocol linear-probe,knn");
    let told = String::from_utf8_lossy(&other.stderr);
    assert!(
        other.status.success() && told.contains("reuses the pretraining"),
        "{told}"
    );
}

#[test]
fn a_folder_of_another_plan_is_refused_by_the_value_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    finish(folder, "--set pretrain.rounds=1 --set pretrain.encoder.epochs=1");
    let logs = files(&folder.join("runs/synthetic"), "metrics.jsonl");
    let earlier = logs[0].parent().unwrap().strip_prefix(folder).unwrap();
    let resume = format!("--set pretrain.rounds=1 --resume {}", earlier.display());
    let refused = run(
        folder,
        &format!("{resume} --set pretrain.encoder.epochs=2 --set pretrain.encoder.rate=0.002"),
    );
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("pretrain.encoder.epochs") && told.contains("pretrain.encoder.rate"),
        "{told}"
    );
    assert!(!told.contains("pretrain.batch"), "{told}");
    let same = run(folder, &format!("{resume} --set pretrain.encoder.epochs=1"));
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stderr));
}

/// Sends a signal to a run, and gives its exit code and how long it took.
fn stop(child: &mut Child, signal: &str) -> (Option<i32>, Duration) {
    let begun = Instant::now();
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {}", child.id())])
        .status()
        .unwrap();
    assert!(sent.success());
    (child.wait().unwrap().code(), begun.elapsed())
}

/// A signal is heard within this time.
const HEARD: Duration = Duration::from_secs(2);
const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

#[test]
fn a_signal_is_heard_while_a_protocol_evaluates_and_while_a_run_waits_for_another() {
    let endless = "--set pretrain.rounds=1 --set probe.epochs=600000";
    for (signal, code) in SIGNALS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut evaluating = start(folder, endless);
        wait_until(&mut evaluating, "the probe", || Moment::Evaluation.reached(folder));
        let mut waiting = program(folder, &format!("run {PLAN} {endless}"));
        let mut waiting = waiting.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().starts_with("waits for another run of this plan")));
        for (name, child) in [("waiting", &mut waiting), ("evaluating", &mut evaluating)] {
            let (found, took) = stop(child, signal);
            assert_eq!(found, Some(code), "SIG{signal} while {name}");
            assert!(took < HEARD, "SIG{signal} while {name} took {took:?}");
        }
    }
}

#[test]
fn a_second_run_of_one_plan_waits_and_reuses_what_the_first_trained() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut first = start(folder, "--checkpoint-every 0");
    wait_until(&mut first, "its training", || logged(folder) > 0);
    let second = run(folder, "--checkpoint-every 0");
    let told = String::from_utf8_lossy(&second.stderr);
    assert!(
        second.status.success() && told.contains("reuses the pretraining"),
        "{told}"
    );
    assert!(first.wait().unwrap().success());
    assert_eq!(logged(folder), STEPS);
}

/// Flips a bit in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_pretraining_is_named_and_trained_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let short = "--set pretrain.rounds=1 --set pretrain.encoder.epochs=1";
    let (_, right) = finish(folder, short);
    let record = files(&folder.join("results/records"), ".json").remove(0);
    let [kept] = &files(&folder.join("runs/pretrained"), ".safetensors")[..] else {
        panic!("one pretraining was to be kept")
    };
    damage(kept);
    let export = program(folder, &format!("export {} --to e.safetensors", record.display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&export.stderr);
    assert!(export.status.code() == Some(3) && told.contains("is damaged"), "{told}");
    let again = run(folder, short);
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(told.contains("is damaged") && !told.contains("reuses"), "{told}");
    assert_eq!(outcome(folder).1, right);
    let third = run(folder, short);
    let told = String::from_utf8_lossy(&third.stderr);
    assert!(!told.contains("damaged") && told.contains("reuses"), "{told}");
    // the export of a whole one is checked at use, too
    let export = program(folder, &format!("export {} --to e.safetensors", record.display()))
        .output()
        .unwrap();
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    damage(&folder.join("e.safetensors"));
    let told = run(
        folder,
        &format!("{short} --init e.safetensors --set init.transductive=true"),
    );
    let told = String::from_utf8_lossy(&told.stderr);
    assert!(told.contains("is damaged"), "{told}");
}

#[test]
fn damaged_checkpoints_are_moved_aside_and_push_out_no_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut child = start(folder, "--checkpoint-every 0");
    wait_until(&mut child, "step 24", || logged(folder) >= 24);
    child.kill().unwrap();
    child.wait().unwrap();
    let checkpoints = || files(&folder.join("runs/synthetic"), ".safetensors");
    let old = checkpoints();
    assert!(!old.is_empty());
    old.iter().for_each(|path| damage(path));
    let mut child = start(folder, "--resume --checkpoint-every 0");
    wait_until(&mut child, "the first steps", || (5..20).contains(&logged(folder)));
    let (code, took) = stop(&mut child, "TERM");
    assert!(code == Some(143) && took < HEARD, "{code:?} after {took:?}");
    let new = checkpoints();
    assert!(!new.is_empty() && new.iter().all(|path| !old.contains(path)), "{new:?}");
    assert_eq!(files(&folder.join("runs/synthetic"), ".damaged").len(), old.len());
    let output = run(folder, "--resume");
    assert!(String::from_utf8_lossy(&output.stderr).contains("resumes after step"));
}

#[test]
fn a_run_is_complete_only_with_its_own_record_and_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let short = "--set pretrain.rounds=1 --set pretrain.encoder.epochs=1 --resume";
    let (record, right) = finish(folder, short);
    let path = files(&folder.join("results/records"), ".json").remove(0);
    let csv = path.with_extension("predictions.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    let complete = || {
        let told = run(folder, short);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8_lossy(&told.stderr).contains("already complete")
    };
    assert!(complete());
    let spoil: [&dyn Fn(); 5] = [
        &|| std::fs::remove_file(&csv).unwrap(),
        &|| std::fs::write(&csv, String::from_utf8(right.clone()).unwrap().replace('1', "2")).unwrap(),
        &|| std::fs::write(&path, "{").unwrap(),
        &|| {
            let manifest = record.data.manifest_sha256.clone().unwrap();
            std::fs::write(&path, text.replace(&manifest, &"0".repeat(64))).unwrap();
        },
        &|| std::fs::write(&path, text.replace(&record.plan_hash, "0123456789ab")).unwrap(),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        spoil();
        assert!(!complete(), "spoiled by {number}");
        assert!(outcome(folder).1 == right, "spoiled by {number}");
        assert!(complete(), "mended after {number}");
    }
}

#[test]
fn a_folder_that_cannot_hold_the_record_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("results/records/synthetic")).unwrap();
    std::fs::write(folder.join("results/records/synthetic/bridle-rq"), "").unwrap();
    let refused = run(folder, "");
    assert_eq!(
        refused.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    assert_eq!(logged(folder), 0);
    std::fs::remove_file(folder.join("results/records/synthetic/bridle-rq")).unwrap();
    std::fs::create_dir_all(folder.join("runs")).unwrap();
    std::fs::write(folder.join("runs/pretrained"), "").unwrap();
    let refused = run(folder, "");
    assert_eq!(
        refused.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    assert_eq!(logged(folder), 0);
}

#[test]
fn what_killed_runs_left_is_gone_after_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let short = "--set pretrain.rounds=1 --set pretrain.encoder.epochs=1";
    finish(folder, short);
    let record = files(&folder.join("results/records"), ".json").remove(0);
    let log = files(&folder.join("runs/synthetic"), "metrics.jsonl").remove(0);
    for left in [
        record.with_file_name(".a.json.4000000.tmp"),
        record.with_file_name(".writable.4000000-2.tmp"),
        log.with_file_name("checkpoint-0000000003-00.4000000.tmp"),
        folder.join("runs/pretrained/00.4000000.tmp"),
    ] {
        std::fs::write(left, "left").unwrap();
    }
    finish(folder, short);
    assert_eq!(files(folder, ".tmp"), Vec::<PathBuf>::new());
}

/// Two classes of tones, and a task file that holds some of them out.
fn own_sounds(folder: &Path, division: &str) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for (class, pitch) in [("a", 300.0), ("b", 700.0)] {
        std::fs::create_dir_all(folder.join("x").join(class)).unwrap();
        for number in 0..40 {
            let path = folder.join(format!("x/{class}/{number}.wav"));
            let mut file = hound::WavWriter::create(path, spec).unwrap();
            for step in 0..4_000 {
                let turns = f64::from(step) * (pitch + f64::from(number)) / 8_000.0;
                let value = (turns * std::f64::consts::TAU).sin() * 8_000.0;
                file.write_sample(value as i16).unwrap();
            }
            file.finalize().unwrap();
        }
    }
    let input = "[input]\nframes = 64\nmels = 32\nsample_rate = 8000\nmean = -5\nstd = 3\n";
    let task = format!("name = \"own\"\nmodality = \"audio\"\n{division}\n{input}");
    std::fs::write(folder.join("t.toml"), task).unwrap();
}

#[test]
fn nothing_is_reused_of_own_data_that_was_divided_or_labelled_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = "--task t.toml --quantizer rq --preset smoke --threads 1 --set pretrain.rounds=1 \
                --set pretrain.encoder.epochs=1 --set quantizer.codes=16 --set probe.epochs=2 --resume";
    let table = |edit: &dyn Fn(usize) -> (&'static str, &'static str)| {
        let row = |number: usize| {
            let (label, split) = edit(number);
            format!(
                "{}/{}.wav,{label},{split}\n",
                if number < 40 { "a" } else { "b" },
                number % 40
            )
        };
        let rows: String = (0..80).map(row).collect();
        // beside its root, so that it is no file of the data
        std::fs::create_dir_all(folder.join("lists")).unwrap();
        std::fs::write(folder.join("lists/t.csv"), format!("path,label,split\n{rows}")).unwrap();
        "csv = \"lists/t.csv\"\nroot = \"x\"".to_owned()
    };
    let label = |number: usize| if number < 40 { "a" } else { "b" };
    let split = |number: usize, every: usize| if number.is_multiple_of(every) { "test" } else { "train" };
    let divisions: [&dyn Fn() -> String; 6] = [
        &|| "folder = \"x\"\nholdout = 0.1".to_owned(),
        &|| "folder = \"x\"\nholdout = 0.5".to_owned(),
        &|| "folder = \"x\"\nfolds = 2".to_owned(),
        &|| table(&|number| (label(number), split(number, 4))),
        &|| table(&|number| (label(number), split(number, 2))),
        &|| table(&|number| (if number == 7 { "b" } else { label(number) }, split(number, 2))),
    ];
    for (number, division) in divisions.iter().enumerate() {
        own_sounds(folder, &division());
        for complete in [false, true] {
            let output = program(folder, &format!("run {plan}")).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "division {number}: {told}");
            assert!(!told.contains("reuses"), "division {number}: {told}");
            assert_eq!(told.contains("already complete"), complete, "division {number}: {told}");
        }
    }
    let records = store::find(&[folder.join("results/records")]).unwrap();
    // each with its control
    assert_eq!(records.len(), 2 * divisions.len());
    for (path, record) in records {
        let reused = record.phases.iter().filter(|phase| phase.reused_from.is_some()).count();
        assert_eq!(reused, 0, "{}", path.display());
        assert_eq!(record.data.samples_sha256.map(|hash| hash.len()), Some(64));
    }
    // other files in the same place
    own_sounds(folder, "folder = \"x\"\nholdout = 0.1");
    std::fs::copy(folder.join("x/a/1.wav"), folder.join("x/b/1.wav")).unwrap();
    let output = program(folder, &format!("run {plan}")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !told.contains("already complete") && !told.contains("reuses"),
        "{told}"
    );
}
