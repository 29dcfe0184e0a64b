//! What predictions are judged by. Scores are row-major: one row per sample, one column per class.

/// Scores or targets that cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// There is nothing to judge.
    #[error("there are no samples to judge")]
    Empty,
    /// The table of scores does not fit the targets.
    #[error("{scores} scores are not {samples} samples of {classes} classes")]
    Shape {
        /// Scores given.
        scores: usize,
        /// Targets given.
        samples: usize,
        /// Classes named.
        classes: usize,
    },
    /// A score that is not a number.
    #[error("the score of class {class} for sample {sample} is not a number")]
    NotANumber {
        /// Which sample, from 0.
        sample: usize,
        /// Which class, from 0.
        class: usize,
    },
    /// A target that is no class.
    #[error("the target {target} of sample {sample} is not below the number of classes, {classes}")]
    Target {
        /// Which sample, from 0.
        sample: usize,
        /// Its target.
        target: usize,
        /// Classes named.
        classes: usize,
    },
}

/// A share of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Samples judged right.
    pub correct: usize,
    /// Samples judged.
    pub n: usize,
}

impl Accuracy {
    /// The share from 0 to 1.
    pub fn value(&self) -> f64 {
        self.correct as f64 / self.n as f64
    }
}

/// For each sample, how many classes come before its target: those with a higher score, and of those with an equal
/// score the ones with a lower index, so that top-1 is the first highest score, as argmax has it.
pub fn ranks(scores: &[f32], targets: &[usize], classes: usize) -> Result<Vec<usize>, MetricError> {
    if targets.is_empty() {
        return Err(MetricError::Empty);
    }
    if classes == 0 || scores.len() != targets.len() * classes {
        return Err(MetricError::Shape {
            scores: scores.len(),
            samples: targets.len(),
            classes,
        });
    }
    if let Some(position) = scores.iter().position(|score| score.is_nan()) {
        return Err(MetricError::NotANumber {
            sample: position / classes,
            class: position % classes,
        });
    }
    let rank = |(sample, (row, &target)): (usize, (&[f32], &usize))| {
        let own = *row.get(target).ok_or(MetricError::Target {
            sample,
            target,
            classes,
        })?;
        let before = |&(class, &score): &(usize, &f32)| score > own || (score == own && class < target);
        Ok(row.iter().enumerate().filter(before).count())
    };
    scores
        .chunks_exact(classes)
        .zip(targets)
        .enumerate()
        .map(rank)
        .collect()
}

/// The share of samples whose target is among the `k` first classes, by [`ranks`].
pub fn top_k(scores: &[f32], targets: &[usize], classes: usize, k: usize) -> Result<Accuracy, MetricError> {
    let ranks = ranks(scores, targets, classes)?;
    Ok(Accuracy {
        correct: ranks.iter().filter(|&&rank| rank < k).count(),
        n: ranks.len(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_small_table_by_hand() {
        let scores = [0.1, 0.7, 0.2, 0.5, 0.3, 0.2, 0.0, -1.0, 2.0];
        assert_eq!(ranks(&scores, &[1, 1, 1], 3).unwrap(), [0, 1, 2]);
        assert_eq!(top_k(&scores, &[1, 1, 1], 3, 2).unwrap(), Accuracy { correct: 2, n: 3 });
        assert_eq!(top_k(&scores, &[1, 0, 2], 3, 1).unwrap().value(), 1.0);
    }

    #[test]
    fn of_equal_scores_the_first_class_wins() {
        let flat = [0.5; 8];
        assert_eq!(ranks(&flat, &[0, 3], 4).unwrap(), [0, 3]);
        assert_eq!(top_k(&flat, &[0, 3], 4, 1).unwrap().value(), 0.5);
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        assert_eq!(ranks(&[], &[], 3), Err(MetricError::Empty));
        assert_eq!(
            ranks(&[0.0; 5], &[0, 1], 3),
            Err(MetricError::Shape {
                scores: 5,
                samples: 2,
                classes: 3
            })
        );
        let with_nan = [0.0, 1.0, 2.0, f32::NAN];
        assert_eq!(
            ranks(&with_nan, &[0, 1], 2),
            Err(MetricError::NotANumber { sample: 1, class: 1 })
        );
        assert_eq!(
            ranks(&[0.0; 4], &[0, 2], 2),
            Err(MetricError::Target {
                sample: 1,
                target: 2,
                classes: 2
            })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_sorting(scores in prop::collection::vec(-3i8..3, 5 * 7), targets in prop::collection::vec(0usize..7, 5)) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let ranks = ranks(&scores, &targets, 7).unwrap();
            for ((row, &target), &rank) in scores.chunks_exact(7).zip(&targets).zip(&ranks) {
                let mut order: Vec<usize> = (0..7).collect();
                order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
                prop_assert_eq!(order[rank], target);
            }
            let share = |k| top_k(&scores, &targets, 7, k).unwrap().correct;
            prop_assert!((1..7).all(|k| share(k) <= share(k + 1)));
            prop_assert_eq!(share(7), 5);
        }
    }
}
