//! Bootstrap and paired comparison of error rates over utterances.
//!
//! An utterance is drawn with its errors and its length, so that a resample's rate is again a sum
//! over a sum. Utterances of one speaker are dependent, which drawing them separately ignores: with
//! few speakers, intervals are too narrow.

use super::{FoldSamples, Paired, WeightedMetric, mean_of_all, method};
use crate::metric::{ErrorRate, MetricError, Unit};
use crate::stats::{Interval, percentiles, resample};
use bridle_seed::{Seed, Stream};

/// The texts that two systems, A and B, recognised in the same utterances: one fold, or a whole
/// task without folds.
#[derive(Clone, Debug)]
pub struct PairedTranscripts<'a> {
    /// The transcript of each utterance, `[N]`.
    pub references: &'a [String],
    /// What A and B recognised, `[N]` each, for each seed.
    pub seeds: Vec<[&'a [String]; 2]>,
}

impl Paired {
    /// Evaluates these transcripts, one entry per fold. A positive difference favours B.
    ///
    /// # Errors
    /// If there is no utterance, no transcript has a word, or a system has more or fewer
    /// utterances.
    pub fn of_transcripts(unit: Unit, folds: &[PairedTranscripts]) -> Result<Self, MetricError> {
        let fold = |fold: &PairedTranscripts| {
            let seed = |pair: &[&[String]; 2]| {
                let rates = pair.iter().map(|found| rate(unit, fold.references, found));
                Ok(WeightedMetric::errors(&rates.collect::<Result<Vec<_>, MetricError>>()?))
            };
            let seeds = fold.seeds.iter().map(seed).collect::<Result<_, MetricError>>()?;
            Ok(FoldSamples::of_utterances(fold.references.len(), seeds))
        };
        Ok(Self {
            folds: folds.iter().map(fold).collect::<Result<_, MetricError>>()?,
        })
    }
}

fn rate(unit: Unit, references: &[String], hypotheses: &[String]) -> Result<ErrorRate, MetricError> {
    if references.len() != hypotheses.len() {
        return Err(MetricError::Utterances {
            expected: references.len(),
            found: hypotheses.len(),
        });
    }
    let pairs = references.iter().zip(hypotheses);
    ErrorRate::of(unit, pairs.map(|(wanted, found)| (&wanted[..], &found[..])))
}

/// Percentile bootstrap interval of an error rate over its utterances; one fewer is drawn than
/// there are, as in [`crate::stats::bootstrap_metric`]. None for a single utterance, and if a
/// resample has no transcript with a word. Panics if `resamples` is 0 or `level` is not between 0
/// and 1.
pub fn bootstrap_error_rate(rate: &ErrorRate, resamples: usize, level: f64, seed: &Seed) -> Option<Interval> {
    let n = rate.utterances().len();
    if n < 2 {
        return None;
    }
    let fold = FoldSamples::of_utterances(n, vec![WeightedMetric::errors(std::slice::from_ref(rate))]);
    let value = |stream: &mut Stream| mean_of_all(fold.values_of(0, &fold.draw(stream)));
    let (low, high) = percentiles(&resample(resamples, seed, value)?, level);
    Some(Interval {
        low,
        high,
        level,
        method: method(std::slice::from_ref(&fold)),
        n: n as u64,
    })
}

impl FoldSamples {
    fn of_utterances(samples: usize, seeds: Vec<WeightedMetric>) -> Self {
        Self {
            samples,
            is_single_label: false,
            strata: vec![(0..samples).collect()],
            seeds,
        }
    }
}

impl WeightedMetric {
    /// Of the same utterances in each system.
    fn errors(systems: &[ErrorRate]) -> Self {
        let edits = || systems.iter().flat_map(|rate| rate.utterances());
        Self::Errors {
            errors: edits().map(|edits| edits.errors() as f64).collect(),
            lengths: edits().map(|edits| edits.length as f64).collect(),
        }
    }
}

/// Weighted errors over weighted lengths. None where no length has a weight.
pub(super) fn weighted(errors: &[f64], lengths: &[f64], weights: &[f64]) -> Option<f64> {
    let sum = |values: &[f64]| -> f64 { values.iter().zip(weights).map(|(value, weight)| value * weight).sum() };
    let length = sum(lengths);
    (length > 0.0).then(|| sum(errors) / length)
}

#[cfg(test)]
mod tests;
