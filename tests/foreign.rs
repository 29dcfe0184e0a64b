//! Encoders of others on the real program: recognised by their contents, judged by their vectors, trained
//! on classes and transcripts, and named in records and tables. The models are those of `$BRIDLE_ENCODERS`, or the few in
//! `tests/encoders`; their weights are random, so that only the way to a score is looked at.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_bench::embeddings::Embeddings;
use bridle_results::store;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

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

/// Two kinds of tones and of pictures, ten of each, and a task file for either. Every third tone is shorter than the
/// others, and one too short for a patch.
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
            let samples = match number {
                9 => 500,
                number if number % 3 == 1 => 9_600 + 170 * number,
                _ => 16_000,
            };
            for time in 0..samples {
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
    let finetune = |set: &str| run(&["--protocol", "finetune", "--set", set]);
    assert!(finetune("finetune.mel_mask=4").contains("pictures or videos"));
    assert!(finetune("finetune.freeze_front=true").contains("freeze_front"));
    assert!(run(&["--set", "foreign.head=3"]).contains("heads"));
    assert!(run(&["--set", "foreign.heads=7"]).contains('7'));
    assert!(run(&["--method", "bridle"]).contains("--init needs method `init`"));
}

/// Those of whose inputs a sound has its own length: all that hear waves, and filterbanks without a number of frames.
fn takes_any_length(name: &str) -> bool {
    let families = [
        "beats",
        "bestrq",
        "data2vec-audio",
        "hubert",
        "w2v-bert",
        "wav2vec2",
        "wavlm",
    ];
    families.iter().any(|family| name.starts_with(family))
}

/// Those that hear waves.
fn hears_waves(name: &str) -> bool {
    takes_any_length(name)
        && !["beats", "bestrq", "w2v-bert"]
            .iter()
            .any(|family| name.starts_with(family))
}

#[test]
fn every_family_is_fine_tuned_and_probed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    let protocols = "--protocol finetune,attentive-probe,linear-probe,logistic-regression --preset smoke --set finetune.epochs=2 \
                     --set attentive.epochs=2 --set attentive.rates=[1e-3] --set probe.layer=1 --set finetune.batch=8 \
                     --set finetune.warmup_epochs=0.0";
    for (name, model) in models().iter().filter(|(name, _)| !name.starts_with("videomae")) {
        let options = unsaid(model);
        let run = |task: &str| {
            let words = ["run", "--task", task, "--init", model.to_str().unwrap(), "--out", name];
            let more = protocols.split_whitespace().chain(options.iter().map(String::as_str));
            program(folder, &words.into_iter().chain(more).collect::<Vec<_>>())
        };
        let mut output = run("sounds.toml");
        if output.status.code() == Some(2) {
            output = run("pictures.toml");
        }
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {told}");
        let records = store::find(&[folder.join(name)]).unwrap();
        let [(path, record)] = &records[..] else {
            panic!("{name}: one record, no control")
        };
        for protocol in ["finetune", "attentive-probe", "linear-probe", "logistic-regression"] {
            let score = record.scores.iter().find(|score| score.protocol == protocol);
            assert!(
                score.is_some_and(|score| score.value.is_some_and(f64::is_finite)),
                "{name}: {protocol}"
            );
        }
        let freezes = record.plan.get("finetune.freeze_front");
        assert_eq!(freezes, hears_waves(name).then_some(&Value::Bool(true)), "{name}");
        let masks = record.plan.contains_key("finetune.mel_mask");
        let is_sound = record.plan["task"] == "sounds";
        assert_eq!(masks, is_sound && !hears_waves(name), "{name}");
        let steps = fs::read_dir(folder.join("runs")).unwrap();
        assert!(steps.count() > 0 && path.is_file());
    }
}

