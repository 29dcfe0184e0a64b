//! One parity case: tensors, configuration, and the comparison against its own tolerances.

use bridle::weights::Values;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A tensor of a case: floats or integers.
#[derive(Clone, Debug)]
pub enum Numbers {
    Float(Values),
    Int(Vec<i64>),
}

/// A case, and what has been compared with it so far.
pub struct Case {
    pub name: String,
    pub config: Value,
    pub folder: PathBuf,
    about: Value,
    tensors: BTreeMap<String, Numbers>,
    compared: RefCell<BTreeSet<String>>,
    failures: RefCell<Vec<String>>,
    worst: RefCell<Worst>,
}

/// The largest error of a case as a share of what its tolerance allows there, and of which tensor. What the authors' own
/// rounding adds is not counted where it is known.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    pub share: f64,
    pub tensor: String,
}

fn read_tensors(path: &Path) -> BTreeMap<String, Numbers> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let chunk = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let shape = view.shape().to_vec();
            let numbers = match view.dtype() {
                Dtype::F32 => {
                    let data = view
                        .data()
                        .chunks_exact(4)
                        .map(|bytes| f32::from_le_bytes(chunk(bytes)))
                        .collect();
                    Numbers::Float(Values { shape, data })
                }
                Dtype::I64 => {
                    let data = view.data().chunks_exact(8);
                    let data = data
                        .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()))
                        .collect();
                    Numbers::Int(data)
                }
                other => panic!("{name} in {} has type {other:?}", path.display()),
            };
            (name, numbers)
        })
        .collect()
}

impl Case {
    /// Reads `<folder>/<name>.json` and `.safetensors`.
    pub fn read(folder: &Path, name: &str) -> Self {
        let json = folder.join(format!("{name}.json"));
        let text = std::fs::read_to_string(&json).unwrap_or_else(|error| panic!("{}: {error}", json.display()));
        let about: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", json.display()));
        Self {
            name: name.to_owned(),
            config: about["config"].clone(),
            folder: folder.to_owned(),
            tensors: read_tensors(&folder.join(format!("{name}.safetensors"))),
            about,
            compared: RefCell::default(),
            failures: RefCell::default(),
            worst: RefCell::default(),
        }
    }

