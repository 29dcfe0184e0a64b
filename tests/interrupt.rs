//! Ctrl-C is heard within two seconds, wherever the real binary is at work. Each case waits until the
//! program says that it has come to its place; only then it is asked to stop.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// Ctrl-C is heard within this time.
const HEARD: Duration = Duration::from_secs(2);
/// No place is further away, unless the program hangs.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the silent hub says to the test when somebody waits for its answer.
const WAITED_FOR: &str = "the hub is asked";

const BRIDLE: &str = "run --task synthetic --preset smoke --quantizer rq";
const SPEECH: &str = "run --task speech.toml --preset smoke --method scratch --set finetune.epochs=1 \
                      --set finetune.head_epochs=0 --set finetune.warmup_epochs=0";
const UNTRAINED: &str = "run --task synthetic --preset smoke --method random-init";

/// How a line begins that shows the place, the command, and options that make the work there long and that
/// before it short.
const PLACES: [(&str, &str, &str); 11] = [
    (WAITED_FOR, "fetch esc50", "--yes"),
    ("generating samples: ", UNTRAINED, "--set data.frames=8192"),
    ("computing log-mel features: ", SPEECH, ""),
    (
        "labels: ",
        "run --task synthetic --preset smoke --quantizer random",
        "--subset 400 --set quantizer.codes=16384 --set quantizer.levels=32",
    ),
    (
        "encoder-1 (phase 1 of 3): ",
        BRIDLE,
        "--subset 40 --set pretrain.encoder.epochs=10000",
    ),
    (
        "tokenizer-1 (phase 2 of 3): ",
        BRIDLE,
        "--subset 40 --set pretrain.encoder.epochs=1 --set pretrain.tokenizer.epochs=10000",
    ),
    (
        "features: ",
        UNTRAINED,
        "--subset 400 --set model.depth=96 --set model.dim=512",
    ),
    (
        "linear-probe: 600000 epochs",
        UNTRAINED,
        "--subset 40 --set probe.epochs=600000",
    ),
    (
        "attentive-probe: ",
        UNTRAINED,
        "--subset 40 --protocol attentive-probe --set attentive.epochs=100000",
    ),
    (
        "finetune: ",
        "run --task synthetic --preset smoke --method scratch",
        "--subset 40 --protocol finetune --set finetune.epochs=100000",
    ),
    (
        "finetune: beam search: ",
        SPEECH,
        "--subset 3000 --set decoding.beam=3000",
    ),
];

/// A task of speech: one sound under thousands of names, at a rate that is not the task's, so that reading it takes
/// long.
fn write_speech(folder: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    fs::create_dir(folder.join("sounds")).unwrap();
    let first = folder.join("sounds/0.wav");
    let mut file = hound::WavWriter::create(&first, spec).unwrap();
    (0..132_300).for_each(|step| file.write_sample((step * step / 300 % 9_000) as i16).unwrap());
    file.finalize().unwrap();
    let mut table = "path,text,split,speaker\n".to_owned();
    for number in 0..6_000 {
        if number > 0 {
            fs::hard_link(&first, folder.join(format!("sounds/{number}.wav"))).unwrap();
        }
        let split = if number % 2 == 0 { "train" } else { "test" };
        table.push_str(&format!("sounds/{number}.wav,HIGH LOW,{split},{}\n", number % 2));
    }
    fs::write(folder.join("table.csv"), table).unwrap();
    let task = "name = \"speech\"\nmodality = \"speech\"\ncsv = \"table.csv\"\n";
    fs::write(folder.join("speech.toml"), task).unwrap();
}

/// A hub that takes questions and never answers.
fn silent_hub(told: Sender<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            kept.push(stream);
            // the test may be over
            let _ = told.send(WAITED_FOR.to_owned());
        }
    });
    address
}

/// A program that does not outlive a test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // it has ended if the test passed
        let _ = self.0.kill();
    }
}

/// Starts the program with progress every few seconds. What it says comes line by line.
fn start(folder: &Path, line: &str) -> (Running, Receiver<String>) {
    let (sender, said) = mpsc::channel();
    // whatever starts the tests may ignore SIGINT, as a shell does for what it starts in the background
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_bridle-bench"), "--verbose"]);
    command.args(line.split_whitespace()).current_dir(folder);
    command.env_remove("BRIDLE_DATA").env("HF_HOME", folder.join("hub"));
    command.env("HF_ENDPOINT", silent_hub(sender.clone()));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (Running(child), said)
}

/// Waits for a line that begins so; all that was said.
fn wait_for(said: &Receiver<String>, begins: &str, line: &str) -> Vec<String> {
    let (begun, mut heard) = (Instant::now(), Vec::new());
    while !heard.last().is_some_and(|line: &String| line.starts_with(begins)) {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let next = said.recv_timeout(left);
        heard.push(next.unwrap_or_else(|why| panic!("{line} never came to `{begins}` ({why}): {heard:#?}")));
    }
    heard
}

fn press_ctrl_c(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// The exit code as a shell has it, and how long the end took.
fn end(child: &mut Child, since: Instant) -> (Option<i32>, Duration) {
    let status = child.wait().unwrap();
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    (code, since.elapsed())
}

#[test]
fn ctrl_c_is_heard_within_two_seconds_in_every_kind_of_work() {
    let folder = tempfile::tempdir().unwrap();
    write_speech(folder.path());
    for (begins, command, options) in PLACES {
        // one thread, so that the work is long on any machine
        let threads = if command.starts_with("run") { "--threads 1" } else { "" };
        let line = format!("{command} {options} {threads}");
        let (mut child, said) = start(folder.path(), &line);
        wait_for(&said, begins, &line);
        let pressed = Instant::now();
        press_ctrl_c(&child.0);
        let (code, took) = end(&mut child.0, pressed);
        println!("{begins:30} {} ms", took.as_millis());
        assert_eq!(code, Some(130), "{line}");
        assert!(took < HEARD, "{line}: {took:?}");
    }
}

/// Whether a file of this name lies somewhere below the folder.
fn holds(folder: &Path, name: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| path.ends_with(name) || path.is_dir() && holds(&path, name))
}

#[test]
fn ctrl_c_in_a_long_step_says_what_it_does_and_twice_stops_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let line = "run --task synthetic --preset smoke --method scratch --protocol finetune --subset 64 --threads 1 \
                --set finetune.batch=64 --set model.dim=512 --set model.depth=12";
    let (mut child, said) = start(folder.path(), line);
    let begun = Instant::now();
    while !holds(&folder.path().join("runs/synthetic"), "finetune.jsonl") {
        assert!(begun.elapsed() < PATIENCE, "it never began to train");
        std::thread::sleep(Duration::from_millis(5));
    }
    // the step takes longer than this by far
    std::thread::sleep(Duration::from_secs(1));
    let pressed = Instant::now();
    press_ctrl_c(&child.0);
    let answer = "SIGINT: stops after this step and writes a checkpoint; a second one stops at once";
    wait_for(&said, answer, line);
    assert!(pressed.elapsed() < HEARD, "{:?}", pressed.elapsed());
    assert_eq!(child.0.try_wait().unwrap(), None, "the step was short");
    let pressed = Instant::now();
    press_ctrl_c(&child.0);
    let (code, took) = end(&mut child.0, pressed);
    assert!(code == Some(130) && took < HEARD, "{code:?} after {took:?}");
}