#[test]
fn a_sound_has_the_vector_of_its_own_length() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    let mut seen = 0;
    for (name, model) in models().iter().filter(|(name, _)| takes_any_length(name)) {
        let options = unsaid(model);
        let vectors = |seconds: &str| {
            let to = format!("{seconds}.safetensors");
            let words = [
                "features",
                "--init",
                model.to_str().unwrap(),
                "--files",
                "sounds",
                "--to",
                &to,
            ];
            let more = ["--seconds", seconds]
                .into_iter()
                .chain(options.iter().map(String::as_str));
            done(folder, &words.into_iter().chain(more).collect::<Vec<_>>());
            bridle::weights::from_safetensors(&fs::read(folder.join(&to)).unwrap())
                .unwrap()
                .0
        };
        let (whole, longer, cut) = (vectors("1"), vectors("3"), vectors("0.4"));
        assert_eq!(whole.len(), 20, "{name}");
        for (id, vector) in &whole {
            let size = vector.data.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let off = |other: &[f32]| {
                let pairs = vector.data.iter().zip(other);
                pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / size
            };
            // nothing is put behind a sound, whatever length would be allowed
            let found = off(&longer[id].data);
            assert!(found < 1e-5, "{name}: {id} is off by {found}");
            assert_eq!(
                off(&cut[id].data) > 1e-5,
                !id.contains('9'),
                "{name}: {id} is longer than 0.4 s"
            );
        }
        seen += 1;
    }
    assert!(seen > 2, "{seen} families");
}

/// Twelve sentences of two words, which are tones, for training, and four for testing.
fn write_tones(folder: &Path) {
    let form = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut table = "path,text,split\n".to_owned();
    for number in 0..16_u32 {
        let words = [("HIGH", 900.0_f32), ("LOW", 300.0)];
        let said = [words[number as usize % 2], words[number as usize / 2 % 2]];
        let mut file = hound::WavWriter::create(folder.join(format!("{number}.wav")), form).unwrap();
        // of lengths that differ
        let length = 6_000 + 371 * number;
        for (_, pitch) in said {
            for time in 0..length {
                let phase = std::f32::consts::TAU * pitch * time as f32 / 16_000.0;
                file.write_sample((8000.0 * phase.sin()) as i16).unwrap();
            }
        }
        file.finalize().unwrap();
        let split = if number < 12 { "train" } else { "test" };
        table += &format!("{number}.wav,{} {},{split}\n", said[0].0, said[1].0);
    }
    fs::write(folder.join("tones.csv"), table).unwrap();
    let task = "name = \"tones\"\nmodality = \"speech\"\ncsv = \"tones.csv\"\n";
    fs::write(folder.join("tones.toml"), task).unwrap();
}

#[test]
fn encoders_of_speech_learn_transcripts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    write_tones(folder);
    let values = "--protocol linear-probe,finetune,attentive-probe --set finetune.epochs=2 --set finetune.head_epochs=1 \
                  --set probe.epochs=1 --set attentive.epochs=1 --set finetune.batch=4 --set probe.batch=4 \
                  --set attentive.batch=4 --set finetune.warmup_epochs=0.0 --set probe.warmup_epochs=0.0 \
                  --set attentive.warmup_epochs=0.0 --set finetune.symbols=words --set probe.layer=1";
    let mut heard = 0;
    for (name, model) in models() {
        let options = unsaid(&model);
        let words = [
            "run",
            "--task",
            "tones.toml",
            "--preset",
            "smoke",
            "--init",
            model.to_str().unwrap(),
            "--out",
            &name,
        ];
        let words: Vec<&str> = words.into_iter().chain(options.iter().map(String::as_str)).collect();
        if !takes_any_length(&name) || name.starts_with("beats") {
            let told = refusal(folder, 2, &words);
            let sounds = ["ast", "audiomae", "beats", "eat", "sslam"];
            let expected = match sounds.iter().any(|family| name.starts_with(family)) {
                true => "makes patches",
                false => "`data.kind`: speech, but the encoder given with --init takes",
            };
            assert!(told.contains(expected), "{name}: {told}");
            continue;
        }
        let told = done(
            folder,
            &[&words[..], &values.split_whitespace().collect::<Vec<_>>()].concat(),
        );
        assert!(told.contains("recognised as"), "{name}: {told}");
        let records = store::find(&[folder.join(&name)]).unwrap();
        let [(_, record)] = &records[..] else {
            panic!("{name}: one record, no control")
        };
        for protocol in ["linear-probe", "finetune", "attentive-probe"] {
            let score = record.scores.iter().find(|score| score.protocol == protocol);
            assert!(
                score.is_some_and(|score| score.value.is_some_and(f64::is_finite)),
                "{name}: {protocol}"
            );
        }
        assert_eq!(record.plan["data.kind"], "speech", "{name}");
        assert!(record.plan.contains_key("data.pipeline.kind") && !record.plan.contains_key("data.mels"));
        let freezes = record.plan.get("finetune.freeze_front");
        assert_eq!(freezes, hears_waves(&name).then_some(&Value::Bool(true)), "{name}");
        if hears_waves(&name) {
            let told = refusal(folder, 2, &[&words[..], &["--set", "finetune.mask_start=0.1"]].concat());
            assert!(told.contains("nothing is masked"), "{name}: {told}");
        }
        // the plan that `check` prints is the one that was run
        let checked = program(
            folder,
            &[
                &["check"][..],
                &words[1..words.len() - options.len() - 2],
                &["--format", "toml"],
            ]
            .concat(),
        );
        assert!(
            checked.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
        heard += 1;
    }
    assert!(heard > 2, "{heard} encoders of speech");
}

