//! How much each test sample moves a metric.
//!
//! The influence of a sample is the derivative of the metric by the sample's weight, where every
//! weight is 1. Influences sum to 0. To first order the metric of other samples of the same kind
//! differs from this one by a sum of such influences, so their variance is the metric's (the
//! infinitesimal jackknife, Jaeckel 1972). For a share of right samples this is the usual formula.

use super::{ClassOrder, ErrorRate, Metric, MetricError, ranks, single_labels};
use statrs::distribution::{Continuous, Normal};

/// A metric with the influence of each sample on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Influence {
    pub value: f64,
    /// `[N]`.
    pub by_sample: Vec<f64>,
}

impl Metric {
    /// The metric of scores, `[N, C]`, with the influence of each sample. None where it is
    /// undefined.
    ///
    /// # Errors
    /// As [`Metric::of`].
    pub fn influence(
        self,
        scores: &[f32],
        targets: &[Vec<u32>],
        classes: usize,
    ) -> Result<Option<Influence>, MetricError> {
        if self.unit().is_some() {
            return Err(MetricError::NotOfScores(self));
        }
        let Some(first) = self.first_classes() else {
            let of_classes = ClassOrder::all(&[scores], targets, classes)?;
            return Ok(self.of_orders(&of_classes, targets.len()));
        };
        let ranks = ranks(scores, &single_labels(targets)?, classes)?;
        let hits = ranks.into_iter().map(|rank| f64::from(u8::from(rank < first)));
        Ok(Some(Influence::of_ratio(hits.map(|hit| (hit, 1.0)))))
    }

    fn of_orders(self, orders: &[ClassOrder], samples: usize) -> Option<Influence> {
        let of_class = |order: &ClassOrder| {
            let with_value = |(value, by_sample)| Influence { value, by_sample };
            let [precision, auc] = order.influences(samples).map(|found| found.map(with_value));
            match self {
                Self::Map => precision,
                Self::MapAllClasses => Some(precision.unwrap_or_else(|| Influence::none(samples))),
                _ => auc,
            }
        };
        let mean = Influence::mean(orders.iter().filter_map(of_class), samples)?;
        if self != Self::DPrime {
            return Some(mean);
        }
        let value = super::d_prime(mean.value)?;
        // d' = sqrt(2) q(AUC), and the quantile's derivative is 1 over the density there
        let slope = std::f64::consts::SQRT_2 / Normal::standard().pdf(value / std::f64::consts::SQRT_2);
        Some(Influence {
            value,
            by_sample: mean.by_sample.into_iter().map(|part| slope * part).collect(),
        })
    }
}

impl ErrorRate {
    /// The rate with the influence of each utterance.
    pub fn influence(&self) -> Influence {
        let edits = self.utterances().iter();
        Influence::of_ratio(edits.map(|edits| (edits.errors() as f64, edits.length as f64)))
    }
}

impl Influence {
    /// The sum of the first numbers over that of the second.
    fn of_ratio(parts: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let (above, below) = parts
            .clone()
            .fold((0.0, 0.0), |sums, part| (sums.0 + part.0, sums.1 + part.1));
        let value = above / below;
        Self {
            value,
            by_sample: parts.map(|(above, own)| (above - value * own) / below).collect(),
        }
    }

    fn none(samples: usize) -> Self {
        Self {
            value: 0.0,
            by_sample: vec![0.0; samples],
        }
    }

    /// The mean over classes. None without a class.
    fn mean(classes: impl Iterator<Item = Self>, samples: usize) -> Option<Self> {
        let (mut sum, mut count) = (Self::none(samples), 0.0);
        for class in classes {
            count += 1.0;
            sum.value += class.value;
            sum.by_sample
                .iter_mut()
                .zip(class.by_sample)
                .for_each(|(sum, part)| *sum += part);
        }
        (count > 0.0).then(|| Self {
            value: sum.value / count,
            by_sample: sum.by_sample.into_iter().map(|part| part / count).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use bridle_seed::Seed;

    /// Scores with ties, and targets, of 40 samples and 3 classes.
    fn data(single: bool) -> (Vec<f32>, Vec<Vec<u32>>) {
        let mut stream = Seed::root(3).child("influence").stream();
        let targets: Vec<Vec<u32>> = (0..40u32)
            .map(|i| {
                if single {
                    vec![i % 3]
                } else {
                    (0..3).filter(|c| (i * 7 + c * 5) % 4 == 0).collect()
                }
            })
            .collect();
        let scores = targets
            .iter()
            .flat_map(|own| (0..3u32).map(|class| own.contains(&class)).collect::<Vec<_>>());
        let scores = scores
            .map(|own| (2.0 * stream.normal() + if own { 2.0 } else { 0.0 }).round())
            .collect();
        (scores, targets)
    }

    /// The metric where sample `place` counts twice, `copies` times over everything else.
    fn repeated(metric: Metric, scores: &[f32], targets: &[Vec<u32>], place: usize, copies: usize) -> f64 {
        let (mut all, mut wanted) = (Vec::new(), Vec::new());
        for sample in 0..targets.len() {
            for _ in 0..copies + usize::from(sample == place) {
                all.extend_from_slice(&scores[sample * 3..][..3]);
                wanted.push(targets[sample].clone());
            }
        }
        metric.of(&all, &wanted, 3).unwrap().unwrap()
    }

    #[test]
    fn influences_are_derivatives_and_sum_to_nothing() {
        for metric in Metric::ALL.into_iter().filter(|metric| metric.unit().is_none()) {
            let (scores, targets) = data(metric.first_classes().is_some());
            let found = metric.influence(&scores, &targets, 3).unwrap().unwrap();
            assert_eq!(
                Some(found.value),
                metric.of(&scores, &targets, 3).unwrap(),
                "{metric:?}"
            );
            assert!(found.by_sample.iter().sum::<f64>().abs() < 1e-12, "{metric:?}");
            // one further copy of a sample among 200 of each changes its weight by 1/200
            for place in [0, 7, 20] {
                let step = repeated(metric, &scores, &targets, place, 200) - found.value;
                let slope = step * 200.0;
                let own = found.by_sample[place];
                assert!(
                    (slope - own).abs() <= 0.03 * own.abs() + 1e-4,
                    "{metric:?} {place}: {slope}, {own}"
                );
            }
        }
    }
}
