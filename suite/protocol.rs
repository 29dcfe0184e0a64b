//! How an encoder is judged. A protocol takes an encoder and gives scores of the test samples; each states its whole
//! recipe, and what it chose by itself, in the record.
//!
//! A new protocol is a file here, a line in [`judge`] and a name in the plan's list of protocols.

pub mod augment;
pub mod finetune;
mod hold_out;
pub mod knn;
pub mod linear_probe;
mod scale;

use crate::data::fixed;
use crate::interrupt::Interrupt;
use crate::plan::{Plan, Protocol};
use crate::progress::TerminalProgress;
use crate::train::TrainError;
use bridle::encoder::Vit;
use bridle_backends::{Ops, TrainBackend};
use bridle_results::metric::Metric;
use bridle_seed::Seed;
use bridle_tasks::{DataError, Dataset, Progress, Target};
use serde_json::{Map, Value};
use std::cell::{Cell, OnceCell};
use std::path::Path;
use std::time::{Duration, Instant};

/// Gives the scores of one protocol.
///
/// # Errors
/// If a sample cannot be read any more, or a protocol that trains diverges, is interrupted, or cannot write.
pub fn judge<B: TrainBackend>(protocol: Protocol, subject: &Subject<'_, B>) -> Result<Outcome, TrainError> {
    match protocol {
        Protocol::LinearProbe => Ok(linear_probe::judge(subject)?),
        Protocol::Knn => Ok(knn::judge(subject)?),
        Protocol::Finetune => finetune::judge(subject),
    }
}

/// What a protocol found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Class scores of the test samples, row-major [n, C].
    pub scores: Vec<f32>,
    /// What was chosen and how, and the rest of the recipe that the plan does not say.
    pub details: Map<String, Value>,
}

/// An encoder to be judged, and all that protocols need for it.
pub struct Subject<'a, B: TrainBackend> {
    /// The plan, with the protocols' values.
    pub plan: &'a Plan,
    /// The data.
    pub dataset: &'a Dataset,
    /// Indices of the training samples.
    pub train: &'a [usize],
    /// Indices of the test samples.
    pub test: &'a [usize],
    /// The encoder.
    pub encoder: &'a Vit<B::InnerBackend>,
    /// The run's root seed.
    pub seed: Seed,
    /// Where to compute.
    pub device: &'a B::Device,
    /// The run's folder, for the checkpoints of protocols that train.
    pub folder: &'a Path,
    /// Whether to go on from such a checkpoint.
    pub resumes: bool,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Asks for a stop.
    pub interrupt: &'a Interrupt,
    /// Tells the user.
    pub progress: &'a TerminalProgress,
    /// Features of the training and test samples, and the seconds that they took; made when first asked for.
    pub cache: FeatureCache,
}

impl<B: TrainBackend> Subject<'_, B> {
    /// Features of the test samples as means over their views; None if they have one each.
    fn averaged(&self) -> Option<Result<Features, DataError>> {
        let clips = self.plan.test_clips();
        (clips > 1).then(|| {
            self.progress.start("features of test views", self.test.len() as u64);
            let mut values = Vec::with_capacity(self.test.len() * self.encoder.dim());
            for &sample in self.test {
                let x = fixed::test_views(self.dataset, sample, clips, self.encoder.geometry(), self.device)?;
                values.extend(self.encoder.features(x).mean_dim(0).into_data().iter::<f32>());
                self.progress.advance(1);
            }
            self.progress.finish();
            Ok(Features::new(values, self.encoder.dim(), self.dataset, self.test))
        })
    }
}

/// Features that several protocols share.
#[derive(Debug, Default)]
pub struct FeatureCache {
    features: OnceCell<(Features, Features)>,
    seconds: Cell<f64>,
}

impl FeatureCache {
    /// Seconds that computing them took; none if nobody asked for them.
    pub fn seconds(&self) -> Option<f64> {
        self.features.get().map(|_| self.seconds.get())
    }
}

