//! An opened data set: samples, splits, facts for the record, and inputs by random access.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bridle_seed::Seed;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::DataError;
use crate::cache::Rows;
use crate::files::sha256::sha256;
use crate::media::{MediaFiles, Views};

/// What a sample is used for, if the task has train and test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Train,
    Test,
}

/// The class or classes of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    Class(usize),
    /// Any number of classes, in ascending order.
    Classes(Vec<usize>),
}

impl Target {
    pub fn classes(&self) -> &[usize] {
        match self {
            Self::Class(class) => std::slice::from_ref(class),
            Self::Classes(classes) => classes,
        }
    }
}

/// One sample, without its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Names the sample in predictions; unique within the data set.
    pub id: String,
    pub target: Target,
    /// Its fold, from 1, if the task has folds.
    pub fold: Option<u8>,
    /// Always [`Split::Train`] if the task has folds.
    pub split: Split,
    /// The recording that it was cut from, if the data says: samples of one are no independent draws.
    pub source: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub id: String,
    pub reason: String,
}

/// Listed samples that this copy of the data lacks, if copies are known to lack some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub count: usize,
    /// The ids of the first ones.
    pub first: Vec<String>,
}

impl Missing {
    pub fn is_none(&self) -> bool {
        self.count == 0
    }
}

/// Sizes of several files in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSizes {
    pub least: u64,
    /// Of an even number, the larger of the two in the middle.
    pub median: u64,
    pub most: u64,
    pub total: u64,
}

impl FileSizes {
    /// `None` without files.
    pub(crate) fn of(mut bytes: Vec<u64>) -> Option<Self> {
        bytes.sort_unstable();
        Some(Self {
            least: *bytes.first()?,
            median: bytes[bytes.len() / 2],
            most: *bytes.last()?,
            total: bytes.iter().sum(),
        })
    }
}

/// What a record says about its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    pub task: String,
    pub version: u32,
    /// The known variant of the data, or `different`.
    pub variant: String,
    /// The address of the original data.
    pub source: String,
    /// sha256 over one line `<sha256>  <bytes>  <name>` per file, sorted by name. For generated
    /// data, over the generator's version and parameters.
    pub manifest_sha256: String,
    /// Samples per split (`train`, `test` or `fold-1`, `fold-2`, ...), after any subset and without
    /// skipped samples.
    pub counts: BTreeMap<String, usize>,
    pub subset: Option<usize>,
    /// Unusable samples.
    pub skipped: Vec<Skipped>,
    /// Samples that this copy lacks; not counted as skipped.
    #[serde(default, skip_serializing_if = "Missing::is_none")]
    pub missing: Missing,
    /// How samples were assigned to splits, if the data does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splitting: Option<String>,
    /// Mean and standard deviation of the model inputs before normalisation, padding included.
    pub measured_mean: f64,
    pub measured_std: f64,
    /// The normalisation's mean and standard deviation, averaged over channels.
    pub constant_mean: f64,
    pub constant_std: f64,
}

/// An opened data set. Methods that take an `index` panic if there is no such sample.
pub struct Dataset {
    pub facts: DataFacts,
    /// Every usable sample, in the data set's own order.
    pub samples: Vec<Sample>,
    /// Those of the task's description, unless the data is different.
    pub classes: Vec<String>,
    shape: Vec<usize>,
    inputs: Inputs,
}

pub(crate) enum Inputs {
    /// All are in memory, and there are no files.
    Rows(Rows),
    /// From files; those for evaluation may also be stored.
    Files(MediaFiles, Option<Rows>),
}

impl Inputs {
    fn rows(&self) -> Option<&Rows> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Files(_, rows) => rows.as_ref(),
        }
    }
}

impl Dataset {
    pub(crate) fn new(
        facts: DataFacts,
        samples: Vec<Sample>,
        classes: Vec<String>,
        shape: Vec<usize>,
        inputs: Inputs,
    ) -> Self {
        Self {
            facts,
            samples,
            classes,
            shape,
            inputs,
        }
    }

