//! Two sets of records, A and B, compared on the same test samples: by protocol and metric the difference with its
//! interval, a p-value with its test, and a verdict in words.
//!
//! Every value is computed anew from the predictions, and must be the one that the record has.

use crate::metric::{Metric, MetricError};
use crate::predictions::Predictions;
use crate::record::RunRecord;
use crate::stats::{self, Interval, Paired};
use crate::store::{self, StoreError};
use bridle_seed::Seed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod error;
mod pairs;

pub use error::CompareError;
use pairs::Pairs;

/// Confidence level of every interval; a difference is shown where p is at most what is left to 1.
const LEVEL: f64 = 0.95;

/// How far a recorded value may lie from what the predictions give.
const RECORDED: f64 = 1e-6;

/// A record with its predictions.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where the record lies.
    pub path: PathBuf,
    /// The record.
    pub record: RunRecord,
    /// The predictions that it names.
    pub predictions: Predictions,
}

impl Run {
    /// The run of the record in this file, or those of all records in this folder and below it.
    ///
    /// # Errors
    /// If there is no record, a file is none, or a record has no predictions.
    pub fn read(path: &Path) -> Result<Vec<Self>, CompareError> {
        let with_predictions = |(path, record): (PathBuf, RunRecord)| {
            let predictions = store::read_predictions(&path, &record).map_err(|error| match error {
                StoreError::Missing { path: predictions } => CompareError::PredictionsMissing {
                    path: path.clone(),
                    predictions,
                },
                error => error.into(),
            })?;
            match predictions {
                Some(predictions) => Ok(Self {
                    path,
                    record,
                    predictions,
                }),
                None => Err(CompareError::NoPredictions { path }),
            }
        };
        store::find(&[path.to_path_buf()])?
            .into_iter()
            .map(with_predictions)
            .collect()
    }

    /// The metrics of a protocol that predictions decide, each as computed from them.
    fn judged(&self, protocol: &str) -> Result<Vec<Metric>, CompareError> {
        let mut metrics = Vec::new();
        for score in self.record.scores.iter().filter(|score| score.protocol == protocol) {
            let Some(metric) = Metric::named(&score.metric) else {
                continue;
            };
            let Predictions { targets, classes, .. } = &self.predictions;
            let found = metric.of(self.scores(protocol)?, targets, *classes);
            let found = found.map_err(|source| self.unjudged(source))?;
            let agrees = match (found, score.value) {
                (Some(found), Some(recorded)) => (found - recorded).abs() <= RECORDED,
                (found, recorded) => found == recorded,
            };
            if !agrees || score.n != targets.len() as u64 {
                return Err(CompareError::Disagrees {
                    path: self.path.clone(),
                    score: format!("{protocol} {}", score.metric),
                    recorded: score.value,
                    samples: score.n,
                    found,
                    judged: targets.len() as u64,
                });
            }
            metrics.push(metric);
        }
        Ok(metrics)
    }

    fn scores(&self, protocol: &str) -> Result<&[f32], CompareError> {
        let scores = self.predictions.protocol(protocol);
        scores.ok_or_else(|| CompareError::NoScores {
            path: self.path.clone(),
            protocol: protocol.into(),
        })
    }

    fn unjudged(&self, source: MetricError) -> CompareError {
        CompareError::Metric {
            path: self.path.clone(),
            source,
        }
    }
}

/// Which of the two is better, as far as the samples tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval lies above 0 and p is at most 0.05.
    A,
    /// The interval lies below 0 and p is at most 0.05.
    B,
    /// Anything else, which does not say that there is no difference.
    NotShown,
}

impl Verdict {
    /// The verdict in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::A => "A is better",
            Self::B => "B is better",
            Self::NotShown => "no difference shown",
        }
    }

    fn of(interval: Option<&Interval>, p: Option<f64>) -> Self {
        match (interval, p) {
            (Some(interval), Some(p)) if p <= 1.0 - LEVEL && interval.low > 0.0 => Self::A,
            (Some(interval), Some(p)) if p <= 1.0 - LEVEL && interval.high < 0.0 => Self::B,
            _ => Self::NotShown,
        }
    }
}

/// A and B by one protocol and metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The protocol.
    pub protocol: String,
    /// The metric.
    pub metric: Metric,
    /// Mean of A and of B over the runs that both have. None where the metric is undefined.
    pub values: [Option<f64>; 2],
    /// A - B.
    pub difference: Option<f64>,
    /// Interval of the difference over test samples, for the models as they were trained.
    pub interval: Option<Interval>,
    /// Interval of the difference over seeds, means over folds first. None for a single seed, and where not every seed
    /// ran the same folds.
    pub over_seeds: Option<Interval>,
    /// How likely at least so large a difference would be if A and B did not differ.
    pub p: Option<f64>,
    /// The test behind p.
    pub test: &'static str,
    /// Test samples, each counted once.
    pub samples: u64,
    /// Seeds that both have.
    pub seeds: u64,
    /// Folds that both have; 0 where the task has none.
    pub folds: u64,
    /// What follows.
    pub verdict: Verdict,
}

