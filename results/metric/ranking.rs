//! Ranking metrics: average precision, area under the ROC curve (AUC) and d', per class and as
//! means.
//!
//! Every class ranks all samples by its score. Ties are kept together, as in scikit-learn: average
//! precision sums the step in recall times the precision over distinct scores, and AUC counts a
//! tied pair as half.

use super::{Metric, MetricError, check};
use statrs::distribution::{ContinuousCDF, Normal};

/// Quality of one class's ranking of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassRanking {
    /// Average precision. None without a positive sample.
    pub average_precision: Option<f64>,
    /// Area under the ROC curve. None without a positive or without a negative sample.
    pub auc: Option<f64>,
}

impl ClassRanking {
    /// d' of this class. None where AUC is undefined, 0 or 1.
    pub fn d_prime(&self) -> Option<f64> {
        self.auc.and_then(d_prime)
    }

    /// Whether d' is infinite: all positive samples come before all negative ones, or after them.
    fn is_saturated(&self) -> bool {
        self.auc.is_some() && self.d_prime().is_none()
    }
}

/// Distance of two normal distributions of equal variance with this AUC, in standard deviations: d'
/// = sqrt(2) times the normal quantile of AUC (Green and Swets 1966). None where it is infinite.
pub fn d_prime(auc: f64) -> Option<f64> {
    let distance = std::f64::consts::SQRT_2 * Normal::standard().inverse_cdf(auc);
    distance.is_finite().then_some(distance)
}

/// The rankings of all classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// One entry for each class, `[C]`.
    pub classes: Vec<ClassRanking>,
}

impl Ranking {
    /// Ranks samples by these scores, `[N, C]`, with any number of targets per sample, `[N]`.
    ///
    /// # Errors
    /// If scores are not numbers or do not fit the targets.
    pub fn of(scores: &[f32], targets: &[Vec<u32>], classes: usize) -> Result<Self, MetricError> {
        let weights = vec![1.0; targets.len()];
        let orders = ClassOrder::all(&[scores], targets, classes)?;
        Ok(Self {
            classes: orders.iter().map(|order| order.evaluate(&weights)).collect(),
        })
    }

    /// Mean average precision over the classes with a positive sample. None without such a class.
    pub fn map(&self) -> Option<f64> {
        mean(self.classes.iter().filter_map(|class| class.average_precision))
    }

    /// Mean average precision over all classes; a class without a positive sample counts as 0.
    pub fn map_all_classes(&self) -> Option<f64> {
        mean(self.classes.iter().map(|class| class.average_precision.unwrap_or(0.0)))
    }

    /// Classes without a positive sample, which [`Self::map`] leaves out.
    pub fn without_positives(&self) -> usize {
        let without = |class: &&ClassRanking| class.average_precision.is_none();
        self.classes.iter().filter(without).count()
    }

    /// Mean AUC over the classes in which it is defined. None without such a class.
    pub fn auc(&self) -> Option<f64> {
        mean(self.classes.iter().filter_map(|class| class.auc))
    }

    /// Classes without a positive or without a negative sample, which [`Self::auc`] leaves out.
    pub fn without_auc(&self) -> usize {
        self.classes.iter().filter(|class| class.auc.is_none()).count()
    }

    /// d' of the mean AUC. None where it is undefined or infinite.
    pub fn d_prime(&self) -> Option<f64> {
        self.auc().and_then(d_prime)
    }

    /// Classes whose own d' is infinite.
    pub fn saturated(&self) -> usize {
        self.classes.iter().filter(|class| class.is_saturated()).count()
    }