    /// A size from the configuration.
    pub fn size(&self, key: &str) -> usize {
        self.config[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{}: no size {key} in the configuration", self.name)) as usize
    }

    /// A size from the configuration, or another value where it has none.
    pub fn size_or(&self, key: &str, or: usize) -> usize {
        self.config[key].as_u64().map_or(or, |size| size as usize)
    }

    /// A number from the configuration.
    pub fn number(&self, key: &str) -> f64 {
        self.config[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: no number {key} in the configuration", self.name))
    }

    /// A list of sizes from the configuration.
    pub fn sizes(&self, key: &str) -> Vec<usize> {
        let list = self.config[key]
            .as_array()
            .unwrap_or_else(|| panic!("{}: no list {key}", self.name));
        list.iter().map(|size| size.as_u64().unwrap() as usize).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Names of the tensors that start with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.tensors
            .keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// How many tensors `prefix`0, `prefix`1, ... there are (with `suffix` after the number).
    pub fn count(&self, prefix: &str, suffix: &str) -> usize {
        (0..)
            .take_while(|index| self.has(&format!("{prefix}{index}{suffix}")))
            .count()
    }

    pub fn find_float(&self, name: &str) -> Option<&Values> {
        match self.tensors.get(name)? {
            Numbers::Float(values) => Some(values),
            Numbers::Int(_) => None,
        }
    }

    pub fn float(&self, name: &str) -> &Values {
        self.find_float(name)
            .unwrap_or_else(|| panic!("{}: no float tensor {name}", self.name))
    }

    pub fn int(&self, name: &str) -> &[i64] {
        match self.tensors.get(name) {
            Some(Numbers::Int(data)) => data,
            _ => panic!("{}: no integer tensor {name}", self.name),
        }
    }

    /// Indices from an integer tensor.
    pub fn indices(&self, name: &str) -> Vec<usize> {
        self.int(name).iter().map(|&index| index as usize).collect()
    }

    /// A float tensor on a device.
    pub fn tensor<B: Backend, const D: usize>(&self, name: &str, device: &B::Device) -> Tensor<B, D> {
        let values = self.float(name);
        Tensor::from_data(TensorData::new(values.data.clone(), values.shape.clone()), device)
    }

    /// Compares a float tensor with the expected one, within the case's tolerance for it.
    pub fn check<B: Backend, const D: usize>(&self, name: &str, found: Tensor<B, D>) {
        self.check_values(name, &Values::from_data(found.into_data()).data);
    }

    /// Compares an integer tensor exactly.
    pub fn check_codes<B: Backend, const D: usize>(&self, name: &str, found: Tensor<B, D, Int>) {
        let found: Vec<i64> = found.into_data().iter::<i64>().collect();
        self.check_ints(name, &found);
    }

    /// Compares integers exactly.
    pub fn check_ints(&self, name: &str, found: &[i64]) {
        self.compared.borrow_mut().insert(name.to_owned());
        let expected: Vec<i64> = match self.tensors.get(name) {
            Some(Numbers::Int(data)) => data.clone(),
            // integers that the case stores as floats (masks, counts)
            Some(Numbers::Float(values)) => values.data.iter().map(|&x| x as i64).collect(),
            None => return self.fail(format!("{name}: not in the case")),
        };
        let wrong = expected.iter().zip(found).filter(|(a, b)| a != b).count();
        if expected.len() != found.len() || wrong > 0 {
            self.fail(format!(
                "{name}: {wrong} of {} integers wrong ({} found)",
                expected.len(),
                found.len()
            ));
        }
    }

    /// Compares floats in the case's layout.
    pub fn check_values(&self, name: &str, found: &[f32]) {
        let Some(expected) = self.find_float(name) else {
            return self.fail(format!("{name}: not in the case"));
        };
        self.compare(name, found, &expected.data.clone());
    }

    /// Compares floats with the first entries of the expected tensor (codebooks carry a padding row at the end).
    pub fn check_first(&self, name: &str, found: &[f32]) {
        let Some(expected) = self.find_float(name) else {
            return self.fail(format!("{name}: not in the case"));
        };
        let expected = expected.data[..found.len().min(expected.data.len())].to_vec();
        self.compare(name, found, &expected);
    }

    fn compare(&self, name: &str, found: &[f32], expected: &[f32]) {
        self.compared.borrow_mut().insert(name.to_owned());
        if found.len() != expected.len() {
            return self.fail(format!("{name}: {} numbers instead of {}", found.len(), expected.len()));
        }
        let differences: Vec<f64> = found
            .iter()
            .zip(expected)
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
            .collect();
        let length = expected.len();
        let (mut wrong, mut worst) = (0, 0f64);
        for (index, difference) in differences.iter().enumerate() {
            let (atol, rtol) = self.tolerance(name, index, length);
            let allowed = atol + rtol * f64::from(expected[index]).abs();
            if !is_key_bias_after_steps(name, index, length) {
                self.note_share(name, *difference - self.error_of_the_authors(name), allowed);
            }
            // NaN is never within a tolerance
            if !(*difference <= allowed) {
                wrong += 1;
                worst = worst.max(if difference.is_nan() {
                    f64::INFINITY
                } else {
                    *difference
                });
            }
        }
        if wrong > 0 {
            self.fail(format!(
                "{name}: {wrong} of {length} numbers out of tolerance, worst {worst:.3e}"
            ));
        }
        self.extra_conditions(name, &differences);
    }

    /// (atol, rtol) of one entry: the first override that matches the name (and the row), else the default.
    fn tolerance(&self, name: &str, index: usize, length: usize) -> (f64, f64) {
        let tolerance = &self.about["tolerance"];
        let of = |entry: &Value| {
            (
                entry["atol"].as_f64().unwrap_or(0.0),
                entry["rtol"].as_f64().unwrap_or(0.0),
            )
        };
        for entry in tolerance["overrides"].as_array().into_iter().flatten() {
            let middle_only = entry["rows"].as_str() == Some("middle third");
            assert!(
                entry["rows"].is_null() || middle_only,
                "{}: unknown rows {}",
                self.name,
                entry["rows"]
            );
            if matches(entry["tensors"].as_str().unwrap_or(""), name) && (!middle_only || middle_third(index, length)) {
                return of(entry);
            }
        }
        of(&tolerance["float32"])
    }

    fn extra_conditions(&self, name: &str, differences: &[f64]) {
        for extra in self.about["tolerance"]["extra"].as_array().into_iter().flatten() {
            if !matches(extra["tensors"].as_str().unwrap_or(""), name) {
                continue;
            }
            let skip_middle = extra["except_rows"].as_str().is_some() && name.ends_with(".qkv.bias");
            let length = differences.len();
            let counted: Vec<f64> = differences
                .iter()
                .enumerate()
                .filter(|(index, _)| !(skip_middle && middle_third(*index, length)))
                .map(|(_, difference)| *difference)
                .collect();
            let n = counted.len() as f64;
            if let Some(limit) = extra["mean_abs_at_most"].as_f64() {
                let mean = counted.iter().sum::<f64>() / n;
                self.note_share(&format!("mean of {name}"), mean, limit);
                if !(mean <= limit) {
                    self.fail(format!("{name}: mean absolute error {mean:.3e} over {limit:.3e}"));
                }
            }
            if let (Some(within), Some(share)) = (extra["share_within"].as_f64(), extra["at_least"].as_f64()) {
                let found = counted.iter().filter(|difference| **difference <= within).count() as f64 / n;
                if !(found >= share) {
                    self.fail(format!(
                        "{name}: only {found:.4} of the entries within {within:.1e}, not {share}"
                    ));
                }
            }
        }
    }

    /// Keeps the largest share of what is allowed.
    fn note_share(&self, name: &str, difference: f64, allowed: f64) {
        let share = if difference <= 0.0 { 0.0 } else { difference / allowed };
        let mut worst = self.worst.borrow_mut();
        if !(share <= worst.share) {
            let tensor = name.to_owned();
            *worst = Worst { share, tensor };
        }
    }

    /// How far the expected numbers of a waveform's filterbank are themselves from a computation in f64, as far as the
    /// case says so: 0 for all others.
    fn error_of_the_authors(&self, name: &str) -> f64 {
        let (waveform, form) = name.split_once('.').unwrap_or_default();
        match self.config["max_diff_f64"][waveform].as_f64() {
            Some(error) if form == "norm" => error / (2.0 * self.number("esc50_std")),
            found => found.unwrap_or(0.0),
        }
    }

    /// The largest share of what is allowed, so far.
    pub fn worst(&self) -> Worst {
        self.worst.borrow().clone()
    }

    /// Notes a failure that is no tensor comparison.
    pub fn fail(&self, message: String) {
        self.failures.borrow_mut().push(message);
    }

    /// Says that an expected tensor has no counterpart here, and why.
    pub fn no_counterpart(&self, name: &str, reason: &str) {
        assert!(!reason.is_empty());
        self.compared.borrow_mut().insert(name.to_owned());
    }

    /// The failures, expected tensors that nobody compared among them.
    pub fn finish(self) -> Vec<String> {
        let compared = self.compared.into_inner();
        let mut failures = self.failures.into_inner();
        for (name, about) in self.about["tensors"].as_object().into_iter().flatten() {
            if about["role"] == "expected" && self.tensors.contains_key(name) && !compared.contains(name) {
                failures.push(format!("{name}: expected, but never compared"));
            }
        }
        failures
    }
}

/// A key's bias has no gradient but rounding, which AdamW brings to a whole step in either direction: its tolerance is
/// three such steps, and no error of ours.
fn is_key_bias_after_steps(name: &str, index: usize, length: usize) -> bool {
    name.starts_with("after") && name.ends_with(".qkv.bias") && middle_third(index, length)
}

fn middle_third(index: usize, length: usize) -> bool {
    (length / 3..2 * length / 3).contains(&index)
}

/// Glob with `*` for any run of characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|start| rest.is_char_boundary(start) && matches(tail, &rest[start..]))
        }),
    }
}
