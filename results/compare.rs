//! Compares two sets of records, A and B, on the same test samples: differences with intervals,
//! p-values with their tests, verdicts.
//!
//! A set may hold several methods, plans and backends. Groups of runs that differ only in seed and
//! fold are compared; see [`compare`]. Every value is recomputed from the predictions and must
//! equal the recorded one.

use crate::metric::{ErrorRate, Metric, MetricError};
use crate::predictions::Outputs;
use crate::record::{RunRecord, mark};
use crate::stats::{self, Interval};
use crate::store::{self, StoreError};
use bridle_seed::Seed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod error;
mod filter;
mod groups;
mod pairs;
mod verdict;

pub use error::CompareError;
pub use filter::{Filter, NoFilter, kept};
use groups::RunGroup;
use pairs::Pairs;
pub use verdict::Conclusion;

/// Confidence level of every interval; a difference is shown where p is at most what is left to 1.
const LEVEL: f64 = 0.95;

/// Tolerance between a recorded value and the one recomputed from predictions.
const RECORDED: f64 = 1e-6;

/// A record with its predictions.
#[derive(Clone, Debug)]
pub struct ScoredRun {
    pub path: PathBuf,
    pub record: RunRecord,
    pub predictions: Outputs,
}

impl ScoredRun {
    /// Reads the run of the record in this file, or the runs of all records below this folder that
    /// pass the filters. For each key that filters name, a record must have one of their values.
    ///
    /// # Errors
    /// If no record is left, a filter's key is unknown, a file is no record, or a record has no
    /// predictions.
    pub fn read(path: &Path, filters: &[Filter]) -> Result<Vec<Self>, CompareError> {
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
        let records = filter::kept(path, store::find(&[path.to_path_buf()])?, filters)?;
        records.into_iter().map(with_predictions).collect()
    }

    /// Checks that the predictions give every recorded value that can be computed from them.
    ///
    /// # Errors
    /// If one does not.
    pub fn check(&self) -> Result<(), CompareError> {
        let protocols: BTreeSet<&str> = self.record.scores.iter().map(|score| &score.protocol[..]).collect();
        protocols
            .into_iter()
            .try_for_each(|protocol| self.checked_metrics(protocol).map(drop))
    }

    /// The metrics of a protocol that can be recomputed from predictions, each checked against the
    /// record.
    fn checked_metrics(&self, protocol: &str) -> Result<Vec<Metric>, CompareError> {
        let mut metrics = Vec::new();
        for score in self.record.scores.iter().filter(|score| score.protocol == protocol) {
            let Some(metric) = self.recomputable(&score.metric) else {
                continue;
            };
            let found = self.value(protocol, metric)?;
            let evaluated = self.predictions.ids().len() as u64;
            let agrees = match (found, score.value) {
                (Some(found), Some(recorded)) => (found - recorded).abs() <= RECORDED,
                (found, recorded) => found == recorded,
            };
            if !agrees || score.n != evaluated {
                return Err(CompareError::Disagrees {
                    path: self.path.clone(),
                    score: format!("{protocol} {}", score.metric),
                    recorded: score.value,
                    samples: score.n,
                    found,
                    evaluated,
                });
            }
            metrics.push(metric);
        }
        Ok(metrics)
    }

    /// The metric of this name, if it follows from predictions of this form.
    fn recomputable(&self, name: &str) -> Option<Metric> {
        let is_text = matches!(self.predictions, Outputs::Transcripts(_));
        Metric::named(name).filter(|metric| metric.unit().is_some() == is_text)
    }

    /// The value of this metric recomputed from the predictions.
    fn value(&self, protocol: &str, metric: Metric) -> Result<Option<f64>, CompareError> {
        let found = match (&self.predictions, metric.unit()) {
            (Outputs::Scores(predictions), _) => {
                let scores = predictions.protocol(protocol).ok_or_else(|| self.no_scores(protocol))?;
                metric.of(scores, &predictions.targets, predictions.classes)
            }
            (Outputs::Transcripts(transcripts), Some(unit)) => {
                let texts = transcripts.protocol(protocol).ok_or_else(|| self.no_scores(protocol))?;
                let pairs = transcripts.references.iter().zip(texts);
                let rate = ErrorRate::of(unit, pairs.map(|(wanted, found)| (&wanted[..], &found[..])));
                rate.map(|rate| Some(rate.value()))
            }
            (Outputs::Transcripts(_), None) => Ok(None),
        };
        found.map_err(|source| self.metric_error(source))
    }

    fn no_scores(&self, protocol: &str) -> CompareError {
        CompareError::NoScores {
            path: self.path.clone(),
            protocol: protocol.into(),
        }
    }

    fn metric_error(&self, source: MetricError) -> CompareError {
        CompareError::Metric {
            path: self.path.clone(),
            source,
        }
    }
}

