//! Differences between rows of scores over the seeds, folds and test samples that both have: the
//! table against a baseline, and what a plot needs of those from the best row.

use super::best::{self, ColumnRow};
use super::runs::{Group, RowLabels};
use super::scores::{self, LEVEL, ScoreColumn, decimals, scale};
use super::summary::{Summary, scored};
use super::{Cell, Series, Style, Table, paper};
use crate::evidence::Evidence;
use crate::metric::Metric;
use crate::record::RunRecord;
use crate::stats::Interval;
use serde_json::json;
use std::collections::BTreeSet;

/// A difference A - B with its 95 % interval, and the smallest one that such runs could have shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) value: f64,
    pub(crate) interval: Interval,
    pub(crate) detectable: f64,
}

impl Difference {
    /// Whether its interval shows that there is one.
    pub(super) fn is_shown(&self) -> bool {
        self.interval.low > 0.0 || self.interval.high < 0.0
    }

    fn cell(&self, metric: &str, baseline: &str, style: Style) -> Cell {
        // adding 0 turns the -0 of equal values, which would be shown with its sign
        let signed = |value: f64| format!("{:+.*}", decimals(metric), value * scale(metric) + 0.0);
        let unsigned = |value: f64| format!("{:.*}", decimals(metric), value * scale(metric));
        let Interval { low, high, .. } = &self.interval;
        let interval = match style {
            Style::Full => format!("[{}, {}]", signed(*low), signed(*high)),
            Style::Paper => format!("±{}", unsigned((high - low) / 2.0)),
        };
        let text = format!("{} {interval} ({})", signed(self.value), unsigned(self.detectable));
        let value = json!({
            "difference": self.value, "interval": self.interval, "detectable": self.detectable, "baseline": baseline
        });
        let mut cell = Cell::new(text, value);
        cell.best = self.is_shown();
        cell
    }
}

/// The difference between two rows, as `compare` computes it. None where they share no seed and
/// fold, predictions are missing, or a run did not train.
pub(super) fn paired(
    a: &[&RunRecord],
    b: &[&RunRecord],
    (task, (_, protocol), (_, metric)): &ScoreColumn,
    evidence: &Evidence,
) -> Option<Difference> {
    let [a, b] = [a, b].map(|side| {
        let scored = scored(side, task, protocol, metric);
        scored.into_iter().map(|(run, _)| run).collect::<Vec<_>>()
    });
    if [&a, &b].iter().any(|side| evidence.untrained(side, protocol) > 0) {
        return None;
    }
    let spread = evidence.difference(&a, &b, protocol, metric)?;
    Some(Difference {
        value: spread.estimate,
        interval: spread.interval_of_difference(Metric::named(metric)?, LEVEL),
        detectable: spread.detectable(LEVEL),
    })
}

/// The best series of a column, and the difference of every other from it, where they can be paired.
/// None if there is nothing to compare.
pub(crate) fn against_best(
    series: &[Series],
    column: &ScoreColumn,
    evidence: &Evidence,
) -> Option<(usize, Vec<(usize, Difference)>)> {
    let of_series = |series: &Series| Summary::of(&series.runs, column, evidence);
    let summaries: Vec<Option<Summary>> = series.iter().map(of_series).collect();
    let rows = series.iter().zip(&summaries);
    let rows: Vec<ColumnRow> = rows.map(|(series, cell)| (&series.runs[..], cell.as_ref())).collect();
    let best = best::best(&rows, &column.2.1)?;
    let others = (0..rows.len()).filter(|row| *row != best && rows[*row].1.is_some());
    let found = others.filter_map(|row| Some((row, paired(rows[row].0, rows[best].0, column, evidence)?)));
    Some((best, found.collect()))
}

/// The differences of these rows from the baseline of the same setting, or of the same backend, or
/// the only one. Empty without any.
pub(super) fn tables(
    groups: &[Group],
    labels: &RowLabels,
    baselines: &[Group],
    columns: &[ScoreColumn],
    evidence: &Evidence,
    style: Style,
) -> Vec<Table> {
    let (mut rows, mut methods) = (Vec::new(), BTreeSet::new());
    for group in groups {
        let Some(baseline) = group.partner(baselines) else {
            continue;
        };
        let mut row = labels.cells(group);
        row.extend(columns.iter().map(|column| {
            let found = paired(&group.runs, &baseline.runs, column, evidence);
            found.map_or_else(Cell::missing, |found| {
                methods.insert(found.interval.words());
                found.cell(&column.2.1, &baseline.words(), style)
            })
        }));
        if row.iter().any(|cell| cell.value.get("difference").is_some()) {
            rows.push(row);
        }
    }
    let mut header = labels.header();
    header.extend(columns.iter().map(scores::heading));
    let mut notes: Vec<String> = match style {
        Style::Full => Some(labels.shared.clone())
            .filter(|shared| !shared.is_empty())
            .into_iter()
            .collect(),
        Style::Paper => Vec::new(),
    };
    let sign = match style {
        Style::Full => "[low, high]:",
        Style::Paper => "±: half the width of the",
    };
    notes.extend(methods.into_iter().map(|words| format!("{sign} {words}")));
    let of_all = [
        "over the seeds, folds and test samples that both have, in points; a dash: nothing can be paired, or a run did not train",
        "(could show): the true difference that 80 of 100 such comparisons would show, by a two-sided test at 5 %",
        "* or bold: the interval does not hold 0",
    ];
    notes.extend(of_all.map(String::from));
    let names: BTreeSet<String> = baselines.iter().map(|group| group.method.clone()).collect();
    let table = Table {
        title: format!("Scores less those of {}", Vec::from_iter(names).join(", ")),
        header,
        rows,
        notes,
    };
    match style {
        _ if table.rows.is_empty() => Vec::new(),
        Style::Full => vec![table],
        Style::Paper => paper::fitted(table, &labels.shared),
    }
}
