//! Envelopes: where the training curves of a plan's runs lie, and which run leaves them at which step.
//!
//! The curves of a record (loss, perplexity of each level) are compared on the logarithm's scale. Over
//! n runs a point has the mean m and the variance s^2 / (n - 1); s^2 counts as the mean over the whole
//! curve, or over the five points around, if that is larger. A run leaves where it is further from m
//! than `q s sqrt(1 + 1/n)`. Deviations within a curve hang together by an unknown amount, so q is the
//! larger of two quantiles of Student's t: as if all points of a curve were one, with n - 1 degrees of
//! freedom, and as if they were independent, with 3 (n - 1). Both allow for all curves of a plan
//! (Bonferroni). A test simulates how often a run of the same plan leaves: in 5 of 100 cases or fewer
//! where a curve varies equally everywhere, else in up to 8.

use super::run::{GateRun, RunKey};
use crate::stats;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Runs without which nothing is known of their spread.
const RUNS: usize = 3;
/// The chance at which a run of the same plan may leave.
const LEVEL: f64 = 0.05;
/// Points on either side of one whose variances are averaged.
const AROUND: usize = 2;
/// Half the width below which a band is rounding, as a logarithm: 1 %.
const LEAST: f64 = 0.01;

/// The envelopes of some plans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelopes {
    pub plans: Vec<PlanEnvelope>,
}

/// The envelope of one plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEnvelope {
    /// Which plan it is, for readers.
    pub about: String,
    pub plan_hash: String,
    /// Identity of data that is no known variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Runs that it is of.
    pub runs: usize,
    pub curves: Vec<CurveEnvelope>,
}

/// Where one number lies over the steps of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveEnvelope {
    pub phase: String,
    /// `loss`, `perplexity of level 1`.
    pub what: String,
    /// Steps within the phase, `[points]`.
    pub steps: Vec<u64>,
    /// Mean of the number's logarithm over the runs, `[points]`.
    #[serde(with = "crate::finite")]
    pub mean: Vec<f64>,
    /// Standard deviation of its logarithm over the runs, `[points]`.
    #[serde(with = "crate::finite")]
    pub sd: Vec<f64>,
}

/// A number of a run's curve over the steps of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct RunCurve {
    pub phase: String,
    pub what: String,
    pub steps: Vec<u64>,
    pub values: Vec<f64>,
}

/// Where a curve leaves its envelope for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct Departure {
    pub phase: String,
    pub what: String,
    pub step: u64,
    pub value: f64,
    /// Ends of the envelope there.
    pub low: f64,
    pub high: f64,
    /// Points of the curve outside, and all.
    pub outside: usize,
    pub points: usize,
}

/// A run that leaves the envelope of its plan.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftRun {
    pub key: RunKey,
    /// Runs that the envelope is of.
    pub runs: usize,
    /// One for each curve that leaves.
    pub departures: Vec<Departure>,
}

/// Why there is no envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("an envelope needs {RUNS} runs of a plan with curves; the most here are {found}")]
    FewRuns { found: usize },
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            phase,
            what,
            step,
            value,
            low,
            high,
            outside,
            points,
        } = self;
        write!(
            f,
            "{phase}: {what} leaves at step {step}: {value:.4}, not {low:.4} to {high:.4}"
        )?;
        write!(f, " ({outside} of {points} points outside)")
    }
}

impl Envelopes {
    /// The envelope of every plan with enough runs among these. Runs of one seed and fold count once;
    /// of several backends and number types that with the most runs counts.
    ///
    /// # Errors
    /// If no plan has enough.
    pub fn of(runs: &[GateRun]) -> Result<Self, EnvelopeError> {
        let (runs, _) = super::run::distinct(runs);
        type OfBackends<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a GateRun>>;
        let mut plans: BTreeMap<(&str, Option<&str>), OfBackends<'_>> = BTreeMap::new();
        for run in runs.into_iter().filter(|run| !run.curves.is_empty()) {
            let key = &run.key;
            let of_plan = plans.entry((&key.plan_hash, key.data.as_deref())).or_default();
            of_plan.entry((&key.backend, &key.dtype)).or_default().push(run);
        }
        let most = plans
            .into_values()
            .filter_map(|of_plan| of_plan.into_values().max_by_key(Vec::len));
        let most: Vec<Vec<&GateRun>> = most.collect();
        let found = most.iter().map(Vec::len).max().unwrap_or(0);
        let enough = most.iter().filter(|runs| runs.len() >= RUNS);
        let plans: Vec<PlanEnvelope> = enough.map(|runs| PlanEnvelope::of(runs)).collect();
        match plans.is_empty() {
            true => Err(EnvelopeError::FewRuns { found }),
            false => Ok(Self { plans }),
        }
    }

    /// The envelope of a run's plan.
    pub fn of_run(&self, run: &GateRun) -> Option<&PlanEnvelope> {
        let key = &run.key;
        let same = |plan: &&PlanEnvelope| plan.plan_hash == key.plan_hash && plan.data == key.data;
        self.plans.iter().find(same)
    }