/// The difference of A and B by one protocol and metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricDifference {
    pub protocol: String,
    pub metric: Metric,
    /// Means of A and of B over their common runs; the median of a side of which runs did not train. None where the
    /// metric is undefined.
    pub values: [Option<f64>; 2],
    /// Runs of A and of B that did not train. With any, no difference of means is given.
    pub untrained: [usize; 2],
    /// Runs of each side.
    pub runs: usize,
    pub difference: Option<f64>,
    /// Interval of the difference over runs and test samples; of a single pair of runs over test
    /// samples alone, for the two models as they were trained.
    pub interval: Option<Interval>,
    /// The smallest difference that these runs could have shown: in 80 % of such comparisons, by a
    /// two-sided test at 5 %.
    pub detectable: Option<f64>,
    /// Probability of a difference at least this large if A and B did not differ.
    pub p: Option<f64>,
    /// The name of the test behind `p`.
    pub test: &'static str,
    /// Test samples, each counted once.
    pub samples: u64,
    /// Seeds that both have.
    pub seeds: u64,
    /// Folds that both have; 0 where the task has none.
    pub folds: u64,
    pub verdict: Conclusion,
}

/// The differences between one group of A and one of B by one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub task: String,
    pub protocol: String,
    /// Descriptions of A and B.
    pub names: [String; 2],
    /// Whether training of A and of B was too short, as far as their records tell.
    pub under_trained: [bool; 2],
    /// One entry for each metric.
    pub differences: Vec<MetricDifference>,
    /// What a reader needs to know: units, methods, exclusions.
    pub notes: Vec<String>,
}

/// The comparisons of two sets of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// One for each pair of groups, by task and protocol.
    pub comparisons: Vec<Comparison>,
    /// Descriptions of groups and runs without a partner.
    pub left_out: Vec<String>,
}

/// Compares groups of A with groups of B: runs of one task, its data, method, plan and backend that
/// have scores of one protocol. Within a task and protocol, groups are paired where only one pairing
/// is possible: the only group of one side with the only one of the other; else those on the same
/// data, then of one backend, then of one method, then of one plan.
///
/// Each pair is compared sample by sample over its common seeds and folds. `resamples` are drawn
/// for each interval and each permutation test, from streams of `seed`. Panics if `resamples` is 0.
///
/// # Errors
/// If a group has several possible partners or no group has one, if runs of a pair have different
/// samples or values that their predictions do not give, or no pair has a seed and fold in common.
pub fn compare(a: &[ScoredRun], b: &[ScoredRun], resamples: usize, seed: &Seed) -> Result<Compared, CompareError> {
    let groups = [a, b].map(groups::groups);
    let (mut comparisons, mut left_out, mut apart) = (Vec::new(), Vec::new(), None);
    let places: BTreeSet<&(&str, &str)> = groups.iter().flat_map(BTreeMap::keys).collect();
    for place in places {
        let (task, protocol) = *place;
        let of_place = groups
            .each_ref()
            .map(|groups| groups.get(place).map_or(&[][..], Vec::as_slice));
        let found = match of_place {
            [[], _] | [_, []] => Vec::new(),
            [a, b] => groups::paired(protocol, a, b)?,
        };
        left_out.extend(without_partner(place, &of_place, &found));
        for [a, b] in found {
            let pairs = match Pairs::of(protocol, &a.runs, &b.runs) {
                Err(error @ CompareError::NoCommonRun { .. }) => {
                    left_out.push(error.to_string());
                    apart.get_or_insert(error);
                    continue;
                }
                pairs => pairs?,
            };
            comparisons.push(comparison(task, [a, b], &pairs, resamples, seed)?);
        }
    }
    if comparisons.is_empty() {
        return Err(apart.unwrap_or_else(|| groups::nothing_in_common(&groups)));
    }
    Ok(Compared { comparisons, left_out })
}

/// Descriptions of the groups of a task and protocol that are in no pair.
fn without_partner(
    (task, protocol): &(&str, &str),
    sides: &[&[RunGroup]; 2],
    found: &[[&RunGroup; 2]],
) -> impl Iterator<Item = String> {
    let alone = |side: usize| {
        let is_paired = move |group: &&RunGroup| found.iter().any(|pair| std::ptr::eq(pair[side], *group));
        let groups = sides[side].iter().filter(move |group| !is_paired(group));
        groups.map(move |group| (["A", "B"][side], group))
    };
    let words =
        |(side, group): (&str, &RunGroup)| format!("no partner by {protocol} on {task}: {} of {side}", group.name);
    let all: Vec<String> = alone(0).chain(alone(1)).map(words).collect();
    all.into_iter()
}

