//! Means, intervals and tests. Every interval names its method and the number of its values.
//!
//! [`Spread`] is the home of intervals over runs and test samples, of any metric and of differences.
//! [`wilson`] is for a proportion of independent samples. Of two runs on the same samples there are
//! also exact tests: [`Paired::permutation`], and [`mcnemar`] where samples are correct or not.

mod paired;
mod spread;
mod trend;

pub use paired::{Paired, PairedScores, PairedTranscripts};
pub(crate) use spread::t_quantile;
pub use spread::{FoldRuns, POWER, Spread};
pub use trend::{Trend, is_unlearnt};

use crate::finite;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    #[serde(with = "finite")]
    pub low: f64,
    #[serde(with = "finite")]
    pub high: f64,
    /// Confidence level, between 0 and 1.
    #[serde(with = "finite")]
    pub level: f64,
    /// What it is over, then how it was computed, such as `runs and sources, logit`. Without the
    /// first, it is over the test samples of one run: `wilson`.
    pub method: String,
    /// Independent samples that it stands on: test samples or their sources.
    pub n: u64,
}

impl Interval {
    /// What it is, in words, for a note below a table.
    pub fn words(&self) -> String {
        let (over, form) = self.method.split_once(", ").unwrap_or(("", &self.method));
        let over = match over {
            "runs and samples" => "runs and test samples",
            "runs and sources" => "runs and test samples, clustered by source recording",
            "sources" => "test samples of single runs, clustered by source recording",
            _ => "test samples of single runs",
        };
        format!("{} % interval over {over} ({form})", self.level * 100.0)
    }
}

/// Quantile of the standard normal distribution. `p` lies in 0..=1; the ends give an infinity.
/// Panics outside.
pub fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

fn check_level(level: f64) {
    let is_between = level > 0.0 && level < 1.0;
    assert!(is_between, "the confidence level {level} is not between 0 and 1");
}

/// The two-sided normal quantile of a confidence level: 1.96 for 0.95.
fn two_sided(level: f64) -> f64 {
    check_level(level);
    normal_quantile(0.5 + level / 2.0)
}

/// Wilson's score interval (1927) for a proportion of `successes` in `n` trials. None for n = 0.
/// Panics if `successes` exceeds `n` or `level` is not between 0 and 1.
pub fn wilson(successes: u64, n: u64, level: f64) -> Option<Interval> {
    assert!(successes <= n, "{successes} successes in {n} trials");
    let z = two_sided(level);
    if n == 0 {
        return None;
    }
    let (low, high) = spread::wilson_ends(successes as f64 / n as f64, n as f64, z);
    Some(Interval {
        low,
        high,
        level,
        method: "wilson".into(),
        n,
    })
}

/// The value in the middle. None without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = sorted.get(half)?;
    Some(if sorted.len().is_multiple_of(2) {
        (sorted[half - 1] + upper) / 2.0
    } else {
        *upper
    })
}

/// Arithmetic mean. None without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        None
    } else {
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// Sample standard deviation (n - 1 in the denominator). None for fewer than two values.
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let degrees = values.len().checked_sub(1).filter(|&degrees| degrees > 0)?;
    Some((values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / degrees as f64).sqrt())
}

/// McNemar's exact test (1947), two-sided: the probability of a split at least this uneven of the
/// samples on which two systems disagree, if either were equally often correct. `only_a` samples
/// only A got right, `only_b` only B. 1 where they never disagree.
pub fn mcnemar(only_a: u64, only_b: u64) -> f64 {
    let fair = Binomial::new(0.5, only_a + only_b).expect("a half is a probability");
    (2.0 * fair.cdf(only_a.min(only_b))).min(1.0)
}

#[cfg(test)]
mod tests;
