//! Comma-separated values (RFC 4180), tidy: one number a line, for one `read_csv`.
//!
//! A line has the title of its table, the keys of its row, and for a score its task, protocol and
//! metric; a column is empty where a table does not have that key. Then follow the name of the
//! number, `measure`, and the number itself, `value`. What is no number is in `text` instead. A
//! value of several parts takes a line for each, `name.part`, and a list one for each item, counted
//! from 1. Values are those of JSON: fractions stay fractions. Notes and missing values are left
//! out. A text that a spreadsheet would take for a formula has a quote before it.

use crate::shown::is_control;
use crate::table::{Column, Table};
use csv::{Terminator, WriterBuilder};
use serde_json::Value;

/// The columns after those of the keys.
const LAST: [&str; 3] = ["measure", "value", "text"];

/// A line: its keys with their names, the measure, the value.
struct Line<'a> {
    keys: Vec<(&'a str, String)>,
    measure: String,
    value: &'a Value,
}

pub(super) fn file(tables: &[Table]) -> String {
    let lines: Vec<Line> = tables.iter().flat_map(lines).collect();
    let mut keys: Vec<&str> = vec!["table"];
    for (key, _) in lines.iter().flat_map(|line| &line.keys) {
        if !keys.contains(key) {
            keys.push(key);
        }
    }
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    let fault = "memory can be written, and all lines have the header's length";
    let header = keys.iter().chain(&LAST);
    writer.write_record(header.map(|name| harmless(name))).expect(fault);
    for line in &lines {
        let key = |name: &&str| {
            let known = line.keys.iter().find(|(key, _)| key == name);
            known.map_or_else(String::new, |(_, word)| word.clone())
        };
        let (value, text) = match line.value {
            Value::Number(number) => (number.to_string(), String::new()),
            other => (String::new(), word(other)),
        };
        let fields = keys.iter().map(key).chain([line.measure.clone(), value, text]);
        writer.write_record(fields.map(|field| harmless(&field))).expect(fault);
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

/// A text as it is, any other value as JSON.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The lines of one table.
fn lines(table: &Table) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for row in &table.rows {
        let cells = || table.header.iter().zip(row);
        let of_row = cells().filter(|(heading, _)| heading.column == Column::Key);
        let of_row = of_row.filter(|(_, cell)| !cell.value.is_null());
        let mut keys: Vec<(&str, String)> = vec![("table", table.title.clone())];
        keys.extend(of_row.map(|(heading, cell)| (heading.name.as_str(), word(&cell.value))));
        for (heading, cell) in cells() {
            let (keys, measure) = match &heading.column {
                Column::Key => continue,
                Column::Value => (keys.clone(), heading.name.as_str()),
                Column::Score(place) => {
                    let place = Column::SCORE.into_iter().zip(place.iter().cloned());
                    (keys.iter().cloned().chain(place).collect(), "")
                }
            };
            push(&keys, measure, &cell.value, &mut lines);
        }
    }
    lines
}

/// Takes a value apart until each part is a number or a text.
fn push<'a>(keys: &[(&'a str, String)], measure: &str, value: &'a Value, lines: &mut Vec<Line<'a>>) {
    let name = |part: &str| match measure {
        "" => part.to_owned(),
        measure => format!("{measure}.{part}"),
    };
    match value {
        Value::Null => {}
        Value::Object(parts) => parts
            .iter()
            .for_each(|(part, value)| push(keys, &name(part), value, lines)),
        Value::Array(items) => {
            for (item, number) in items.iter().zip(1..) {
                push(keys, &name(&number.to_string()), item, lines);
            }
        }
        value => lines.push(Line {
            keys: keys.to_vec(),
            measure: measure.to_owned(),
            value,
        }),
    }
}
