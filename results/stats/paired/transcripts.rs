//! Paired comparison of error rates over utterances.
//!
//! An utterance keeps its errors and its length together, so that a rate is a sum over a sum.
//! Utterances of one speaker are dependent: unless the data names them as one source, intervals are
//! too narrow.

use super::{FoldSamples, Paired, WeightedMetric};
use crate::metric::{ErrorRate, MetricError, Unit};

/// The texts that two systems, A and B, recognised in the same utterances: one fold, or a whole
/// task without folds.
#[derive(Clone, Debug)]
pub struct PairedTranscripts<'a> {
    /// The transcript of each utterance, `[N]`.
    pub references: &'a [String],
    /// The source of each utterance, by number, `[N]`.
    pub sources: &'a [usize],
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
            Ok(FoldSamples {
                samples: fold.references.len(),
                sources: fold.sources.to_vec(),
                seeds,
            })
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
