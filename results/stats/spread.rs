//! What a number over runs and test samples is worth: the one home of intervals, p-values and power.
//!
//! Runs (seeds) and test samples are crossed: every run of a fold is judged on the same samples.
//! With the variance of run means over the runs, `v_runs`, and that of sample means, clustered by
//! source recording, over the sources, `v_sources`, the variance of the mean over both is
//! `v_runs + v_sources - v_both`. The last is their interaction's, which each of the first two
//! contains. Folds are strata: their samples differ, and all runs of all folds count.
//!
//! The quantile behind an interval must allow for the few runs that `v_runs` is known from. Its
//! square is `z^2 + sum of s_i^2 (t_i^2 - z^2)`, where `s_i` is a component's share of the variance
//! and `t_i` the quantile for its own degrees of freedom. To first order in 1/df this is
//! Satterthwaite's (1946), whose weights `s_i^2` are. But with 3 runs his quantile covers only 92 %
//! where `v_runs` is neither small nor all, because a small estimate of `v_runs` also raises his
//! degrees of freedom; this one covers 94 to 96 % for any true share (5 runs: 94.6 to 95.2).
//!
//! With one run in each of several folds, their values differ by run and by samples at once, and are independent draws of
//! both: `v_runs` then is the whole variance, with Student's t of its own degrees of freedom. So it stays, of the folds'
//! means, while they have more degrees of freedom than the few second runs: an interval over the latter alone would be up
//! to 2.6 times as wide as before the second seed began.
//!
//! No component is held above a floor. A floor of the variance at `v_sources`, which the truth never
//! is below, would keep a few intervals from being narrower than those over samples alone, but with
//! 3 runs it covers 98 % where runs hardly differ, and p-values are then no longer uniform.

use super::{Interval, check_level, normal_quantile, two_sided};
use crate::metric::Metric;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

/// Runs of one fold, or of a task without folds.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldRuns {
    /// The value of each run, `[S]`.
    pub values: Vec<f64>,
    /// The influence of each source on each value, `[S][C]`: a source is a recording with all test
    /// samples cut from it, or a sample where the data names no source.
    pub influences: Vec<Vec<f64>>,
    /// Test samples, as many as sources or more.
    pub samples: usize,
}

/// A part of the variance of a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Component {
    variance: f64,
    /// Degrees of freedom of its estimate.
    degrees: f64,
}

/// A mean over runs with the variance that other runs on other samples would give it. Of a single
/// run: with that of other samples alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    pub estimate: f64,
    pub runs: usize,
    /// Sources of test samples, each counted once.
    pub sources: usize,
    /// Test samples, each counted once.
    pub samples: usize,
    components: Vec<Component>,
}

/// How an interval is computed, so that no end leaves the metric's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// Logit, for shares.
    Share,
    /// Logarithm, for error rates.
    Rate,
    /// None, where there is no end.
    Line,
}

impl Scale {
    fn of(metric: Metric) -> Self {
        match metric.range() {
            (0.0, 1.0) => Self::Share,
            (0.0, _) => Self::Rate,
            _ => Self::Line,
        }
    }
}

/// Power at which a difference counts as one that could have been shown.
pub const POWER: f64 = 0.8;

/// Variances below this are rounding.
const NOTHING: f64 = 1e-20;

/// Whether the folds' means tell more of the variance over runs than runs of one fold do.
fn is_of_folds(repeats: usize, folds: usize) -> bool {
    repeats + 1 < folds
}

