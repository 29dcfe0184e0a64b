//! Metrics of predictions. Scores are row-major: one row per sample, one column per class.
//!
//! Top-1 and top-5 rank the classes of each sample ([`ranks`], [`top_k`]). Ranking metrics rank all
//! samples for each class ([`Ranking`]). Error rates count edits of transcripts ([`ErrorRate`]).

mod classes;
mod influence;
mod ranking;
mod wer;

pub use classes::ByClass;
pub use influence::Influence;
pub(crate) use ranking::ClassOrder;
pub use ranking::{ClassRanking, Ranking, d_prime};
pub use wer::{Edits, ErrorRate, Unit};

/// Scores or targets without a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    #[error("there are no samples to evaluate")]
    Empty,
    #[error("{scores} scores are not {samples} samples of {classes} classes")]
    Shape {
        scores: usize,
        samples: usize,
        classes: usize,
    },
    #[error("the score of class {class} for sample {sample} is not a number")]
    NotANumber { sample: usize, class: usize },
    #[error("the target {target} of sample {sample} is not below the number of classes, {classes}")]
    Target {
        sample: usize,
        target: usize,
        classes: usize,
    },
    #[error("sample {sample} has {targets} targets where top-1 and top-5 need one")]
    NotSingleLabel { sample: usize, targets: usize },
    #[error("no transcript has a word, so that there is no error rate")]
    NoTranscript,
    #[error("{found} transcripts are not those of {expected} utterances")]
    Utterances { expected: usize, found: usize },
    #[error("{} measures transcripts, not scores of classes", .0.name())]
    NotOfScores(Metric),
}

/// A metric that can be computed from predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Share of samples whose target has the highest score.
    Top1,
    /// Share of samples whose target is among the five highest scores.
    Top5,
    /// Mean average precision over the classes with a positive sample.
    Map,
    /// The same over all classes; those without a positive sample count as 0, as in scikit-learn.
    MapAllClasses,
    /// Mean area under the ROC curve over the classes with a positive and a negative sample.
    Auc,
    /// d' of the mean area under the ROC curve.
    DPrime,
    /// Word error rate; lower is better.
    Wer,
    /// Character error rate; lower is better.
    Cer,
}

impl Metric {
    /// Every metric, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Top1,
        Self::Top5,
        Self::Map,
        Self::MapAllClasses,
        Self::Auc,
        Self::DPrime,
        Self::Wer,
        Self::Cer,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Top1 => "top1",
            Self::Top5 => "top5",
            Self::Map => "map",
            Self::MapAllClasses => "map_all_classes",
            Self::Auc => "auc",
            Self::DPrime => "dprime",
            Self::Wer => "wer",
            Self::Cer => "cer",
        }
    }

    /// The metric that records call by this name. None for one that predictions cannot give.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether lower values of the metric of this name are better.
    pub fn is_error(name: &str) -> bool {
        Self::named(name).is_some_and(|metric| metric.unit().is_some())
    }

    /// The smallest and the largest possible value.
    pub(crate) const fn range(self) -> (f64, f64) {
        match self {
            Self::DPrime => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Wer | Self::Cer => (0.0, f64::INFINITY),
            Self::Top1 | Self::Top5 | Self::Map | Self::MapAllClasses | Self::Auc => (0.0, 1.0),
        }
    }

    /// The first classes that count as right. None for metrics that rank samples, not classes.
    pub(crate) fn first_classes(self) -> Option<usize> {
        match self {
            Self::Top1 => Some(1),
            Self::Top5 => Some(5),
            _ => None,
        }
    }

    /// Computes the metric from scores, `[N, C]`, and the targets of each sample, `[N]`. None where
    /// it is undefined: no class has the samples it needs, or d' is infinite.
    ///
    /// # Errors
    /// If scores are not numbers or do not fit the targets, a sample of a single-label metric has
    /// other than one target, or this is an error rate.
    pub fn of(self, scores: &[f32], targets: &[Vec<u32>], classes: usize) -> Result<Option<f64>, MetricError> {
        if self.unit().is_some() {
            return Err(MetricError::NotOfScores(self));
        }
        match self.first_classes() {
            Some(k) => Ok(Some(top_k(scores, &single_labels(targets)?, classes, k)?.value())),
            None => Ok(Ranking::of(scores, targets, classes)?.metric(self)),
        }
    }
}

/// The one target of each sample.
pub(crate) fn single_labels(targets: &[Vec<u32>]) -> Result<Vec<usize>, MetricError> {
    let one = |(sample, targets): (usize, &Vec<u32>)| match targets[..] {
        [target] => Ok(target as usize),
        _ => Err(MetricError::NotSingleLabel {
            sample,
            targets: targets.len(),
        }),
    };
    targets.iter().enumerate().map(one).collect()
}

/// A share of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    pub correct: usize,
    pub n: usize,
}

impl Accuracy {
    /// The share from 0 to 1.
    pub fn value(&self) -> f64 {
        self.correct as f64 / self.n as f64
    }
}

/// For each sample, the number of classes ranked before its target: those with a higher score and,
/// of equal scores, those with a lower index. Top-1 is thus the first highest score, as in argmax.
pub fn ranks(scores: &[f32], targets: &[usize], classes: usize) -> Result<Vec<usize>, MetricError> {
    check(scores, targets.len(), classes)?;
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

/// Whether these are numbers for so many samples and classes.
fn check(scores: &[f32], samples: usize, classes: usize) -> Result<(), MetricError> {
    if samples == 0 {
        return Err(MetricError::Empty);
    }
    if classes == 0 || scores.len() != samples * classes {
        return Err(MetricError::Shape {
            scores: scores.len(),
            samples,
            classes,
        });
    }
    match scores.iter().position(|score| score.is_nan()) {
        Some(position) => Err(MetricError::NotANumber {
            sample: position / classes,
            class: position % classes,
        }),
        None => Ok(()),
    }
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
mod tests;
