//! Aligned text for a terminal, never wider than it.

use super::fit::{self, Grid};
use super::{paragraphs, stacked};
use crate::shown::{on_one_line, printable};
use crate::table::{Cell, Column, Table};

/// The table in so many columns: as it is if it fits; else with cells of several lines; else with a
/// column for each row; else in several grids; else as a list.
pub(super) fn table(table: &Table, columns: usize) -> String {
    let grid = Grid {
        header: table
            .header
            .iter()
            .map(|heading| printable(&stacked(heading)))
            .collect(),
        rows: table.rows.iter().map(|row| row.iter().map(cell).collect()).collect(),
        right: (0..table.header.len()).map(|column| table.is_numeric(column)).collect(),
        keys: table
            .header
            .iter()
            .take_while(|heading| heading.column == Column::Key)
            .count(),
    };
    let notes = table.notes.iter().map(|note| {
        let lines = fit::wrapped(&on_one_line(note), columns.saturating_sub(2));
        format!("{}\n", lines.join("\n  "))
    });
    let title = printable(&table.title);
    let title: Vec<String> = title.lines().flat_map(|line| fit::wrapped(line, columns)).collect();
    paragraphs(&title.join("\n"), &grid.fitted(columns), notes)
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "-".to_string(),
        (text, true) => format!("* {}", printable(text)),
        (text, false) => printable(text),
    }
}
