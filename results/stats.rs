//! Means and intervals. Every interval names its method and the number of its values.
//!
//! Over the samples of one run: [`wilson`] for a proportion, [`bootstrap_metric`] for any metric,
//! [`bootstrap_error_rate`] for transcripts. Over seeds: [`t_interval`], which needs at least two.
//! Of two systems on the same samples: [`Paired`], and [`mcnemar`] where samples are correct or
//! not.

mod paired;

pub use paired::{Paired, PairedScores, PairedTranscripts, bootstrap_error_rate, bootstrap_metric};

use crate::finite;
use bridle_seed::{Seed, Stream};
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal, StudentsT};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    #[serde(with = "finite")]
    pub low: f64,
    #[serde(with = "finite")]
    pub high: f64,
    /// Confidence level, between 0 and 1.
    #[serde(with = "finite")]
    pub level: f64,
    /// How it was computed: `wilson`, `t`, `stratified-bootstrap` and its kin.
    pub method: String,
    /// Values that it stands on: samples or runs.
    pub n: u64,
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
    let (count, share) = (n as f64, successes as f64 / n as f64);
    let scale = 1.0 + z * z / count;
    let centre = (share + z * z / (2.0 * count)) / scale;
    let half = z / scale * (share * (1.0 - share) / count + z * z / (4.0 * count * count)).sqrt();
    // at the ends the formula gives exactly 0 or 1, apart from rounding
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes == n { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval {
        low,
        high,
        level,
        method: "wilson".into(),
        n,
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

/// Student's t interval for the mean of independent runs (seeds). None for fewer than two values.
/// Panics if `level` is not between 0 and 1.
pub fn t_interval(values: &[f64], level: f64) -> Option<Interval> {
    check_level(level);
    let (mean, sd) = (mean(values)?, sample_sd(values)?);
    let n = values.len() as f64;
    let t = StudentsT::new(0.0, 1.0, n - 1.0)
        .expect("at least one degree of freedom")
        .inverse_cdf(0.5 + level / 2.0);
    let half = t * sd / n.sqrt();
    Some(Interval {
        low: mean - half,
        high: mean + half,
        level,
        method: "t".into(),
        n: values.len() as u64,
    })
}

/// Sorted values of a statistic in this many resamples. None if one of them is undefined. Panics if
/// `resamples` is 0.
fn resample(resamples: usize, seed: &Seed, statistic: impl Fn(&mut Stream) -> Option<f64>) -> Option<Vec<f64>> {
    assert!(resamples > 0, "no resamples");
    // each resample has its own stream, so its draws do not depend on the number of resamples
    let values = (0..resamples).map(|resample| statistic(&mut seed.indexed(resample as u64).stream()));
    let mut values = values.collect::<Option<Vec<f64>>>()?;
    values.sort_by(f64::total_cmp);
    Some(values)
}

/// The ends of the middle `level` of sorted resampled values. Panics if `level` is not between 0
/// and 1.
fn percentiles(sorted: &[f64], level: f64) -> (f64, f64) {
    check_level(level);
    (quantile(sorted, 0.5 - level / 2.0), quantile(sorted, 0.5 + level / 2.0))
}

/// The same, centred at the estimate: for a statistic whose resampling bias exceeds its spread. The
/// ends keep their distances from the mean of the resampled values. Panics as [`percentiles`].
fn centred_percentiles(sorted: &[f64], level: f64, estimate: f64) -> (f64, f64) {
    let (low, high) = percentiles(sorted, level);
    let shift = estimate - sorted.iter().sum::<f64>() / sorted.len() as f64;
    (low + shift, high + shift)
}

/// McNemar's exact test (1947), two-sided: the probability of a split at least this uneven of the
/// samples on which two systems disagree, if either were equally often correct. `only_a` samples
/// only A got right, `only_b` only B. 1 where they never disagree.
pub fn mcnemar(only_a: u64, only_b: u64) -> f64 {
    let fair = Binomial::new(0.5, only_a + only_b).expect("a half is a probability");
    (2.0 * fair.cdf(only_a.min(only_b))).min(1.0)
}

/// Quantile of sorted values by linear interpolation between order statistics, so that a further
/// draw is below it with probability `p` (Hyndman and Fan 1996, type 6). With few values the tails
/// end at the first and the last.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let last = sorted.len() - 1;
    let place = (p * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, last as f64);
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests;
