//! The main table: methods against tasks, protocols and metrics.

use super::best::{self, ColumnRow};
use super::runs::{self, Group, RowLabels};
use super::summary::Summary;
use super::{Cell, Column, Heading, Style, Table, View, difference, paper};
use crate::evidence::Evidence;
use crate::record::RunRecord;
use crate::record::mark::{self, Mark};
use crate::stats::Spread;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Protocols in the order of their columns; others follow by name.
const PROTOCOLS: [&str; 3] = ["linear-probe", "finetune", "knn"];

/// Confidence level of intervals.
pub(super) const LEVEL: f64 = 0.95;

/// Metrics in the order of their columns; others follow by name.
const METRICS: [&str; 8] = ["top1", "top5", "map", "map_all_classes", "auc", "dprime", "wer", "cer"];

/// A column: task, then protocol and metric with their rank.
pub(crate) type ScoreColumn = (String, (usize, String), (usize, String));

/// Methods against tasks, protocols and metrics. A cell holds the mean over runs with its interval
/// over runs and test samples, or one run's score with that over its samples; where some of the runs
/// did not train, the median, the values and how many. Different plans, backends or dtypes never
/// share a cell. A second table has the differences from the baseline, where one is named. Tables
/// for papers are split where a page would be too narrow.
pub fn score_tables(records: &[RunRecord], evidence: &Evidence, view: &View) -> Vec<Table> {
    let (runs, left_out) = runs::distinct(records);
    let groups = runs::groups(&runs, columns_of);
    let all: BTreeSet<ScoreColumn> = runs.iter().flat_map(|run| columns(run)).collect();
    let baselines = view.baselines(&groups);
    let (groups, columns) = view.chosen(groups, all.into_iter().collect());
    let labels = RowLabels::of(&groups);
    let table = |columns: &[ScoreColumn]| main_table(&groups, &labels, columns, evidence, view.style, left_out);
    let mut tables = match view.style {
        Style::Full => vec![table(&columns)],
        Style::Paper => {
            // each part has the notes of its own cells
            let header: Vec<Heading> = columns.iter().map(heading).collect();
            let chunks = paper::chunks(&header).into_iter();
            let columns = chunks.map(|chunk| {
                chunk
                    .into_iter()
                    .map(|place| columns[place].clone())
                    .collect::<Vec<_>>()
            });
            let parts = columns.flat_map(|columns| paper::parts(table(&columns), &labels.shared));
            paper::numbered(parts.collect())
        }
    };
    if !baselines.is_empty() {
        tables.extend(difference::tables(
            &groups, &labels, &baselines, &columns, evidence, view.style,
        ));
    }
    tables
}

fn main_table(
    groups: &[Group],
    labels: &RowLabels,
    columns: &[ScoreColumn],
    evidence: &Evidence,
    style: Style,
    left_out: usize,
) -> Table {
    let of_group = |group: &Group| -> Vec<Option<Summary>> {
        let of_column = |column| Summary::of(&group.runs, column, evidence);
        columns.iter().map(of_column).collect()
    };
    let summaries: Vec<Vec<Option<Summary>>> = groups.iter().map(of_group).collect();
    let mut rows: Vec<Vec<Cell>> = groups.iter().map(|group| labels.cells(group)).collect();
    for (i, column) in columns.iter().enumerate() {
        let of_column = groups.iter().zip(&summaries);
        let of_column: Vec<ColumnRow> = of_column
            .map(|(group, cells)| (&group.runs[..], cells[i].as_ref()))
            .collect();
        push_column(&mut rows, &of_column, column, evidence, style);
    }
    let mut header = labels.header();
    header.extend(columns.iter().map(heading));
    let has_column = |run: &&RunRecord| columns.iter().any(|column| column.0 == run.task());
    let runs = groups.iter().flat_map(|group| group.runs.iter().copied());
    let runs: Vec<&RunRecord> = runs.filter(has_column).collect();
    let mut notes = data_notes(&runs);
    notes.extend(labels.notes(left_out, style));
    notes.extend(cell_notes(summaries.iter().flatten().flatten(), style));
    if style == Style::Full {
        let cells = summaries.iter().flat_map(|row| columns.iter().zip(row));
        notes.extend(could_show(
            cells.filter_map(|(column, cell)| Some((column, cell.as_ref()?))),
        ));
    }
    notes.extend(mark::missing(&runs));
    notes.extend(mark::shared_root(&runs));
    Table {
        title: "Scores".into(),
        header,
        rows,
        notes,
    }
}

/// Adds this column to the rows, the best and what is not told from it marked.
pub(super) fn push_column(
    rows: &mut [Vec<Cell>],
    column_rows: &[ColumnRow],
    column: &ScoreColumn,
    evidence: &Evidence,
    style: Style,
) {
    let marked = best::marked(column_rows, column, evidence, style);
    for (i, (row, (_, summary))) in rows.iter_mut().zip(column_rows).enumerate() {
        let mut cell = summary.map_or_else(Cell::missing, |summary| summary.cell(style));
        if marked.contains(&i) {
            (cell.best, cell.value["best"]) = (true, Value::Bool(true));
        }
        row.push(cell);
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
    Heading {
        column: Column::Score([task, protocol, metric].map(String::clone)),
        ..Heading::new(
            format!("{task}\n{protocol}\n{metric}{unit}"),
            format!("{task} {protocol} {metric}"),
        )
    }
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
pub(super) fn cell_notes<'a>(cells: impl Iterator<Item = &'a Summary>, style: Style) -> Vec<String> {
    let cells: Vec<&Summary> = cells.collect();
    let mut notes = Vec::new();
    let is_marked = |cell: &Summary| style == Style::Paper && cell.is_one_run();
    let words = |cell: &&Summary| Some((is_marked(cell), cell.interval()?.words()));
    let intervals: BTreeSet<(bool, String)> = cells.iter().filter_map(words).collect();
    notes.extend(
        intervals
            .into_iter()
            .map(|(is_marked, words)| match (style, is_marked) {
                (Style::Full, _) => format!("[low, high]: {words}"),
                (Style::Paper, false) => format!("±: half the width of the {words}"),
                (Style::Paper, true) => format!("±{}: half the width of the {words}", paper::ONE_RUN),
            }),
    );
    if cells
        .iter()
        .any(|cell| cell.runs() > 1 && !cell.has_evidence() && cell.interval().is_some())
    {
        notes.push("runs without predictions beside their records: interval from the runs' own intervals".into());
    }
    if cells.iter().any(|cell| cell.untrained() > 0) {
        let name = match style {
            Style::Full => "did not train",
            Style::Paper => "failed (the cell is the median)",
        };
        notes.push(format!(
            "{name}: no better than an output that ignores its input (the most frequent class, AUC 0.5, word \
             errors from 90 %), far from the other runs; no mean and no interval"
        ));
    }
    if !cells.is_empty() {
        notes.push(match style {
            Style::Full => {
                "n: test samples; * or bold: best mean of its column, which is no test of a difference".into()
            }
            Style::Paper => paper::BOLD.into(),
        });
    }
    let reasons: BTreeSet<&String> = cells.iter().filter_map(|cell| cell.reason()).collect();
    notes.extend(reasons.into_iter().map(|reason| format!("undefined: {reason}")));
    let marks: BTreeSet<Mark> = cells.iter().flat_map(|cell| cell.marks().iter().copied()).collect();
    notes.extend(marks.into_iter().map(Mark::note));
    notes
}
