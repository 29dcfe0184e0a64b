//! Folders that `export --card` writes: other programs load them and compute the same features, the card
//! says what the records say, and this program takes them back bit for bit.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod program;
mod python;

use bridle::encoder::Vit;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::LayeredEncoder as _;
use bridle::speech::conformer::Conformer;
use bridle::weights::{self, Values, Weights};
use bridle_bench::card::{self, Encoder, SpeechCard, Subject};
use bridle_bench::plan::{Plan, PlanRequest};
use bridle_bench::run::encoder_file::{EncoderCard, EncoderFile};
use bridle_bench::sizes;
use bridle_results::store;
use bridle_seed::Seed;
use bridle_tasks::{BandStandardizer, Fbank};
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use program::{done, program, refusal, said, write_tones};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How far features may be from PyTorch's, of numbers around 1.
const TOLERANCE: f64 = 1e-5;
/// Loads every folder below the working folder by what its card says, and prints how far the features
/// are from those in the file beside it, over the largest of them.
const COMPARE: &str = r#"
import json, pathlib, sys, torch
from safetensors.torch import load_file

for folder in sorted(path for path in pathlib.Path(".").iterdir() if path.is_dir()):
    config = json.loads((folder / "config.json").read_text())
    values = load_file(folder.with_suffix(".values"))
    with torch.inference_mode():
        if "architecture" in config:
            import timm
            features = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()(values["input"])
        elif config["model_type"] == "videomae":
            from transformers import VideoMAEModel
            model = VideoMAEModel.from_pretrained(folder)
            features = model(values["input"].transpose(1, 2)).last_hidden_state.mean(1)
        else:
            sys.path.insert(0, str(folder))
            import bridle_speech
            model, config = bridle_speech.load(folder)
            lengths = values["lengths"].long()
            features = model(values["input"], lengths)
            for row, length in enumerate(lengths):
                features[row, length:] = 0
            frames = bridle_speech.frames(values["wave"], config)
            print(folder, "frames", ((frames - values["frames"]).abs().max()).item())
    expected = values["features"]
    assert features.shape == expected.shape, (folder, features.shape, expected.shape)
    print(folder, "features", ((features - expected).abs().max() / expected.abs().max()).item())
"#;

fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = Seed::root(seed).stream();
    (0..count).map(|_| stream.normal()).collect()
}

/// Every parameter drawn anew, those of norms and biases too, so that none can be left out unseen.
fn drawn(template: &Weights) -> Weights {
    let of = |(index, (name, values)): (usize, (&String, &Values))| {
        let is_scale = name.contains("norm") && name.ends_with("weight");
        let fan_in = if values.shape.len() == 2 {
            values.shape[0] as f32
        } else {
            25.0
        };
        let data = random(index as u64, values.data.len()).into_iter();
        let data = data
            .map(|x| if is_scale { 1.0 + 0.1 * x } else { x / fan_in.sqrt() })
            .collect();
        let shape = values.shape.clone();
        (name.clone(), Values { shape, data })
    };
    template.iter().enumerate().map(of).collect()
}

fn values(shape: &[usize], data: Vec<f32>) -> Values {
    let shape = shape.to_vec();
    assert_eq!(shape.iter().product::<usize>(), data.len());
    Values { shape, data }
}

fn numbers<const D: usize>(tensor: Tensor<Flex, D>) -> Values {
    Values::from_data(tensor.into_data())
}

fn plan(task: &str, preset: &str, set: &[&str]) -> Plan {
    let request = PlanRequest {
        task: task.to_owned(),
        method: (task != "digits").then(|| "random-init".to_owned()),
        preset: Some(preset.to_owned()),
        set: set.iter().map(|&set| set.to_owned()).collect(),
        ..PlanRequest::default()
    };
    Plan::resolve(&request).unwrap()
}

fn write(folder: &Path, encoder: Encoder, weights: Weights, expected: &Weights) {
    let subject = Subject {
        encoder,
        weights,
        plan: None,
        records: Vec::new(),
        licence: None,
    };
    let files = card::write(folder, &subject).unwrap();
    assert!(files.iter().any(|file| file == "README.md"), "{files:?}");
    let bytes = weights::to_safetensors(expected, HashMap::new()).unwrap();
    // timm takes the only safetensors file of a folder for its weights
    fs::write(folder.with_extension("values"), bytes).unwrap();
}

