//! The main table: methods against tasks, protocols and metrics.

use super::runs::{self, RowLabels};
use super::{Cell, Heading, Table};
use crate::evidence::Evidence;
use crate::metric::Metric;
use crate::record::mark::{self, Mark};
use crate::record::{RunRecord, Score, plural};
use crate::stats::{self, Interval, Spread};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Protocols in the order of their columns; others follow by name.
const PROTOCOLS: [&str; 3] = ["linear-probe", "finetune", "knn"];

/// Confidence level of intervals.
const LEVEL: f64 = 0.95;

/// Metrics in the order of their columns; others follow by name.
const METRICS: [&str; 8] = ["top1", "top5", "map", "map_all_classes", "auc", "dprime", "wer", "cer"];

/// A column: task, then protocol and metric with their rank.
pub(crate) type ScoreColumn = (String, (usize, String), (usize, String));

/// A run that learned nothing did not train if it is also this many standard deviations of the
/// other runs away from their mean. Low scores that vary much are not set apart.
const APART: f64 = 4.0;

/// Methods against tasks, protocols and metrics. A cell holds the mean over runs with its interval
/// over runs and test samples, or one run's score with that over its samples; where some of the runs
/// did not train, the median, the values and how many. Different plans, backends or dtypes never
/// share a cell.
pub fn main_table(records: &[RunRecord], evidence: &Evidence) -> Table {
    let (runs, left_out) = runs::distinct(records);
    let columns: BTreeSet<ScoreColumn> = runs.iter().flat_map(|run| columns(run)).collect();
    let groups = runs::groups(&runs, columns_of);
    let labels = RowLabels::of(&groups);
    let summaries: Vec<Vec<Option<Summary>>> = groups
        .iter()
        .map(|group| {
            let of_column = |column| Summary::of(&group.runs, column, evidence);
            columns.iter().map(of_column).collect()
        })
        .collect();

    let mut rows = Vec::new();
    for (group, summaries) in groups.iter().zip(&summaries) {
        let mut row = labels.cells(group);
        row.extend(
            summaries
                .iter()
                .map(|summary| summary.as_ref().map_or_else(Cell::missing, Summary::cell)),
        );
        rows.push(row);
    }
    let first = labels.header().len();
    for (i, column) in columns.iter().enumerate() {
        let of_column: Vec<Option<&Summary>> = summaries.iter().map(|row| row[i].as_ref()).collect();
        for best in best(&of_column, &column.2.1) {
            rows[best][first + i].best = true;
            rows[best][first + i].value["best"] = Value::Bool(true);
        }
    }

    let mut header = labels.header();
    header.extend(columns.iter().map(heading));
    let mut notes = data_notes(&runs);
    notes.extend(labels.notes(left_out));
    notes.extend(cell_notes(summaries.iter().flatten().flatten()));
    let cells = summaries.iter().flat_map(|row| columns.iter().zip(row));
    notes.extend(could_show(
        cells.filter_map(|(column, cell)| Some((column, cell.as_ref()?))),
    ));
    notes.extend(mark::missing(&runs));
    Table {
        title: "Scores".into(),
        header,
        rows,
        notes,
    }
}

fn columns_of(run: &RunRecord) -> Vec<ScoreColumn> {
    columns(run).collect()
}

/// The columns that a run fills.
pub(crate) fn columns(run: &RunRecord) -> impl Iterator<Item = ScoreColumn> {
    let rank = |known: &[&str], name: &str| {
        (
            known.iter().position(|word| *word == name).unwrap_or(known.len()),
            name.to_string(),
        )
    };
    run.scores.iter().map(move |score| {
        (
            run.task().to_string(),
            rank(&PROTOCOLS, &score.protocol),
            rank(&METRICS, &score.metric),
        )
    })
}

/// The heading of a column of scores.
pub(super) fn heading((task, (_, protocol), (_, metric)): &ScoreColumn) -> Heading {
    let unit = if scale(metric) == 1.0 { "" } else { " (%)" };
    Heading::new(
        format!("{task}\n{protocol}\n{metric}{unit}"),
        format!("{task} {protocol} {metric}"),
    )
}

