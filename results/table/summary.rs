//! The runs of one cell of scores: their mean, its interval, and how both are written.

use super::scores::{LEVEL, ScoreColumn, decimals, scale};
use super::{Cell, Style, paper};
use crate::evidence::Evidence;
use crate::metric::Metric;
use crate::record::mark::{self, Mark};
use crate::record::{RunRecord, Score, plural};
use crate::stats::{self, Interval, Spread};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The runs of this task with a score of this protocol and metric, each seed of each fold once: of
/// several plans that share a row, the run that ended last counts.
pub(super) fn scored<'a>(
    runs: &[&'a RunRecord],
    task: &str,
    protocol: &str,
    metric: &str,
) -> Vec<(&'a RunRecord, &'a Score)> {
    let mut found: BTreeMap<(u64, Option<u8>), (&RunRecord, &Score)> = BTreeMap::new();
    for &run in runs.iter().filter(|run| run.task() == task) {
        let Some(score) = run.score(protocol, metric) else {
            continue;
        };
        let known = found.entry((run.seed, run.fold)).or_insert((run, score));
        if run.finished > known.0.finished {
            *known = (run, score);
        }
    }
    found.into_values().collect()
}

/// The runs of one cell, summarised.
pub(crate) struct Summary {
    metric: String,
    /// Values of all runs, or None if one of them is undefined.
    values: Option<Vec<f64>>,
    reason: Option<String>,
    /// What the runs are: seeds, folds, both.
    over: String,
    /// Test samples, each counted once however many seeds were run.
    samples: u64,
    spread: Option<Spread>,
    interval: Option<Interval>,
    /// Whether the spread is from predictions, not from the runs' own intervals.
    has_evidence: bool,
    /// Runs of several that did not train.
    untrained: usize,
    marks: Vec<Mark>,
    /// Identities of the runs' data.
    data: BTreeSet<String>,
}

impl Summary {
    pub(crate) fn of(
        runs: &[&RunRecord],
        (task, (_, protocol), (_, metric)): &ScoreColumn,
        evidence: &Evidence,
    ) -> Option<Self> {
        let scored = scored(runs, task, protocol, metric);
        let (_, only) = scored.first()?;
        let mut by_fold: BTreeMap<Option<u8>, Vec<&Score>> = BTreeMap::new();
        for (run, score) in &scored {
            by_fold.entry(run.fold).or_default().push(score);
        }
        let seeds: BTreeSet<u64> = scored.iter().map(|(run, _)| run.seed).collect();
        let counted = |count: usize, noun: &str| format!("{count} {}", plural(count, noun));
        let over = match (seeds.len(), by_fold.len()) {
            (seeds, 1) => counted(seeds, "seed"),
            (1, folds) => counted(folds, "fold"),
            (seeds, folds) if seeds * folds == scored.len() => {
                format!("{} x {}", counted(seeds, "seed"), counted(folds, "fold"))
            }
            _ => counted(scored.len(), "run"),
        };
        let samples_of = |scores: &Vec<&Score>| scores.iter().map(|score| score.n).max().unwrap_or(0);
        let samples = by_fold.values().map(samples_of).sum();
        let own: Vec<&RunRecord> = scored.iter().map(|(run, _)| *run).collect();
        let found = evidence.spread(&own, protocol, metric);
        let has_evidence = found.is_some();
        let spread = found.or_else(|| without_evidence(&by_fold, samples));
        let interval = match (scored.len(), has_evidence) {
            (1, false) => only.interval.clone(),
            _ => spread
                .as_ref()
                .zip(Metric::named(metric))
                .map(|(spread, metric)| spread.interval(metric, LEVEL)),
        };
        Some(Self {
            metric: metric.clone(),
            values: scored.iter().map(|(_, score)| score.value).collect(),
            reason: scored
                .iter()
                .find(|(_, score)| score.value.is_none())
                .map(|(_, score)| score.reason.clone().unwrap_or_else(|| "no reason recorded".into())),
            over,
            samples,
            spread,
            interval,
            has_evidence,
            untrained: evidence.untrained(&own, protocol),
            data: scored.iter().map(|(run, _)| run.data.identity()).collect(),
            marks: mark::marks_of(own.iter().copied())
                .into_iter()
                .chain(mark::of_protocol(&own, protocol))
                .collect(),
        })
    }

    pub(crate) fn values(&self) -> Option<&[f64]> {
        self.values.as_deref()
    }

    pub(crate) fn interval(&self) -> Option<&Interval> {
        self.interval.as_ref().filter(|_| self.untrained == 0)
    }

    /// The spread of the mean over several runs that all trained.
    pub(super) fn method_spread(&self) -> Option<&Spread> {
        self.spread
            .as_ref()
            .filter(|spread| spread.runs > 1 && self.untrained == 0)
    }

    /// Test samples, each counted once.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Whether its interval is over the samples of one run, and says nothing of other runs.
    pub(super) fn is_one_run(&self) -> bool {
        self.runs() == 1
    }

