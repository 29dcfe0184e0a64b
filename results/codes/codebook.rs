//! Counts of codes per level, and their statistics: usage, entropy, perplexity, dead codes.
//!
//! Entropy is that of the empirical distribution of codes (Shannon 1948), without a correction for
//! small samples.

use crate::finite;
use serde::{Deserialize, Serialize};

/// How one level's codebook is used over a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodebookStatistics {
    pub codes: usize,
    /// Codes chosen at least once.
    pub used: usize,
    /// `used / codes`, from 0 to 1.
    #[serde(with = "finite")]
    pub usage: f64,
    /// Entropy of the empirical distribution of codes, in bits.
    #[serde(with = "finite")]
    pub entropy_bits: f64,
    /// `2^entropy_bits`: the number of equally frequent codes with this entropy. 1 where nothing
    /// was counted.
    #[serde(with = "finite")]
    pub perplexity: f64,
    /// Codes never chosen.
    pub dead: usize,
    /// How often each code was chosen, `[K]`.
    pub counts: Vec<u64>,
}

impl CodebookStatistics {
    /// The statistics of these counts, `[K]`. Without any count everything is unused and the
    /// entropy is 0.
    pub fn from_counts(counts: &[u64]) -> Self {
        let used = counts.iter().filter(|&&count| count > 0).count();
        let nats = entropy_nats(counts);
        Self {
            codes: counts.len(),
            used,
            usage: if counts.is_empty() {
                0.0
            } else {
                used as f64 / counts.len() as f64
            },
            entropy_bits: nats / std::f64::consts::LN_2,
            perplexity: nats.exp(),
            dead: counts.len() - used,
            counts: counts.to_vec(),
        }
    }

    /// How many codes were counted in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn entropy_nats(&self) -> f64 {
        entropy_nats(&self.counts)
    }

    /// Entropy as a share of its maximum ln K, from 0 to 1. A codebook of one code has none: 0.
    pub fn normalised_entropy(&self) -> f64 {
        if self.codes > 1 {
            self.entropy_nats() / (self.codes as f64).ln()
        } else {
            0.0
        }
    }

    /// The authors' "codebook usage rate", equal to `usage`.
    pub fn reference_cur(&self) -> f64 {
        self.usage
    }

    /// The authors' "usage entropy", equal to `entropy_bits`.
    pub fn reference_ue(&self) -> f64 {
        self.entropy_bits
    }

    /// The authors' ECU as their code computes it: usage over (entropy in bits times ln K), bits
    /// and nats mixed. Infinite where the entropy is 0.
    pub fn reference_ecu(&self) -> f64 {
        self.usage / (self.entropy_bits * (self.codes as f64).ln())
    }
}

/// Entropy in nats of the distribution of these counts; 0 without any.
fn entropy_nats(counts: &[u64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    let sum: f64 = counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| count as f64 / total)
        .map(|p| p * p.ln())
        .sum();
    // one used code gives -0.0, which would be printed with its sign
    if sum == 0.0 { 0.0 } else { -sum }
}

/// Counts of codes for every level of a quantizer, filled batch by batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodebookCounts {
    levels: Vec<Vec<u64>>,
}

/// Codes that cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodebookError {
    #[error("code {code} at row {row}, level {level} is outside the codebook's 0..{codes}")]
    OutOfRange {
        code: i64,
        row: usize,
        level: usize,
        codes: usize,
    },
    #[error("{len} codes do not make whole rows of {levels} levels")]
    Ragged { len: usize, levels: usize },
}

impl CodebookCounts {
    /// Nothing counted yet: `levels` codebooks of `codes` codes each.
    pub fn new(levels: usize, codes: usize) -> Self {
        Self::of_sizes(&vec![codes; levels])
    }

    /// Nothing counted yet; `codes` is the size of each codebook.
    pub fn of_sizes(codes: &[usize]) -> Self {
        Self {
            levels: codes.iter().map(|&codes| vec![0; codes]).collect(),
        }
    }

    /// Counts a batch of codes, row-major `[N, levels]`. On an error nothing of the batch is
    /// counted.
    pub fn add(&mut self, codes: &[i64]) -> Result<(), CodebookError> {
        let levels = self.levels.len();
        if levels == 0 || !codes.len().is_multiple_of(levels) {
            return Err(CodebookError::Ragged {
                len: codes.len(),
                levels,
            });
        }
        for (i, &code) in codes.iter().enumerate() {
            let (row, level) = (i / levels, i % levels);
            let size = self.levels[level].len();
            if !usize::try_from(code).is_ok_and(|code| code < size) {
                return Err(CodebookError::OutOfRange {
                    code,
                    row,
                    level,
                    codes: size,
                });
            }
        }
        for (i, &code) in codes.iter().enumerate() {
            self.levels[i % levels][code as usize] += 1;
        }
        Ok(())
    }

    pub fn levels(&self) -> usize {
        self.levels.len()
    }

    /// The counts of one level, `[K]`. Panics if there is no such level.
    pub fn level(&self, level: usize) -> &[u64] {
        &self.levels[level]
    }

    pub fn rows(&self) -> u64 {
        self.levels.first().map_or(0, |counts| counts.iter().sum())
    }

    pub fn statistics(&self) -> Vec<CodebookStatistics> {
        self.levels
            .iter()
            .map(|counts| CodebookStatistics::from_counts(counts))
            .collect()
    }
}

#[cfg(test)]
mod tests;