    /// The runs that leave the envelopes of their plans.
    pub fn left(&self, runs: &[GateRun]) -> Vec<LeftRun> {
        let (runs, _) = super::run::distinct(runs);
        let left = runs.into_iter().filter_map(|run| {
            let plan = self.of_run(run)?;
            let departures = plan.departures(run);
            (!departures.is_empty()).then(|| LeftRun {
                key: run.key.clone(),
                runs: plan.runs,
                departures,
            })
        });
        left.collect()
    }
}

impl PlanEnvelope {
    /// Of runs of one plan, whose curves have the same steps.
    fn of(runs: &[&GateRun]) -> Self {
        let key = &runs[0].key;
        let quantizer = key.quantizer.iter().map(|quantizer| format!(" {quantizer}"));
        let curves = runs[0].curves.iter().filter_map(|first| {
            let same = runs
                .iter()
                .map(|run| run.curves.iter().find(|curve| curve.is_like(first)));
            CurveEnvelope::of(&same.collect::<Option<Vec<_>>>()?)
        });
        Self {
            about: format!(
                "{} {}{}, {} {}",
                key.task,
                key.method,
                quantizer.collect::<String>(),
                key.backend,
                key.dtype
            ),
            plan_hash: key.plan_hash.clone(),
            data: key.data.clone(),
            runs: runs.len(),
            curves: curves.collect(),
        }
    }

    /// The curves of a run that leave the envelope. A curve that it lacks is not looked at: numbers
    /// that are missing are the baseline's.
    pub fn departures(&self, run: &GateRun) -> Vec<Departure> {
        let pairs = self.curves.iter().filter_map(|envelope| {
            let own = run.curves.iter().find(|curve| envelope.is_of(curve));
            Some((envelope, own?))
        });
        let left = pairs.filter_map(|(envelope, own)| envelope.departure(own, self.runs, self.curves.len()));
        left.collect()
    }
}

impl RunCurve {
    fn is_like(&self, other: &Self) -> bool {
        self.phase == other.phase && self.what == other.what && self.steps == other.steps
    }

    fn logs(&self) -> impl Iterator<Item = f64> {
        // a number that is not positive is as far off as can be
        self.values.iter().map(|value| value.max(f64::MIN_POSITIVE).ln())
    }
}

impl CurveEnvelope {
    fn of(curves: &[&RunCurve]) -> Option<Self> {
        let first = curves.first()?;
        let logs: Vec<Vec<f64>> = curves.iter().map(|curve| curve.logs().collect()).collect();
        let at = |point: usize| logs.iter().map(|logs| logs[point]).collect::<Vec<f64>>();
        let points = 0..first.steps.len();
        Some(Self {
            phase: first.phase.clone(),
            what: first.what.clone(),
            steps: first.steps.clone(),
            mean: points
                .clone()
                .map(|point| stats::mean(&at(point)))
                .collect::<Option<_>>()?,
            sd: points
                .map(|point| stats::sample_sd(&at(point)))
                .collect::<Option<_>>()?,
        })
    }

    fn is_of(&self, curve: &RunCurve) -> bool {
        self.phase == curve.phase && self.what == curve.what
    }

    /// Half the width of the band at each point, as a logarithm, of `runs` runs of a plan with so many
    /// curves.
    fn halves(&self, runs: usize, curves: usize) -> Vec<f64> {
        let points = self.sd.len();
        let squares: Vec<f64> = self.sd.iter().map(|sd| sd * sd).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let degrees = (runs - 1) as f64;
        let chance = LEVEL / (2 * curves) as f64;
        let quantile = stats::t_quantile(1.0 - chance, degrees)
            .max(stats::t_quantile(1.0 - chance / points as f64, 3.0 * degrees));
        let scale = quantile * (1.0 + 1.0 / runs as f64).sqrt();
        let of_point = |point: usize| {
            let around = &squares[point.saturating_sub(AROUND)..(point + AROUND + 1).min(points)];
            (scale * mean(&squares).max(mean(around)).sqrt()).max(LEAST)
        };
        (0..points).map(of_point).collect()
    }

    fn departure(&self, curve: &RunCurve, runs: usize, curves: usize) -> Option<Departure> {
        let places: BTreeMap<u64, usize> = self.steps.iter().copied().zip(0..).collect();
        let halves = self.halves(runs, curves);
        let shared = curve.steps.iter().zip(curve.logs()).zip(&curve.values);
        let shared = shared.filter_map(|((step, log), value)| Some((*step, log, *value, *places.get(step)?)));
        let is_outside = |&(_, log, value, place): &(u64, f64, f64, usize)| {
            (log - self.mean[place]).abs() > halves[place] || !value.is_finite()
        };
        let outside: Vec<_> = shared.filter(is_outside).collect();
        let &(step, _, value, place) = outside.first()?;
        Some(Departure {
            phase: self.phase.clone(),
            what: self.what.clone(),
            step,
            value,
            low: (self.mean[place] - halves[place]).exp(),
            high: (self.mean[place] + halves[place]).exp(),
            outside: outside.len(),
            points: curve.steps.len(),
        })
    }
}

/// The plans that have an envelope, each once, in words.
impl fmt::Display for Envelopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plans = self.plans.iter();
        let told: BTreeSet<String> = plans
            .map(|plan| format!("{}, plan {}, {} runs", plan.about, plan.plan_hash, plan.runs))
            .collect();
        f.write_str(&told.into_iter().collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests;
