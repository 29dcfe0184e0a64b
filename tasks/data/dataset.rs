//! An opened data set: samples, splits, facts for the record, and inputs by random access.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bridle_seed::Seed;
use serde::{Deserialize, Serialize};

use super::census::FileSizes;
use crate::DataError;
use crate::cache::Rows;
use crate::media::{MediaFiles, Views};

/// The part that a sample plays where a task gives train and test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For judging.
    Test,
}

/// What a sample is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// One class, by its index.
    Class(usize),
    /// Any number of classes, by their indices in rising order.
    Classes(Vec<usize>),
}

impl Target {
    /// The indices of its classes.
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
    /// Its class or classes.
    pub target: Target,
    /// Its fold, from 1, where the task has folds.
    pub fold: Option<u8>,
    /// Its part where the task has no folds; always [`Split::Train`] where it has.
    pub split: Split,
}

/// A sample that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The sample.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Listed samples that a copy of the data lacks, where copies are known to lack some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// How many there are.
    pub count: usize,
    /// The ids of the first of them.
    pub first: Vec<String>,
}

impl Missing {
    /// Whether nothing is missing.
    pub fn is_none(&self) -> bool {
        self.count == 0
    }
}

/// What a record says about its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// The task's name.
    pub task: String,
    /// The task's version.
    pub version: u32,
    /// Which known form of the data this is, or `different`.
    pub variant: String,
    /// Where the original lies.
    pub source: String,
    /// sha256 over one line `<sha256>  <bytes>  <name>` per file, sorted by name; for generated data, over the
    /// generator's version and parameters.
    pub manifest_sha256: String,
    /// Samples per split (`train`, `test` or `fold-1`, `fold-2`, ...), after any subset and without skipped samples.
    pub counts: BTreeMap<String, usize>,
    /// The subset asked for, if any.
    pub subset: Option<usize>,
    /// Samples left out because they could not be used.
    pub skipped: Vec<Skipped>,
    /// Samples left out because this copy lacks them; not counted among the skipped.
    #[serde(default, skip_serializing_if = "Missing::is_none")]
    pub missing: Missing,
    /// How samples came into their splits, where the data does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splitting: Option<String>,
    /// Mean of the model inputs before normalisation, padding included.
    pub measured_mean: f64,
    /// Standard deviation of the same.
    pub measured_std: f64,
    /// The normalisation's mean (averaged over channels).
    pub constant_mean: f64,
    /// The normalisation's standard deviation (averaged over channels).
    pub constant_std: f64,
}

/// A data set that is ready to be read.
pub struct Dataset {
    /// What a record says about the data.
    pub facts: DataFacts,
    /// Every usable sample, in the data set's own order.
    pub samples: Vec<Sample>,
    /// Class names; those of the task's description unless the data is different.
    pub classes: Vec<String>,
    shape: Vec<usize>,
    inputs: Inputs,
}

/// Where inputs come from.
pub(crate) enum Inputs {
    /// All are kept, and there is nothing else.
    Rows(Rows),
    /// From files; those for judging may be kept too.
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
        let length = samples.len() * shape.iter().product::<usize>();
        debug_assert!(inputs.rows().is_none_or(|rows| rows.values().len() == length));
        Self {
            facts,
            samples,
            classes,
            shape,
            inputs,
        }
    }

    /// The axes of one input, as [`crate::InputSpec::shape`].
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The normalised model input of sample `index` for judging, row-major: as it was kept, else decoded now. An error is
    /// about a file that could be read when the data was opened. Panics if there is no such sample.
    pub fn input(&self, index: usize) -> Result<Cow<'_, [f32]>, DataError> {
        let length = self.shape.iter().product::<usize>();
        match &self.inputs {
            Inputs::Rows(rows) | Inputs::Files(_, Some(rows)) => {
                Ok(Cow::Borrowed(&rows.values()[index * length..][..length]))
            }
            Inputs::Files(files, None) => files.input(index).map(Cow::Owned),
        }
    }

    /// The same for training: a random view, every draw from `seed`, of pictures and videos; the input for judging of
    /// all else, such as sound, whose features are augmented after they were computed.
    pub fn view(&self, index: usize, views: Views, seed: &Seed) -> Result<Cow<'_, [f32]>, DataError> {
        match &self.inputs {
            Inputs::Files(files, _) if files.media.augments() => {
                files.drawn(index, views, &mut seed.stream()).map(Cow::Owned)
            }
            _ => self.input(index),
        }
    }

    /// The inputs of sample `index` for testing: of videos so many clips, with three squares each if there are several; of all
    /// else, and of one clip, the input for judging. Panics if there is no such sample.
    pub fn test_views(&self, index: usize, clips: usize) -> Result<Vec<Cow<'_, [f32]>>, DataError> {
        match &self.inputs {
            Inputs::Files(files, _) if clips > 1 => {
                let views = files.test_views(index, clips)?;
                Ok(views.into_iter().map(Cow::Owned).collect())
            }
            _ => Ok(vec![self.input(index)?]),
        }
    }

    /// Whether training views differ from the inputs for judging.
    pub fn augments(&self) -> bool {
        matches!(&self.inputs, Inputs::Files(files, _) if files.media.augments())
    }

    /// FileSizes of the samples' files, where there are files whose sizes are known.
    pub(crate) fn bytes(&self) -> Option<FileSizes> {
        match &self.inputs {
            Inputs::Rows(_) => None,
            Inputs::Files(files, _) => files.files.bytes().and_then(FileSizes::of),
        }
    }

    /// Whether inputs for judging are decoded at each use, because they are too many to be kept.
    pub fn streams(&self) -> bool {
        self.inputs.rows().is_none()
    }

    /// Indices of the (train, test) samples. With a fold, that fold is the test part and the others train; without one,
    /// the given split, or, where the task has folds, everything for training.
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

/// How often each of the training samples is to be drawn, so that rare classes are seen as often as common ones: the sum
/// over its classes of 1000 / (training samples of the class + 0.01), as in the published recipes for AudioSet of PSLA
/// (Gong et al. 2021) and AST.
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
