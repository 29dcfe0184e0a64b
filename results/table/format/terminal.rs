//! Aligned text for a terminal.

use super::{grid, paragraphs};
use crate::shown::{on_one_line, printable};
use crate::table::{Cell, Table};
use tabled::settings::Style;

pub(super) fn table(table: &Table) -> String {
    let style = |grid: &mut tabled::Table| {
        grid.with(Style::psql());
    };
    let grid = grid(table, style, printable, cell);
    let notes = table.notes.iter().map(|note| format!("{}\n", on_one_line(note)));
    paragraphs(&printable(&table.title), &grid, notes)
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "-".to_string(),
        (text, true) => format!("* {}", printable(text)),
        (text, false) => printable(text),
    }
}