#[test]
fn videos_are_judged_and_learnt() {
    let root = std::env::var_os("BRIDLE_DATA").map(|root| PathBuf::from(root).join("kinetics-mini"));
    let Some(root) = root.filter(|root| root.is_dir()) else {
        let required = std::env::var("BRIDLE_REQUIRE_DATA").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "needs outside data: kinetics-mini, and $BRIDLE_REQUIRE_DATA is 1"
        );
        println!("needs outside data: kinetics-mini; passes without it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    for (name, model) in models().iter().filter(|(name, _)| name.starts_with("videomae")) {
        let options = unsaid(model);
        let run = |task: &[&str], code: i32| {
            let words = [
                &[
                    "run",
                    "--init",
                    model.to_str().unwrap(),
                    "--preset",
                    "smoke",
                    "--out",
                    name,
                ][..],
                task,
            ]
            .concat();
            let words: Vec<&str> = words.into_iter().chain(options.iter().map(String::as_str)).collect();
            let output = program(folder, &words);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{name}: {told}");
            told
        };
        for task in ["pictures.toml", "sounds.toml"] {
            let told = run(&["--task", task], 2);
            assert!(
                told.contains("the encoder given with --init takes video"),
                "{name}: {told}"
            );
        }
        let values = "--task kinetics --subset 3 --allow-different-data --protocol linear-probe,knn,finetune,attentive-probe --set probe.layer=1 \
                      --set finetune.epochs=1 --set finetune.batch=4 --set attentive.epochs=1 --set attentive.rates=[1e-3] \
                      --set finetune.warmup_epochs=0.0";
        let data = ["--data", root.to_str().unwrap()];
        run(&[&values.split_whitespace().collect::<Vec<_>>()[..], &data].concat(), 0);
        let records = store::find(&[folder.join(name)]).unwrap();
        let record = &records[0].1;
        for protocol in ["linear-probe", "knn", "finetune", "attentive-probe"] {
            assert!(
                record.scores.iter().any(|score| score.protocol == protocol),
                "{name}: {protocol}"
            );
        }
    }
}

/// All files and folders below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.extend(if path.is_dir() { below(&path) } else { Vec::new() });
        found.push(path);
    }
    found.sort();
    found
}

/// `run` and `features` of a model on these samples: what both told. They fail with this code within seconds, and leave
/// everything as it was.
fn unusable(folder: &Path, model: &Path, samples: &str, code: i32) -> String {
    let before = below(folder);
    let begun = Instant::now();
    let model = model.to_str().unwrap();
    let task = format!("{samples}.toml");
    let run = [
        "run",
        "--task",
        &task,
        "--preset",
        "smoke",
        "--protocol",
        "knn",
        "--init",
        model,
    ];
    let told = refusal(folder, code, &run) + &refusal(folder, code, &["features", "--files", samples, "--init", model]);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{model}: {:?}",
        begun.elapsed()
    );
    assert!(!told.contains("panicked"), "{model}: {told}");
    assert_eq!(below(folder), before, "{model}");
    told
}

