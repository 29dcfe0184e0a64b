//! How a frozen encoder is judged. A protocol takes features and gives scores; each states its whole recipe.

pub mod linear_probe;

use crate::input;
use crate::progress::TerminalProgress;
use bridle::encoder::Vit;
use bridle_backends::Ops;
use bridle_results::metric::{self, MetricError};
use bridle_results::record::Score;
use bridle_tasks::{Dataset, Progress};
use serde_json::{Map, Value};

/// Confidence level of every interval.
pub const LEVEL: f64 = 0.95;

/// Features of some samples with their targets, on the host.
#[derive(Clone, Debug)]
pub struct Features {
    /// Row-major [n, D].
    pub values: Vec<f32>,
    /// Width D.
    pub dim: usize,
    /// Classes, [n].
    pub targets: Vec<usize>,
    /// Groups that must not be torn apart when samples are held out (folds); None where there are none.
    pub groups: Vec<Option<u8>>,
}

impl Features {
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
            targets: places.iter().map(|&place| self.targets[place]).collect(),
            groups: places.iter().map(|&place| self.groups[place]).collect(),
        }
    }
}

/// Mean-pooled patch tokens of a frozen encoder, for these samples, in order.
pub fn features<B: Ops>(
    encoder: &Vit<B>,
    dataset: &Dataset,
    samples: &[usize],
    batch: usize,
    progress: &TerminalProgress,
    device: &B::Device,
) -> Features {
    progress.start("features", samples.len() as u64);
    let mut values = Vec::with_capacity(samples.len() * encoder.dim());
    for samples in samples.chunks(batch) {
        let x = input::batch(dataset, samples, encoder.geometry(), device);
        values.extend(encoder.features(x).into_data().iter::<f32>());
        progress.advance(samples.len() as u64);
    }
    progress.finish();
    Features {
        values,
        dim: encoder.dim(),
        targets: samples.iter().map(|&sample| dataset.samples[sample].target).collect(),
        groups: samples.iter().map(|&sample| dataset.samples[sample].fold).collect(),
    }
}

/// Top-1 and top-5 of class scores [n, C], with Wilson intervals. Top-5 is left out where there are at most 5 classes.
///
/// # Errors
/// If scores are not numbers or do not fit the targets.
pub fn accuracy_scores(
    protocol: &str,
    scores: &[f32],
    targets: &[usize],
    classes: usize,
    details: Map<String, Value>,
) -> Result<Vec<Score>, MetricError> {
    let ranks = metric::ranks(scores, targets, classes)?;
    let among = |name: &str, first: usize, details: Map<String, Value>| {
        let correct = ranks.iter().filter(|&&rank| rank < first).count() as u64;
        let n = ranks.len() as u64;
        Score {
            protocol: protocol.to_owned(),
            metric: name.to_owned(),
            value: Some(correct as f64 / n as f64),
            reason: None,
            n,
            interval: bridle_results::stats::wilson(correct, n, LEVEL),
            details,
        }
    };
    let mut found = vec![among("top1", 1, details)];
    if classes > 5 {
        found.push(among("top5", 5, Map::new()));
    }
    Ok(found)
}
