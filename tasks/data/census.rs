//! What a copy of a data set contains: counts, sizes, classes and input statistics, compared with
//! what is known of its variant.
//!
//! Opening a pinned variant verifies its hashes. The census finds what hashes cannot: a decoder or
//! resampler that gives other numbers for the same files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dataset::FileSizes;
use super::listing::Listed;
use crate::{DataError, Dataset, InputSpec};

/// Number of samples whose inputs are measured, evenly spread over the data.
const SAMPLES: usize = 256;
/// Tolerance for statistics of the same inputs. Rounding on other processors stays far below it; a
/// changed resampler or an exchanged mean does not.
const TOLERANCE: f64 = 1e-3;
/// The census of each variant that was available, made by this module.
const KNOWN: [&str; 1] = [include_str!("../esc50/16k-flac-ogg.json")];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Census {
    pub task: String,
    pub variant: String,
    pub subset: Option<usize>,
    /// Samples per split or fold, and class.
    pub samples: BTreeMap<String, BTreeMap<String, usize>>,
    pub skipped: usize,
    /// Samples that this copy lacks.
    pub missing: usize,
    /// Sizes of the samples' files, if all are known: a parquet file does not say.
    pub bytes: Option<FileSizes>,
    pub input: InputSpec,
    /// Of the normalised inputs for evaluation.
    pub measured: InputStatistics,
}

/// Statistics over a fixed sample of the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputStatistics {
    pub samples: usize,
    pub mean: f64,
    pub std: f64,
}

impl Census {
    /// Measures data that was opened with `input`.
    pub fn measure(dataset: &Dataset, input: &InputSpec) -> Result<Self, DataError> {
        let facts = &dataset.facts;
        Ok(Self {
            task: facts.task.clone(),
            variant: facts.variant.clone(),
            subset: facts.subset,
            samples: histogram(dataset),
            skipped: facts.skipped.len(),
            missing: facts.missing.count,
            bytes: dataset.bytes(),
            input: input.clone(),
            measured: statistics(dataset)?,
        })
    }

    /// The known census of the variant, if it was ever available in full.
    pub fn known(&self) -> Option<Self> {
        let reports = KNOWN
            .iter()
            .map(|text| serde_json::from_str(text).expect("a test reads every report"));
        reports
            .into_iter()
            .find(|known: &Self| (&known.task, &known.variant) == (&self.task, &self.variant))
    }

    /// The differences from the variant's known census: an error, or returned if that is allowed.
    /// Empty if nothing is known, or only a subset was opened.
    pub fn verify(&self, allow_different: bool) -> Result<Vec<String>, DataError> {
        let known = self.known().filter(|_| self.subset.is_none());
        let differences = known.map_or_else(Vec::new, |known| self.differences(&known));
        match differences.first() {
            Some(difference) if !allow_different => Err(DataError::Differs {
                task: self.task.clone(),
                variant: self.variant.clone(),
                difference: difference.clone(),
            }
            .not_allowed()),
            _ => Ok(differences),
        }
    }

    fn differences(&self, known: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, here: String, there: String| {
            if here != there {
                found.push(format!("{what} {here}, not {there}"));
            }
        };
        let count = |of: &BTreeMap<String, usize>, class: &str| of.get(class).copied().unwrap_or(0).to_string();
        let none = BTreeMap::new();
        for split in merged(&self.samples, &known.samples) {
            let (here, there) = (
                self.samples.get(split).unwrap_or(&none),
                known.samples.get(split).unwrap_or(&none),
            );
            for class in merged(here, there) {
                let what = format!("the number of samples of class {class} in {split} is");
                compare(&what, count(here, class), count(there, class));
            }
        }
        compare(
            "samples left out are",
            self.skipped.to_string(),
            known.skipped.to_string(),
        );
        compare(
            "samples missing are",
            self.missing.to_string(),
            known.missing.to_string(),
        );
        let total = |report: &Self| report.bytes.map_or(0, |bytes| bytes.total).to_string();
        compare("the bytes of all files are", total(self), total(known));
        if self.input == known.input {
            let (here, there) = (&self.measured, &known.measured);
            for (what, here, there) in [
                ("mean", here.mean, there.mean),
                ("standard deviation", here.std, there.std),
            ] {
                if (here - there).abs() > TOLERANCE {
                    found.push(format!(
                        "the {what} of the normalised inputs is {here:.4}, not {there:.4}"
                    ));
                }
            }
        }
        found
    }
}

/// The keys of both, each once.
fn merged<'a, V>(one: &'a BTreeMap<String, V>, other: &'a BTreeMap<String, V>) -> Vec<&'a String> {
    let only_other = other.keys().filter(|key| !one.contains_key(*key));
    one.keys().chain(only_other).collect()
}

/// Samples per split or fold and class; a sample of several classes counts in each.
fn histogram(dataset: &Dataset) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut histogram: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for sample in &dataset.samples {
        let counts = histogram.entry(sample.part()).or_default();
        for &class in sample.target.classes() {
            *counts.entry(dataset.classes[class].clone()).or_default() += 1;
        }
    }
    histogram
}

fn statistics(dataset: &Dataset) -> Result<InputStatistics, DataError> {
    let all = dataset.samples.len();
    let samples = all.min(SAMPLES);
    let (mut values, mut sum, mut squares) = (0, 0.0, 0.0);
    for number in 0..samples {
        let input = dataset.input(number * all / samples)?;
        values += input.len();
        for &value in input.iter() {
            sum += f64::from(value);
            squares += f64::from(value) * f64::from(value);
        }
    }
    let n = values.max(1) as f64;
    let mean = sum / n;
    let std = (squares / n - mean * mean).max(0.0).sqrt();
    Ok(InputStatistics { samples, mean, std })
}

#[cfg(test)]
mod tests;
