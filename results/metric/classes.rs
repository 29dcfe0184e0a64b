//! Values per class: share of correct samples, average precision, area under the ROC curve.

use super::{Metric, MetricError, Ranking, ranks, single_labels};

/// One value for each class.
#[derive(Clone, Debug, PartialEq)]
pub struct ByClass {
    /// The values, `[C]`. None where the class lacks what the metric needs.
    pub values: Vec<Option<f64>>,
    /// Test samples of the class, `[C]`.
    pub positives: Vec<u64>,
}

impl Metric {
    /// The metric per class. None for error rates, and for metrics without an own value per class:
    /// top-5, all classes, d'.
    ///
    /// # Errors
    /// As [`Metric::of`].
    pub fn by_class(
        self,
        scores: &[f32],
        targets: &[Vec<u32>],
        classes: usize,
    ) -> Result<Option<ByClass>, MetricError> {
        let mut positives = vec![0; classes];
        let values: Vec<Option<f64>> = match self {
            Self::Top1 => {
                let labels = single_labels(targets)?;
                let mut right = vec![0u64; classes];
                for (label, rank) in labels.iter().zip(ranks(scores, &labels, classes)?) {
                    right[*label] += u64::from(rank == 0);
                    positives[*label] += 1;
                }
                let share = |(right, n): (u64, &u64)| (*n > 0).then(|| right as f64 / *n as f64);
                return Ok(Some(ByClass {
                    values: right.into_iter().zip(&positives).map(share).collect(),
                    positives,
                }));
            }
            Self::Map => {
                let ranking = Ranking::of(scores, targets, classes)?;
                ranking.classes.iter().map(|class| class.average_precision).collect()
            }
            Self::Auc => {
                let ranking = Ranking::of(scores, targets, classes)?;
                ranking.classes.iter().map(|class| class.auc).collect()
            }
            Self::Top5 | Self::MapAllClasses | Self::DPrime | Self::Wer | Self::Cer => return Ok(None),
        };
        for targets in targets {
            // a class that a sample names twice is one target
            let distinct: std::collections::BTreeSet<&u32> = targets.iter().collect();
            distinct.into_iter().for_each(|&target| positives[target as usize] += 1);
        }
        Ok(Some(ByClass { values, positives }))
    }
}
