//! Features of a frozen encoder: computed once and shared by the protocols that only read them.

use super::{Outcome, Subject};
use crate::data::{Fixed, fixed};
use bridle_backends::TrainBackend;
use bridle_backends::kernel::ranks;
use bridle_results::metric::Metric;
use bridle_tasks::{DataError, Dataset, Progress, Target};
use burn::tensor::Tensor;
use serde_json::{Map, Value, json};
use std::cell::{Cell, OnceCell};
use std::time::Instant;

/// What the features are, in words.
pub const FEATURES: &str = "mean of patch tokens after the final norm";

/// A vector of each sample, whatever makes it.
pub trait Vectors {
    /// What they are, in words.
    fn about(&self) -> String;

    /// Those of these samples after so many layers, or of the output, row-major [n, D].
    ///
    /// # Errors
    /// If a sample cannot be read any more, or is no input for what makes them.
    fn of(&self, samples: &[usize], layer: Option<usize>, progress: &dyn Progress) -> Result<Vec<f32>, DataError>;
}

impl<V: Vectors> Vectors for &V {
    fn about(&self) -> String {
        V::about(self)
    }

    fn of(&self, samples: &[usize], layer: Option<usize>, progress: &dyn Progress) -> Result<Vec<f32>, DataError> {
        V::of(self, samples, layer, progress)
    }
}

/// Features of the training and test samples, and the seconds that they took; computed when first
/// asked for.
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

impl<B: TrainBackend> Subject<'_, B, Fixed<'_>> {
    /// Number of classes, C.
    pub(super) fn classes(&self) -> usize {
        self.data.dataset.classes.len()
    }

    /// Mean-pooled patch tokens of the training and of the test samples.
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    pub(super) fn features(&self) -> Result<&(Features, Features), DataError> {
        if let Some(found) = self.features.features.get() {
            return Ok(found);
        }
        let begun = Instant::now();
        let found = self.features_at(None)?;
        self.features.seconds.set(begun.elapsed().as_secs_f64());
        Ok(self.features.features.get_or_init(|| found))
    }

    /// The same after so many layers; None: after all of them, and the final norm. Computed at each
    /// call.
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    pub(super) fn features_at(&self, layer: Option<usize>) -> Result<(Features, Features), DataError> {
        if let Some(vectors) = self.vectors() {
            let of = |samples: &[usize]| {
                let values = vectors.of(samples, layer, self.progress)?;
                let dim = values.len() / samples.len().max(1);
                Ok::<_, DataError>(Features::new(values, dim, self.data.dataset, samples))
            };
            return Ok((of(self.train)?, of(self.test)?));
        }
        let train = self.features_of(self.train, layer)?;
        let test = match self.plan.test_clips() {
            1 => self.features_of(self.test, layer),
            clips => self.features_of_views(clips, layer),
        };
        Ok((train, test?))
    }

    /// An outcome of features, which says what they were where they were made elsewhere.
    pub(super) fn of_features(&self, mut outcome: Outcome) -> Outcome {
        if let Some(vectors) = self.vectors() {
            outcome.details.insert("features".to_owned(), json!(vectors.about()));
        }
        outcome
    }

    /// Mean-pooled patch tokens of inputs [B, C, T, H, W]: [B, D].
    fn pooled(&self, x: Tensor<B::InnerBackend, 5>, layer: Option<usize>) -> Tensor<B::InnerBackend, 2> {
        if layer.is_none() {
            return self.encoder().features(x);
        }
        let tokens = self.tokens(&fixed::patch_frames(x, self.encoder().geometry()), layer);
        let [batch, _, dim] = tokens.dims();
        tokens.mean_dim(1).reshape([batch, dim])
    }

    fn features_of(&self, samples: &[usize], layer: Option<usize>) -> Result<Features, DataError> {
        let batch = self.plan.pretrain.as_ref().map_or(16, |pretrain| pretrain.batch);
        let encoder = self.encoder();
        let (ranks, mut values) = (ranks(), Vec::with_capacity(samples.len() * encoder.dim()));
        let own = &samples[ranks.part(samples.len())];
        self.progress.start("features", own.len() as u64);
        for samples in own.chunks(batch) {
            let x = fixed::batch(self.data.dataset, samples, encoder.geometry(), self.device)?;
            values.extend(self.pooled(x, layer).into_data().iter::<f32>());
            self.progress.advance(samples.len() as u64);
        }
        self.progress.finish();
        let values = ranks.required(ranks.gather_values(values));
        Ok(Features::new(values, encoder.dim(), self.data.dataset, samples))
    }