#[test]
fn what_cannot_be_used_is_named_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_data(folder);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders");
    let root = std::env::var_os("BRIDLE_ENCODERS").map_or_else(|| committed.clone(), PathBuf::from);
    let refused = root.join("containers/refuse");
    let expected: Value = serde_json::from_slice(&fs::read(refused.join("expected.json")).unwrap()).unwrap();
    for (file, what) in expected["files"].as_object().unwrap() {
        let told = unusable(folder, &refused.join(file), "pictures", 3);
        for word in what["message_names"].as_array().unwrap() {
            assert!(told.contains(word.as_str().unwrap()), "{file}: {word}: {told}");
        }
        assert!(told.contains(file), "{file}: {told}");
    }

    // a folder of which one thing is changed
    let model = |name: &str| committed.join(name).join("model");
    let tensors = |name: &str| {
        let bytes = fs::read(model(name).join("model.safetensors")).unwrap();
        bridle::weights::from_safetensors(&bytes).unwrap().0
    };
    let changed = |name: &str, weights: Option<bridle::weights::Weights>, settings: &[(&str, Value)]| {
        let to = folder.join("changed");
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(model(name)).unwrap() {
            let file = file.unwrap();
            fs::write(to.join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
        }
        let mut config: Value = serde_json::from_slice(&fs::read(to.join("config.json")).unwrap()).unwrap();
        for (key, value) in settings {
            config[key] = value.clone();
        }
        fs::write(to.join("config.json"), config.to_string()).unwrap();
        if let Some(weights) = weights {
            let bytes = bridle::weights::to_safetensors(&weights, std::collections::HashMap::new());
            fs::write(to.join("model.safetensors"), bytes.unwrap()).unwrap();
        }
        to
    };
    let vit = || tensors("vit-hf");
    for (key, value) in [
        ("num_hidden_layers", 7.into()),
        ("hidden_size", 32.into()),
        ("num_attention_heads", 7.into()),
        ("layer_norm_eps", (-1.0).into()),
    ] {
        let told = unusable(folder, &changed("vit-hf", Some(vit()), &[(key, value)]), "pictures", 2);
        assert!(told.contains(&format!("`{key}`")), "{key}: {told}");
    }
    for (name, samples, tensor) in [
        ("vit-hf", "pictures", "encoder.layer.1.output.dense.weight"),
        ("data2vec-audio-hf", "sounds", "encoder.layers.0.attention.q_proj.bias"),
    ] {
        let mut weights = tensors(name);
        weights.get_mut(tensor).unwrap().data[0] = f32::NAN;
        let told = unusable(folder, &changed(name, Some(weights), &[]), samples, 2);
        assert!(told.contains(tensor) && told.contains("not finite"), "{name}: {told}");
    }
    // windows of biases are of one grid
    let beit = changed("data2vec-vision-hf", None, &[]);
    let inputs = serde_json::json!({"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}});
    fs::write(beit.join("preprocessor_config.json"), inputs.to_string()).unwrap();
    let told = unusable(folder, &beit, "pictures", 2);
    assert!(told.contains("for which it has no biases"), "{told}");
    let mut two = vit();
    two.extend(tensors("data2vec-audio-hf"));
    let told = unusable(folder, &changed("vit-hf", Some(two), &[]), "pictures", 2);
    assert!(told.contains("model_type"), "{told}");
    let mut two = vit();
    two.extend(
        vit()
            .into_iter()
            .map(|(name, values)| (format!("teacher.{name}"), values)),
    );
    let told = unusable(folder, &changed("vit-hf", Some(two), &[]), "pictures", 2);
    assert!(told.contains("several encoders"), "{told}");
    let head = vit()
        .into_iter()
        .take(1)
        .map(|(_, values)| ("classifier.weight".to_owned(), values));
    let told = unusable(folder, &changed("vit-hf", Some(head.collect()), &[]), "pictures", 2);
    assert!(told.contains("no encoder of a known family"), "{told}");
    let sound = model("data2vec-audio-hf");
    let run = [
        "run",
        "--task",
        "pictures.toml",
        "--preset",
        "smoke",
        "--init",
        sound.to_str().unwrap(),
    ];
    let before = below(folder);
    assert!(refusal(folder, 2, &run).contains("takes audio"));
    assert_eq!(below(folder), before);
}
