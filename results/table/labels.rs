//! The table of labels: what the labels of all levels say together, and how they change over
//! phases.

use super::runs::{self, Group, RowLabels};
use super::{Cell, Heading, Table, mean_cell};
use crate::codes::labels::{LabelChange, LabelStatistics};
use crate::record::{Phase, RunRecord, mark};
use crate::stats;
use std::collections::{BTreeSet, HashSet};

/// One row per phase: the joint entropy beside the sum over levels and, by level, the information
/// about class and place and the change since the previous labelling, averaged over the seeds and
/// folds of a plan. None if no record has such statistics.
pub fn label_table(records: &[RunRecord]) -> Option<Table> {
    let (runs, left_out) = runs::pretrainings(records);
    if !runs
        .iter()
        .flat_map(|run| &run.phases)
        .any(|phase| phase.labels.is_some())
    {
        return None;
    }
    let groups = runs::groups(&runs, |run| vec![run.task().to_string()]);
    let labels = RowLabels::of(&groups);
    let averaged = groups.iter().flat_map(Group::by_task).any(|(_, runs)| runs.len() > 1);
    let known = known(&runs);
    let mut rows = Vec::new();
    for group in &groups {
        for (task, runs) in group.by_task() {
            let signs = mark::signs(&mark::marks_of(runs.iter().copied()));
            for name in phases(&runs) {
                let mut row = vec![Cell::new(format!("{task}{signs}"), task)];
                row.extend(labels.cells(group));
                row.push(Cell::word(name));
                row.extend(phase_cells(&runs, name, &known, averaged));
                rows.push(row);
            }
        }
    }
    let mut header = vec![Heading::word("task")];
    header.extend(labels.header());
    header.extend(headings(&known));
    header.extend(averaged.then(|| Heading::word("runs")));
    let mut notes = labels.notes(left_out);
    notes.extend(NOTES.map(str::to_owned));
    if !known.is_empty() {
        let names = known.join(", ");
        notes.push(format!(
            "{names}: mutual information of a code with this annotation of its frame; first level first"
        ));
    }
    if averaged {
        notes.push("means over the runs, ±: sample standard deviation; by level only the means".into());
    }
    notes.extend(mark::marks_of(runs.iter().copied()).into_iter().map(mark::Mark::note));
    Some(Table {
        title: "Labels".into(),
        header,
        rows,
        notes,
    })
}

const NOTES: [&str; 4] = [
    "tuples: distinct combinations of codes over all levels; joint: their entropy, at most the sum over levels",
    "class, place: mutual information of a code with the sample's class and the token's place; first level first",
    "changed: share of tokens whose code differs from the previous labelling; a new codebook renumbers its codes",
    "kept: mutual information of a token's code before and after; independent of code numbers",
];

/// The names of the annotations in any of these runs.
fn known<'a>(runs: &[&'a RunRecord]) -> Vec<&'a str> {
    let phases = runs.iter().flat_map(|run| &run.phases);
    let labels = phases.filter_map(|phase| phase.labels.as_ref());
    let names: BTreeSet<&str> = labels
        .flat_map(|labels| labels.annotations.keys())
        .map(String::as_str)
        .collect();
    names.into_iter().collect()
}

fn headings(known: &[&str]) -> Vec<Heading> {
    let mut headings = vec![
        Heading::word("phase"),
        Heading::word("tokens"),
        Heading::new("tuples", "joint_used"),
        Heading::new("joint\n(bits)", "joint_entropy_bits"),
        Heading::new("sum\n(bits)", "sum_entropy_bits"),
        Heading::new("class\n(bits)", "class_information_bits"),
        Heading::new("place\n(bits)", "place_information_bits"),
    ];
    headings.extend(
        known
            .iter()
            .map(|name| Heading::new(format!("{name}\n(bits)"), format!("{name}_information_bits"))),
    );
    headings.extend([
        Heading::new("changed\n(%)", "changed"),
        Heading::new("kept\n(bits)", "kept_information_bits"),
    ]);
    headings
}

/// The phases with codebooks of these runs, in order.
fn phases<'a>(runs: &[&'a RunRecord]) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let phases = runs.iter().flat_map(|run| &run.phases);
    let names = phases
        .filter(|phase| !phase.codebooks.is_empty())
        .map(|phase| phase.name.as_str());
    names.filter(|name| seen.insert(*name)).collect()
}

fn phase_cells(runs: &[&RunRecord], name: &str, known: &[&str], averaged: bool) -> Vec<Cell> {
    let found = runs
        .iter()
        .filter_map(|run| run.phases.iter().find(|phase| phase.name == name));
    let found: Vec<&Phase> = found.collect();
    let labels: Vec<&LabelStatistics> = found.iter().filter_map(|phase| phase.labels.as_ref()).collect();
    let change: Vec<&LabelChange> = labels.iter().filter_map(|labels| labels.change.as_ref()).collect();
    let sums = found
        .iter()
        .map(|phase| phase.codebooks.iter().map(|level| level.entropy_bits).sum());
    let mean = |values: Vec<f64>, decimals: usize| mean_cell(&values, decimals, 1.0, "");
    let by_level = |of: fn(&LabelStatistics) -> &[f64]| list(labels.iter().map(|labels| of(labels)).collect(), 2, 1.0);
    let mut cells = vec![
        mean(labels.iter().map(|labels| labels.tokens as f64).collect(), 0),
        mean(labels.iter().map(|labels| labels.joint_used as f64).collect(), 0),
        mean(labels.iter().map(|labels| labels.joint_entropy_bits).collect(), 2),
        mean(sums.collect(), 2),
        by_level(|labels| &labels.class_information_bits),
        by_level(|labels| &labels.place_information_bits),
    ];
    cells.extend(known.iter().map(|&name| {
        let known = labels.iter().filter_map(|labels| labels.annotations.get(name));
        list(known.map(|known| &known.information_bits[..]).collect(), 2, 1.0)
    }));
    cells.extend([
        list(change.iter().map(|change| &change.changed[..]).collect(), 0, 100.0),
        list(
            change.iter().map(|change| &change.kept_information_bits[..]).collect(),
            2,
            1.0,
        ),
    ]);
    cells.extend(averaged.then(|| Cell::new(found.len().to_string(), found.len())));
    cells
}

/// The means of each level, beside each other.
fn list(runs: Vec<&[f64]>, decimals: usize, scale: f64) -> Cell {
    let levels = runs.iter().map(|levels| levels.len()).max().unwrap_or(0);
    let of_level = |level: usize| -> Vec<f64> { runs.iter().filter_map(|levels| levels.get(level).copied()).collect() };
    let means: Vec<f64> = (0..levels).filter_map(|level| stats::mean(&of_level(level))).collect();
    if means.is_empty() {
        return Cell::missing();
    }
    let text: Vec<String> = means
        .iter()
        .map(|mean| format!("{:.decimals$}", mean * scale))
        .collect();
    Cell::new(text.join(" "), means)
}