impl Spread {
    /// Of runs on the same samples within each fold. None without a run, and where a fold has fewer
    /// than two sources.
    pub fn of(folds: &[FoldRuns]) -> Option<Self> {
        let runs: usize = folds.iter().map(|fold| fold.values.len()).sum();
        let all = runs as f64;
        if runs == 0 || folds.iter().any(|fold| fold.values.is_empty() || fold.sources() < 2) {
            return None;
        }
        let sum = |part: &dyn Fn(&FoldRuns) -> f64| folds.iter().map(part).sum::<f64>();
        // a fold counts by its share of the runs
        let squared_share = |fold: &FoldRuns| (fold.values.len() as f64 / all).powi(2);
        let of_sources = sum(&|fold| squared_share(fold) * fold.variance_of_sources());
        let of_both = sum(&|fold| squared_share(fold) * fold.variance_of_both());
        let sources: usize = folds.iter().map(FoldRuns::sources).sum();
        let estimate = sum(&|fold| fold.values.iter().sum()) / all;
        let repeats = runs - folds.len();
        let of_runs = match (repeats, folds.len()) {
            (0, 1) => None,
            // hardly a fold has several runs: its mean differs from others by runs and by samples, both in one
            (repeats, count) if is_of_folds(repeats, count) => {
                let off = |fold: &FoldRuns| fold.values.iter().sum::<f64>() / fold.values.len() as f64 - estimate;
                let means = sum(&|fold| squared_share(fold) * off(fold).powi(2));
                Some((means * count as f64 / (count - 1) as f64, count - 1))
            }
            (repeats, _) => Some((sum(&FoldRuns::deviations) / repeats as f64 / all, repeats)),
        };
        let (runs_variance, run_degrees) = of_runs.unwrap_or((0.0, 1));
        let is_whole = is_of_folds(repeats, folds.len()) && runs_variance > NOTHING;
        let components = vec![
            Component {
                variance: runs_variance,
                degrees: run_degrees as f64,
            },
            Component {
                variance: if is_whole { 0.0 } else { (of_sources - of_both).max(0.0) },
                degrees: (sources - folds.len()) as f64,
            },
        ];
        Some(Self {
            estimate,
            runs,
            sources,
            samples: folds.iter().map(|fold| fold.samples).sum(),
            components: components.into_iter().filter(|part| part.variance > NOTHING).collect(),
        })
    }

    /// Of values without what their samples say: the values of each fold's runs, and the variance
    /// of each fold's value over its samples, `[F]`. The interaction is left in, so that the spread
    /// is rather too large.
    pub(crate) fn of_values(folds: &[Vec<f64>], over_samples: &[f64], samples: usize) -> Option<Self> {
        let bare = |values: &Vec<f64>| FoldRuns {
            influences: vec![vec![0.0; 2]; values.len()],
            values: values.clone(),
            samples: 2,
        };
        let mut found = Self::of(&folds.iter().map(bare).collect::<Vec<_>>())?;
        let share = |values: &Vec<f64>| (values.len() as f64 / found.runs as f64).powi(2);
        let variance = folds
            .iter()
            .zip(over_samples)
            .map(|(values, own)| share(values) * own)
            .sum::<f64>();
        let is_whole = is_of_folds(found.runs - folds.len(), folds.len()) && found.variance() > NOTHING;
        (found.sources, found.samples) = (samples, samples);
        if variance > NOTHING && !is_whole {
            let degrees = samples.saturating_sub(folds.len()).max(1) as f64;
            found.components.push(Component { variance, degrees });
        }
        Some(found)
    }

