//! The codebook table: how each level's codes are used after each phase.

use super::runs::{self, Group, RowLabels};
use super::{Cell, Heading, Style, Table, mean_cell};
use crate::codes::CodebookStatistics;
use crate::record::{RunRecord, mark};
use std::collections::BTreeSet;

/// Usage, perplexity, entropy and dead codes of every level after every phase, averaged over the
/// seeds and folds of a plan. A pretraining that several records share counts once.
pub fn codebook_table(records: &[RunRecord]) -> Table {
    let (runs, left_out) = runs::pretrainings(records);
    let groups = runs::groups(&runs, |run| vec![run.task().to_string()]);
    let labels = RowLabels::of(&groups);
    let averaged = groups.iter().flat_map(Group::by_task).any(|(_, runs)| runs.len() > 1);

    let mut header = vec![Heading::key("task")];
    header.extend(labels.header());
    header.extend(["phase", "level"].map(Heading::key));
    header.push(Heading::word("codes"));
    header.push(Heading::new("usage (%)", "usage"));
    header.push(Heading::word("perplexity"));
    header.push(Heading::new("entropy (bits)", "entropy_bits"));
    header.extend(["dead"].map(Heading::word));
    header.extend(averaged.then(|| Heading::word("runs")));
    let mut rows = Vec::new();
    for group in &groups {
        for (task, runs) in group.by_task() {
            let signs = mark::signs(&mark::marks_of(runs.iter().copied()));
            for (phase, level) in levels(&runs) {
                let mut row = vec![Cell::new(format!("{task}{signs}"), task)];
                row.extend(labels.cells(group));
                row.extend(level_cells(&runs, &phase, level, averaged));
                rows.push(row);
            }
        }
    }
    let mut notes = labels.notes(left_out, Style::Full);
    if averaged {
        notes.push("mean over the runs, ±: sample standard deviation".into());
    }
    if !rows.is_empty() {
        notes.push(
            "codes of the training data after each phase; perplexity = 2^entropy; dead: codes never chosen".into(),
        );
    }
    notes.extend(mark::marks_of(runs.iter().copied()).into_iter().map(mark::Mark::note));
    Table {
        title: "Codebooks".into(),
        header,
        rows,
        notes,
    }
}

/// The phases and levels of these runs, in order.
fn levels(runs: &[&RunRecord]) -> Vec<(String, usize)> {
    let mut seen = BTreeSet::new();
    let all = runs
        .iter()
        .flat_map(|run| &run.phases)
        .flat_map(|phase| (0..phase.codebooks.len()).map(|level| (phase.name.clone(), level)));
    all.filter(|place| seen.insert(place.clone())).collect()
}

fn level_cells(runs: &[&RunRecord], phase: &str, level: usize, averaged: bool) -> Vec<Cell> {
    let found: Vec<&CodebookStatistics> = runs
        .iter()
        .filter_map(|run| run.phases.iter().find(|p| p.name == phase)?.codebooks.get(level))
        .collect();
    let average = |decimals: usize, scale: f64, of: &dyn Fn(&CodebookStatistics) -> f64| {
        let values: Vec<f64> = found.iter().map(|statistics| of(statistics)).collect();
        mean_cell(&values, decimals, scale, "")
    };
    // K is a value of the plan and equal in all runs
    let codes = found.first().map_or_else(Cell::missing, |statistics| {
        Cell::new(statistics.codes.to_string(), statistics.codes)
    });
    let mut cells = vec![Cell::word(phase), Cell::new((level + 1).to_string(), level + 1), codes];
    cells.push(average(1, 100.0, &|statistics| statistics.usage));
    cells.push(average(1, 1.0, &|statistics| statistics.perplexity));
    cells.push(average(2, 1.0, &|statistics| statistics.entropy_bits));
    cells.push(average(if found.len() > 1 { 1 } else { 0 }, 1.0, &|statistics| {
        statistics.dead as f64
    }));
    if averaged {
        cells.push(Cell::new(found.len().to_string(), found.len()));
    }
    cells
}