    /// Features of the test samples, averaged over views of each.
    fn features_of_views(&self, clips: usize, layer: Option<usize>) -> Result<Features, DataError> {
        let encoder = self.encoder();
        let (ranks, mut values) = (ranks(), Vec::with_capacity(self.test.len() * encoder.dim()));
        let own = &self.test[ranks.part(self.test.len())];
        self.progress.start("features of test views", own.len() as u64);
        for &sample in own {
            let x = fixed::test_views(self.data.dataset, sample, clips, encoder.geometry(), self.device)?;
            values.extend(self.pooled(x, layer).mean_dim(0).into_data().iter::<f32>());
            self.progress.advance(1);
        }
        self.progress.finish();
        let values = ranks.required(ranks.gather_values(values));
        Ok(Features::new(values, encoder.dim(), self.data.dataset, self.test))
    }
}

/// Features of some samples with their targets, on the host.
#[derive(Clone, Debug)]
pub struct Features {
    /// Row-major [n, D].
    pub values: Vec<f32>,
    /// Width D.
    pub dim: usize,
    /// Class or classes, [n].
    pub targets: Vec<Target>,
    /// Groups that must stay together when samples are held out (folds); None where there are none.
    pub groups: Vec<Option<u8>>,
    /// Recordings or persons that samples are from, which stay together likewise where there are no folds.
    pub sources: Vec<Option<String>>,
}

impl Features {
    /// What is known of these samples, without features: enough to hold some of them out.
    pub fn without_values(dataset: &Dataset, samples: &[usize]) -> Self {
        Self::new(Vec::new(), 0, dataset, samples)
    }

    fn new(values: Vec<f32>, dim: usize, dataset: &Dataset, samples: &[usize]) -> Self {
        Self {
            values,
            dim,
            targets: targets(dataset, samples),
            groups: samples.iter().map(|&sample| dataset.samples[sample].fold).collect(),
            sources: samples
                .iter()
                .map(|&sample| dataset.samples[sample].source.clone())
                .collect(),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// The samples at these places.
    pub fn pick(&self, places: &[usize]) -> Self {
        let row = |&place: &usize| self.values[place * self.dim..(place + 1) * self.dim].iter().copied();
        Self {
            values: places.iter().flat_map(row).collect(),
            dim: self.dim,
            targets: places.iter().map(|&place| self.targets[place].clone()).collect(),
            groups: places.iter().map(|&place| self.groups[place]).collect(),
            sources: places.iter().map(|&place| self.sources[place].clone()).collect(),
        }
    }
}

/// A value chosen from a closed list by its quality on held-out samples.
pub struct Choice<T> {
    pub best: T,
    /// What a record says of the choice, under `name` and beside the qualities of all values.
    pub details: Map<String, Value>,
}

impl<T: Copy + ToString + serde::Serialize> Choice<T> {
    /// The value with the highest quality, the first of equals.
    pub fn new(name: &str, values: &[T], qualities: &[f64], train: &Features, held_out: Value) -> Self {
        let best = (0..values.len()).fold(0, |best, place| {
            if qualities[place] > qualities[best] {
                place
            } else {
                best
            }
        });
        let named = values.iter().map(ToString::to_string);
        let tried = named.zip(qualities.iter().map(|share| json!(share)));
        let mut details = Map::from_iter(
            [
                (name, json!(values[best])),
                (quality_name(&train.targets), Value::Object(tried.collect())),
                ("held_out", held_out),
                ("train_n", json!(train.len())),
                ("features", json!(FEATURES)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        // beyond an end of the list there may be a better value
        if values.len() > 1 && (best == 0 || best + 1 == values.len()) {
            details.insert("at_edge".to_owned(), json!(true));
        }
        Self {
            best: values[best],
            details,
        }
    }
}

/// The class with the highest score, the first of equals.
fn first_highest(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// How good scores [n, C] are, to choose by on held-out samples: the share of samples whose highest
/// score is their class's, and for samples of several classes the mean average precision (0 where
/// no class has a sample).
pub fn quality(scores: &[f32], targets: &[Target], classes: usize) -> f64 {
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

/// The targets of these samples.
pub fn targets(dataset: &Dataset, samples: &[usize]) -> Vec<Target> {
    let samples = samples.iter();
    samples.map(|&sample| dataset.samples[sample].target.clone()).collect()
}