/// A ViT with its sizes of a plan; the folder is read back with the very weights.
fn write_vit(folder: &Path, plan: &Plan) {
    let (geometry, device) = (sizes::geometry(plan), Default::default());
    let vit = Vit::<Flex>::new(&geometry, &sizes::encoder(plan), &Init::new(Seed::root(0), &device));
    let own = drawn(&weights::collect(&vit));
    let vit = weights::load(vit, &own).unwrap();
    let [channels, depth, height, width] = geometry.input();
    let input = random(99, geometry.input_len());
    let x = Tensor::<Flex, 5>::from_data(
        TensorData::new(input.clone(), [1, channels, depth, height, width]),
        &device,
    );
    let features = numbers(vit.features(x));
    let shape = match geometry.is_video() {
        true => vec![1, channels, depth, height, width],
        false => vec![1, channels, height, width],
    };
    let expected = Weights::from([
        ("input".to_owned(), values(&shape, input)),
        ("features".to_owned(), features),
    ]);
    let card = EncoderCard::of(plan, None);
    write(folder, Encoder::Vit(card.clone()), own.clone(), &expected);
    assert!(EncoderFile::has_card(folder));
    let read = EncoderFile::read(folder).unwrap();
    assert_eq!((read.card, read.weights), (card, own), "{}", folder.display());
}

/// A Conformer on two sounds of different lengths, and the frames of a third.
fn write_speech(folder: &Path, plan: &Plan) {
    let device = Default::default();
    let config = sizes::conformer(plan);
    let conformer = Conformer::<Flex>::new(&config, &Init::new(Seed::root(0), &device));
    let own = drawn(&weights::collect(&conformer));
    let conformer = weights::load(conformer, &own).unwrap();
    let (lengths, window) = ([40, 23], plan.conformer().window);
    let sounds = random(98, 63 * config.inputs);
    let frames = Frames::<Flex>::new(&sounds, &lengths, config.inputs, window, &device);
    let (input, valid) = (numbers(frames.x.clone()), frames.valid.clone());
    let features = numbers(conformer.encode(&frames) * valid);

    let spec = plan.speech_input();
    let wave: Vec<f32> = random(97, 16_000).into_iter().map(|x| 0.1 * x).collect();
    let standardizer = BandStandardizer {
        mean: (0..spec.mels).map(|band| -8.0 + 0.01 * band as f64).collect(),
        std: (0..spec.mels).map(|band| 2.0 + 0.02 * band as f64).collect(),
    };
    let mut energies = Fbank::new(spec.sample_rate, spec.mels).compute(&wave).unwrap();
    standardizer.apply(&mut energies);
    if spec.centred {
        let rows = energies.len() / spec.mels;
        for band in 0..spec.mels {
            let of_band = || (0..rows).map(|row| row * spec.mels + band);
            let mean = of_band().map(|place| f64::from(energies[place])).sum::<f64>() / rows as f64;
            of_band().for_each(|place| energies[place] -= mean as f32);
        }
    }
    energies.truncate(energies.len() / config.inputs * config.inputs);
    let frames = values(&[energies.len() / config.inputs, config.inputs], energies);
    let expected = Weights::from([
        ("input".to_owned(), input),
        (
            "lengths".to_owned(),
            values(&[2], lengths.map(|length| length as f32).to_vec()),
        ),
        ("features".to_owned(), features),
        ("wave".to_owned(), values(&[wave.len()], wave)),
        ("frames".to_owned(), frames),
    ]);
    let card = SpeechCard {
        input: spec,
        sizes: plan.conformer().clone(),
        standardizer,
    };
    write(folder, Encoder::Speech(card), own, &expected);
}