/// Everything that two sets of records say of each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The task.
    pub task: String,
    /// What A and B are, in words.
    pub names: [String; 2],
    /// One entry for each protocol and metric.
    pub differences: Vec<Difference>,
    /// What must be known to read them.
    pub notes: Vec<String>,
}

/// Compares A with B over the seeds and folds that both ran, sample by sample. `resamples` are drawn for each interval
/// and each permutation test, from streams of `seed`. Panics if `resamples` is 0.
///
/// # Errors
/// If the records are of several tasks or one side of several plans, have no seed and fold in common or other samples,
/// or do not have the values that their predictions give.
pub fn compare(a: &[Run], b: &[Run], resamples: usize, seed: &Seed) -> Result<Comparison, CompareError> {
    let task = pairs::one_task(a, b)?;
    let mut differences = Vec::new();
    let mut notes = BTreeSet::new();
    for protocol in pairs::protocols(a, b)? {
        let pairs = Pairs::of(&protocol, a, b)?;
        notes.extend(pairs.left_out());
        let (metrics, undecided) = metrics(&pairs)?;
        notes.extend(undecided);
        for metric in metrics {
            differences.push(difference(&pairs, metric, resamples, seed)?);
        }
    }
    let mut all = vec![
        "A - B: differences of means over the same seeds and folds; p-values are not corrected for their number".into(),
    ];
    all.extend(
        differences
            .iter()
            .filter_map(|found| found.interval.as_ref())
            .map(method)
            .collect::<BTreeSet<_>>(),
    );
    if differences.iter().any(|found| found.over_seeds.is_some()) {
        all.push("over seeds: 95 % interval of the mean difference over seeds (t)".into());
    }
    if differences.iter().any(|found| found.seeds == 1) {
        all.push("one seed tells two trained models apart, not two methods".into());
    }
    all.extend(notes);
    all.extend(pairs::data_note(a, b));
    all.extend(crate::table::mark_notes(a.iter().chain(b).map(|run| &run.record)));
    Ok(Comparison {
        task,
        names: [pairs::name(a), pairs::name(b)],
        differences,
        notes: all,
    })
}

fn method(interval: &Interval) -> String {
    let per_cent = interval.level * 100.0;
    format!(
        "[low, high]: {per_cent} % interval over test samples ({})",
        interval.method
    )
}

/// The metrics that all runs have, and a note on those that predictions do not decide.
fn metrics(pairs: &Pairs) -> Result<(Vec<Metric>, Option<String>), CompareError> {
    let mut of_all: Option<BTreeSet<Metric>> = None;
    let mut undecided = BTreeSet::new();
    for run in pairs.runs() {
        let judged: BTreeSet<Metric> = run.judged(&pairs.protocol)?.into_iter().collect();
        of_all = Some(match of_all {
            Some(metrics) => &metrics & &judged,
            None => judged,
        });
        let scores = run
            .record
            .scores
            .iter()
            .filter(|score| score.protocol == pairs.protocol);
        undecided.extend(
            scores
                .map(|score| &score.metric[..])
                .filter(|name| Metric::named(name).is_none()),
        );
    }
    let undecided: Vec<&str> = undecided.into_iter().collect();
    let note = format!("left out: {}, which predictions do not decide", undecided.join(", "));
    Ok((
        of_all.unwrap_or_default().into_iter().collect(),
        (!undecided.is_empty()).then_some(note),
    ))
}

fn difference(pairs: &Pairs, metric: Metric, resamples: usize, seed: &Seed) -> Result<Difference, CompareError> {
    let paired = pairs.paired(metric)?;
    // all metrics of a protocol see the same draws
    let seed = seed.child(&pairs.protocol);
    let values = paired.values();
    let difference = values[0].zip(values[1]).map(|(a, b)| a - b);
    let interval = paired.bootstrap(resamples, LEVEL, &seed.child("bootstrap"));
    let (p, test) = match paired.discordant() {
        Some([only_a, only_b]) => (Some(stats::mcnemar(only_a, only_b)), "exact McNemar"),
        None => {
            let p = paired.permutation(resamples, &seed.child("permutation"));
            let is_share = matches!(metric, Metric::Top1 | Metric::Top5);
            (
                p,
                if is_share {
                    "sign-flip permutation"
                } else {
                    "swap permutation"
                },
            )
        }
    };
    Ok(Difference {
        protocol: pairs.protocol.clone(),
        metric,
        values,
        difference,
        over_seeds: over_seeds(pairs, &paired),
        p,
        test,
        samples: paired.samples() as u64,
        seeds: pairs.seeds().len() as u64,
        folds: pairs.folds() as u64,
        verdict: Verdict::of(interval.as_ref(), p),
        interval,
    })
}

fn over_seeds(pairs: &Pairs, paired: &Paired) -> Option<Interval> {
    let mut by_seed: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (seed, [a, b]) in pairs.seeds_of_runs().zip(paired.runs()) {
        by_seed.entry(seed).or_default().push(a? - b?);
    }
    let folds = by_seed.values().next()?.len();
    if by_seed.values().any(|differences| differences.len() != folds) {
        return None;
    }
    let means: Option<Vec<f64>> = by_seed.values().map(|differences| stats::mean(differences)).collect();
    stats::t_interval(&means?, LEVEL)
}

#[cfg(test)]
mod tests;
