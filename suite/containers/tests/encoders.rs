//! Holds the reader to files that PyTorch, transformers and others wrote: `$BRIDLE_ENCODERS`, or the
//! few of them that lie in `tests/encoders`.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_containers::{Checkpoint, Form};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn encoders() -> PathBuf {
    let core = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/encoders");
    std::env::var_os("BRIDLE_ENCODERS").map_or_else(core, PathBuf::from)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Names, shapes and types of a checkpoint, as the manifests write them.
fn told(checkpoint: &Checkpoint) -> Value {
    let tensors = checkpoint.tensors.iter();
    let told = tensors.map(|(name, entry)| (name.clone(), serde_json::json!([entry.shape, entry.dtype])));
    told.collect::<serde_json::Map<_, _>>().into()
}

/// A tensor of a file whose numbers are 32-bit floats or 64-bit integers.
fn expected(values: &SafeTensors, name: &str) -> Vec<f32> {
    let view = values.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect(),
        Dtype::I64 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| i64::from_le_bytes(bytes) as f32)
            .collect(),
        Dtype::I32 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| i32::from_le_bytes(bytes) as f32)
            .collect(),
        Dtype::I16 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| i16::from_le_bytes(bytes).into())
            .collect(),
        Dtype::I8 => bytes.iter().map(|&byte| (byte as i8).into()).collect(),
        Dtype::U8 | Dtype::BOOL => bytes.iter().map(|&byte| byte.into()).collect(),
        other => panic!("{name} is {other}"),
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_good_file_gives_the_numbers_that_were_written() {
    let folder = encoders().join("containers/accept");
    let bytes = std::fs::read(folder.join("values.safetensors")).unwrap();
    let values = SafeTensors::deserialize(&bytes).unwrap();
    for (file, what) in json(&folder.join("expected.json"))["files"].as_object().unwrap() {
        let checkpoint = Checkpoint::open(&folder.join(file)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(told(&checkpoint), what["tensors"], "{file}");
        assert_eq!(
            checkpoint.entry,
            what["weights_in"].as_str().unwrap_or_default(),
            "{file}"
        );
        assert_eq!(checkpoint.name, *file);
        for name in checkpoint.tensors.keys() {
            let read = checkpoint.read(name).unwrap().unwrap();
            assert_eq!(
                bits(&read),
                bits(&expected(&values, &format!("{file}/{name}"))),
                "{file}: {name}"
            );
        }
        assert!(checkpoint.read("no such tensor").is_none());
    }
}

#[test]
fn every_bad_file_is_refused_with_its_reason() {
    let folder = encoders().join("containers/refuse");
    for (file, what) in json(&folder.join("expected.json"))["files"].as_object().unwrap() {
        let path = folder.join(file);
        let error = Checkpoint::open(&path).map(|checkpoint| told(&checkpoint)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
        for word in what["message_names"].as_array().unwrap() {
            let word = word.as_str().unwrap();
            let names = message.contains(word) || message.contains(&format!("`{word}`"));
            assert!(names, "{word} is not in: {message}");
        }
        println!("{message}");
    }
    assert!(!Path::new("pickle-was-executed").exists());
}

#[test]
fn every_checkpoint_tells_the_tensors_and_settings_that_are_in_it() {
    let mut count = 0;
    for folder in std::fs::read_dir(encoders()).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.join("manifest.json").exists() {
            continue;
        }
        let manifest = json(&folder.join("manifest.json"));
        let files = ["model", "model.pth", "model.pt", "model.ckpt"];
        let path = files
            .map(|file| folder.join(file))
            .into_iter()
            .find(|path| path.exists())
            .unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(told(&checkpoint), manifest["keys"], "{}", folder.display());
        let container = manifest["container"].as_str().unwrap();
        let form = match () {
            () if container.contains("safetensors") => Form::Safetensors,
            () if container.contains("old form") => Form::Old,
            () => Form::Zip,
        };
        assert_eq!(checkpoint.form, form, "{container}");
        assert_eq!(checkpoint.config.is_object(), path.is_dir(), "{}", folder.display());
        let entries = manifest["entries"].as_object().cloned().unwrap_or_default();
        for (name, what) in &entries {
            match what.as_str().unwrap() {
                "weights" => assert_eq!(checkpoint.entry, *name),
                "sizes" => assert!(checkpoint.options[name].is_object(), "{}", checkpoint.options),
                other => panic!("{other}"),
            }
        }
        if entries.is_empty() {
            assert_eq!(checkpoint.entry, "");
        }
        for (name, entry) in &checkpoint.tensors {
            let values = checkpoint.read(name).unwrap().unwrap();
            assert_eq!(values.len(), entry.shape.iter().product::<usize>(), "{name}");
            assert!(values.iter().all(|value| value.is_finite()), "{name}");
        }
        count += 1;
    }
    assert!(count > 0, "no checkpoints in {}", encoders().display());
}
