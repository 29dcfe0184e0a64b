//! Which values of a column are marked: the best mean, and in a paper all that are not shown to
//! differ from it.

use super::Style;
use super::difference::paired;
use super::scores::ScoreColumn;
use super::summary::Summary;
use crate::evidence::Evidence;
use crate::metric::Metric;
use crate::record::RunRecord;
use std::collections::BTreeSet;

/// A row of a column: its runs, and their summary where they have this score.
pub(super) type ColumnRow<'a> = (&'a [&'a RunRecord], Option<&'a Summary>);

/// The rows that are marked in this style.
pub(super) fn marked(rows: &[ColumnRow], column: &ScoreColumn, evidence: &Evidence, style: Style) -> Vec<usize> {
    let competing = competing(rows, &column.2.1);
    let top = competing
        .iter()
        .map(|(_, mean)| *mean)
        .fold(f64::NEG_INFINITY, f64::max);
    let best = competing.iter().find(|(_, mean)| *mean == top);
    let is_marked = |(row, mean): &(usize, f64)| match (style, best) {
        _ if *mean == top => true,
        (Style::Paper, Some((best, _))) => {
            let found = paired(rows[*best].0, rows[*row].0, column, evidence);
            !found.is_some_and(|found| found.is_shown())
        }
        _ => false,
    };
    competing
        .iter()
        .filter(|row| is_marked(row))
        .map(|(row, _)| *row)
        .collect()
}

/// The row with the best mean. None if there is nothing to compare.
pub(super) fn best(rows: &[ColumnRow], metric: &str) -> Option<usize> {
    let competing = competing(rows, metric);
    competing
        .into_iter()
        .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
        .map(|(row, _)| row)
}

/// The rows that compete, with their means, negative where less is better. None if there is nothing
/// to compare; numbers from other data than their neighbours do not compete.
fn competing(rows: &[ColumnRow], metric: &str) -> Vec<(usize, f64)> {
    let sign = if Metric::is_error(metric) { -1.0 } else { 1.0 };
    let candidates = |other_data: bool| -> Vec<(usize, f64)> {
        let means = rows.iter().enumerate().filter_map(|(row, (_, summary))| {
            let summary = (*summary)?;
            let is_other = summary.marks().iter().any(|mark| mark.is_other_data());
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
        .filter_map(|(row, _)| rows[*row].1)
        .flat_map(Summary::data)
        .collect();
    if candidates.len() < 2 || data.len() > 1 {
        return Vec::new();
    }
    candidates
}
