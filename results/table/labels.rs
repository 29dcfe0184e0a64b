//! The table of labels: what the labels of all levels say together, and how they change over
//! phases.

use super::runs::{self, Group, RowLabels};
use super::{Cell, Heading, Style, Table, mean_cell};
use crate::codes::labels::{LabelChange, LabelStatistics};
use crate::record::{Phase, RunRecord, mark};
use crate::stats;
use serde_json::Value;
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
    let known = Known::of(&runs);
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
    let mut header = vec![Heading::key("task")];
    header.extend(labels.header());
    header.extend(headings(&known));
    header.extend(averaged.then(|| Heading::word("runs")));
    let mut notes = labels.notes(left_out, Style::Full);
    notes.push(tuples_note(&runs));
    notes.extend(NOTES.map(str::to_owned));
    if known.shuffled {
        notes.push(SHUFFLED.to_owned());
    }
    if !known.annotations.is_empty() {
        let names = known.annotations.join(", ");
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

/// What tuples are, and what limits their entropy.
fn tuples_note(runs: &[&RunRecord]) -> String {
    let limit = if runs.iter().all(|run| takes_one_code(run)) {
        ", at most the sum over levels"
    } else {
        "; it can be above the sum over levels, because a token takes several codes of a level: tuples hold all of them, and \
         the sum counts each level once"
    };
    format!("tuples: distinct combinations of codes over all levels; joint: their entropy{limit}")
}

/// Whether a token takes one code of each level in all phases.
fn takes_one_code(run: &RunRecord) -> bool {
    let sections = ["quantizer", "pretrain.encoder", "pretrain.tokenizer"];
    let counts = sections.map(|section| run.plan.get(&format!("{section}.soft_codes")));
    let is_one = |count: &Value| count.as_u64().is_none_or(|count| count <= 1);
    counts.into_iter().flatten().all(is_one)
}

const NOTES: [&str; 3] = [
    "class, place: mutual information of a code with the sample's class and the token's place; first level first",
    "changed: share of tokens whose code differs from the previous labelling; a new codebook renumbers its codes",
    "kept: mutual information of a token's code before and after; independent of code numbers",
];

const SHUFFLED: &str = "shuffled: the same estimate where there is nothing to tell: classes shuffled over whole sources, places \
                        turned within their sample, annotations and earlier codes of other samples";

/// What any of these runs has of labels beside what all have.
struct Known<'a> {
    /// The names of the annotations.
    annotations: Vec<&'a str>,
    /// Whether information has a shuffled baseline.
    shuffled: bool,
}

impl<'a> Known<'a> {
    fn of(runs: &[&'a RunRecord]) -> Self {
        let phases = || runs.iter().flat_map(|run| &run.phases);
        let labels = || phases().filter_map(|phase| phase.labels.as_ref());
        let names = labels().flat_map(|labels| labels.annotations.keys());
        let names: BTreeSet<&str> = names.map(String::as_str).collect();
        Self {
            annotations: names.into_iter().collect(),
            shuffled: labels().any(|labels| !labels.place_information_shuffled_bits.is_empty()),
        }
    }
}

fn headings(known: &Known<'_>) -> Vec<Heading> {
    let information = |name: &str| {
        let value = Heading::new(format!("{name}\n(bits)"), format!("{name}_information_bits"));
        let shuffled = || Heading::new("shuffled\n(bits)", format!("{name}_information_shuffled_bits"));
        [Some(value), known.shuffled.then(shuffled)].into_iter().flatten()
    };
    let mut headings = vec![
        Heading::key("phase"),
        Heading::word("tokens"),
        Heading::new("tuples", "joint_used"),
        Heading::new("joint\n(bits)", "joint_entropy_bits"),
        Heading::new("sum\n(bits)", "sum_entropy_bits"),
    ];
    let names = ["class", "place"].into_iter().chain(known.annotations.iter().copied());
    headings.extend(names.flat_map(information));
    headings.push(Heading::new("changed\n(%)", "changed"));
    headings.extend(information("kept"));
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

fn phase_cells(runs: &[&RunRecord], name: &str, known: &Known<'_>, averaged: bool) -> Vec<Cell> {
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
    // information and its baseline, by level
    let information = |values: Vec<&[f64]>, shuffled: Vec<&[f64]>| {
        let baseline = || list(shuffled, 2, 1.0);
        [Some(list(values, 2, 1.0)), known.shuffled.then(baseline)]
            .into_iter()
            .flatten()
    };
    let by_level =
        |of: fn(&LabelStatistics) -> &[f64]| -> Vec<&[f64]> { labels.iter().map(|labels| of(labels)).collect() };
    let changes = |of: fn(&LabelChange) -> &[f64]| -> Vec<&[f64]> { change.iter().map(|change| of(change)).collect() };
    let mut cells = vec![
        mean(labels.iter().map(|labels| labels.tokens as f64).collect(), 0),
        mean(labels.iter().map(|labels| labels.joint_used as f64).collect(), 0),
        mean(labels.iter().map(|labels| labels.joint_entropy_bits).collect(), 2),
        mean(sums.collect(), 2),
    ];
    cells.extend(information(
        by_level(|labels| &labels.class_information_bits),
        by_level(|labels| &labels.class_information_shuffled_bits),
    ));
    cells.extend(information(
        by_level(|labels| &labels.place_information_bits),
        by_level(|labels| &labels.place_information_shuffled_bits),
    ));
    for &name in &known.annotations {
        let found = || labels.iter().filter_map(|labels| labels.annotations.get(name));
        cells.extend(information(
            found().map(|known| &known.information_bits[..]).collect(),
            found().map(|known| &known.information_shuffled_bits[..]).collect(),
        ));
    }
    cells.push(list(changes(|change| &change.changed), 0, 100.0));
    cells.extend(information(
        changes(|change| &change.kept_information_bits),
        changes(|change| &change.kept_information_shuffled_bits),
    ));
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
