//! `features` on the real program: vectors of one's own files, bad input by name, a stop by signal.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::weights::{self, Weights};
use bridle_bench::data::fixed;
use bridle_bench::plan::{AnyTask, Plan, PlanRequest};
use bridle_bench::run::encoder_file::EncoderFile;
use bridle_bench::sizes;
use bridle_results::store;
use bridle_seed::Seed;
use bridle_tasks::{Limits, OpenRequest};
use burn_flex::Flex;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A pretraining of a few seconds on the built-in task.
const RUN: &str = "run --task synthetic --preset smoke --subset 40 --set data.frames=128 --quantizer rq \
                   --set quantizer.codes=64 --set model.estimator.depth=1 --set model.decoder.dim=32 \
                   --set model.decoder.depth=1 --set pretrain.encoder.epochs=1 --set pretrain.rounds=1 \
                   --set probe.epochs=1";

fn program(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).env_remove("BRIDLE_DATA");
    command
}

/// Runs to the end, and gives what was told.
fn done(folder: &Path, line: &str) -> String {
    let output = program(folder, line).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{line}: {told}");
    told
}

/// The exit code and what was told.
fn refusal(folder: &Path, line: &str) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = program(folder, line).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// `encoder.safetensors` in this folder, of a short run.
fn export(folder: &Path) {
    done(folder, RUN);
    let records = store::find(&[folder.join("results/records")]).unwrap();
    done(
        folder,
        &format!("export {} --to encoder.safetensors", records[0].0.display()),
    );
}

/// A second of a tone of this many Hz.
fn write_tone(path: &Path, pitch: f32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let form = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, form).unwrap();
    for time in 0..16_000 {
        let phase = std::f32::consts::TAU * pitch * time as f32 / 16_000.0;
        file.write_sample((8000.0 * phase.sin()) as i16).unwrap();
    }
    file.finalize().unwrap();
}

fn vectors(path: &Path) -> (Weights, HashMap<String, String>) {
    weights::from_safetensors(&fs::read(path).unwrap()).unwrap()
}

/// The features of the samples of `own.toml`, by id: read as a task of one's own, and one at a time.
fn of_own_task(folder: &Path) -> Vec<(String, Vec<f32>)> {
    let encoder = EncoderFile::read(&folder.join("encoder.safetensors")).unwrap();
    let task = folder.join("own.toml").display().to_string();
    let plan = Plan::resolve(&PlanRequest {
        task: task.clone(),
        init: Some(encoder.request()),
        ..PlanRequest::default()
    });
    let (plan, device) = (plan.unwrap(), Default::default());
    let Ok(AnyTask::Fixed(task)) = AnyTask::find(&task) else {
        panic!("a task of sounds")
    };
    let request = OpenRequest {
        data: None,
        offline: true,
        input: plan.fixed_input().clone(),
        subset: None,
        allow_different: true,
        cache: folder.join("cache"),
        threads: 1,
        limits: Limits::default(),
    };
    let dataset = task.open(&request, &()).unwrap();
    let geometry = sizes::geometry(&plan);
    let vit = Vit::<Flex>::new(&geometry, &sizes::encoder(&plan), &Init::new(Seed::root(9), &device));
    let vit = weights::load(vit, &encoder.weights).unwrap();
    let of = |sample: usize| {
        let x = fixed::batch::<Flex>(&dataset, &[sample], &geometry, &device).unwrap();
        let vector = vit.features(x).into_data().iter::<f32>().collect();
        (dataset.samples[sample].id.clone(), vector)
    };
    (0..dataset.samples.len()).map(of).collect()
}

