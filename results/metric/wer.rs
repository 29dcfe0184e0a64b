//! Word and character error rate: the fewest substitutions, deletions and insertions that turn a
//! transcript into the recognised text (Levenshtein 1966), over the length of the transcript.
//!
//! White space separates words; characters include one space between two words. A rate is the sum
//! of errors over the sum of lengths, never a mean of rates, and can exceed 1. An utterance without
//! a transcript has only insertions and a length of 0; if all are so, there is no rate.
//!
//! All least-cost alignments have the same number of errors, but not of each kind. From the end,
//! this one prefers a match, then a deletion, an insertion, a substitution, as jiwer 4 does.

use super::{Metric, MetricError};

/// What an error rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Words: WER.
    Words,
    /// Characters, the spaces between words among them: CER.
    Characters,
}

impl Unit {
    /// The metric that counts it.
    pub fn metric(self) -> Metric {
        match self {
            Self::Words => Metric::Wer,
            Self::Characters => Metric::Cer,
        }
    }

    pub fn edits(self, reference: &str, hypothesis: &str) -> Edits {
        match self {
            Self::Words => {
                let words = |text: &'_ str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                Edits::between(&words(reference), &words(hypothesis))
            }
            Self::Characters => Edits::between(&characters(reference), &characters(hypothesis)),
        }
    }
}

impl Metric {
    /// What it counts. None unless it is an error rate of transcripts.
    pub fn unit(self) -> Option<Unit> {
        match self {
            Self::Wer => Some(Unit::Words),
            Self::Cer => Some(Unit::Characters),
            _ => None,
        }
    }
}

fn characters(text: &str) -> Vec<char> {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect()
}

/// The differences between two sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Edits {
    /// Units of the reference.
    pub length: u64,
    /// Units of the reference that were replaced.
    pub substitutions: u64,
    /// Units of the reference that are missing.
    pub deletions: u64,
    /// Units that the reference does not have.
    pub insertions: u64,
}

impl Edits {
    /// A least-cost alignment of `hypothesis` with `reference`. Memory: four bytes per pair of
    /// units.
    pub fn between<T: Eq>(reference: &[T], hypothesis: &[T]) -> Self {
        let agreeing = reference.iter().rev().zip(hypothesis.iter().rev());
        let suffix = agreeing.take_while(|(a, b)| a == b).count();
        let (ends, length) = (reference.len() - suffix, reference.len() as u64);
        let (reference, hypothesis) = (&reference[..ends], &hypothesis[..hypothesis.len() - suffix]);
        let width = hypothesis.len() + 1;
        let cost = costs(reference, hypothesis);
        let (mut i, mut j) = (reference.len(), hypothesis.len());
        let mut edits = Self {
            length,
            ..Self::default()
        };
        while i > 0 && j > 0 {
            let here = cost[i * width + j];
            if here == cost[(i - 1) * width + j] + 1 {
                (edits.deletions, i) = (edits.deletions + 1, i - 1);
            } else if cost[i * width + j - 1] + 1 == cost[(i - 1) * width + j - 1] {
                // the unit before fits better, so this one is an insertion
                (edits.insertions, j) = (edits.insertions + 1, j - 1);
            } else {
                edits.substitutions += u64::from(reference[i - 1] != hypothesis[j - 1]);
                (i, j) = (i - 1, j - 1);
            }
        }
        edits.deletions += i as u64;
        edits.insertions += j as u64;
        edits
    }

    pub fn errors(&self) -> u64 {
        self.substitutions + self.deletions + self.insertions
    }

    /// Errors over the length of the reference. None for an empty reference.
    pub fn rate(&self) -> Option<f64> {
        (self.length > 0).then(|| self.errors() as f64 / self.length as f64)
    }
}

impl std::iter::Sum for Edits {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, edits| Self {
            length: sum.length + edits.length,
            substitutions: sum.substitutions + edits.substitutions,
            deletions: sum.deletions + edits.deletions,
            insertions: sum.insertions + edits.insertions,
        })
    }
}

/// Fewest edits between all prefixes, `[reference + 1, hypothesis + 1]`.
fn costs<T: Eq>(reference: &[T], hypothesis: &[T]) -> Vec<u32> {
    let width = hypothesis.len() + 1;
    let mut cost: Vec<u32> = (0..width as u32).collect();
    cost.reserve(reference.len() * width);
    for (i, wanted) in reference.iter().enumerate() {
        cost.push(i as u32 + 1);
        for (j, found) in hypothesis.iter().enumerate() {
            let above = cost[i * width + j + 1];
            let (diagonal, left) = (cost[i * width + j], cost[cost.len() - 1]);
            let aligned = diagonal + u32::from(wanted != found);
            cost.push(aligned.min(above + 1).min(left + 1));
        }
    }
    cost
}

/// The edits of every utterance, and their rate.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRate {
    unit: Unit,
    utterances: Vec<Edits>,
}

impl ErrorRate {
    /// The error rate of pairs of a transcript and the recognised text.
    ///
    /// # Errors
    /// If there is no utterance, or no transcript has a word.
    pub fn of<'a>(unit: Unit, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, MetricError> {
        let pairs = pairs.into_iter();
        let utterances: Vec<Edits> = pairs.map(|(wanted, found)| unit.edits(wanted, found)).collect();
        if utterances.is_empty() {
            return Err(MetricError::Empty);
        }
        if utterances.iter().all(|edits| edits.length == 0) {
            return Err(MetricError::NoTranscript);
        }
        Ok(Self { unit, utterances })
    }

    pub fn unit(&self) -> Unit {
        self.unit
    }

    pub fn utterances(&self) -> &[Edits] {
        &self.utterances
    }

    pub fn total(&self) -> Edits {
        self.utterances.iter().copied().sum()
    }

    /// All errors over the length of all transcripts.
    pub fn value(&self) -> f64 {
        let total = self.total();
        total.errors() as f64 / total.length as f64
    }
}

#[cfg(test)]
mod tests;