    pub(super) fn has_evidence(&self) -> bool {
        self.has_evidence
    }

    /// Runs of several that did not train.
    pub(super) fn untrained(&self) -> usize {
        self.untrained
    }

    /// Why it has no value.
    pub(super) fn reason(&self) -> Option<&String> {
        self.reason.as_ref()
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Identities of the runs' data.
    pub(super) fn data(&self) -> &BTreeSet<String> {
        &self.data
    }

    /// What the runs are, in words.
    pub(crate) fn over(&self) -> &str {
        &self.over
    }

    /// The mean of the runs; the median where some did not train.
    pub(crate) fn middle(&self) -> Option<f64> {
        let values = self.values.as_ref()?;
        if self.untrained > 0 {
            stats::median(values)
        } else {
            stats::mean(values)
        }
    }

    /// The mean, if all runs trained.
    pub(super) fn mean(&self) -> Option<f64> {
        self.middle().filter(|_| self.untrained == 0)
    }

    pub(super) fn runs(&self) -> usize {
        self.values.as_ref().map_or(0, Vec::len)
    }

    /// Its cell. A paper's has the half of its interval in place of the ends.
    pub(super) fn cell(&self, style: Style) -> Cell {
        let mut cell = self.full_cell();
        if let (Style::Paper, Some(short)) = (style, self.short()) {
            cell.text = short;
        }
        cell
    }

    /// The text of a paper's cell. None without a value.
    fn short(&self) -> Option<String> {
        let (middle, signs) = (self.middle()?, mark::signs(&self.marks));
        let shown = |value: f64| format!("{:.*}", decimals(&self.metric), value * scale(&self.metric));
        if self.untrained > 0 {
            let (failed, runs) = (self.untrained, self.runs());
            return Some(format!("{} ({failed} of {runs} failed){signs}", shown(middle)));
        }
        let half = |found: &Interval| format!(" ±{}", shown((found.high - found.low) / 2.0));
        let half = self.interval.as_ref().map(half).unwrap_or_default();
        let one = if self.is_one_run() { paper::ONE_RUN } else { "" };
        Some(format!("{}{half}{one}{signs}", shown(middle)))
    }

    fn full_cell(&self) -> Cell {
        let signs = mark::signs(&self.marks);
        let marks: Vec<&str> = self.marks.iter().map(|mark| mark.name()).collect();
        let (Some(values), Some(middle)) = (&self.values, self.middle()) else {
            let value = json!({ "mean": null, "reason": self.reason, "n": self.samples, "marks": marks });
            return Cell::new(format!("undefined{signs}"), value);
        };
        let shown = |value: f64| format!("{:.*}", decimals(&self.metric), value * scale(&self.metric));
        if self.untrained > 0 {
            let all: Vec<String> = values.iter().map(|value| shown(*value)).collect();
            let failed = format!("{} of {} did not train", self.untrained, values.len());
            let value = json!({
                "mean": null, "median": middle, "values": values, "untrained": self.untrained, "runs": self.runs(),
                "n": self.samples, "marks": marks, "best": false,
            });
            let text = format!(
                "median {}{signs} of {}, {failed}, n={}",
                shown(middle),
                all.join(" "),
                self.samples
            );
            return Cell::new(text, value);
        }
        let sd = stats::sample_sd(values);
        let ends = |interval: &Interval| format!("[{}, {}]", shown(interval.low), shown(interval.high));
        let over = if values.len() > 1 {
            format!("{}, ", self.over)
        } else {
            String::new()
        };
        let spread = self.interval.as_ref().map_or_else(|| "(no interval)".into(), ends);
        let value = json!({
            "mean": middle, "sd": sd, "runs": self.runs(), "values": values, "n": self.samples,
            "interval": self.interval, "marks": marks, "best": false,
        });
        Cell::new(
            format!("{}{signs} {spread} {over}n={}", shown(middle), self.samples),
            value,
        )
    }
}

/// The spread of runs without predictions, from the intervals that they recorded. None if one of
/// several has no value or interval.
fn without_evidence(by_fold: &BTreeMap<Option<u8>, Vec<&Score>>, samples: u64) -> Option<Spread> {
    let (mut folds, mut over_samples) = (Vec::new(), Vec::new());
    for scores in by_fold.values() {
        let variance = |score: &&Score| {
            let interval = score.interval.as_ref()?;
            let quantile = stats::normal_quantile(0.5 + interval.level / 2.0);
            Some(((interval.high - interval.low) / (2.0 * quantile)).powi(2))
        };
        let values: Option<Vec<f64>> = scores.iter().map(|score| score.value).collect();
        let variances: Option<Vec<f64>> = scores.iter().map(variance).collect();
        folds.push(values?);
        over_samples.push(stats::mean(&variances?)?);
    }
    Spread::of_values(&folds, &over_samples, samples as usize)
}
