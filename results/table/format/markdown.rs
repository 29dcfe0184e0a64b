//! Markdown tables, as GitHub reads them.

use super::{grid, paragraphs};
use crate::table::{Cell, Table};
use tabled::settings::Style;

pub(super) fn table(table: &Table) -> String {
    let grid = rows(table);
    let title = format!("**{}**", table.title);
    paragraphs(&title, &grid, table.notes.iter().map(|note| format!("- {note}\n")))
}

/// The rows below their headings, without title and notes.
pub(crate) fn rows(table: &Table) -> String {
    let style = |grid: &mut tabled::Table| {
        grid.with(Style::markdown());
    };
    grid(table, style, escaped, cell)
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "-".to_string(),
        (text, true) => format!("**{}**", escaped(text)),
        (text, false) => escaped(text),
    }
}

/// Escapes what Markdown would read as the end of a cell or as emphasis.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