    /// The value of a ranking metric. None where it is undefined, and for other metrics.
    pub(crate) fn metric(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Map => self.map(),
            Metric::MapAllClasses => self.map_all_classes(),
            Metric::Auc => self.auc(),
            Metric::DPrime => self.d_prime(),
            Metric::Top1 | Metric::Top5 | Metric::Wer | Metric::Cer => None,
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The samples of one or several systems, sorted by one class's scores, highest first. Sorted once
/// and evaluated with any weights, so that resampling needs no sorting.
#[derive(Clone, Debug)]
pub(crate) struct ClassOrder(Vec<RankedEntry>);

/// A place in the order.
#[derive(Clone, Copy, Debug)]
struct RankedEntry {
    /// Sample `i` of system `s` is entry `s * N + i`.
    entry: u32,
    positive: bool,
    /// Whether the next place has a lower score.
    ends_tie: bool,
}

impl ClassOrder {
    /// The order of each class, `[C]`, over the scores of every system, `[N, C]` each.
    ///
    /// With several systems, ranks within the class replace scores (1 for the highest, the mean for
    /// ties). This changes no ranking metric of one system, and makes a mixture of systems
    /// independent of the scale of their scores (Venkatraman and Begg 1996).
    pub(crate) fn all(systems: &[&[f32]], targets: &[Vec<u32>], classes: usize) -> Result<Vec<Self>, MetricError> {
        for scores in systems {
            check(scores, targets.len(), classes)?;
        }
        let mut positive = vec![false; targets.len() * classes];
        for (sample, targets) in targets.iter().enumerate() {
            for target in targets.iter().map(|&target| target as usize) {
                if target >= classes {
                    return Err(MetricError::Target {
                        sample,
                        target,
                        classes,
                    });
                }
                positive[sample * classes + target] = true;
            }
        }
        let of_class = |class: usize| {
            let column = |values: &[f32]| -> Vec<f32> { values[class..].iter().step_by(classes).copied().collect() };
            let ranks: Vec<u64> = systems.iter().flat_map(|scores| twice_ranks(&column(scores))).collect();
            let positive: Vec<bool> = positive[class..].iter().step_by(classes).copied().collect();
            Self::new(&ranks, &positive)
        };
        Ok((0..classes).map(of_class).collect())
    }

    /// Entries by rising rank; `positive` holds for the samples of every system.
    fn new(ranks: &[u64], positive: &[bool]) -> Self {
        let mut entries: Vec<usize> = (0..ranks.len()).collect();
        entries.sort_by_key(|&entry| ranks[entry]);
        let place = |(i, &entry): (usize, &usize)| RankedEntry {
            entry: entry as u32,
            positive: positive[entry % positive.len()],
            ends_tie: entries.get(i + 1).is_none_or(|&next| ranks[next] != ranks[entry]),
        };
        Self(entries.iter().enumerate().map(place).collect())
    }

    /// The metrics with each entry `e` counted `weights[e]` times.
    pub(crate) fn evaluate(&self, weights: &[f64]) -> ClassRanking {
        // positives and negatives with a higher score, and with this one
        let (mut above, mut tied) = ((0.0, 0.0), (0.0, 0.0));
        let (mut precisions, mut area) = (0.0, 0.0);
        for place in &self.0 {
            // no branch: it would be mispredicted at every other entry
            let weight = weights[place.entry as usize];
            let positive = weight * f64::from(u8::from(place.positive));
            tied = (tied.0 + positive, tied.1 + (weight - positive));
            if !place.ends_tie {
                continue;
            }
            area += tied.1 * (above.0 + tied.0 / 2.0);
            above = (above.0 + tied.0, above.1 + tied.1);
            // before anything counts, 0 of 0 are positive
            precisions += tied.0 * (above.0 / (above.0 + above.1).max(f64::MIN_POSITIVE));
            tied = (0.0, 0.0);
        }
        let (positives, negatives) = above;
        ClassRanking {
            average_precision: (positives > 0.0).then(|| precisions / positives),
            auc: (positives > 0.0 && negatives > 0.0).then(|| area / (positives * negatives)),
        }
    }
}

/// A run of equal scores: positives and negatives in it, and in it or before it.
#[derive(Clone, Copy, Debug, Default)]
struct Tie {
    own: [f64; 2],
    until: [f64; 2],
}

impl ClassOrder {
    /// Average precision and AUC of a single system, each with the influence of its `samples`
    /// samples, `[N]`. None where they are undefined.
    pub(crate) fn influences(&self, samples: usize) -> [Option<(f64, Vec<f64>)>; 2] {
        let (mut ties, mut open) = (Vec::new(), Tie::default());
        for place in &self.0 {
            let side = usize::from(!place.positive);
            open.own[side] += 1.0;
            open.until[side] += 1.0;
            if place.ends_tie {
                ties.push(open);
                open.own = [0.0; 2];
            }
        }
        let [positives, negatives] = open.until;
        let ClassRanking { average_precision, auc } = self.evaluate(&vec![1.0; samples]);
        let each = |value: f64, part: &dyn Fn(usize, bool) -> f64| {
            let (mut by_sample, mut tie) = (vec![0.0; samples], 0);
            for place in &self.0 {
                by_sample[place.entry as usize] = part(tie, place.positive);
                tie += usize::from(place.ends_tie);
            }
            (value, by_sample)
        };
        // what a positive and a negative change in the precision at this tie and at those below
        let mut below = vec![[0.0; 2]; ties.len() + 1];
        for (i, Tie { own, until }) in ties.iter().enumerate().rev() {
            let all = until[0] + until[1];
            let slope = own[0] / (all * all);
            below[i] = [below[i + 1][0] + slope * until[1], below[i + 1][1] - slope * until[0]];
        }
        let precision = average_precision.map(|value| {
            each(value, &|tie, positive| {
                let Tie { until, .. } = ties[tie];
                let own = if positive {
                    until[0] / (until[0] + until[1]) - value
                } else {
                    0.0
                };
                (own + below[tie][usize::from(!positive)]) / positives
            })
        });
        let area = auc.map(|value| {
            each(value, &|tie, positive| {
                let Tie { own, until } = ties[tie];
                if positive {
                    ((negatives - until[1] + own[1] / 2.0) / negatives - value) / positives
                } else {
                    ((until[0] - own[0] / 2.0) / positives - value) / negatives
                }
            })
        });
        [precision, area]
    }
}

/// Twice the rank of each score, which is whole also where ties share their mean rank.
fn twice_ranks(scores: &[f32]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut ranks = vec![0; scores.len()];
    let mut before = 0;
    // 0 and -0 are neighbours in the order, and equal
    for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        for &sample in tie {
            ranks[sample] = (2 * before + tie.len() + 1) as u64;
        }
        before += tie.len();
    }
    ranks
}
