//! A run that is killed at any moment and resumed ends as if nothing had happened; a polite stop says so by its exit code.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_results::record::RunRecord;
use bridle_results::store;
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
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

/// The log's lines.
fn log(folder: &Path) -> Vec<String> {
    let logs = files(&folder.join("runs/synthetic"), "metrics.jsonl");
    let [log] = &logs[..] else {
        panic!("one log was to be written")
    };
    std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
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
fn joint_training_resumes_too() {
    // every fourth step trains the tokenizer as well, so that the two optimizers have taken different numbers of steps
    let joint = "--method bridle-joint --set pretrain.encoder.epochs=1";
    kill_and_resume(
        Moment::Steps(7),
        &format!("{joint} --checkpoint-every 0"),
        &unbroken(joint),
    );
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
    let probes = "--protocol attentive-probe,linear-probe --set pretrain.rounds=1 --set attentive.epochs=4 --set probe.layer=1";
    let unbroken = unbroken(probes);
    for moment in [Moment::Judging("attentive-probe-rates"), Moment::Judging("attentive-probe")] {
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
