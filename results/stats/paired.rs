//! Any metric of two systems on the same test samples: a permutation test.
//!
//! What is exchanged is the source of samples, or the sample where the data names none. Values of
//! one source in several seeds are dependent, so it is exchanged in all seeds at once.

use super::mean;
use crate::metric::{ClassOrder, Metric, MetricError, Ranking, ranks, single_labels};
use bridle_seed::{Seed, Stream};
use std::collections::BTreeSet;

mod transcripts;

pub use transcripts::PairedTranscripts;

/// The scores of two systems, A and B, for the same samples: one fold, or a whole task without
/// folds.
#[derive(Clone, Debug)]
pub struct PairedScores<'a> {
    pub targets: &'a [Vec<u32>],
    /// The source of each sample, by number, `[N]`.
    pub sources: &'a [usize],
    pub classes: usize,
    /// Scores of A and of B, `[N, C]` each, for each seed.
    pub seeds: Vec<[&'a [f32]; 2]>,
}

/// Two systems evaluated on the same samples by one metric. A system's value is the mean over its
/// runs.
#[derive(Clone, Debug)]
pub struct Paired {
    folds: Vec<FoldSamples>,
}

impl Paired {
    /// Evaluates these scores, one entry per fold.
    ///
    /// # Errors
    /// As [`Metric::of`].
    pub fn new(metric: Metric, folds: &[PairedScores]) -> Result<Self, MetricError> {
        let fold = |fold: &PairedScores| {
            let seeds: Vec<&[&[f32]]> = fold.seeds.iter().map(|pair| &pair[..]).collect();
            FoldSamples::new(metric, &seeds, fold)
        };
        Ok(Self {
            folds: folds.iter().map(fold).collect::<Result<_, _>>()?,
        })
    }

    /// The values of A and of B in each run, seeds within folds. None where the metric is
    /// undefined.
    pub fn runs(&self) -> Vec<[Option<f64>; 2]> {
        let of_fold = |fold: &FoldSamples| {
            let all = vec![1.0; fold.samples];
            let [a, b] = [0, 1].map(|system| fold.values_of(system, &all));
            a.into_iter().zip(b).map(|(a, b)| [a, b]).collect::<Vec<_>>()
        };
        self.folds.iter().flat_map(of_fold).collect()
    }

    /// The values of A and of B. None where the metric is undefined in a run.
    pub fn values(&self) -> [Option<f64>; 2] {
        let runs = self.runs();
        [0, 1].map(|system| mean_of_all(runs.iter().map(|values| values[system])))
    }

    /// Test samples, each counted once.
    pub fn samples(&self) -> usize {
        self.folds.iter().map(|fold| fold.samples).sum()
    }

    /// Monte-Carlo permutation test of "it does not matter which system gave a sample's scores": A
    /// and B are exchanged at random in each source, in all seeds at once. p = (b + 1) / (m + 1),
    /// where b of the m permutations differ at least as much, in either direction. None where the
    /// metric is undefined.
    ///
    /// For a share of correct samples this is the sign-flip test of the per-sample differences,
    /// summed over seeds. Ranking metrics exchange ranks within the class instead of scores, so
    /// that systems with other scales of scores do not appear worse (Venkatraman and Begg 1996).
    pub fn permutation(&self, permutations: usize, seed: &Seed) -> Option<f64> {
        let [a, b] = self.values();
        // sums in another order differ in their last digits, where they should be tied
        let observed = (a? - b?).abs() * (1.0 - 1e-12);
        let difference = |stream: &mut Stream| {
            let of_fold = |fold: &FoldSamples| {
                let [a, b] = fold.exchanged(stream).map(|weights| fold.values(&weights));
                a.into_iter().zip(b).map(|(a, b)| Some(a? - b?)).collect::<Vec<_>>()
            };
            mean_of_all(self.folds.iter().flat_map(of_fold))
        };
        // a permutation without a value counts against a difference
        let as_large = |&permutation: &usize| {
            let difference = difference(&mut seed.indexed(permutation as u64).stream());
            difference.is_none_or(|difference| difference.abs() >= observed)
        };
        let found = (0..permutations).filter(as_large).count();
        Some((found + 1) as f64 / (permutations + 1) as f64)
    }

    /// Numbers of samples that only A, and only B, got right. None for several seeds, for metrics
    /// that are not a share of correct samples, and where samples share a source.
    pub fn discordant(&self) -> Option<[u64; 2]> {
        let mut counts = [0, 0];
        for fold in &self.folds {
            let [WeightedMetric::Hits(hits)] = &fold.seeds[..] else {
                return None;
            };
            if fold.sources.iter().collect::<BTreeSet<_>>().len() < fold.samples {
                return None;
            }
            let (a, b) = hits.split_at(fold.samples);
            for (&a, &b) in a.iter().zip(b) {
                counts[0] += u64::from(a && !b);
                counts[1] += u64::from(b && !a);
            }
        }
        Some(counts)
    }
}