    /// sha256 over the names of the classes and each sample's id, classes, fold and split, in order:
    /// what the manifest of the files does not say.
    pub fn samples_sha256(&self) -> String {
        let of = |sample: &Sample| json!([sample.id, sample.target, sample.fold, sample.split]).to_string();
        let lines: Vec<String> = self.samples.iter().map(of).collect();
        sha256(format!("{}\n{}", json!(self.classes), lines.join("\n")).as_bytes())
    }

    /// The sources of these samples, a sample without one being its own; None if the data names none.
    pub fn sources(&self, samples: &[usize]) -> Option<Vec<String>> {
        let named = self.samples.iter().any(|sample| sample.source.is_some());
        let of_sample = |&index: &usize| {
            let sample = &self.samples[index];
            sample.source.as_ref().unwrap_or(&sample.id).clone()
        };
        named.then(|| samples.iter().map(of_sample).collect())
    }

    /// The axes of one input, as [`crate::InputSpec::shape`].
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The normalised model input of sample `index` for evaluation, row-major: stored, or decoded
    /// now. An error is about a file that was readable when the data was opened.
    pub fn input(&self, index: usize) -> Result<Cow<'_, [f32]>, DataError> {
        let length = self.shape.iter().product::<usize>();
        match &self.inputs {
            Inputs::Rows(rows) | Inputs::Files(_, Some(rows)) => rows.row(index * length, length),
            Inputs::Files(files, None) => files.input(index).map(Cow::Owned),
        }
    }

    /// The input for training: of pictures and videos a random view, with every draw from `seed`;
    /// of everything else, such as sound, the input for evaluation. Sound is augmented after its
    /// features are computed.
    pub fn view(&self, index: usize, views: Views, seed: &Seed) -> Result<Cow<'_, [f32]>, DataError> {
        match &self.inputs {
            Inputs::Files(files, _) if files.media.augments() => {
                files.drawn(index, views, &mut seed.stream()).map(Cow::Owned)
            }
            _ => self.input(index),
        }
    }

    /// The inputs of sample `index` for testing: of a video so many clips, with three squares each
    /// if there are several; of everything else, and of one clip, the input for evaluation.
    pub fn test_views(&self, index: usize, clips: usize) -> Result<Vec<Cow<'_, [f32]>>, DataError> {
        match &self.inputs {
            Inputs::Files(files, _) if clips > 1 => {
                let views = files.test_views(index, clips)?;
                Ok(views.into_iter().map(Cow::Owned).collect())
            }
            _ => Ok(vec![self.input(index)?]),
        }
    }

    /// Whether training views differ from the inputs for evaluation.
    pub fn augments(&self) -> bool {
        matches!(&self.inputs, Inputs::Files(files, _) if files.media.augments())
    }

    /// Sizes of the samples' files, if there are files and all sizes are known.
    pub(crate) fn bytes(&self) -> Option<FileSizes> {
        match &self.inputs {
            Inputs::Rows(_) => None,
            Inputs::Files(files, _) => files.files.bytes().and_then(FileSizes::of),
        }
    }

    /// Whether inputs for evaluation are decoded at each use, because they are too many to store.
    pub fn streams(&self) -> bool {
        self.inputs.rows().is_none()
    }

    /// Indices of the (train, test) samples. With a fold, that fold is for testing and the others
    /// for training. Without one, the given split, or everything for training if the task has
    /// folds.
    pub fn split(&self, fold: Option<u8>) -> (Vec<usize>, Vec<usize>) {
        (0..self.samples.len()).partition(|&index| {
            let sample = &self.samples[index];
            match fold {
                Some(_) => sample.fold != fold,
                None => sample.split == Split::Train,
            }
        })
    }
}

/// How often to draw each training sample, so that rare classes are seen as often as common ones:
/// the sum over its classes of 1000 / (training samples of the class + 0.01), as in the published
/// AudioSet recipes of PSLA (Gong et al. 2021) and AST.
pub fn sampling_weights(dataset: &Dataset, train: &[usize]) -> Vec<f64> {
    let classes = |&sample: &usize| dataset.samples[sample].target.classes();
    let mut counts = vec![0usize; dataset.classes.len()];
    train.iter().flat_map(classes).for_each(|&class| counts[class] += 1);
    let weight = |sample| {
        classes(sample)
            .iter()
            .map(|&class| 1000.0 / (counts[class] as f64 + 0.01))
            .sum()
    };
    train.iter().map(weight).collect()
}