    /// The difference of two numbers that share neither runs nor samples.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        Self {
            estimate: self.estimate - other.estimate,
            runs: self.runs.min(other.runs),
            sources: self.sources.min(other.sources),
            samples: self.samples.min(other.samples),
            components: [&self.components[..], &other.components].concat(),
        }
    }

    fn variance(&self) -> f64 {
        self.components.iter().map(|part| part.variance).sum()
    }

    /// Standard error. Where nothing varies, what Wilson's interval leaves open for a share of 0 or
    /// 1 of so many sources.
    pub fn standard_error(&self) -> f64 {
        match self.variance() {
            0.0 => left_open(self.sources, 1.0),
            variance => variance.sqrt(),
        }
    }

    /// Mixes a function of the degrees of freedom as quantiles are mixed; see the top of this file.
    fn mixed(&self, of_degrees: impl Fn(f64) -> f64) -> f64 {
        let (variance, normal) = (self.variance(), of_degrees(f64::INFINITY).powi(2));
        let further = self.components.iter().map(|part| {
            let share = part.variance / variance;
            share * share * (of_degrees(part.degrees).powi(2) - normal)
        });
        (normal + further.sum::<f64>()).sqrt()
    }

    /// The quantile that a two-sided interval of this level multiplies the standard error with.
    fn quantile(&self, level: f64) -> f64 {
        self.mixed(|degrees| t_quantile(0.5 + level / 2.0, degrees))
    }

    /// The interval of this metric. Panics if `level` is not between 0 and 1.
    pub fn interval(&self, metric: Metric, level: f64) -> Interval {
        check_level(level);
        let (value, error) = (self.estimate, self.quantile(level) * self.standard_error());
        let open = left_open(self.sources, two_sided(level));
        let varies = self.variance() > 0.0;
        let (form, low, high) = match Scale::of(metric) {
            Scale::Share if self.runs == 1 && metric.first_classes().is_some() => {
                let (low, high) = self.ends_of_one_run(level);
                ("wilson", low, high)
            }
            Scale::Share if varies && value > 0.0 && value < 1.0 => {
                let (place, half) = ((value / (1.0 - value)).ln(), error / (value * (1.0 - value)));
                let share = |place: f64| 1.0 / (1.0 + (-place).exp());
                ("logit", share(place - half), share(place + half))
            }
            Scale::Share => {
                let (low, high) = wilson_ends(value.clamp(0.0, 1.0), self.sources as f64, two_sided(level));
                ("wilson", low, high)
            }
            Scale::Rate if varies && value > 0.0 => {
                let factor = (error / value).exp();
                ("log", value / factor, value * factor)
            }
            Scale::Rate if value > 0.0 => ("wilson", value * (1.0 - open), value / (1.0 - open)),
            Scale::Rate => ("wilson", 0.0, open),
            Scale::Line => ("linear", value - error, value + error),
        };
        self.named(form, level, low, high)
    }

    fn is_clustered(&self) -> bool {
        self.sources < self.samples
    }

    /// Ends of the interval of a share of right samples in one run, by Wilson's formula: as if so
    /// many independent samples were judged as give this variance.
    fn ends_of_one_run(&self, level: f64) -> (f64, f64) {
        let (share, samples) = (self.estimate, self.samples as f64);
        let alone = share * (1.0 - share) / (samples - 1.0).max(1.0);
        if !self.is_clustered() {
            wilson_ends(share, samples, two_sided(level))
        } else if alone > 0.0 {
            // samples of common sources can only tell less than as many independent ones
            let effect = (self.variance() / alone).max(1.0);
            wilson_ends(share, samples / effect, self.quantile(level))
        } else {
            wilson_ends(share, self.sources as f64, two_sided(level))
        }
    }

    /// The interval of this difference of two values of a metric.
    pub fn interval_of_difference(&self, metric: Metric, level: f64) -> Interval {
        check_level(level);
        let half = self.quantile(level) * self.standard_error();
        let (least, most) = metric.range();
        let reach = most - least;
        let low = (self.estimate - half).max(-reach);
        self.named("linear", level, low, (self.estimate + half).min(reach))
    }

    fn named(&self, form: &str, level: f64, low: f64, high: f64) -> Interval {
        let method = match (self.runs > 1, self.is_clustered()) {
            (true, true) => format!("runs and sources, {form}"),
            (true, false) => format!("runs and samples, {form}"),
            (false, true) => format!("sources, {form}"),
            (false, false) => form.into(),
        };
        Interval {
            // rounding must not leave the estimate outside
            low: low.min(self.estimate),
            high: high.max(self.estimate),
            level,
            method,
            n: self.sources as u64,
        }
    }

    /// The probability of an estimate at least this far from 0, in either direction, if the truth
    /// were 0: one minus the level whose interval ends at 0.
    pub fn p(&self) -> f64 {
        let distance = self.estimate.abs() / self.standard_error();
        if distance == 0.0 {
            return 1.0;
        }
        let (mut low, mut high) = (0.0, 1.0);
        // the quantile rises with the level, so p falls with the distance
        for _ in 0..60 {
            let p = (low + high) / 2.0;
            let is_beyond = distance >= self.mixed(|degrees| t_quantile(1.0 - p / 2.0, degrees));
            (low, high) = if is_beyond { (low, p) } else { (p, high) };
        }
        high
    }

    /// The smallest true distance from 0 that a two-sided test at 1 - `level` would have shown with
    /// a probability of [`POWER`], given this spread.
    pub fn detectable(&self, level: f64) -> f64 {
        self.mixed(|degrees| detectable(level, degrees)) * self.standard_error()
    }
}

