//! Comma-separated values (RFC 4180): all tables under one header, for a spreadsheet or one
//! `read_csv`.
//!
//! The first column, `table`, is the title of a row's table. Every column of any table follows,
//! empty where a row's table does not have it. A value of several parts takes one column per part,
//! `name.part`. Values are those of JSON: fractions stay fractions. Notes are left out; marks are
//! in the columns `.marks`. A text that a spreadsheet would take for a formula has a quote before it.

use crate::shown::is_control;
use crate::table::Table;
use csv::{Terminator, WriterBuilder};
use serde_json::Value;

pub(super) fn file(tables: &[Table]) -> String {
    let rows: Vec<Vec<(String, String)>> = tables.iter().flat_map(rows).collect();
    let mut columns: Vec<&str> = vec!["table"];
    for (column, _) in rows.iter().flatten() {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    let fault = "memory can be written, and all rows have the header's length";
    writer
        .write_record(columns.iter().map(|name| harmless(name)))
        .expect(fault);
    for row in &rows {
        let field = |column: &&str| {
            let of_column = row.iter().find(|(name, _)| name == column);
            of_column.map_or("", |(_, field)| field.as_str())
        };
        writer
            .write_record(columns.iter().map(field).map(harmless))
            .expect(fault);
    }
    let bytes = writer.into_inner().expect(fault);
    String::from_utf8(bytes).expect("made of strings")
}

/// The field without control characters, and with a quote before what begins like a formula, unless
/// it is a number.
fn harmless(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']) && field.parse::<f64>().is_err();
    let shown = |c: char| {
        if is_control(c) && !matches!(c, '\n' | '\r' | '\t') {
            '\u{fffd}'
        } else {
            c
        }
    };
    let quote = is_formula.then_some('\'');
    quote.into_iter().chain(field.chars().map(shown)).collect()
}

/// The rows of one table: fields with the names of their columns.
fn rows(table: &Table) -> Vec<Vec<(String, String)>> {
    let row = |cells: &Vec<super::Cell>| {
        let mut fields = vec![("table".to_string(), table.title.clone())];
        for (heading, cell) in table.header.iter().zip(cells) {
            flatten(&heading.name, &cell.value, &mut fields);
        }
        fields
    };
    table.rows.iter().map(row).collect()
}

/// Takes a value apart until each part is a single field.
fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let field = match value {
        Value::Object(parts) => {
            for (part, value) in parts {
                flatten(&format!("{name}.{part}"), value, fields);
            }
            return;
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let words = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_string));
            words.collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    fields.push((name.to_string(), field));
}
