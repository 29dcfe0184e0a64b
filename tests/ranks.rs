//! Several processes under mpirun train what one process trains. Where `BRIDLE_REQUIRE_DATA=1` is set,
//! Open MPI or MPICH has to be installed.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A plan of a few seconds with every kind of phase; its three phases have 20, 10 and 20 steps.
const PLAN: &str = "--task synthetic --preset smoke --subset 40 --set data.frames=128 --set quantizer.codes=64 \
                    --set model.estimator.depth=1 --set model.decoder.dim=32 --set model.decoder.depth=1 \
                    --set probe.epochs=20 --set pretrain.encoder.epochs=2 --set pretrain.encoder.rate=1e-3";
/// No wait below takes this long unless the program hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Launchers with words that let them start more ranks than there are cores, as root too.
const LAUNCHERS: [(&str, &[&str]); 2] = [
    (
        "mpirun.openmpi",
        &["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
    ),
    ("mpiexec.hydra", &[]),
];

/// The plan with further options, without the values that these have no use for.
fn plan(options: &str) -> String {
    let masked = options.contains("best-rq") || options.contains("birq");
    let unused = |word: &str| {
        masked && word.starts_with("model.") || options.contains("--protocol finetune") && word.starts_with("probe.")
    };
    let words: Vec<&str> = PLAN.split_whitespace().collect();
    let values = words.chunks(2).filter(|pair| !unused(pair[1])).flatten().copied();
    values.chain(options.split_whitespace()).collect::<Vec<_>>().join(" ")
}

/// The launchers that are installed.
fn launchers() -> Vec<(&'static str, &'static [&'static str])> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let found: Vec<_> = LAUNCHERS
        .into_iter()
        .filter(|(program, _)| installed(program))
        .collect();
    let required = std::env::var_os("BRIDLE_REQUIRE_DATA").is_some_and(|value| value == "1");
    assert!(
        !(found.is_empty() && required),
        "neither Open MPI nor MPICH is installed"
    );
    if found.is_empty() {
        eprintln!("skipped: neither Open MPI nor MPICH is installed");
    }
    found
}

/// `bridle-bench run` in `folder`; by a launcher if there are several ranks.
fn command(launcher: (&str, &[&str]), ranks: usize, folder: &Path, options: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_bridle-bench");
    let mut command = match ranks {
        1 => Command::new(program),
        ranks => {
            let mut command = Command::new(launcher.0);
            command.args(launcher.1).args(["-n", &ranks.to_string(), program]);
            command
        }
    };
    command
        .arg("run")
        .args(options.split_whitespace())
        .args(["--threads", "1"]);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("BRIDLE_DATA");
    command
}

fn run(launcher: (&str, &[&str]), ranks: usize, folder: &Path, options: &str) -> Output {
    command(launcher, ranks, folder, options).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All files below `folder` whose names end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let found = paths.flat_map(|path| if path.is_dir() { files(&path, end) } else { vec![path] });
    found
        .filter(|path| path.to_str().is_some_and(|name| name.ends_with(end)))
        .collect()
}

fn only(folder: &Path, end: &str) -> PathBuf {
    let found = files(folder, end);
    assert_eq!(found.len(), 1, "{end} below {}: {found:?}", folder.display());
    found.into_iter().next().unwrap()
}

/// What a run left in its folder.
struct Left {
    /// The lines of its training log.
    log: Vec<Value>,
    record: Value,
    predictions: Vec<u8>,
}

fn left(folder: &Path) -> Left {
    let text = std::fs::read_to_string(only(&folder.join("runs/synthetic"), "metrics.jsonl")).unwrap();
    let record = only(&folder.join("results/records"), ".json");
    let line = |line: &str| -> Value {
        let mut line: Value = serde_json::from_str(line).unwrap();
        // what differs from run to run
        let fields = line.as_object_mut().unwrap();
        fields.retain(|name, _| !matches!(name.as_str(), "time" | "samples_per_second"));
        line
    };
    Left {
        log: text.lines().map(line).collect(),
        predictions: std::fs::read(record.with_extension("predictions.csv")).unwrap(),
        record: serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap(),
    }
}

/// What so many ranks leave in a folder of their own.
fn outcome(launcher: (&str, &[&str]), ranks: usize, options: &str) -> Left {
    let folder = tempfile::tempdir().unwrap();
    let output = run(launcher, ranks, folder.path(), &plan(options));
    assert!(output.status.success(), "{ranks} ranks, {options}: {}", stderr(&output));
    left(folder.path())
}

/// Numbers that every line of a log has under this name.
fn numbers(log: &[Value], name: &str) -> Vec<f64> {
    log.iter().filter_map(|line| line[name].as_f64()).collect()
}

/// The steps of each phase's first so many lines.
fn first_of_phases(log: &[Value], count: u64) -> Vec<Value> {
    log.iter()
        .filter(|line| line["phase_step"].as_u64() < Some(count))
        .cloned()
        .collect()
}

/// Fails unless losses of the first ten steps of the first phase are equal but for rounding, and codes
/// are used alike.
fn same_mathematics(alone: &Left, shared: &Left, what: &str) {
    let first = |left: &Left| numbers(&first_of_phases(&left.log, 10), "loss");
    let (one, several) = (first(alone), first(shared));
    assert_eq!(one.len(), several.len(), "{what}");
    for (step, (one, several)) in one.iter().zip(&several).enumerate() {
        let within = if step < 10 { 1e-5 } else { 1e-4 };
        assert!(
            (one - several).abs() < within * one.abs().max(1.0),
            "{what}, step {step}: {one} and {several}"
        );
    }
    let phases = |left: &Left| left.record["phases"].as_array().unwrap().clone();
    for (one, several) in phases(alone).iter().zip(phases(shared)).take(1) {
        assert_eq!(one["codebooks"], several["codebooks"], "{what}: {}", one["name"]);
    }
}

#[test]
fn several_ranks_train_what_one_process_trains() {
    for options in [
        "--quantizer rq",
        "--quantizer vq",
        "--quantizer rq --set quantizer.restart=by-usage --set pretrain.accumulate=2",
        "--quantizer rq --method bridle-joint",
        "--quantizer rq --set augment.roll=uniform --protocol finetune",
        "--method best-rq",
        "--method birq",
    ] {
        for &launcher in launchers().iter().take(1) {
            let alone = outcome(launcher, 1, options);
            assert_eq!(alone.record["machine"]["ranks"], Value::Null);
            for ranks in [2, 3] {
                let shared = outcome(launcher, ranks, options);
                same_mathematics(&alone, &shared, &format!("{ranks} ranks, {options}"));
                assert_eq!(shared.record["machine"]["ranks"]["count"], ranks);
                assert_eq!(shared.record["plan_hash"], alone.record["plan_hash"]);
            }
        }
    }
}

#[test]
fn the_same_number_of_ranks_gives_the_same_bits_under_every_library() {
    let mut first: Option<Left> = None;
    for launcher in launchers() {
        for _ in 0..2 {
            let found = outcome(launcher, 2, "--quantizer rq");
            if let Some(first) = &first {
                assert_eq!(first.log, found.log, "{}", launcher.0);
                assert_eq!(first.predictions, found.predictions, "{}", launcher.0);
                assert_eq!(first.record["scores"], found.record["scores"], "{}", launcher.0);
            }
            first.get_or_insert(found);
        }
    }
}

/// Waits until a run has logged so many steps.
fn wait_for_steps(folder: &Path, steps: usize) {
    let begun = Instant::now();
    let logged = || {
        let logs = files(&folder.join("runs"), "metrics.jsonl");
        let lines = logs
            .iter()
            .map(|log| std::fs::read_to_string(log).unwrap_or_default().lines().count());
        lines.sum::<usize>()
    };
    while logged() < steps {
        assert!(begun.elapsed() < PATIENCE, "no {steps} steps");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_polite_stop_writes_a_checkpoint_from_which_any_number_of_ranks_resumes() {
    for &launcher in launchers().iter().filter(|(program, _)| *program == "mpirun.openmpi") {
        let options = format!("{PLAN} --quantizer rq");
        let unbroken = outcome(launcher, 2, "--quantizer rq");
        for ranks in [2, 1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = command(launcher, 2, folder.path(), &options);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            wait_for_steps(folder.path(), 10);
            signal(&child, "-USR1");
            assert_eq!(child.wait().unwrap().code(), Some(143));
            assert_eq!(files(&folder.path().join("runs/synthetic"), ".safetensors").len(), 1);
            let output = run(launcher, ranks, folder.path(), &format!("{options} --resume"));
            let err = stderr(&output);
            assert!(
                output.status.success() && err.contains("resumes after step"),
                "{ranks}: {err}"
            );
            let resumed = left(folder.path());
            let (whole, pieces) = (numbers(&unbroken.log, "loss"), numbers(&resumed.log, "loss"));
            assert_eq!(whole.len(), pieces.len());
            if ranks == 2 {
                assert_eq!(unbroken.log, resumed.log);
                assert_eq!(unbroken.predictions, resumed.predictions);
            }
            let close = |(whole, pieces): (&f64, &f64)| (whole - pieces).abs() < 1e-3 * whole.abs().max(1.0);
            assert!(whole.iter().zip(&pieces).all(close), "{ranks}: {whole:?}\n{pieces:?}");
        }
    }
}

#[test]
fn a_killed_rank_ends_all_and_the_run_resumes() {
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("{PLAN} --quantizer rq --checkpoint-every 0");
        let mut command = command(launcher, 2, folder.path(), &options);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for_steps(folder.path(), 20);
        let ranks = children(child.id());
        let last = ranks.last().unwrap();
        assert!(
            Command::new("kill")
                .args(["-KILL", &last.to_string()])
                .status()
                .unwrap()
                .success()
        );
        assert!(!child.wait().unwrap().success());
        let output = run(launcher, 1, folder.path(), &format!("{options} --resume"));
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("resumes after step"), "{}", stderr(&output));
    }
}

/// The ranks that a launcher started, directly or by a process of its own.
fn children(launcher: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let processes: Vec<(u32, u32, bool)> = all
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent, stat.contains("(bridle-bench)")))
        })
        .collect();
    let below = |parent: u32| processes.iter().filter(move |(_, of, _)| *of == parent);
    let mut found: Vec<u32> = below(launcher)
        .flat_map(|own| std::iter::once(own).chain(below(own.0)))
        .filter(|(_, _, is_rank)| *is_rank)
        .map(|(id, _, _)| *id)
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn what_ranks_cannot_share_is_refused_by_name() {
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        let options = plan("--quantizer rq --set pretrain.batch=2");
        let output = run(launcher, 3, folder.path(), &options);
        let (err, told) = (
            stderr(&output),
            "3 ranks cannot share 2 samples of a batch (pretrain.batch)",
        );
        assert_eq!(output.status.code(), Some(2), "{}: {err}", launcher.0);
        assert_eq!(err.matches(told).count(), 1, "{err}");
    }
}

#[test]
fn ranks_of_different_plans_do_not_train_together() {
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(launcher, 2, folder.path(), &format!("{PLAN} --quantizer rq"));
        let program = env!("CARGO_BIN_EXE_bridle-bench");
        command
            .args([":", "-n", "1", program, "run"])
            .args(PLAN.split_whitespace());
        command.args(["--quantizer", "vq", "--threads", "1"]);
        let output = command.output().unwrap();
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{}: {err}", launcher.0);
        assert!(err.contains("error: rank 2 has another plan than rank 0"), "{err}");
    }
}

#[test]
fn a_loss_that_is_no_number_stops_all_ranks_at_the_same_step() {
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("{PLAN} --quantizer rq --set pretrain.encoder.rate=1e30");
        let output = run(launcher, 2, folder.path(), &options);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(5), "{}: {err}", launcher.0);
        assert_eq!(err.matches("training diverged").count(), 1, "{err}");
    }
}