#[test]
fn every_file_has_the_vector_that_the_encoder_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    export(folder);
    for (name, pitch) in [
        ("a/low", 200.0),
        ("a/lower", 150.0),
        ("b/high", 900.0),
        ("b/deep/high", 900.0),
    ] {
        write_tone(&folder.join(format!("files/{name}.wav")), pitch);
    }
    fs::write(folder.join("files/a/notes.txt"), "no sound").unwrap();
    let told = done(folder, "features --init encoder.safetensors --files files");
    assert!(told.contains("features.safetensors: 4 vectors of 64 numbers"), "{told}");
    let (found, header) = vectors(&folder.join("features.safetensors"));
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["a/low.wav", "a/lower.wav", "b/deep/high.wav", "b/high.wav"]);
    assert!(found.values().all(|vector| vector.shape == [64]));
    assert_eq!(found["b/deep/high.wav"], found["b/high.wav"]);
    assert_ne!(found["a/low.wav"], found["b/high.wav"]);

    let card: Value = serde_json::from_str(&header["bridle-bench"]).unwrap();
    let encoder = EncoderFile::read(&folder.join("encoder.safetensors")).unwrap();
    assert_eq!(
        (&card["dim"], &card["backend"], &card["dtype"]),
        (&64.into(), &"flex".into(), &"fp32".into())
    );
    assert_eq!(card["encoder"]["sha256"], encoder.sha256);
    assert_eq!(card["encoder"]["origin"]["method"], "bridle-rq");

    // by another way: files of a task of one's own, which knows the same ids
    let card = serde_json::to_value(&encoder.card.input).unwrap();
    let text = format!(
        "name = \"own\"\nmodality = \"audio\"\nfolder = \"files\"\n\
         [input]\nframes = {}\nmels = {}\nsample_rate = {}\nmean = {}\nstd = {}\n",
        card["frames"], card["mels"], card["sample_rate"], card["mean"], card["std"]
    );
    fs::write(folder.join("own.toml"), text).unwrap();
    let own = of_own_task(folder);
    assert_eq!(own.len(), 3);
    for (id, vector) in own {
        let farthest = found[&id]
            .data
            .iter()
            .zip(&vector)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(farthest < 1e-5, "{id}: {farthest}");
    }

    // one file that cannot be used is named; nothing else changes
    fs::write(folder.join("files/a/broken.wav"), "no wav").unwrap();
    let told = done(
        folder,
        "features --init encoder.safetensors --files files --to again.safetensors",
    );
    assert!(told.contains("left out: a/broken.wav: "), "{told}");
    assert_eq!(vectors(&folder.join("again.safetensors")).0, found);
    fs::write(folder.join("files/a/worse.wav"), "no wav").unwrap();
    let (code, told) = refusal(
        folder,
        "features --init encoder.safetensors --files files --to none.safetensors",
    );
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("2 of 6 samples"), "{told}");

    fs::create_dir(folder.join("empty")).unwrap();
    for (line, code, why) in [
        (
            "--init encoder.safetensors --files empty",
            3,
            "it has no file of wav, flac",
        ),
        ("--init encoder.safetensors --files nowhere", 3, "cannot read nowhere"),
        (
            "--init none.safetensors --files files",
            3,
            "cannot read `none.safetensors`",
        ),
        ("--init files/a/low.wav --files files", 3, "holds no weights"),
        (
            "--init encoder.safetensors --files files --to empty",
            2,
            "it is a folder",
        ),
        (
            "--init encoder.safetensors --files files --to files/a/low.wav/x",
            2,
            "`files/a/low.wav/x` cannot be written",
        ),
        (
            "--init encoder.safetensors --files files --backend flux",
            2,
            "unknown backend",
        ),
    ] {
        let (found, told) = refusal(folder, &format!("features {line}"));
        assert_eq!(found, Some(code), "{line}: {told}");
        assert!(told.contains(why), "{line}: {told}");
    }
    assert!(!folder.join("none.safetensors").exists());
}

#[test]
#[cfg(unix)]
fn a_signal_stops_it_and_leaves_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    export(folder);
    write_tone(&folder.join("files/0.wav"), 440.0);
    for copy in 1..8000 {
        fs::hard_link(folder.join("files/0.wav"), folder.join(format!("files/{copy}.wav"))).unwrap();
    }
    let mut child = program(folder, "features --init encoder.safetensors --files files");
    let mut child = child.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.join("runs/features/files").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before its files were read");
        assert!(begun.elapsed() < Duration::from_secs(60), "it never read a file");
        std::thread::sleep(Duration::from_millis(2));
    }
    let asked = Instant::now();
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(
        told.contains("stopped by SIGINT") && told.contains("try: the same command again"),
        "{told}"
    );
    assert!(!folder.join("features.safetensors").exists());
}

#[test]
#[cfg(unix)]
fn what_was_stopped_goes_on_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    export(folder);
    for number in 0..40 {
        write_tone(
            &folder.join(format!("files/{number}.wav")),
            200.0 + 20.0 * number as f32,
        );
    }
    for copy in 40..3000 {
        let of = folder.join(format!("files/{}.wav", copy % 40));
        fs::hard_link(of, folder.join(format!("files/{copy}.wav"))).unwrap();
    }
    let line = "features --init encoder.safetensors --files files";
    let mut child = program(folder, line);
    let mut child = child.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let (partial, begun) = (folder.join("features.safetensors.partial"), Instant::now());
    // some batches of 16 vectors of 64 numbers
    while fs::metadata(&partial).map_or(0, |file| file.len()) < 20_000 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was stopped");
        assert!(begun.elapsed() < Duration::from_secs(60), "it never computed a batch");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join("features.safetensors").exists());
    let told = done(folder, line);
    assert!(told.contains("goes on after "), "{told}");
    assert!(!partial.exists());
    let told = done(folder, &format!("{line} --to whole.safetensors"));
    assert!(!told.contains("goes on after "), "{told}");
    let [resumed, whole] =
        ["features", "whole"].map(|name| fs::read(folder.join(format!("{name}.safetensors"))).unwrap());
    assert!(resumed == whole, "other bytes than without a stop");

    // what other files, or another encoder's work left is not used
    fs::write(&partial, b"something else").unwrap();
    let told = done(folder, line);
    assert!(!told.contains("goes on after ") && !partial.exists(), "{told}");
}
