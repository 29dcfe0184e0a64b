//! Several processes under mpirun train what one process trains. Where `BRIDLE_REQUIRE_DATA=1` is set,
//! Open MPI or MPICH has to be installed.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod launchers;

use bridle::weights::{Values, Weights};
use bridle_backends::kernel::with_ranks;
use bridle_bench::run::{checkpoint, replicas};
use bridle_ranks::{Patience, Ranks};
use launchers::{Launcher, launchers, ranks_of};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A plan of a few seconds with every kind of phase; its three phases have 20, 10 and 20 steps.
const PLAN: &str = "--task synthetic --preset smoke --subset 40 --set data.frames=128 --set quantizer.codes=64 \
                    --set model.estimator.depth=1 --set model.decoder.dim=32 --set model.decoder.depth=1 \
                    --set probe.epochs=20 --set pretrain.encoder.epochs=2 --set pretrain.encoder.rate=1e-3";
/// The same of speech, on sentences that [`write_sentences`] makes.
const SPEECH: &str = "--task sentences.toml --preset smoke --set data.mels=24 --set model.dim=16";
/// Values of methods that pretrain on speech.
const SPEECH_LABELS: &str = "--set pretrain.batch=8 --set quantizer.codes=16 --set quantizer.code_dim=8";
/// No wait below takes this long unless the program hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The plan with further options, without the values that these have no use for.
fn plan(options: &str) -> String {
    let own = options.contains("--task");
    let masked = options.contains("best-rq") || options.contains("birq") || options.contains("relabel");
    let untrained = options.contains("random-init") || options.contains("scratch");
    let quantizer_of = |kind: &str| options.contains(&format!("--quantizer {kind}"));
    let unused = |word: &str| {
        quantizer_of("fsq") && word.starts_with("quantizer.")
            || (masked || untrained) && (word.starts_with("model.decoder") || word.starts_with("model.estimator"))
            || untrained && (word.starts_with("pretrain.") || word.starts_with("quantizer."))
            || options.contains("--protocol") && !options.contains("linear-probe") && word.starts_with("probe.")
    };
    let words: Vec<&str> = if own {
        Vec::new()
    } else {
        PLAN.split_whitespace().collect()
    };
    let values = words.chunks(2).filter(|pair| !unused(pair[1])).flatten().copied();
    values.chain(options.split_whitespace()).collect::<Vec<_>>().join(" ")
}

fn write_wav(path: &Path, samples: impl Iterator<Item = f64>) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).unwrap();
    samples.for_each(|sample| file.write_sample((sample * 8_000.0) as i16).unwrap());
    file.finalize().unwrap();
}

/// So many samples of a tone.
fn tone(pitch: f64, length: usize) -> impl Iterator<Item = f64> {
    (0..length).map(move |step| (step as f64 * pitch * std::f64::consts::TAU / 16_000.0).sin())
}

/// A task of speech: sentences of three "words" of different lengths, each of which is a tone.
fn write_sentences(folder: &Path) {
    let words = [("LOW", 300.0), ("MID", 800.0), ("HIGH", 1_700.0)];
    let mut table = "path,text,split,speaker\n".to_owned();
    for number in 0..22 {
        let said = [number % 3, number / 3 % 3, number * 5 % 3].map(|word| words[word]);
        let length = |place: usize| 2_400 + 160 * ((number * 7 + place * 3) % 10);
        let sounds = said
            .iter()
            .enumerate()
            .map(|(place, (_, pitch))| tone(*pitch, length(place)).chain(tone(0.0, 1_200)));
        write_wav(&folder.join(format!("{number}.wav")), sounds.flatten());
        let (text, split) = (
            said.map(|(word, _)| word).join(" "),
            if number < 16 { "train" } else { "test" },
        );
        writeln!(table, "{number}.wav,{text},{split},voice-{}", number % 2).unwrap();
    }
    std::fs::write(folder.join("sentences.csv"), table).unwrap();
    let task = "name = \"sentences\"\nmodality = \"speech\"\ncsv = \"sentences.csv\"\n";
    std::fs::write(folder.join("sentences.toml"), task).unwrap();
}