/// Factor from a value to its display: per cent for fractions.
pub(crate) fn scale(metric: &str) -> f64 {
    if metric == "dprime" { 1.0 } else { 100.0 }
}

/// Decimals on display: as many as a few hundred test samples can resolve.
pub(crate) fn decimals(metric: &str) -> usize {
    if metric == "dprime" { 3 } else { 1 }
}

/// The differences that rows of each column could have shown.
pub(super) fn could_show<'a>(cells: impl Iterator<Item = (&'a ScoreColumn, &'a Summary)>) -> Option<String> {
    let mut columns: BTreeMap<&ScoreColumn, Vec<&Spread>> = BTreeMap::new();
    for (column, summary) in cells {
        columns.entry(column).or_default().extend(summary.method_spread());
    }
    let of_column = |(column, spreads): (&ScoreColumn, Vec<&Spread>)| {
        let (task, (_, protocol), (_, metric)) = column;
        let pairs = spreads
            .iter()
            .enumerate()
            .flat_map(|(i, a)| spreads[..i].iter().map(|b| a.minus(b)));
        let mut found: Vec<f64> = pairs.map(|pair| pair.detectable(LEVEL)).collect();
        found.sort_by(f64::total_cmp);
        let shown = |value: &f64| format!("{:.*}", decimals(metric), value * scale(metric));
        let ends = match (shown(found.first()?), shown(found.last()?)) {
            (low, high) if low == high => low,
            (low, high) => format!("{low} to {high}"),
        };
        Some(format!("{task} {protocol} {metric} {ends}"))
    };
    let found: Vec<String> = columns.into_iter().filter_map(of_column).collect();
    let words = "two rows of several runs could show (true difference that 80 of 100 such unpaired comparisons would show, \
                 two-sided test at 5 %)";
    (!found.is_empty()).then(|| format!("{words}: {}", found.join("; ")))
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
        let of_task = runs.iter().filter(|run| run.task() == task);
        let scored: Vec<(&RunRecord, &Score)> = of_task
            .filter_map(|run| Some((*run, run.score(protocol, metric)?)))
            .collect();
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
            untrained: untrained(&own, protocol, evidence),
            data: scored.iter().map(|(run, _)| run.data.identity()).collect(),
            marks: mark::marks_of(own),
        })
    }

    pub(crate) fn values(&self) -> Option<&[f64]> {
        self.values.as_deref()
    }

    pub(crate) fn interval(&self) -> Option<&Interval> {
        self.interval.as_ref().filter(|_| self.untrained == 0)
    }

    /// The spread of the mean over several runs that all trained.
    fn method_spread(&self) -> Option<&Spread> {
        self.spread
            .as_ref()
            .filter(|spread| spread.runs > 1 && self.untrained == 0)
    }

    /// Test samples, each counted once.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// What the runs are, in words.
    pub(crate) fn over(&self) -> &str {
        &self.over
    }

    /// The mean of the runs; the median where some did not train.
    pub(crate) fn middle(&self) -> Option<f64> {
        let values = self.values.as_ref()?;
        if self.untrained > 0 {
            median(values)
        } else {
            stats::mean(values)
        }
    }

    /// The mean, if all runs trained.
    fn mean(&self) -> Option<f64> {
        self.middle().filter(|_| self.untrained == 0)
    }

    fn runs(&self) -> usize {
        self.values.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn cell(&self) -> Cell {
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

/// How many of several runs did not train: fewer than half, unlike the others. 0 without evidence.
fn untrained(runs: &[&RunRecord], protocol: &str, evidence: &Evidence) -> usize {
    let found: Option<Vec<(f64, bool)>> = runs.iter().map(|run| evidence.learned_nothing(run, protocol)).collect();
    let (without, with): (Vec<_>, Vec<_>) = found.unwrap_or_default().into_iter().partition(|(_, nothing)| *nothing);
    let with: Vec<f64> = with.into_iter().map(|(value, _)| value).collect();
    let (Some(mean), Some(sd)) = (stats::mean(&with), stats::sample_sd(&with)) else {
        return 0;
    };
    let is_apart = without.iter().all(|(value, _)| (value - mean).abs() > APART * sd);
    if is_apart && without.len() < with.len() {
        without.len()
    } else {
        0
    }
}

fn median(values: &[f64]) -> Option<f64> {
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

/// The rows with the best mean of a column. None if there is nothing to compare; numbers from other
/// data than their neighbours do not compete.
pub(super) fn best(column: &[Option<&Summary>], metric: &str) -> Vec<usize> {
    let sign = if Metric::is_error(metric) { -1.0 } else { 1.0 };
    let candidates = |other_data: bool| -> Vec<(usize, f64)> {
        let means = column.iter().enumerate().filter_map(|(row, summary)| {
            let summary = (*summary)?;
            let is_other = summary.marks.iter().any(|mark| mark.is_other_data());
            if is_other == other_data {
                Some((row, sign * summary.mean()?))
            } else {
                None
            }
        });
        means.collect()
    };
    let plain = candidates(false);
    let candidates = if plain.is_empty() { candidates(true) } else { plain };
    let data: BTreeSet<&String> = candidates
        .iter()
        .filter_map(|(row, _)| column[*row])
        .flat_map(|summary| &summary.data)
        .collect();
    if candidates.len() < 2 || data.len() > 1 {
        return Vec::new();
    }
    let top = candidates
        .iter()
        .map(|(_, mean)| *mean)
        .fold(f64::NEG_INFINITY, f64::max);
    candidates
        .into_iter()
        .filter(|(_, mean)| *mean == top)
        .map(|(row, _)| row)
        .collect()
}

/// The data variant of each task, with the methods where they differ in it.
fn data_notes(runs: &[&RunRecord]) -> Vec<String> {
    let mut tasks: BTreeMap<&str, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.scores.is_empty()) {
        let variants = tasks.entry(run.task()).or_default();
        variants.entry(&run.data.variant).or_default().insert(run.method_name());
    }
    let note = |(task, variants): (&str, BTreeMap<&str, BTreeSet<String>>)| {
        let several = variants.len() > 1;
        let named = variants.into_iter().map(|(variant, methods)| {
            let methods = methods.into_iter().collect::<Vec<_>>().join(", ");
            if several {
                format!("{variant} ({methods})")
            } else {
                variant.to_string()
            }
        });
        format!("{task} data: {}", named.collect::<Vec<_>>().join("; "))
    };
    tasks.into_iter().map(note).collect()
}

/// What a reader of these cells needs to know.
pub(super) fn cell_notes<'a>(cells: impl Iterator<Item = &'a Summary>) -> Vec<String> {
    let cells: Vec<&Summary> = cells.collect();
    let mut notes = Vec::new();
    let intervals = cells.iter().filter_map(|cell| cell.interval());
    let intervals: BTreeSet<String> = intervals
        .map(|found| format!("[low, high]: {}", found.words()))
        .collect();
    notes.extend(intervals);
    if cells
        .iter()
        .any(|cell| cell.runs() > 1 && !cell.has_evidence && cell.interval().is_some())
    {
        notes.push("runs without predictions beside their records: interval from the runs' own intervals".into());
    }
    if cells.iter().any(|cell| cell.untrained > 0) {
        notes.push(
            "did not train: no better than an output that ignores its input (the most frequent class, AUC 0.5, word \
             errors from 90 %), far from the other runs; no mean and no interval"
                .into(),
        );
    }
    if !cells.is_empty() {
        notes.push("n: test samples; * or bold: best mean of its column, which is no test of a difference".into());
    }
    let reasons: BTreeSet<&String> = cells.iter().filter_map(|cell| cell.reason.as_ref()).collect();
    notes.extend(reasons.into_iter().map(|reason| format!("undefined: {reason}")));
    let marks: BTreeSet<Mark> = cells.iter().flat_map(|cell| cell.marks.iter().copied()).collect();
    notes.extend(marks.into_iter().map(Mark::note));
    notes
}