fn comparison(
    task: &str,
    groups: [&RunGroup; 2],
    pairs: &Pairs,
    resamples: usize,
    seed: &Seed,
) -> Result<Comparison, CompareError> {
    let (metrics, undecided) = metrics(pairs)?;
    let differences = metrics
        .into_iter()
        .map(|metric| difference(pairs, metric, resamples, seed));
    let differences: Vec<MetricDifference> = differences.collect::<Result<_, _>>()?;
    let mut notes = vec![
        "A - B: differences of means over the same seeds and folds; p-values are not corrected for their number".into(),
    ];
    let intervals = differences.iter().filter_map(|found| found.interval.as_ref());
    notes.extend(intervals.map(method).collect::<BTreeSet<_>>());
    notes.push(COULD_SHOW.into());
    if pairs.runs().count() == 2 {
        notes.push("one pair of runs compares two trained models, not two methods".into());
    }
    notes.extend(pairs.left_out());
    notes.extend(undecided);
    notes.extend(pairs::data_note(groups));
    notes.extend(mark::notes_of(pairs.runs().map(|run| &run.record)));
    let under_trained = groups.map(|group| {
        let own: Vec<_> = group.runs.iter().map(|run| &run.record).collect();
        mark::of_protocol(&own, &pairs.protocol)
    });
    notes.extend(under_trained.into_iter().flatten().next().map(mark::Mark::note));
    Ok(Comparison {
        task: task.into(),
        protocol: pairs.protocol.clone(),
        under_trained: under_trained.map(|mark| mark.is_some()),
        names: groups.map(|group| group.name.clone()),
        differences,
        notes,
    })
}

fn method(interval: &Interval) -> String {
    format!("[low, high]: {}", interval.words())
}

/// What a reader needs to know of the smallest difference that could have been shown.
const COULD_SHOW: &str =
    "could show: the smallest true difference that such runs would show in 80 of 100 cases (two-sided test at 5 %)";

/// The metrics that all runs have, and a note on those that predictions cannot give.
fn metrics(pairs: &Pairs) -> Result<(Vec<Metric>, Option<String>), CompareError> {
    let mut of_all: Option<BTreeSet<Metric>> = None;
    let mut undecided = BTreeSet::new();
    for run in pairs.runs() {
        let evaluated: BTreeSet<Metric> = run.checked_metrics(&pairs.protocol)?.into_iter().collect();
        of_all = Some(match of_all {
            Some(metrics) => &metrics & &evaluated,
            None => evaluated,
        });
        let scores = run
            .record
            .scores
            .iter()
            .filter(|score| score.protocol == pairs.protocol);
        undecided.extend(
            scores
                .map(|score| &score.metric[..])
                .filter(|name| run.recomputable(name).is_none()),
        );
    }
    let undecided: Vec<&str> = undecided.into_iter().collect();
    let note = format!(
        "left out: {}, which cannot be computed from predictions",
        undecided.join(", ")
    );
    Ok((
        of_all.unwrap_or_default().into_iter().collect(),
        (!undecided.is_empty()).then_some(note),
    ))
}

fn difference(pairs: &Pairs, metric: Metric, resamples: usize, seed: &Seed) -> Result<MetricDifference, CompareError> {
    let paired = pairs.paired(metric)?;
    // all metrics of a protocol see the same draws
    let seed = seed.child(&pairs.protocol);
    let (untrained, runs) = ([0, 1].map(|side| pairs.untrained(side)), pairs.runs().count() / 2);
    let all_trained = untrained == [0, 0];
    let mut values = paired.values();
    let difference = values[0].zip(values[1]).map(|(a, b)| a - b).filter(|_| all_trained);
    for side in (0..2).filter(|side| untrained[*side] > 0) {
        values[side] = stats::median(&pairs.values(side, metric));
    }
    let spread = pairs.spread(metric)?.filter(|_| all_trained);
    let interval = spread
        .as_ref()
        .map(|spread| spread.interval_of_difference(metric, LEVEL));
    let (p, test) = match (&spread, paired.discordant()) {
        _ if !all_trained => (None, "none"),
        (Some(spread), _) if spread.runs > 1 => (Some(spread.p()), "t over runs and samples"),
        (_, Some([only_a, only_b])) => (Some(stats::mcnemar(only_a, only_b)), "exact McNemar"),
        _ => {
            let p = paired.permutation(resamples, &seed.child("permutation"));
            let is_share = matches!(metric, Metric::Top1 | Metric::Top5);
            let test = if is_share {
                "sign-flip permutation"
            } else {
                "swap permutation"
            };
            (p, test)
        }
    };
    let better = |verdict: Conclusion| {
        if metric.unit().is_some() {
            verdict.reversed()
        } else {
            verdict
        }
    };
    Ok(MetricDifference {
        protocol: pairs.protocol.clone(),
        metric,
        values,
        untrained,
        runs,
        difference,
        p,
        test,
        samples: paired.samples() as u64,
        seeds: pairs.seeds().len() as u64,
        folds: pairs.folds() as u64,
        verdict: better(Conclusion::of(interval.as_ref(), p)),
        detectable: spread.map(|spread| spread.detectable(LEVEL)),
        interval,
    })
}

#[cfg(test)]
mod tests;