/// `bridle-bench run` in `folder`; by a launcher if there are several ranks.
fn command(launcher: impl Into<Option<Launcher>>, ranks: usize, folder: &Path, options: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_bridle-bench");
    let mut command = match ranks {
        1 => Command::new(program),
        ranks => {
            let mut command = launcher.into().unwrap().start(ranks);
            command.arg(program);
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

fn run(launcher: impl Into<Option<Launcher>>, ranks: usize, folder: &Path, options: &str) -> Output {
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

/// What a run left in its folder.
struct Left {
    /// The lines of its training logs, by the files' names.
    logs: BTreeMap<String, Vec<Value>>,
    record: Value,
    predictions: Vec<u8>,
    /// Pretrained; none where nothing was.
    weights: Weights,
}

impl Left {
    /// The log of pretraining.
    fn log(&self) -> &[Value] {
        &self.logs["metrics"]
    }

    /// The record without what differs from run to run.
    fn timeless(&self) -> Value {
        let mut record = self.record.clone();
        let fields = record.as_object_mut().unwrap();
        for name in [
            "id",
            "started",
            "finished",
            "seconds",
            "machine",
            "peak_memory_bytes",
            "content_sha256",
        ] {
            fields.remove(name);
        }
        for phase in fields["phases"].as_array_mut().unwrap() {
            let phase = phase.as_object_mut().unwrap();
            phase.retain(|name, _| !matches!(&name[..], "seconds" | "samples_per_second" | "input_wait_seconds"));
        }
        record
    }

    /// Every number of the predictions, and every word.
    fn predicted(&self) -> (Vec<f64>, Vec<&str>) {
        let text = std::str::from_utf8(&self.predictions).unwrap();
        let (mut numbers, mut words) = (Vec::new(), Vec::new());
        for word in text.split([',', '\n', '\r']) {
            word.parse()
                .map_or_else(|_| words.push(word), |number| numbers.push(number));
        }
        (numbers, words)
    }
}

fn left(folder: &Path) -> Left {
    // a run on own data has a control beside it
    let control = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "random-init");
    let mut records = files(&folder.join("results/records"), ".json");
    if records.len() > 1 {
        records.retain(|path| !control(path));
    }
    assert_eq!(records.len(), 1, "{records:?}");
    let record = records.remove(0);
    let line = |line: &str| -> Value {
        let mut line: Value = serde_json::from_str(line).unwrap();
        // what differs from run to run
        let fields = line.as_object_mut().unwrap();
        fields.retain(|name, _| !matches!(name.as_str(), "time" | "samples_per_second"));
        line
    };
    let log = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, text.lines().map(line).collect())
    };
    let pretrained = files(&folder.join("runs/pretrained"), ".safetensors");
    let mut weights = pretrained.iter().filter(|path| !control(path)).map(|path| {
        let (weights, _) = checkpoint::read_file::<Value>(path).unwrap();
        weights
    });
    Left {
        weights: weights.next().unwrap_or_default(),
        logs: files(&folder.join("runs"), ".jsonl").into_iter().map(log).collect(),
        predictions: std::fs::read(record.with_extension("predictions.csv")).unwrap(),
        record: serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap(),
    }
}

/// What so many ranks leave in a folder of their own.
fn outcome(launcher: Launcher, ranks: usize, options: &str) -> Left {
    let folder = tempfile::tempdir().unwrap();
    if options.contains("sentences.toml") {
        write_sentences(folder.path());
    }
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
    let first = |left: &Left| numbers(&first_of_phases(left.log(), 10), "loss");
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

/// Fails unless every weight is equal to 1e-4. Biases of keys aside: a softmax does not change with them, so that
/// their gradient is rounding alone, of which AdamW makes steps of full size.
fn same_weights(alone: &Left, shared: &Left, what: &str) {
    assert!(
        alone.weights.keys().eq(shared.weights.keys()) && !alone.weights.is_empty(),
        "{what}"
    );
    for (name, one) in &alone.weights {
        let several = &shared.weights[name];
        let keys = one.data.len() / 3..2 * (one.data.len() / 3);
        let pairs = one.data.iter().zip(&several.data).enumerate();
        let counted = pairs.filter(|(place, _)| !(name.ends_with("qkv.bias") && keys.contains(place)));
        let far = counted
            .map(|(_, (one, several))| (one - several).abs())
            .fold(0.0, f32::max);
        assert!(far < 1e-4, "{what}: {name} differs by {far}");
    }
}

/// Fails unless these numbers of ranks train what one process trains with these options; odd numbers under
/// another launcher than even ones, if there are two.
fn as_one_process(options: &str, ranks: &[usize]) {
    let launchers = launchers();
    let Some(&first) = launchers.first() else { return };
    let alone = outcome(first, 1, options);
    assert_eq!(alone.record["machine"]["ranks"], Value::Null);
    for &ranks in ranks {
        let launcher = launchers[ranks % launchers.len()];
        let shared = outcome(launcher, ranks, options);
        let what = format!("{ranks} ranks under {}, {options}", launcher.name);
        if alone.logs.contains_key("metrics") {
            same_mathematics(&alone, &shared, &what);
            if alone.record["phases"].as_array().unwrap().len() == 1 {
                same_weights(&alone, &shared, &what);
            }
        } else {
            same_training(&alone, &shared, &what);
        }
        assert_eq!(shared.record["machine"]["ranks"]["count"], ranks);
        assert!(shared.record["peak_memory_bytes"]["host"].is_u64());
        // for devices only
        assert_eq!(shared.record["machine"]["ranks"]["tensor_sums"], Value::Null);
        assert_eq!(shared.record["plan_hash"], alone.record["plan_hash"]);
    }
}

/// Fails unless protocols on the same encoder were trained with the same losses but for rounding, and
/// predict the same.
fn same_training(alone: &Left, shared: &Left, what: &str) {
    assert!(
        alone.logs.keys().eq(shared.logs.keys()) && !alone.logs.is_empty(),
        "{what}"
    );
    for (name, log) in &alone.logs {
        let (one, several) = (numbers(log, "loss"), numbers(&shared.logs[name], "loss"));
        assert_eq!(one.len(), several.len(), "{what}, {name}");
        for (step, (one, several)) in one.iter().zip(&several).enumerate() {
            let within = if step < 10 { 1e-5 } else { 1e-4 };
            assert!(
                (one - several).abs() < within * one.abs().max(1.0),
                "{what}, {name}, step {step}: {one} and {several}"
            );
        }
    }
    let ((one, words), (several, other_words)) = (alone.predicted(), shared.predicted());
    assert_eq!((one.len(), words), (several.len(), other_words), "{what}");
    let far = one
        .iter()
        .zip(&several)
        .map(|(one, several)| (one - several).abs())
        .fold(0.0, f64::max);
    assert!(far < 1e-3, "{what}: predictions differ by {far}");
}

#[test]
fn several_ranks_train_what_one_process_trains() {
    as_one_process("--quantizer rq", &[2, 3, 4]);
    for options in [
        "--quantizer vq",
        "--quantizer rq --set quantizer.restart=by-usage --set pretrain.accumulate=2",
        "--quantizer rq --method bridle-joint",
        "--quantizer rq --set augment.roll=uniform --protocol finetune",
    ] {
        as_one_process(options, &[2, 4]);
    }
    as_one_process("--method best-rq", &[3]);
    as_one_process("--method birq", &[4]);
}

#[test]
fn several_ranks_learn_the_same_weights_and_codes_by_every_quantizer() {
    // the first phase by itself
    as_one_process("--quantizer rq --set pretrain.rounds=1", &[2, 3, 4]);
    for (options, ranks) in [
        (
            "--quantizer rq --set quantizer.start=uniform --set quantizer.soft_codes=2",
            3,
        ),
        ("--quantizer rq --recipe corrected --set pretrain.rounds=1", 4),
        (
            "--quantizer rq --set quantizer.restart=by-usage --set quantizer.restart_every=5 \
             --set pretrain.encoder.restart=on --set pretrain.rounds=1",
            4,
        ),
        ("--quantizer fsq", 2),
        ("--quantizer random", 3),
    ] {
        as_one_process(options, &[ranks]);
    }
}

#[test]
fn several_ranks_train_on_pictures_and_videos_what_one_process_trains() {
    let values = "--preset smoke --quantizer rq --subset 16 --set quantizer.codes=32 --set pretrain.batch=8 \
                  --set pretrain.encoder.epochs=2 --set probe.epochs=5";
    as_one_process(&format!("--task synthetic-image {values}"), &[2, 3]);
    as_one_process(&format!("--task synthetic-video --set data.frames=4 {values}"), &[4]);
}

#[test]
fn several_ranks_train_on_speech_what_one_process_trains() {
    let probe = "--protocol linear-probe --set probe.epochs=1 --set probe.utterances=none";
    for (method, ranks) in [
        ("--method bridle --quantizer rq", 2),
        ("--method best-rq", 3),
        ("--method birq", 2),
        ("--method relabel", 4),
    ] {
        as_one_process(&format!("{SPEECH} {SPEECH_LABELS} {method} {probe}"), &[ranks]);
    }
}

#[test]
fn several_ranks_evaluate_as_one_process_does() {
    let finetune = "--method scratch --protocol finetune";
    let mixed = "--set finetune.mixup=0.5 --set finetune.drop_path=0.2 --set finetune.token_mask=0.2";
    for (options, ranks) in [
        (format!("{finetune} {mixed}"), 2),
        (
            "--method random-init --protocol linear-probe,knn,logistic-regression,attentive-probe".to_owned(),
            2,
        ),
        (
            "--method random-init --protocol attentive-probe --set attentive.batch=6".to_owned(),
            4,
        ),
        (finetune.to_owned(), 3),
        (
            format!("{SPEECH} --method random-init --protocol linear-probe,attentive-probe"),
            2,
        ),
        (
            format!("{SPEECH} {finetune} --set finetune.batch=8 --set finetune.warp=0.1 --set finetune.mel_mask=4"),
            3,
        ),
    ] {
        as_one_process(&options, &[ranks]);
    }
}

#[test]
fn the_same_number_of_ranks_gives_the_same_bits_under_every_library() {
    let mut first: Option<Left> = None;
    for launcher in launchers() {
        for _ in 0..2 {
            let found = outcome(launcher, 4, "--quantizer rq");
            if let Some(first) = &first {
                assert_eq!(first.logs, found.logs, "{}", launcher.name);
                assert_eq!(first.predictions, found.predictions, "{}", launcher.name);
                assert_eq!(first.timeless(), found.timeless(), "{}", launcher.name);
                assert!(
                    !found.weights.is_empty() && first.weights == found.weights,
                    "{}",
                    launcher.name
                );
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
    for launcher in launchers().into_iter().filter(|launcher| launcher.name == "Open MPI") {
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
            let (whole, pieces) = (numbers(unbroken.log(), "loss"), numbers(resumed.log(), "loss"));
            assert_eq!(whole.len(), pieces.len());
            if ranks == 2 {
                assert_eq!(unbroken.logs, resumed.logs);
                assert_eq!(unbroken.predictions, resumed.predictions);
            }
            let close = |(whole, pieces): (&f64, &f64)| (whole - pieces).abs() < 1e-3 * whole.abs().max(1.0);
            assert!(whole.iter().zip(&pieces).all(close), "{ranks}: {whole:?}\n{pieces:?}");
        }
    }
}

/// A run that was disturbed: how the launcher ended, and what was told.
struct Disturbed {
    code: Option<i32>,
    err: String,
    /// From the disturbance on.
    took: Duration,
    folder: tempfile::TempDir,
    options: String,
}

/// A run of two ranks, to which `act` does something, given the launcher and the ranks, once `when` was told. All its
/// processes have to end in time.
fn disturbed(launcher: Launcher, when: &str, act: impl Fn(u32, &[u32])) -> Disturbed {
    let folder = tempfile::tempdir().unwrap();
    // the probe takes its time, to be hit
    let options =
        format!("{PLAN} --quantizer rq --checkpoint-every 0 --set probe.epochs=4000 --rank-timeout 6 --verbose");
    let err = folder.path().join("err");
    let mut command = command(launcher, 2, folder.path(), &options);
    command.stdout(Stdio::null());
    let mut child = command.stderr(std::fs::File::create(&err).unwrap()).spawn().unwrap();
    let told = || String::from_utf8_lossy(&std::fs::read(&err).unwrap()).into_owned();
    wait_until(&format!("`{when}`"), || told().contains(when));
    let ranks = ranks_of(child.id(), "bridle-bench");
    assert_eq!(ranks.len(), 2, "{}", told());
    let begun = Instant::now();
    act(child.id(), &ranks);
    let mut code = None;
    wait_until("end of the launcher", || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    let took = begun.elapsed();
    let gone = |rank: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{rank}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
    };
    wait_until("end of all ranks", || ranks.iter().all(gone));
    Disturbed {
        code: code.unwrap().code(),
        err: told(),
        took,
        folder,
        options,
    }
}

fn wait_until(what: &str, mut over: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !over() {
        assert!(begun.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Disturbed {
    /// Fails unless the same command with --resume ends well on one rank, and leaves nothing half-written.
    fn resumes(&self) {
        let output = run(None, 1, self.folder.path(), &format!("{} --resume", self.options));
        assert!(output.status.success(), "{}\n{}", self.err, stderr(&output));
        for end in [".tmp", ".part", ".damaged"] {
            assert_eq!(files(self.folder.path(), end), Vec::<PathBuf>::new());
        }
        left(self.folder.path());
    }
}

fn send(process: u32, signal: i32) {
    // SAFETY: a signal to a process that these tests started
    assert_eq!(unsafe { libc::kill(process as libc::pid_t, signal) }, 0);
}

/// A moment of each part of a run, by what was told before it: reading, phases, evaluation.
const MOMENTS: [&str; 4] = [
    "seed 0",
    "encoder-1: a checkpoint",
    "encoder-1: 2 epochs",
    "encoder-2: 2 epochs",
];

/// One launcher after the other.
fn in_turn() -> impl Iterator<Item = Launcher> {
    let found = launchers();
    let count = if found.is_empty() { 0 } else { usize::MAX };
    (0..count).map(move |turn| found[turn % found.len()])
}

#[test]
fn a_killed_rank_ends_all_and_the_run_resumes() {
    let places = MOMENTS.into_iter().zip([0, 1, 0, 1]);
    for ((when, rank), launcher) in places.zip(in_turn()) {
        let found = disturbed(launcher, when, |_, ranks| send(ranks[rank], libc::SIGKILL));
        let expected = if launcher.name == "Open MPI" { 137 } else { 9 };
        assert_eq!(found.code, Some(expected), "{when}, {}: {}", launcher.name, found.err);
        assert!(found.took < Duration::from_secs(30), "{when}: {:?}", found.took);
        found.resumes();
    }
}

#[test]
fn sigterm_to_any_rank_stops_all_with_a_checkpoint() {
    for launcher in launchers() {
        let found = disturbed(launcher, MOMENTS[1], |_, ranks| send(ranks[1], libc::SIGTERM));
        assert_eq!(found.code, Some(143), "{}: {}", launcher.name, found.err);
        assert_eq!(
            found.err.matches("error: stopped by SIGTERM").count(),
            1,
            "{}",
            found.err
        );
        assert_eq!(
            files(&found.folder.path().join("results"), ".json"),
            Vec::<PathBuf>::new()
        );
        assert!(!files(&found.folder.path().join("runs"), ".safetensors").is_empty());
        found.resumes();
    }
}

/// Names a folder to the ranks of the following test.
const DRIFTS: &str = "BRIDLE_TEST_DRIFTS";

#[test]
fn a_replica_that_has_left_the_others_is_named_and_nothing_is_written() {
    if let Some(folder) = std::env::var_os(DRIFTS) {
        return drift(Path::new(&folder));
    }
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = launcher.start(3);
        command.arg(std::env::current_exe().unwrap()).args([
            "--exact",
            "a_replica_that_has_left_the_others_is_named_and_nothing_is_written",
        ]);
        let output = command.env(DRIFTS, folder.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {told}{}", launcher.name, stderr(&output));
        assert_eq!(told.matches("1 passed").count(), 3, "{told}");
    }
}

/// What each of three ranks does: they save equal weights, then rank 1 has one that is greater by 1.
fn drift(folder: &Path) {
    let ranks = Ranks::join(PATIENCE).unwrap();
    let weights = |value: f32| {
        let (shape, data) = (vec![2], vec![0.5, value]);
        Weights::from([("encoder.bias".to_owned(), Values { shape, data })])
    };
    let saved = || {
        ranks.barrier(Patience::Usual).unwrap();
        checkpoint::list(folder).unwrap().len()
    };
    with_ranks(&ranks, || {
        replicas::save(folder, 1, &weights(0.25), &1u64).unwrap();
        assert_eq!(saved(), 1);
        let drifted = if ranks.rank() == 1 { 1.25 } else { 0.25 };
        let error = replicas::save(folder, 2, &weights(drifted), &2u64).unwrap_err();
        let told = "rank 1 has another state of its weights than rank 0";
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(saved(), 1);
    });
    ranks.finish().unwrap();
}

#[test]
fn a_rank_that_is_stopped_is_named_and_ends_all() {
    let places = MOMENTS.into_iter().zip([1, 0, 1, 0]);
    // the other way round than where it is killed
    for ((when, rank), launcher) in places.zip(in_turn().skip(1)) {
        let found = disturbed(launcher, when, |_, ranks| send(ranks[rank], libc::SIGSTOP));
        let (err, told) = (&found.err, format!("error: rank {rank} (process "));
        assert_eq!(found.code, Some(1), "{when}, {}: {err}", launcher.name);
        assert!(
            err.contains(&told) && err.contains("try: the same command with --resume"),
            "{when}: {err}"
        );
        assert!(found.took < Duration::from_secs(30), "{when}: {:?}", found.took);
        assert!(files(&found.folder.path().join("results"), ".json").is_empty());
    }
}

#[test]
fn ctrl_c_on_the_launcher_ends_all_and_the_run_resumes() {
    for launcher in launchers() {
        let found = disturbed(launcher, MOMENTS[1], |launcher, _| send(launcher, libc::SIGINT));
        // MPICH's launcher may end with 0 where its ranks ended by themselves, with 130
        let told = launcher.name == "MPICH" && found.err.contains("error: stopped by SIGINT");
        assert!(found.code != Some(0) || told, "{}: {}", launcher.name, found.err);
        assert!(found.took < Duration::from_secs(30), "{:?}", found.took);
        found.resumes();
    }
}

#[test]
fn a_disk_that_takes_nothing_more_on_rank_0_ends_all() {
    for launcher in launchers() {
        // as `ulimit -f`, but not before MPI has made its files
        let fill = |_: u32, ranks: &[u32]| {
            let limit = libc::rlimit {
                rlim_cur: 10_000,
                rlim_max: 10_000,
            };
            // SAFETY: a limit for a process that this test started; the old limit is not asked for
            let done = unsafe {
                libc::prlimit(
                    ranks[0] as libc::pid_t,
                    libc::RLIMIT_FSIZE,
                    &limit,
                    std::ptr::null_mut(),
                )
            };
            assert_eq!(done, 0);
        };
        let found = disturbed(launcher, MOMENTS[1], fill);
        let err = &found.err;
        assert_eq!(found.code, Some(1), "{}: {err}", launcher.name);
        assert!(
            err.contains("error: cannot write `runs/") && err.contains("File too large"),
            "{err}"
        );
        assert_eq!(err.matches("error: cannot").count(), 1, "{err}");
        found.resumes();
    }
}

#[test]
fn check_under_a_launcher_tells_once_what_each_rank_needs() {
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_bridle-bench");
        let mut command = launcher.start(2);
        command.args([program, "check"]);
        command.args(PLAN.split_whitespace()).args(["--quantizer", "rq"]);
        let output = command
            .current_dir(folder.path())
            .env_remove("BRIDLE_DATA")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {}", launcher.name, stderr(&output));
        assert_eq!(
            out.matches("2: 8 of a batch's 16 samples each").count(),
            1,
            "{}: {out}",
            launcher.name
        );
        assert_eq!(out.matches("verdict   ranks: ok").count(), 1, "{out}");
    }
}

#[test]
fn check_rules_on_ranks_without_starting_them() {
    let folder = tempfile::tempdir().unwrap();
    let check = |ranks: usize| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
        command.args(["check", "--ranks", &ranks.to_string(), "--format", "json"]);
        command.args(PLAN.split_whitespace()).args(["--quantizer", "rq"]);
        let output = command.current_dir(folder.path()).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdicts = report["verdicts"].as_array().unwrap().iter();
        let ruled = verdicts.filter(|verdict| verdict["topic"] == "ranks");
        let ruled: Vec<Value> = ruled.map(|verdict| verdict["verdict"].clone()).collect();
        (
            output.status.code(),
            ruled,
            report["needs"]["memory_bytes"].as_u64().unwrap(),
        )
    };
    let (alone, four) = (check(1), check(4));
    assert_eq!((four.0, &four.1[..]), (Some(0), &["ok".into()][..]));
    // a quarter of the batch each
    assert!(four.2 < alone.2, "{} and {}", four.2, alone.2);
    // a batch has 16 samples
    let many = check(17);
    assert_eq!((many.0, &many.1[..]), (Some(2), &["cannot".into()][..]));
}

#[test]
fn the_script_for_gpus_says_what_it_would_do_and_refuses_a_machine_without_one() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gpus.sh");
    let run = |options: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(&script);
        // no nvidia-smi
        command
            .arg(folder.path().join("out"))
            .args(options.split_whitespace())
            .env("PATH", "/usr/bin:/bin");
        let output = command.output().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{options}");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output),
        )
    };
    let (code, told) = run("--dry-run --features cuda,tch --peer tests/race.py");
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "kernels",
        "parity",
        "smoke-cuda",
        "speed-tch",
        "against-peer-cuda",
        "two-ranks-tch",
        "two-ranks-cuda-nccl",
        "summed-two-ranks-tch-nccl",
        "same-losses-two-ranks-cuda",
        "same-losses-two-ranks-cuda-nccl",
    ] {
        assert!(
            told.lines().any(|line| line.starts_with(&format!("{part} (at most "))),
            "{part}: {told}"
        );
    }
    // what is timed stays below ten minutes with one backend
    let (_, told) = run("--dry-run");
    let seconds = told
        .lines()
        .filter(|line| !line.starts_with("build"))
        .filter_map(|line| line.split(' ').nth(3)?.parse::<u32>().ok());
    assert!(seconds.sum::<u32>() <= 600, "{told}");
    if !Path::new("/usr/bin/nvidia-smi").exists() {
        let (code, told) = run("");
        assert!(
            code == Some(4) && told.contains("try: a machine with an NVIDIA driver, or --dry-run"),
            "{told}"
        );
    }
    assert_eq!(run("--nonsense").0, Some(2));
}

#[test]
fn what_ranks_cannot_share_is_refused_by_name() {
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        for (options, batch) in [
            ("--quantizer rq --set pretrain.batch=2", "pretrain.batch"),
            (
                "--quantizer rq --protocol attentive-probe --set attentive.batch=2",
                "attentive.batch",
            ),
        ] {
            let output = run(launcher, 3, folder.path(), &plan(options));
            let told = format!("3 ranks cannot share 2 samples of a batch ({batch})");
            let err = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{}: {err}", launcher.name);
            assert_eq!(err.matches(&told).count(), 1, "{err}");
            // before anything is trained
            assert!(!err.contains("encoder-1"), "{err}");
        }
    }
}

