//! The runs of each row of the main table, for the report.

use super::runs::{Group, RowLabels, distinct, groups};
use super::scores;
use crate::record::RunRecord;

/// The runs of one row of the main table.
pub(crate) struct Series<'a> {
    /// The method and whatever tells it from the others, in words.
    pub(crate) label: String,
    /// The place of its method among all methods: what gives its colour and marker.
    pub(crate) method: usize,
    /// Its place among the settings of its method.
    pub(crate) setting: usize,
    /// Its runs, by task, plan, seed and fold.
    pub(crate) runs: Vec<&'a RunRecord>,
}

/// The rows of the main table with their runs, in the order of the table.
pub(crate) fn series<'a>(records: &'a [RunRecord]) -> Vec<Series<'a>> {
    let (runs, _) = distinct(records);
    let groups = groups(&runs, |run| scores::columns(run).collect());
    let labels = RowLabels::of(&groups);
    let mut methods: Vec<(&str, usize)> = Vec::new();
    let places: Vec<(usize, usize)> = groups
        .iter()
        .map(
            |group| match methods.iter().position(|(method, _)| *method == group.method) {
                Some(place) => {
                    methods[place].1 += 1;
                    (place, methods[place].1)
                }
                None => {
                    methods.push((&group.method, 0));
                    (methods.len() - 1, 0)
                }
            },
        )
        .collect();
    let of_group = |(group, &(method, setting)): (&Group<'a>, &(usize, usize))| {
        let header = labels.header();
        let cells = header
            .iter()
            .zip(labels.cells(group))
            .filter(|(_, cell)| !cell.text.is_empty());
        let words: Vec<String> = cells
            .map(|(heading, cell)| match heading.name.as_str() {
                name @ ("plan" | "data") => format!("{name} {}", cell.text),
                _ => cell.text,
            })
            .collect();
        Series {
            label: words.join(", "),
            method,
            setting,
            runs: group.runs.clone(),
        }
    };
    groups.iter().zip(&places).map(of_group).collect()
}
