//! The formats of tables: one file each.

use super::{Cell, Heading, Table};
use crate::shown::json_escaped;
use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::Alignment;
use tabled::settings::object::{Columns, Rows};

mod csv;
mod fit;
pub(crate) mod html;
mod latex;
pub(crate) mod markdown;
mod terminal;

/// A form in which tables are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned text in so many columns at most, unless a word is longer; the best of a column
    /// carries a `*`.
    Terminal { columns: usize },
    /// A Markdown table; the best of a column is bold.
    Markdown,
    /// A LaTeX table in the style of booktabs; the best of a column is bold.
    Latex,
    /// Values for programs, one number a line; a column `table` tells the tables apart.
    Csv,
    /// A page of its own; the best of a column is bold.
    Html,
    /// Values for programs.
    Json,
}

/// Formats tables one after the other, ending with a line end: JSON as one list, CSV under one
/// header, HTML as one page.
pub fn render(tables: &[Table], format: Format) -> String {
    match format {
        Format::Json => {
            let tables = Value::from(tables.iter().map(Table::to_json).collect::<Vec<_>>());
            json_escaped(&format!("{tables:#}\n"))
        }
        Format::Csv => csv::file(tables),
        Format::Html => html::page(tables),
        Format::Latex => latex::file(tables),
        Format::Terminal { .. } | Format::Markdown => joined(tables, format),
    }
}

fn joined(tables: &[Table], format: Format) -> String {
    let tables: Vec<String> = tables.iter().map(|table| table.render(format)).collect();
    tables.join("\n")
}

/// One table in this format.
pub(super) fn one(table: &Table, format: Format) -> String {
    match format {
        Format::Terminal { columns } => terminal::table(table, columns),
        Format::Markdown => markdown::table(table),
        Format::Latex => latex::table(table, &latex::label(table)),
        Format::Csv => csv::file(std::slice::from_ref(table)),
        Format::Html => html::table(table),
        Format::Json => json_escaped(&format!("{:#}\n", table.to_json())),
    }
}

/// Header and rows in aligned columns, numbers right, headings left. `heading` gets the lines of a
/// heading, from that of its group down.
fn grid(
    table: &Table,
    style: impl FnOnce(&mut tabled::Table),
    heading: impl Fn(&str) -> String,
    cell: impl Fn(&Cell) -> String,
) -> String {
    let mut builder = Builder::default();
    builder.push_record(table.header.iter().map(|column| heading(&stacked(column))));
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

/// The text of a heading below those of its groups, each on a line.
fn stacked(heading: &Heading) -> String {
    let groups = heading.groups.iter().map(String::as_str);
    groups.chain([heading.text.as_str()]).collect::<Vec<_>>().join("\n")
}

/// Title, grid and notes as paragraphs of text.
fn paragraphs(title: &str, grid: &str, notes: impl Iterator<Item = String>) -> String {
    let notes: Vec<String> = notes.collect();
    let gap = if notes.is_empty() { "" } else { "\n" };
    format!("{title}\n\n{grid}\n{gap}{}", notes.concat())
}

#[cfg(test)]
mod tests;
