//! The main table: methods against tasks, protocols and metrics.

use super::runs::{self, RowLabels};
use super::{Cell, Heading, Table};
use crate::metric::Metric;
use crate::record::mark::{self, Mark};
use crate::record::{RunRecord, Score, plural};
use crate::stats;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Protocols in the order of their columns; others follow by name.
const PROTOCOLS: [&str; 3] = ["linear-probe", "finetune", "knn"];

/// Confidence level of intervals over seeds.
const LEVEL: f64 = 0.95;

/// Metrics in the order of their columns; others follow by name.
const METRICS: [&str; 8] = ["top1", "top5", "map", "map_all_classes", "auc", "dprime", "wer", "cer"];

/// A column: task, then protocol and metric with their rank.
pub(crate) type ScoreColumn = (String, (usize, String), (usize, String));

/// Methods against tasks, protocols and metrics. A cell holds one run's score with its interval
/// over test samples, the mean over seeds (after averaging over folds) with its t interval, or the
/// mean over folds with its standard deviation. Different plans, backends or dtypes never share a
/// cell.
pub fn main_table(records: &[RunRecord]) -> Table {
    let (runs, left_out) = runs::distinct(records);
    let columns: BTreeSet<ScoreColumn> = runs.iter().flat_map(|run| columns(run)).collect();
    let groups = runs::groups(&runs, columns_of);
    let labels = RowLabels::of(&groups);
    let summaries: Vec<Vec<Option<Summary>>> = groups
        .iter()
        .map(|group| columns.iter().map(|column| Summary::of(&group.runs, column)).collect())
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
    /// Over the test samples of a single run, or over seeds where all of them ran the same folds.
    interval: Option<stats::Interval>,
    marks: Vec<Mark>,
    /// Identities of the runs' data.
    data: BTreeSet<String>,
}

impl Summary {
    pub(crate) fn of(runs: &[&RunRecord], (task, (_, protocol), (_, metric)): &ScoreColumn) -> Option<Self> {
        let of_task = runs.iter().filter(|run| run.task() == task);
        let scored: Vec<(&RunRecord, &Score)> = of_task
            .filter_map(|run| Some((*run, run.score(protocol, metric)?)))
            .collect();
        let (_, only) = scored.first()?;
        let mut by_fold = BTreeMap::new();
        for (run, score) in &scored {
            let samples = by_fold.entry(run.fold).or_insert(0);
            *samples = score.n.max(*samples);
        }
        let mut by_seed: BTreeMap<u64, Vec<Option<f64>>> = BTreeMap::new();
        for (run, score) in &scored {
            by_seed.entry(run.seed).or_default().push(score.value);
        }
        let counted = |count: usize, noun: &str| format!("{count} {}", plural(count, noun));
        // with each seed on every fold, a seed's value is its mean over folds
        let is_full = by_seed.values().all(|values| values.len() == by_fold.len());
        let over = match (by_seed.len(), by_fold.len()) {
            (seeds, 1) => counted(seeds, "seed"),
            (1, folds) => counted(folds, "fold"),
            (seeds, folds) if is_full => format!("{} x {}", counted(seeds, "seed"), counted(folds, "fold")),
            _ => counted(scored.len(), "run"),
        };
        let of_seed = |values: &Vec<Option<f64>>| stats::mean(&values.iter().copied().collect::<Option<Vec<f64>>>()?);
        let of_seeds: Option<Vec<f64>> = by_seed.values().map(of_seed).collect();
        let interval = match scored.len() {
            1 => only.interval.clone(),
            _ if is_full => of_seeds.and_then(|values| stats::t_interval(&values, LEVEL)),
            _ => None,
        };
        Some(Self {
            metric: metric.clone(),
            values: scored.iter().map(|(_, score)| score.value).collect(),
            reason: scored
                .iter()
                .find(|(_, score)| score.value.is_none())
                .map(|(_, score)| score.reason.clone().unwrap_or_else(|| "no reason recorded".into())),
            over,
            samples: by_fold.values().sum(),
            interval,
            marks: mark::marks_of(scored.iter().map(|(run, _)| *run)),
            data: scored.iter().map(|(run, _)| run.data.identity()).collect(),
        })
    }

    pub(crate) fn values(&self) -> Option<&[f64]> {
        self.values.as_deref()
    }

    /// The interval of the mean over seeds. None for a single seed, and where seeds ran different
    /// folds.
    pub(crate) fn over_seeds(&self) -> Option<&stats::Interval> {
        self.interval.as_ref().filter(|interval| interval.method == "t")
    }

    /// What the runs are, in words.
    pub(crate) fn over(&self) -> &str {
        &self.over
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        stats::mean(self.values.as_ref()?)
    }

    fn runs(&self) -> usize {
        self.values.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn cell(&self) -> Cell {
        let signs = mark::signs(&self.marks);
        let marks: Vec<&str> = self.marks.iter().map(|mark| mark.name()).collect();
        let (Some(values), Some(mean)) = (&self.values, self.mean()) else {
            let value = json!({ "mean": null, "reason": self.reason, "n": self.samples, "marks": marks });
            return Cell::new(format!("undefined{signs}"), value);
        };
        let shown = |value: f64| format!("{:.*}", decimals(&self.metric), value * scale(&self.metric));
        let sd = stats::sample_sd(values);
        let ends = |interval: &stats::Interval| format!("[{}, {}]", shown(interval.low), shown(interval.high));
        let spread = match (sd, &self.interval) {
            (Some(_), Some(interval)) => format!(" {} t, {}, n={}", ends(interval), self.over, self.samples),
            (Some(sd), None) => format!(" ± {} ({}, n={})", shown(sd), self.over, self.samples),
            (None, Some(interval)) => format!(" {} n={}", ends(interval), self.samples),
            (None, None) => format!(" (no interval) n={}", self.samples),
        };
        let value = json!({
            "mean": mean, "sd": sd, "runs": self.runs(), "n": self.samples,
            "interval": self.interval, "marks": marks, "best": false,
        });
        Cell::new(format!("{}{signs}{spread}", shown(mean)), value)
    }
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
    let intervals: BTreeSet<String> = cells
        .iter()
        .filter_map(|cell| cell.interval.as_ref())
        .map(|interval| match &interval.method[..] {
            "t" => format!(
                "[low, high] t: {} % interval of the mean over seeds (Student's t)",
                interval.level * 100.0
            ),
            method => format!(
                "[low, high]: {} % interval of one run ({method})",
                interval.level * 100.0
            ),
        })
        .collect();
    notes.extend(intervals);
    if cells.iter().any(|cell| cell.runs() > 1 && cell.interval.is_none()) {
        notes.push("±: sample standard deviation over the runs".into());
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
