//! Aligned text for a terminal.

use super::{grid, paragraphs};
use crate::table::{Cell, Table};
use tabled::settings::Style;

pub(super) fn table(table: &Table) -> String {
    let style = |grid: &mut tabled::Table| {
        grid.with(Style::psql());
    };
    let grid = grid(table, style, str::to_string, cell);
    paragraphs(&table.title, &grid, table.notes.iter().map(|note| format!("{note}\n")))
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "-".to_string(),
        (text, true) => format!("* {text}"),
        (text, false) => text.to_string(),
    }
}