#[test]
fn every_kind_and_size_of_encoder_loads_elsewhere_with_the_same_features() {
    let python = python::interpreter("features of exported encoders", "timm, torch, transformers");
    for preset in ["smoke", "mini", "paper"] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (task, set) in [
            ("esc50", &[][..]),
            ("esc50", &["position.audio_rows=token-order", "data.frames=256"]),
            ("audioset", &[]),
            ("imagenet", &[]),
            ("kinetics", &[]),
        ] {
            write_vit(&at(&format!("{task}-{}", set.len())), &plan(task, preset, set));
        }
        // the preset of speech has no size of its own for each
        for (name, set) in [
            ("digits", &[][..]),
            ("digits-window", &["model.window=5", "data.centred=false"]),
        ] {
            write_speech(&at(name), &plan("digits", preset, set));
        }
        let Some(python) = &python else { continue };
        let told = python::run(python, folder.path(), COMPARE);
        let lines: Vec<Vec<&str>> = told.lines().map(|line| line.split(' ').collect()).collect();
        assert_eq!(lines.len(), 9, "{told}");
        for line in lines {
            let (what, difference): (_, f64) = (line[1], line[2].parse().unwrap());
            println!("{preset} {}: {what} differ by {difference:.1e}", line[0]);
            // logarithms of small energies amplify rounding
            let tolerance = if what == "frames" { 1e-3 } else { TOLERANCE };
            assert!(difference <= tolerance, "{preset} {told}");
        }
    }
}

const RUN: &str = "run --task tones.toml --preset smoke --quantizer rq --set quantizer.codes=8 \
                   --set pretrain.encoder.epochs=1 --set pretrain.encoder.warmup_epochs=0 --set pretrain.rounds=1 \
                   --set model.estimator.depth=1 --set model.decoder.dim=32 --set model.decoder.depth=1 \
                   --protocol linear-probe,knn";

/// The record of a method that is there.
fn record(folder: &Path, method: &str) -> PathBuf {
    let records = store::find(&[folder.join("results/records")]).unwrap();
    let found = records.into_iter().find(|(_, record)| record.method() == method);
    found.unwrap_or_else(|| panic!("no record of {method}")).0
}

/// Also of folds whose random numbers are their own.
#[test]
fn the_encoders_of_all_folds_can_be_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_tones(folder, 128);
    let row = |(class, number): (&str, u32)| format!("files/{class}/{class}{number}.wav,{class},{}\n", number % 2 + 1);
    let files = ["high", "low"]
        .into_iter()
        .flat_map(|class| (0..12).map(move |number| (class, number)));
    let table: String = files.map(row).collect();
    fs::write(folder.join("tones.csv"), format!("path,label,fold\n{table}")).unwrap();
    let task = fs::read_to_string(folder.join("tones.toml")).unwrap();
    let task = task.replace("folder = \"files\"\nholdout = 0.5\n", "csv = \"tones.csv\"\n");
    fs::write(folder.join("tones.toml"), task).unwrap();
    done(folder, &format!("{RUN} --folds all"));
    let mut records = store::find(&[folder.join("results/records")]).unwrap();
    records.retain(|(_, record)| record.method() == "bridle");
    assert_eq!(
        records
            .iter()
            .map(|(_, record)| record.fold_in_root)
            .collect::<Vec<_>>(),
        [false, true]
    );
    let encoders = records.iter().map(|(path, record)| {
        let to = format!("fold-{}.safetensors", record.fold.unwrap());
        done(folder, &format!("export {} --to {to}", path.display()));
        done(
            folder,
            &format!(
                "export {} --labels encoder --task tones.toml --to labels-{to}",
                path.display()
            ),
        );
        fs::read(folder.join(to)).unwrap()
    });
    let encoders: Vec<Vec<u8>> = encoders.collect();
    assert_ne!(encoders[0], encoders[1]);
}

