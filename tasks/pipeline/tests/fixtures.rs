//! Fixtures: sounds, pictures and frames, and the inputs that the models' own code made of them.
//!
//! Reads the folder named by `BRIDLE_ENCODERS`, else the core in `tests/encoders/pipelines`.
//! Tolerances come from the fixtures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::core;
use crate::pipeline::{AUDIOSET, AUDIOSET_ROUNDED, Kaldi, Pipeline, Rows, SpeechBrain, Video, Wave};
use crate::{Clip, Picture};

/// Of inputs of pictures, which have none of their own: the last bits of 32-bit numbers.
const ROUNDING: f64 = 1e-6;

/// A tensor's numbers, and its shape.
type Values = (Vec<f64>, Vec<usize>);

fn values(path: &Path) -> BTreeMap<String, Values> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, tensor): (String, safetensors::tensor::TensorView)| {
        let data = tensor.data();
        let numbers: Vec<f64> = match tensor.dtype() {
            Dtype::I16 => data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| i16::from_le_bytes(bytes).into())
                .collect(),
            Dtype::F32 => data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes).into())
                .collect(),
            Dtype::U8 => data.iter().map(|&byte| f64::from(byte)).collect(),
            // no input of a pipeline, such as a mask
            _ => Vec::new(),
        };
        (name, (numbers, tensor.shape().to_vec()))
    };
    file.tensors().into_iter().map(tensor).collect()
}

fn json(path: &Path) -> Option<Value> {
    Some(serde_json::from_slice(&std::fs::read(path).ok()?).unwrap())
}

/// What the file beside the weights says; where there is none, what the family's code does.
fn pipeline(name: &str, folder: &Path) -> Pipeline {
    let beside =
        json(&folder.join("preprocessor_config.json")).or(json(&folder.join("model/preprocessor_config.json")));
    if let Some(config) = beside {
        return Pipeline::from_preprocessor(&config).unwrap();
    }
    let of_64_mels = |frames| Kaldi {
        mels: 64,
        ..Kaldi::spectrogram(AUDIOSET, frames)
    };
    match name {
        "ast-pth" => Pipeline::Kaldi(of_64_mels(64)),
        "audiomae-pth" => Pipeline::Kaldi(of_64_mels(96)),
        "eat-fairseq" | "sslam-hf" => Pipeline::Kaldi(Kaldi::spectrogram(AUDIOSET_ROUNDED, 48)),
        "beats-pt" => Pipeline::Kaldi(Kaldi::beats()),
        "bestrq-speechbrain" => Pipeline::SpeechBrain(SpeechBrain::best_rq()),
        "wavlm-pt" => Pipeline::Wave(Wave::fairseq(false)),
        _ => panic!("{name}: no pipeline is known for this fixture"),
    }
}

fn bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().map(|&number| number as u8).collect()
}

/// Our input of a fixture, in the order of its own axes.
fn made(pipeline: Pipeline, source: &str, (numbers, shape): &Values) -> Rows {
    match source {
        "image" => {
            let (height, width, rgb) = (shape[0], shape[1], bytes(numbers));
            pipeline.picture(&Picture { width, height, rgb }).unwrap()
        }
        "frames" => {
            let Pipeline::Video(video) = pipeline else {
                panic!("frames are of a video")
            };
            let [frames, height, width] = [shape[0], shape[1], shape[2]];
            let clip = Clip {
                frames,
                width,
                height,
                rgb: bytes(numbers),
            };
            let step = 1;
            let rows = Pipeline::Video(Video { frames, step, ..video }).video(&clip).unwrap();
            // transformers has time before the channels
            let plane = rows.data.len() / (3 * frames);
            let planes = (0..frames).flat_map(|frame| (0..3).map(move |channel| channel * frames + frame));
            let data = planes
                .flat_map(|number| rows.data[number * plane..][..plane].to_vec())
                .collect();
            Rows { data, ..rows }
        }
        _ => {
            let wave: Vec<f32> = numbers.iter().map(|&number| number as f32 / 32_768.0).collect();
            pipeline.sound(&wave).unwrap()
        }
    }
}

#[test]
fn inputs_are_those_of_the_models_own_code() {
    let root = std::env::var_os("BRIDLE_ENCODERS").map_or_else(core, PathBuf::from);
    let mut compared = 0;
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let Some(manifest) = json(&folder.join("manifest.json")) else {
            continue;
        };
        let values = values(&folder.join("values.safetensors"));
        for (source, input) in [
            ("wave", "input"),
            ("wave.a", "input.a"),
            ("image", "input"),
            ("frames", "input"),
        ] {
            let (Some(given), Some((expected, shape))) = (values.get(source), values.get(input)) else {
                continue;
            };
            let tolerance = manifest["values"][input]["tolerance"].as_f64().unwrap_or(ROUNDING);
            let rows = made(pipeline(&name, &folder), source, given);
            assert_eq!(
                rows.data.len(),
                expected.len(),
                "{name}: {:?}, not {shape:?}",
                rows.shape
            );
            if source == "wave" && shape[0] == 1 && shape.len() == 3 {
                assert_eq!(rows.shape, shape[1..], "{name}");
            }
            let off = rows
                .data
                .iter()
                .zip(expected)
                .map(|(&ours, theirs)| (f64::from(ours) - theirs).abs());
            let most = off.fold(0.0, f64::max);
            println!("{name}: {input} of {source} is off by {most:.1e} of {tolerance:.1e}");
            assert!(
                most <= tolerance,
                "{name}: {input} is off by {most}, not at most {tolerance}"
            );
            compared += 1;
        }
    }
    println!("{compared} inputs compared");
    assert!(compared >= 9, "only {compared} fixtures in {}", root.display());
}