/// What two ranks say of which the second is another program or has other words, with its exit code.
fn unlike(launcher: Launcher, folder: &Path, first: &str, other: &Path, second: &str) -> (Option<i32>, String) {
    let mut command = command(launcher, 1, folder, first);
    let program = command.get_program().to_owned();
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = launcher.start(1);
    command.arg(program).args(words);
    command
        .args([":", "-n", "1"])
        .arg(other)
        .args(second.split_whitespace())
        .args(["--threads", "1"]);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("BRIDLE_DATA")
        .env("BRIDLE_RANK_TIMEOUT", "6");
    let output = command.output().unwrap();
    (output.status.code(), stderr(&output))
}

#[test]
fn ranks_that_were_started_differently_do_not_train_together() {
    let program = Path::new(env!("CARGO_BIN_EXE_bridle-bench"));
    let first = format!("{PLAN} --quantizer rq");
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        // the program of another commit
        let (other, commit) = (folder.path().join("bridle-bench"), commit(program));
        let changed = commit.replacen(|_: char| true, if commit.starts_with('0') { "1" } else { "0" }, 1);
        let bytes = std::fs::read(program).unwrap();
        std::fs::write(&other, replaced(&bytes, commit.as_bytes(), changed.as_bytes())).unwrap();
        std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // other sounds under the same names
        for (side, pitch) in [("a", 300.0), ("b", 420.0)] {
            for class in ["low", "high"] {
                let place = folder.path().join(side).join("own").join(class);
                std::fs::create_dir_all(&place).unwrap();
                for number in 0..6 {
                    let sound = tone(pitch + 7.0 * f64::from(number), 8_000);
                    write_wav(&place.join(format!("{number}.wav")), sound);
                }
            }
        }
        let own = |side: &str| format!("--task {side}/own --preset smoke --quantizer rq");
        for (first, other, second, told) in [
            (&first, program, format!("run {PLAN} --quantizer vq"), "another plan"),
            (
                &first,
                program,
                format!("run {PLAN} --quantizer rq --seeds 2"),
                "another choice of runs",
            ),
            (&first, &other, format!("run {first}"), "another program"),
            // measured values of own data are in its plan
            (&own("a"), program, format!("run {}", own("b")), "another plan"),
        ] {
            let (code, err) = unlike(launcher, folder.path(), first, other, &second);
            assert_eq!(code, Some(2), "{}, {told}: {err}", launcher.name);
            assert!(
                err.contains(&format!("error: rank 1 has {told} than rank 0")),
                "{told}: {err}"
            );
            assert!(
                err.contains("try: the same command, program and data on every rank"),
                "{err}"
            );
        }
        // one that joins nobody
        let (code, err) = unlike(launcher, folder.path(), &first, program, &format!("check {first}"));
        assert_ne!(code, Some(0), "{}: {err}", launcher.name);
        assert!(files(folder.path(), ".predictions.csv").is_empty());
    }
}