#[test]
fn a_run_becomes_a_folder_with_a_card_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_tones(folder, 128);
    done(folder, RUN);
    let path = record(folder, "bridle");
    let own = store::read(&path).unwrap();
    let path = path.display();
    let [_, told] = said(
        folder,
        &format!("export {path} --to encoder.safetensors --card tone-encoder --licence MIT"),
    );
    assert!(told.contains("tone-encoder: README.md, config.json"), "{told}");

    // back again it has the run's own numbers, as the encoder file has
    done(
        folder,
        "run --task tones.toml --preset smoke --init tone-encoder --protocol linear-probe,knn",
    );
    let again = store::read(&record(folder, "init")).unwrap();
    assert_eq!(own.scores, again.scores);
    assert_eq!(again.plan["init.name"], "tone-encoder");

    // a card of the file has the scores of the runs that were given it, too
    done(
        folder,
        "run --task tones.toml --preset smoke --init encoder.safetensors --protocol knn --seed 7",
    );
    done(folder, "export encoder.safetensors --card second --licence cc-by-4.0");
    let second = fs::read_to_string(folder.join("second/README.md")).unwrap();
    assert!(
        second.contains("license: cc-by-4.0\n") && second.contains("| seed 7 |"),
        "{second}"
    );

    let card = fs::read_to_string(folder.join("tone-encoder/README.md")).unwrap();
    assert!(card.starts_with("---\nlicense: mit\nlibrary_name: timm\n"), "{card}");
    for score in &own.scores {
        let (value, interval) = (score.value.unwrap(), score.interval.as_ref().unwrap());
        let row = format!(
            "| {} | {} | {value:.4} | [{:.4}, {:.4}] |",
            score.protocol, score.metric, interval.low, interval.high
        );
        assert!(card.contains(&row), "{row} is not in {card}");
    }
    for fact in [&own.plan_hash, own.pretrain_hash.as_ref().unwrap(), &own.program.commit] {
        assert!(card.contains(fact.as_str()), "{fact} is not in {card}");
    }
    // the plan in the folder is the plan of the record
    let told = program(
        folder,
        "check --plan tone-encoder/plan.toml --task tones.toml --format json",
    );
    let plan: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(plan["plan_hash"], own.plan_hash, "{plan}");

    if let Some(python) = python::interpreter(
        "the card's own lines",
        "huggingface_hub, timm, torch, transformers, yaml",
    ) {
        read_elsewhere(&python, folder, &card, own.scores.len());
    }
}

/// The card's lines run, the hub's own program reads its metadata, and the features of sounds are those
/// of `features`.
fn read_elsewhere(python: &Path, folder: &Path, card: &str, scores: usize) {
    let [lines] = &python::blocks(card)[..] else {
        panic!("a card has one block of Python")
    };
    done(folder, "features --init tone-encoder --files files --to ours.npz");
    let compare = r#"
import numpy, pathlib, torch, wave as waves
from huggingface_hub import ModelCard
from transformers import ASTFeatureExtractor

assert features.shape == (1, model.num_features)
data = ModelCard.load("tone-encoder/README.md").data
assert data.license == "mit" and data.library_name == "timm", data
for result in data.eval_results:
    assert result.dataset_name == "tones" and result.metric_args["low"] <= result.metric_value <= result.metric_args["high"], result
print(len(data.eval_results))
ours = numpy.load("ours.npz")
extractor = ASTFeatureExtractor.from_pretrained("tone-encoder")
worst = 0.0
for id, expected in zip(ours["ids"], ours["embeddings"]):
    with waves.open(f"files/{id}") as file:
        wave = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16) / 32768
    inputs = extractor(wave, sampling_rate=16000, return_tensors="pt").input_values[:, None]
    with torch.inference_mode():
        found = model(inputs)[0].numpy()
    worst = max(worst, abs(found - expected).max() / abs(expected).max())
print(worst)
"#;
    let told = python::run(python, folder, &format!("{lines}{compare}"));
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told[0], scores.to_string(), "{told:?}");
    let worst: f64 = told[1].parse().unwrap();
    println!("features from sounds differ by {worst:.1e}");
    // silence between the beats has energies near the floor of the logarithm
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn what_cannot_be_published_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_tones(folder, 128);
    done(
        folder,
        "run --task tones.toml --preset smoke --method random-init --protocol knn",
    );
    let path = record(folder, "random-init");
    let path = path.display();
    let told = refusal(folder, 2, &format!("export {path} --card card"));
    assert!(told.contains("pretrains nothing"), "{told}");
    let told = refusal(folder, 2, &format!("export {path}"));
    assert!(told.contains("--to") && told.contains("--card"), "{told}");
    let told = refusal(folder, 2, &format!("export {path} --card card --licence two\nlines"));
    assert!(
        told.contains("unexpected argument") || told.contains("one word"),
        "{told}"
    );
    let told = refusal(folder, 2, &format!("export {path} --card files"));
    assert!(
        told.contains("`files` cannot be written: it has files already"),
        "{told}"
    );
    let told = refusal(folder, 2, &format!("export {path} --card tones.toml"));
    assert!(told.contains("`tones.toml` cannot be written"), "{told}");
    let told = refusal(folder, 2, "export files/high/high0.wav --card card");
    assert!(told.contains("high0.wav"), "{told}");
    assert!(!folder.join("card").exists());
}
