//! What predictions are judged by. Scores are row-major: one row per sample, one column per class.
//!
//! Single-label targets are judged by the place of the target among the classes of its sample ([`ranks`], [`top_k`]);
//! any targets by the place of a class's samples among all samples ([`Ranking`]). Transcripts have no scores: they are
//! judged by what must be changed ([`ErrorRate`]). [`Metric`] knows each by its name.

mod classes;
mod ranking;
mod wer;

pub use classes::ByClass;
pub(crate) use ranking::ClassOrder;
pub use ranking::{ClassRanking, Ranking, d_prime};
pub use wer::{Edits, ErrorRate, Unit};

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
    /// A sample with no target or several, where exactly one is judged.
    #[error("sample {sample} has {targets} targets where top-1 and top-5 need one")]
    NotSingleLabel {
        /// Which sample, from 0.
        sample: usize,
        /// How many targets it has.
        targets: usize,
    },
    /// Utterances that all have an empty transcript.
    #[error("no transcript has a word, so that there is no error rate")]
    NoTranscript,
    /// Transcripts without a partner.
    #[error("{found} transcripts are not those of {expected} utterances")]
    Utterances {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// An error rate asked of class scores.
    #[error("{} judges transcripts, not scores of classes", .0.name())]
    NotOfScores(Metric),
}

/// A metric that follows from predictions, by the name that it has in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Share of samples whose target has the highest score.
    Top1,
    /// Share of samples whose target is among the five highest scores.
    Top5,
    /// Mean average precision over the classes with a positive sample.
    Map,
    /// The same over all classes; those without a positive sample count as 0, as scikit-learn has it.
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

    /// Its name in records.
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

    /// The metric of this name. None for what predictions do not decide.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether a lower value of the metric of this name is the better one.
    pub fn is_error(name: &str) -> bool {
        Self::named(name).is_some_and(|metric| metric.unit().is_some())
    }

    /// The least and the greatest value that it can have.
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

    /// The metric of these scores, `[N, C]`, with the targets of each sample, `[N]`. None where it is undefined: no class
    /// has what it needs, or d' is infinite.
    ///
    /// # Errors
    /// If scores are not numbers or do not fit the targets, a sample has not one target where one is judged, or this is
    /// an error rate of transcripts.
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
