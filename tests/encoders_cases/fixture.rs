//! One fixture: a checkpoint as its users have it, inputs, outputs, and how far off they may be.

use bridle_backends::Ops;
use bridle_containers::Checkpoint;
use bridle_encoders::{Encoder, Options, Recognised, build, recognise};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A tensor of `values.safetensors`.
#[derive(Clone, Debug)]
pub struct Values {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

pub struct Fixture {
    pub name: String,
    pub folder: PathBuf,
    pub manifest: Value,
    pub values: BTreeMap<String, Values>,
    failures: RefCell<Vec<String>>,
}

impl Fixture {
    /// The fixtures of a folder by name; folders without a manifest are none.
    pub fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let folders = entries.map(|entry| entry.unwrap().path());
        let fixtures = folders.filter(|folder| folder.join("manifest.json").is_file());
        let mut names: Vec<String> = fixtures
            .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    pub fn read(folder: &Path, name: &str) -> Self {
        let folder = folder.join(name);
        let manifest = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        // a folder may hold a checkpoint alone
        let bytes = std::fs::read(folder.join("values.safetensors"));
        let values = bytes.map_or_else(|_| BTreeMap::new(), |bytes| tensors(&bytes));
        Self {
            name: name.to_owned(),
            folder,
            manifest,
            values,
            failures: RefCell::default(),
        }
    }

    /// The folder or file that its users have.
    pub fn model(&self) -> PathBuf {
        let entries = std::fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut models = entries.filter(|path| path.file_stem().is_some_and(|stem| stem == "model"));
        models
            .next()
            .unwrap_or_else(|| panic!("{} has no model", self.folder.display()))
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::open(&self.model()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What a plain file does not say, from the manifest; folders say everything themselves.
    pub fn options(&self) -> Options {
        if self.model().join("config.json").is_file() {
            return Options::default();
        }
        let size = |key: &str| {
            self.manifest["config"][key]
                .as_u64()
                .map(|size| usize::try_from(size).unwrap())
        };
        let strides = [size("frequency_stride"), size("time_stride")];
        Options {
            heads: size("num_heads"),
            frames: size("frames"),
            mels: size("mels"),
            strides: match strides {
                [Some(frequency), Some(time)] => Some([frequency, time]),
                _ => None,
            },
            size: size("image_size"),
            ..Options::default()
        }
    }

    pub fn recognised(&self, checkpoint: &Checkpoint) -> Recognised {
        recognise(checkpoint, &self.options()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub fn encoder<B: Ops>(&self, device: &B::Device) -> (Recognised, Encoder<B>) {
        let checkpoint = self.checkpoint();
        let recognised = self.recognised(&checkpoint);
        let built = build::<B>(&recognised, &checkpoint, device);
        let (encoder, _) = built.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (recognised, encoder)
    }

    pub fn fail(&self, message: String) {
        self.failures.borrow_mut().push(message);
    }

    /// What failed.
    pub fn finish(&self) -> Vec<String> {
        self.failures.take()
    }

    /// Compares a tensor with the one of this name, within the manifest's tolerance; where there is none (pictures,
    /// whose bytes are exact), within the last digits of 32-bit numbers.
    pub fn compare(&self, name: &str, found: &Values) {
        let Some(expected) = self.values.get(name) else {
            return self.fail(format!("{name}: the fixture has no such values"));
        };
        let said = &self.manifest["values"][name];
        let tolerance = said["tolerance"].as_f64().unwrap_or(4e-6);
        if found.data.len() != expected.data.len() {
            return self.fail(format!("{name}: {:?}, not {:?}", found.shape, expected.shape));
        }
        let pairs = found.data.iter().zip(&expected.data);
        let differences = pairs.map(|(a, b)| f64::from((a - b).abs()));
        let largest = differences.fold(
            0.0,
            |largest, difference| if difference <= largest { largest } else { difference },
        );
        if !(largest <= tolerance) {
            self.fail(format!("{name}: off by {largest:.3e}, tolerance {tolerance:.1e}"));
        }
    }
}

/// A tensor on the host.
pub fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Values {
    Values {
        shape: tensor.dims().to_vec(),
        data: tensor.into_data().iter::<f32>().collect(),
    }
}

/// The tensors of a file, as 32-bit numbers.
fn tensors(bytes: &[u8]) -> BTreeMap<String, Values> {
    let tensors = SafeTensors::deserialize(bytes).unwrap().tensors();
    let values = |view: &safetensors::tensor::TensorView| -> Vec<f32> {
        let bytes = view.data();
        match view.dtype() {
            Dtype::F32 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes))
                .collect(),
            Dtype::F16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| half(u16::from_le_bytes(bytes)))
                .collect(),
            Dtype::I32 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| i32::from_le_bytes(bytes) as f32)
                .collect(),
            Dtype::I64 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| i64::from_le_bytes(bytes) as f32)
                .collect(),
            Dtype::I16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| i16::from_le_bytes(bytes).into())
                .collect(),
            Dtype::U8 => bytes.iter().map(|&byte| byte.into()).collect(),
            other => panic!("values of type {other:?}"),
        }
    };
    let named = tensors.iter().map(|(name, view)| {
        let shape = view.shape().to_vec();
        (
            name.clone(),
            Values {
                shape,
                data: values(view),
            },
        )
    });
    named.collect()
}

/// A number of 16 bits (IEEE 754).
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    match exponent {
        0 => sign * fraction * 2f32.powi(-14),
        _ => sign * (1.0 + fraction) * 2f32.powi(exponent - 15),
    }
}