/// The mean, or None where a value is missing or there is none.
fn mean_of_all(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    mean(&values.into_iter().collect::<Option<Vec<f64>>>()?)
}

/// The samples of one fold, and their evaluation in each run.
#[derive(Clone, Debug)]
struct FoldSamples {
    samples: usize,
    /// The source of each sample, by number, `[N]`.
    sources: Vec<usize>,
    /// One for each seed.
    seeds: Vec<WeightedMetric>,
}

/// A metric of one seed's systems under any weights of samples. Sample `i` of system `s` is entry
/// `s * N + i`.
#[derive(Clone, Debug)]
enum WeightedMetric {
    Hits(Vec<bool>),
    /// The order of the entries per class: of all systems together, and of each one separately,
    /// which is faster to evaluate.
    Orders {
        metric: Metric,
        together: Vec<ClassOrder>,
        alone: Vec<Vec<ClassOrder>>,
    },
    /// Errors of each entry, and the length of its transcript.
    Errors {
        errors: Vec<f64>,
        lengths: Vec<f64>,
    },
}

impl FoldSamples {
    fn new(metric: Metric, seeds: &[&[&[f32]]], fold: &PairedScores) -> Result<Self, MetricError> {
        let metrics = seeds
            .iter()
            .map(|systems| WeightedMetric::new(metric, systems, fold.targets, fold.classes))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            samples: fold.targets.len(),
            sources: fold.sources.to_vec(),
            seeds: metrics,
        })
    }

    /// The metric of one system in each seed, where samples have these weights.
    fn values_of(&self, system: usize, weights: &[f64]) -> Vec<Option<f64>> {
        self.seeds
            .iter()
            .map(|metric| metric.value_of(system, weights))
            .collect()
    }

    /// The metric in each seed over the entries of all systems together, with these weights.
    fn values(&self, weights: &[f64]) -> Vec<Option<f64>> {
        self.seeds.iter().map(|metric| metric.value(weights)).collect()
    }

    /// Weights of two systems in which A and B are exchanged at random in each source.
    fn exchanged(&self, stream: &mut Stream) -> [Vec<f64>; 2] {
        let count = self.sources.iter().max().map_or(0, |last| last + 1);
        let of_source: Vec<f64> = (0..count).map(|_| (stream.bits() >> 63) as f64).collect();
        let coins: Vec<f64> = self.sources.iter().map(|&source| of_source[source]).collect();
        let others = || coins.iter().map(|coin| 1.0 - coin);
        [
            coins.iter().copied().chain(others()).collect(),
            others().chain(coins.iter().copied()).collect(),
        ]
    }
}

impl WeightedMetric {
    fn new(metric: Metric, systems: &[&[f32]], targets: &[Vec<u32>], classes: usize) -> Result<Self, MetricError> {
        if metric.unit().is_some() {
            return Err(MetricError::NotOfScores(metric));
        }
        let Some(first) = metric.first_classes() else {
            let order = |systems: &[&[f32]]| ClassOrder::all(systems, targets, classes);
            return Ok(Self::Orders {
                metric,
                together: order(systems)?,
                alone: systems
                    .iter()
                    .map(|scores| order(&[scores]))
                    .collect::<Result<_, _>>()?,
            });
        };
        let labels = single_labels(targets)?;
        let mut hits = Vec::with_capacity(systems.len() * targets.len());
        for scores in systems {
            hits.extend(ranks(scores, &labels, classes)?.into_iter().map(|rank| rank < first));
        }
        Ok(Self::Hits(hits))
    }

    fn value_of(&self, system: usize, weights: &[f64]) -> Option<f64> {
        match self {
            Self::Hits(hits) => Some(share(&hits[system * weights.len()..][..weights.len()], weights)),
            Self::Orders { metric, alone, .. } => ranking(&alone[system], weights).metric(*metric),
            Self::Errors { errors, lengths } => {
                let own = system * weights.len()..(system + 1) * weights.len();
                transcripts::weighted(&errors[own.clone()], &lengths[own], weights)
            }
        }
    }

    fn value(&self, weights: &[f64]) -> Option<f64> {
        match self {
            Self::Hits(hits) => Some(share(hits, weights)),
            Self::Orders { metric, together, .. } => ranking(together, weights).metric(*metric),
            Self::Errors { errors, lengths } => transcripts::weighted(errors, lengths, weights),
        }
    }
}

fn share(hits: &[bool], weights: &[f64]) -> f64 {
    let right = hits.iter().zip(weights).filter(|(hit, _)| **hit);
    right.map(|(_, weight)| weight).sum::<f64>() / weights.iter().sum::<f64>()
}

fn ranking(orders: &[ClassOrder], weights: &[f64]) -> Ranking {
    Ranking {
        classes: orders.iter().map(|order| order.evaluate(weights)).collect(),
    }
}

#[cfg(test)]
mod tests;
