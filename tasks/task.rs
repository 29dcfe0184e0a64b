//! What a task is: its description, what is asked of it, and how it reports progress.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{DataError, Dataset};

/// What kind of media a task's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Sound, as log-mel spectrograms.
    Audio,
    /// Single pictures.
    Image,
    /// Frames in time.
    Video,
}

/// What one model input looks like; part of a run's plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum InputSpec {
    /// A log-mel spectrogram of `frames` frames, 10 ms each, normalised by (x - mean) / (2 std).
    Audio {
        /// Frames in time; shorter clips are padded with zeros before the normalisation, longer ones cut.
        frames: usize,
        /// Mel bands.
        mels: usize,
        /// Hertz; sound at other rates is resampled.
        sample_rate: u32,
        /// Mean of the log-mel energies.
        mean: f64,
        /// Standard deviation of the log-mel energies.
        std: f64,
    },
    /// A square picture with three channels, normalised by (x - mean) / std per channel.
    Image {
        /// Pixels along each edge.
        side: usize,
        /// Mean per channel, of values from 0 to 1.
        mean: [f64; 3],
        /// Standard deviation per channel.
        std: [f64; 3],
    },
    /// Square frames with three channels, normalised by (x - mean) / std per channel.
    Video {
        /// Frames in time.
        frames: usize,
        /// Pixels along each edge.
        side: usize,
        /// Mean per channel, of values from 0 to 1.
        mean: [f64; 3],
        /// Standard deviation per channel.
        std: [f64; 3],
    },
}

impl InputSpec {
    /// The axes of one input: \[1, frames, mels\], \[3, side, side\] or \[3, frames, side, side\].
    pub fn shape(&self) -> Vec<usize> {
        match *self {
            Self::Audio { frames, mels, .. } => vec![1, frames, mels],
            Self::Image { side, .. } => vec![3, side, side],
            Self::Video { frames, side, .. } => vec![3, frames, side, side],
        }
    }

    /// The kind of media.
    pub fn modality(&self) -> Modality {
        match self {
            Self::Audio { .. } => Modality::Audio,
            Self::Image { .. } => Modality::Image,
            Self::Video { .. } => Modality::Video,
        }
    }

    /// The normalisation's constants, averaged over channels: (mean, standard deviation).
    pub fn constants(&self) -> (f64, f64) {
        let average = |channels: &[f64; 3]| channels.iter().sum::<f64>() / 3.0;
        match self {
            Self::Audio { mean, std, .. } => (*mean, *std),
            Self::Image { mean, std, .. } | Self::Video { mean, std, .. } => (average(mean), average(std)),
        }
    }
}

/// The number that a task's results are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MainMetric {
    /// Share of samples whose highest score is the target's.
    Top1,
    /// Mean over classes of average precision, for samples with any number of classes.
    Map,
}

/// A task's description: plain data.
#[derive(Clone, Debug)]
pub struct TaskSpec {
    /// The name given with `--task`.
    pub name: &'static str,
    /// Raised whenever the task's numbers change.
    pub version: u32,
    /// One line for lists.
    pub summary: &'static str,
    /// The kind of media.
    pub modality: Modality,
    /// The input unless a plan says otherwise.
    pub input: InputSpec,
    /// Class names; a target is an index into them. Numbers where the names come with the data.
    pub classes: Vec<String>,
    /// Number of cross-validation folds, numbered from 1; `None` where train and test are given.
    pub folds: Option<u8>,
    /// What results are ranked by.
    pub metric: MainMetric,
    /// Where the original lies.
    pub source: &'static str,
    /// The data's licence.
    pub licence: &'static str,
    /// Whom to cite.
    pub citation: &'static str,
}

/// What is asked of a task when it is opened.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The data set's folder; without it `$BRIDLE_DATA/<task>` is used.
    pub data: Option<PathBuf>,
    /// Never use the network.
    pub offline: bool,
    /// What the model wants to see.
    pub input: InputSpec,
    /// The first so many samples of each class: in each split where train and test are given; over all folds, one fold
    /// after the other in turn, where there are folds (so N = 10 with five folds is two per fold and class).
    pub subset: Option<usize>,
    /// Accept data that is no known variant; samples that cannot be decoded are then skipped and named.
    pub allow_different: bool,
    /// The folder for computed features; made when needed, safe to delete, shared by any number of processes.
    pub cache: PathBuf,
    /// Threads for decoding and features; 0 for one per core.
    pub threads: usize,
    /// How much may be kept.
    pub limits: Limits,
}

/// How many bytes computed inputs may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one data set of media files: if its inputs are more, or more than the cache may hold, none are kept, and each
    /// is decoded whenever it is wanted. That changes no number.
    pub rows: u64,
    /// Of all files of features in the cache together: those not used for longest are removed before new ones are
    /// written, but never one that a program has open, nor the one being written.
    pub cache: u64,
    /// Of decoded videos in memory: what fits is decoded once, the rest at each use. That changes no number.
    pub videos: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 8 << 30,
            cache: 64 << 30,
            videos: 4 << 30,
        }
    }
}

/// Hears how far a long piece of work has come. `()` keeps silent.
pub trait Progress: Sync {
    /// Work of `total` units begins, described by `what`.
    fn start(&self, what: &str, total: u64);
    /// `by` more units are done; called from any thread.
    fn advance(&self, by: u64);
    /// The work that was started is done.
    fn finish(&self);
}

impl Progress for () {
    fn start(&self, _what: &str, _total: u64) {}
    fn advance(&self, _by: u64) {}
    fn finish(&self) {}
}

/// Something to train on and be judged by.
pub trait Task: Sync {
    /// The description.
    fn spec(&self) -> TaskSpec;

    /// Sections of a plan that only tasks use which name them here.
    fn sections(&self) -> &'static [&'static str] {
        &[]
    }

    /// Finds, verifies and prepares the data. Every error is about the data, its folder or the cache, and names it.
    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError>;
}

impl std::fmt::Debug for dyn Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name)
    }
}