impl FoldRuns {
    fn sources(&self) -> usize {
        self.influences.first().map_or(0, Vec::len)
    }

    /// Sum of squared deviations of the runs from their mean.
    fn deviations(&self) -> f64 {
        let mean = self.values.iter().sum::<f64>() / self.values.len() as f64;
        self.values.iter().map(|value| (value - mean).powi(2)).sum()
    }

    /// The influence of each source on the mean of the runs, `[C]`.
    fn of_mean(&self) -> Vec<f64> {
        let runs = self.influences.len() as f64;
        let of_source = |source: usize| self.influences.iter().map(|of_run| of_run[source]).sum::<f64>() / runs;
        (0..self.sources()).map(of_source).collect()
    }

    fn variance_of_sources(&self) -> f64 {
        let sources = self.sources() as f64;
        sources / (sources - 1.0) * self.of_mean().iter().map(|part| part * part).sum::<f64>()
    }

    /// Variance of the mean by the interaction of runs and sources. 0 for one run, which does not
    /// tell it.
    fn variance_of_both(&self) -> f64 {
        let (runs, sources) = (self.influences.len() as f64, self.sources() as f64);
        if runs < 2.0 {
            return 0.0;
        }
        let mean = self.of_mean();
        let of_run = |own: &Vec<f64>| {
            own.iter()
                .zip(&mean)
                .map(|(own, mean)| (own - mean).powi(2))
                .sum::<f64>()
        };
        let squares: f64 = self.influences.iter().map(of_run).sum();
        sources / (sources - 1.0) * squares / (runs * (runs - 1.0))
    }
}

/// Wilson's ends for a share of `count` samples, which need not be whole.
pub(super) fn wilson_ends(share: f64, count: f64, quantile: f64) -> (f64, f64) {
    let square = quantile * quantile;
    let scale = 1.0 + square / count;
    let centre = (share + square / (2.0 * count)) / scale;
    let half = quantile / scale * (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
    // at the ends the formula gives exactly 0 or 1, apart from rounding
    let low = if share == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if share == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

/// How far from 0 a share may be of which `sources` sources show nothing, at this normal quantile.
fn left_open(sources: usize, quantile: f64) -> f64 {
    wilson_ends(0.0, sources as f64, quantile).1
}

/// Quantile of Student's t; of the normal distribution for infinite degrees of freedom.
pub(crate) fn t_quantile(p: f64, degrees: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, degrees) {
        Ok(t) if degrees < 1e6 => t.inverse_cdf(p),
        _ => normal_quantile(p),
    }
}

/// The distance from 0, in standard errors, that Student's two-sided test at 1 - `level` shows with
/// a probability of [`POWER`].
fn detectable(level: f64, degrees: f64) -> f64 {
    let limit = t_quantile(0.5 + level / 2.0, degrees);
    let (mut low, mut high) = (0.0, 2.0 * limit + 10.0);
    for _ in 0..50 {
        let distance = (low + high) / 2.0;
        let is_shown = power(distance, limit, degrees) >= POWER;
        (low, high) = if is_shown { (low, distance) } else { (distance, high) };
    }
    high
}

/// The probability that an estimate `distance` standard errors from 0 exceeds `limit` estimated
/// ones.
fn power(distance: f64, limit: f64, degrees: f64) -> f64 {
    let normal = Normal::standard();
    let beyond = |limit: f64| normal.cdf(distance - limit) + normal.cdf(-distance - limit);
    if degrees >= 1e4 {
        return beyond(limit);
    }
    // over the ratio s of estimated and true standard error: s^2 df has a chi-squared distribution
    let half = degrees / 2.0;
    let constant = half * half.ln() - ln_gamma(half) + std::f64::consts::LN_2;
    let density = |s: f64| (constant + (degrees - 1.0) * s.ln() - half * s * s).exp();
    let (steps, end) = (1000, 1.0 + 8.0 / degrees.sqrt());
    let width = end / f64::from(steps);
    let places = (0..steps).map(|step| (f64::from(step) + 0.5) * width);
    places.map(|s| width * density(s) * beyond(limit * s)).sum()
}

#[cfg(test)]
mod tests;