impl<B: TrainBackend> Subject<'_, B> {
    /// Number of classes, C.
    pub fn classes(&self) -> usize {
        self.dataset.classes.len()
    }

    /// Features of the training and of the test samples.
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    pub fn features(&self) -> Result<&(Features, Features), DataError> {
        if let Some(found) = self.cache.features.get() {
            return Ok(found);
        }
        let begun = Instant::now();
        let batch = self.plan.pretrain.as_ref().map_or(16, |pretrain| pretrain.batch);
        let of = |samples: &[usize]| features(self.encoder, self.dataset, samples, batch, self.progress, self.device);
        let found = (of(self.train)?, self.averaged().unwrap_or_else(|| of(self.test))?);
        self.cache.seconds.set(begun.elapsed().as_secs_f64());
        Ok(self.cache.features.get_or_init(|| found))
    }
}

/// What the features of a frozen encoder are, in words.
const FEATURES: &str = "mean of patch tokens after the final norm";

/// The class with the highest score, the first of equals.
fn first_highest(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// How good scores [n, C] are, to choose by on held-out samples: the share of samples whose highest score is their
/// class's, and for samples of several classes the mean average precision (0 where no class has a sample).
fn quality(scores: &[f32], targets: &[Target], classes: usize) -> f64 {
    if has_several(targets) {
        let targets: Vec<Vec<u32>> = targets.iter().map(class_numbers).collect();
        let map = Metric::Map.of(scores, &targets, classes);
        return map.ok().flatten().unwrap_or(0.0);
    }
    let rows = scores.chunks_exact(classes).zip(targets);
    let right = rows.filter(|(row, target)| target.classes() == [first_highest(row)]);
    right.count() as f64 / targets.len() as f64
}

/// What [`quality`] is called in a record.
fn quality_name(targets: &[Target]) -> &'static str {
    if has_several(targets) {
        "held_out_map"
    } else {
        "held_out_accuracy"
    }
}

/// Whether samples may have any number of classes.
pub fn has_several(targets: &[Target]) -> bool {
    targets.iter().any(|target| matches!(target, Target::Classes(_)))
}

/// A target's classes as predictions hold them.
pub fn class_numbers(target: &Target) -> Vec<u32> {
    target.classes().iter().map(|&class| class as u32).collect()
}

/// The place of the highest value, the first of equals.
fn best_choice(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, place| if values[place] > values[best] { place } else { best })
}

/// Confidence level of every interval.
pub const LEVEL: f64 = 0.95;

/// Features of some samples with their targets, on the host.
#[derive(Clone, Debug)]
pub struct Features {
    /// Row-major [n, D].
    pub values: Vec<f32>,
    /// Width D.
    pub dim: usize,
    /// Class or classes, [n].
    pub targets: Vec<Target>,
    /// Groups that must not be torn apart when samples are held out (folds); None where there are none.
    pub groups: Vec<Option<u8>>,
}

impl Features {
    /// Features of these samples, row-major [n, D].
    fn new(values: Vec<f32>, dim: usize, dataset: &Dataset, samples: &[usize]) -> Self {
        Self {
            values,
            dim,
            targets: targets(dataset, samples),
            groups: samples.iter().map(|&sample| dataset.samples[sample].fold).collect(),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The samples at these places.
    pub fn pick(&self, places: &[usize]) -> Self {
        let row = |&place: &usize| self.values[place * self.dim..(place + 1) * self.dim].iter().copied();
        Self {
            values: places.iter().flat_map(row).collect(),
            dim: self.dim,
            targets: places.iter().map(|&place| self.targets[place].clone()).collect(),
            groups: places.iter().map(|&place| self.groups[place]).collect(),
        }
    }
}

/// Mean-pooled patch tokens of a frozen encoder, for these samples, in order.
///
/// # Errors
/// If a sample cannot be read any more.
pub fn features<B: Ops>(
    encoder: &Vit<B>,
    dataset: &Dataset,
    samples: &[usize],
    batch: usize,
    progress: &TerminalProgress,
    device: &B::Device,
) -> Result<Features, DataError> {
    progress.start("features", samples.len() as u64);
    let mut values = Vec::with_capacity(samples.len() * encoder.dim());
    for samples in samples.chunks(batch) {
        let x = fixed::batch(dataset, samples, encoder.geometry(), device)?;
        values.extend(encoder.features(x).into_data().iter::<f32>());
        progress.advance(samples.len() as u64);
    }
    progress.finish();
    Ok(Features::new(values, encoder.dim(), dataset, samples))
}

/// The targets of these samples.
pub fn targets(dataset: &Dataset, samples: &[usize]) -> Vec<Target> {
    samples
        .iter()
        .map(|&sample| dataset.samples[sample].target.clone())
        .collect()
}
