//! Encoders of others on the real program: recognised by their contents, judged by their vectors, and
//! named in records and tables. The models are those of `$BRIDLE_ENCODERS`, or the few in
//! `tests/encoders`; their weights are random, so that only the way to a score is looked at.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_bench::embeddings::Embeddings;
use bridle_results::store;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn program(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(args).current_dir(folder);
    command.stdin(Stdio::null()).env_remove("BRIDLE_DATA").output().unwrap()
}

/// Runs to the end, and gives what was told.
fn done(folder: &Path, args: &[&str]) -> String {
    let output = program(folder, args);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {told}");
    told
}

/// What was told; it fails with this code.
fn refusal(folder: &Path, code: i32, args: &[&str]) -> String {
    let output = program(folder, args);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    told
}

/// The models that are there, by name: a folder of Hugging Face's form or a file.
fn models() -> Vec<(String, PathBuf)> {
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders");
    let root = std::env::var_os("BRIDLE_ENCODERS").map_or_else(committed, PathBuf::from);
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display())) {
        let folder = entry.unwrap().path();
        let names = ["model", "model.pth", "model.pt", "model.ckpt"];
        let model = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        found.extend(model.map(|model| (name, model)));
    }
    found.sort();
    assert!(!found.is_empty(), "no model in {}", root.display());
    found
}

