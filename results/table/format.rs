//! The forms in which tables are printed: one file each.

use super::{Cell, Table};
use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::Alignment;
use tabled::settings::object::{Columns, Rows};

mod csv;
pub(crate) mod html;
mod latex;
pub(crate) mod markdown;
mod terminal;

/// A form in which tables are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned text; the best of a column carries a `*`.
    Terminal,
    /// A Markdown table; the best of a column is bold.
    Markdown,
    /// A LaTeX table in the style of booktabs; the best of a column is bold.
    Latex,
    /// Values for spreadsheets: one header for all tables, told apart by the column `table`.
    Csv,
    /// A page of its own; the best of a column is bold.
    Html,
    /// Values for programs.
    Json,
}

impl Format {
    /// Every format with its name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("terminal", Self::Terminal),
        ("markdown", Self::Markdown),
        ("latex", Self::Latex),
        ("csv", Self::Csv),
        ("html", Self::Html),
        ("json", Self::Json),
    ];

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| format)
    }
}

/// Prints tables one after the other, ending with a line end; in JSON as one list, in CSV under one header, in HTML as
/// one page.
pub fn render(tables: &[Table], format: Format) -> String {
    match format {
        Format::Json => {
            let tables = Value::from(tables.iter().map(Table::to_json).collect::<Vec<_>>());
            format!("{tables:#}\n")
        }
        Format::Csv => csv::file(tables),
        Format::Html => crate::report::tables(tables),
        Format::Latex => format!("{}{}", latex::HEAD, joined(tables, format)),
        Format::Terminal | Format::Markdown => joined(tables, format),
    }
}

fn joined(tables: &[Table], format: Format) -> String {
    let tables: Vec<String> = tables.iter().map(|table| table.render(format)).collect();
    tables.join("\n")
}

/// One table in this format.
pub(super) fn one(table: &Table, format: Format) -> String {
    match format {
        Format::Terminal => terminal::table(table),
        Format::Markdown => markdown::table(table),
        Format::Latex => latex::table(table),
        Format::Csv => csv::file(std::slice::from_ref(table)),
        Format::Html => html::table(table),
        Format::Json => format!("{:#}\n", table.to_json()),
    }
}

/// The header and rows of a table in aligned columns: numbers to the right, headings to the left.
fn grid(
    table: &Table,
    style: impl FnOnce(&mut tabled::Table),
    heading: impl Fn(&str) -> String,
    cell: impl Fn(&Cell) -> String,
) -> String {
    let mut builder = Builder::default();
    builder.push_record(table.header.iter().map(|column| heading(&column.text)));
    for row in &table.rows {
        builder.push_record(row.iter().map(&cell));
    }
    let mut grid = builder.build();
    style(&mut grid);
    for column in (0..table.header.len()).filter(|&column| table.is_numeric(column)) {
        grid.modify(Columns::one(column), Alignment::right());
    }
    grid.modify(Rows::first(), Alignment::left());
    let grid = grid.to_string();
    grid.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Title, grid and notes as paragraphs of text.
fn paragraphs(title: &str, grid: &str, notes: impl Iterator<Item = String>) -> String {
    let notes: Vec<String> = notes.collect();
    let gap = if notes.is_empty() { "" } else { "\n" };
    format!("{title}\n\n{grid}\n{gap}{}", notes.concat())
}

#[cfg(test)]
mod tests;