/// The commit that the program was built from.
fn commit(program: &Path) -> String {
    let version = Command::new(program).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let inner = version.split_once('(').unwrap().1;
    inner.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// The bytes with every `old` as `new`, which is as long.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut found = bytes.to_vec();
    for start in 0..bytes.len() - old.len() {
        if bytes[start..].starts_with(old) {
            found[start..start + old.len()].copy_from_slice(new);
        }
    }
    assert_ne!(found, bytes, "the program does not hold its commit");
    found
}

#[test]
fn processes_that_cannot_be_joined_say_which_they_are_and_write_nothing() {
    let options = plan("--quantizer rq");
    let step = [
        ("SLURM_STEP_ID", "0"),
        ("SLURM_STEP_NUM_TASKS", "2"),
        ("SLURM_PROCID", "1"),
    ];
    for (variables, code, told) in [
        (
            &step[..],
            2,
            "srun started 2 processes (SLURM_STEP_NUM_TASKS=2) that know nothing of each other\ntry: srun --mpi=pmix",
        ),
        (
            &[("WORLD_SIZE", "2"), ("RANK", "1")],
            2,
            "a launcher started 2 processes (WORLD_SIZE=2) that know nothing",
        ),
        (
            &[
                ("PMI_SIZE", "2"),
                ("PMI_RANK", "1"),
                ("BRIDLE_MPI", "/nowhere/libmpi.so"),
            ],
            4,
            "no MPI library could be opened",
        ),
        (
            &[("PMI_SIZE", "2"), ("PMI_RANK", "1"), ("BRIDLE_MPI", "libm.so.6")],
            4,
            "the MPI library `libm.so.6` has no function",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = command(None, 1, folder.path(), &options)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(
            err.starts_with("rank 1: error: ") && err.contains(told) && err.contains("\ntry: "),
            "{err}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn the_command_line_says_whether_processes_join() {
    let launcher = [("PMI_SIZE", "2"), ("PMI_RANK", "1")];
    for (options, variables, code, told) in [
        // one of two that a launcher started
        ("--ranks alone", &launcher[..], 0, ""),
        (
            "--ranks mpi",
            &[],
            2,
            "no launcher that is known started it\ntry: mpirun -n 2",
        ),
        (
            "",
            &[("BRIDLE_RANKS", "mpi")],
            2,
            "no launcher that is known started it",
        ),
        (
            "",
            &[("BRIDLE_RANKS", "some")],
            2,
            "BRIDLE_RANKS is `alone`, `mpi` or not set, not `some`",
        ),
        ("--ranks alone", &[("BRIDLE_RANKS", "mpi")], 0, ""),
        ("--rank-timeout 0", &[], 2, "--rank-timeout"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("{} {options}", plan("--method random-init"));
        let mut command = command(None, 1, folder.path(), &options);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{options}: {err}");
        assert!(err.contains(told), "{options}: {err}");
        if code == 0 {
            assert_eq!(left(folder.path()).record["machine"]["ranks"], Value::Null);
        }
    }
}

#[test]
fn a_loss_that_is_no_number_stops_all_ranks_at_the_same_step() {
    for launcher in launchers() {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("{PLAN} --quantizer rq --set pretrain.encoder.rate=1e30");
        let output = run(launcher, 2, folder.path(), &options);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(5), "{}: {err}", launcher.name);
        assert_eq!(err.matches("training diverged").count(), 1, "{err}");
    }
}