/// What the file of this model does not say, from the manifest beside it: words for the command line.
fn unsaid(model: &Path) -> Vec<String> {
    if model.join("config.json").is_file() {
        return Vec::new();
    }
    let manifest = fs::read_to_string(model.with_file_name("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let size = |key: &str| manifest["config"][key].as_u64();
    let single = [
        ("heads", "num_heads"),
        ("frames", "frames"),
        ("mels", "mels"),
        ("size", "image_size"),
    ];
    let single = single
        .into_iter()
        .filter_map(|(option, key)| Some(format!("foreign.{option}={}", size(key)?)));
    let strides = size("frequency_stride").zip(size("time_stride"));
    let strides = strides.map(|(frequency, time)| format!("foreign.strides=[{frequency}, {time}]"));
    single
        .chain(strides)
        .flat_map(|value| ["--set".to_owned(), value])
        .collect()
}

/// Two kinds of tones and of pictures, ten of each, and a task file for either.
fn write_data(folder: &Path) {
    let form = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for (class, pitch) in [("high", 900.0), ("low", 300.0)] {
        for kind in ["sounds", "pictures"] {
            fs::create_dir_all(folder.join(kind).join(class)).unwrap();
        }
        for number in 0..10 {
            let mut file = hound::WavWriter::create(folder.join(format!("sounds/{class}/{number}.wav")), form).unwrap();
            for time in 0..16_000 {
                let phase = std::f32::consts::TAU * (pitch + 13.0 * number as f32) * time as f32 / 16_000.0;
                file.write_sample((8000.0 * phase.sin()) as i16).unwrap();
            }
            file.finalize().unwrap();
            let value = |place: u32| ((place * (number + 1)) % 97 + pitch as u32 / 10) as u8;
            let bytes: Vec<u8> = (0..3 * 40 * 30).map(value).collect();
            write_png(&folder.join(format!("pictures/{class}/{number}.png")), 40, 30, &bytes);
        }
    }
    let task = |name: &str, modality: &str, input: &str| {
        let text = format!(
            "name = \"{name}\"\nmodality = \"{modality}\"\nfolder = \"{name}\"\nholdout = 0.4\n[input]\n{input}\nmean = 0.5\nstd = 1.0\n"
        );
        fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    };
    task("sounds", "audio", "frames = 112\nmels = 32");
    task("pictures", "image", "side = 32");
}

/// A picture of these bytes, 3 for each pixel.
fn write_png(path: &Path, width: u32, height: u32, bytes: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
}

#[test]
fn every_family_of_sounds_and_pictures_is_judged_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    for (name, model) in models() {
        let options = unsaid(&model);
        let model = model.to_str().unwrap();
        if name.starts_with("videomae") {
            let told = refusal(
                folder,
                2,
                &[
                    "check",
                    "--task",
                    "pictures.toml",
                    "--init",
                    model,
                    "--set",
                    "foreign.size=16",
                ],
            );
            assert!(
                told.contains("takes video") || told.contains("foreign."),
                "{name}: {told}"
            );
            continue;
        }
        let run = |task: &str| {
            let words = ["run", "--task", task, "--preset", "smoke", "--init", model];
            let more = ["--protocol", "linear-probe,knn", "--out", &name];
            let options = options.iter().map(String::as_str);
            program(
                folder,
                &words.into_iter().chain(more).chain(options).collect::<Vec<_>>(),
            )
        };
        let (sounds, pictures) = (run("sounds.toml"), run("pictures.toml"));
        let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
        let codes = [sounds.status.code(), pictures.status.code()];
        assert!(
            matches!(codes, [Some(0), Some(2)] | [Some(2), Some(0)]),
            "{name}: {codes:?}\n{}\n{}",
            told(&sounds),
            told(&pictures)
        );
        let (of, other) = if sounds.status.success() {
            (&sounds, &pictures)
        } else {
            (&pictures, &sounds)
        };
        assert!(
            told(other).contains("the encoder given with --init takes"),
            "{name}: {}",
            told(other)
        );
        for part in ["recognised as", "tensors read", "licence"] {
            assert!(told(of).contains(part), "{name}: {part}: {}", told(of));
        }
        let records = store::find(&[folder.join(&name)]).unwrap();
        let [(_, record)] = &records[..] else {
            panic!("{name}: one record, no control")
        };
        assert_eq!(record.plan["method"], "init");
        assert_eq!(record.plan["foreign.test_inputs"], "unknown");
        assert!(record.plan.contains_key("foreign.family") && !record.plan.contains_key("recipe"));
        assert!(record.scores.iter().any(|score| score.protocol == "knn"));
        assert_eq!(record.plan["foreign.sha256"].as_str().unwrap().len(), 64);
        // the plan is read again from the record
        let table = String::from_utf8(of.stdout.clone()).unwrap();
        assert!(table.contains('◊') && table.contains("init "), "{name}: {table}");
    }
}

#[test]
fn vectors_that_features_writes_have_the_scores_of_the_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    let (name, model) = models().into_iter().find(|(name, _)| name.contains("vision")).unwrap();
    let model = model.to_str().unwrap();
    done(
        folder,
        &[
            "features",
            "--init",
            model,
            "--files",
            "pictures",
            "--to",
            "vectors.npz",
        ],
    );
    let judged = [
        "--task",
        "pictures.toml",
        "--preset",
        "smoke",
        "--protocol",
        "linear-probe,knn",
    ];
    done(folder, &[&["run", "--init", model][..], &judged].concat());
    done(
        folder,
        &[&["judge", "--embeddings", "vectors.npz", "--name", &name][..], &judged].concat(),
    );
    let of = |method: &str| {
        let mut records = store::find(&[folder.join("results/records")]).unwrap();
        records.retain(|(_, record)| record.method() == method);
        let [(path, record)] = &records[..] else {
            panic!("one record of {method}")
        };
        let scores: Vec<_> = record
            .scores
            .iter()
            .map(|score| (score.metric.clone(), score.value, score.interval.clone()))
            .collect();
        (fs::read(path.with_extension("predictions.csv")).unwrap(), scores)
    };
    assert_eq!(of("init"), of(&name));

    // tokens, as numpy's arrays and by name
    done(
        folder,
        &[
            "features",
            "--init",
            model,
            "--files",
            "pictures",
            "--pool",
            "tokens",
            "--to",
            "tokens.safetensors",
        ],
    );
    let (tokens, header) =
        bridle::weights::from_safetensors(&fs::read(folder.join("tokens.safetensors")).unwrap()).unwrap();
    let card: Value = serde_json::from_str(&header["bridle-bench"]).unwrap();
    assert!(
        tokens
            .values()
            .all(|tokens| tokens.shape.len() == 2 && tokens.shape[1] == card["dim"])
    );
    assert!(card["encoder"]["family"].is_string(), "{card}");
    assert_eq!(
        Embeddings::read(&folder.join("vectors.npz")).unwrap().dim as u64,
        card["dim"]
    );

    // a layer of it, and what is refused
    done(
        folder,
        &[
            &["run", "--init", model, "--set", "probe.layer=1", "--out", "layer"][..],
            &judged,
        ]
        .concat(),
    );
    let run = |rest: &[&str]| {
        refusal(
            folder,
            2,
            &[&["run", "--task", "pictures.toml", "--init", model][..], rest].concat(),
        )
    };
    assert!(run(&["--protocol", "finetune"]).contains("protocol `finetune` trains"));
    assert!(run(&["--set", "foreign.head=3"]).contains("heads"));
    assert!(run(&["--set", "foreign.heads=7"]).contains('7'));
    assert!(run(&["--method", "bridle"]).contains("--init needs method `init`"));
}
