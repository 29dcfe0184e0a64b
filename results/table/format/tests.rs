//! Every format prints the same table: snapshots, values that come back, and text that stays text.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::evidence::Evidence;
use crate::fixtures::{backend, other, record};
use crate::shown::is_control;
use crate::table::{Heading, backend_table, codebook_table, main_table};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

impl Format {
    /// Every format with its name.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("terminal", Self::Terminal),
        ("markdown", Self::Markdown),
        ("latex", Self::Latex),
        ("csv", Self::Csv),
        ("html", Self::Html),
        ("json", Self::Json),
    ];
}

/// The tables of two runs of rq, on two backends, and the control.
fn tables() -> Vec<Table> {
    let mut tch = record(0, 170);
    (tch.backend, tch.program.dirty) = (backend("tch"), true);
    let records = [record(0, 165), tch, other(record(0, 0), None, "cccccccccccc", 110)];
    vec![
        main_table(&records, &Evidence::default()),
        backend_table(&records).unwrap(),
    ]
}

#[test]
fn all_formats_of_some_tables() {
    for (name, format) in Format::ALL.into_iter().filter(|(_, format)| *format != Format::Html) {
        insta::assert_snapshot!(name, render(&tables(), format));
    }
    // the whole page has its snapshot with the report
    let parts: String = tables().iter().map(|table| table.render(Format::Html)).collect();
    insta::assert_snapshot!("html", parts);
}

/// A table with every sign that means something somewhere.
fn awkward() -> Table {
    let words = r#"a&b %c $d #e _f {g} ~h ^i \j <k> |l| "m" 'n' `o` --p ---q [r] *s* § ¶ ‡ † ±"#;
    let mut best = Cell::new(
        words,
        json!({ "mean": 0.5, "marks": ["dirty", "subset"], "interval": null }),
    );
    best.best = true;
    Table {
        title: format!("Title {words}"),
        header: vec![Heading::new(format!("two\nlines, {words}"), "name"), Heading::word("n")],
        rows: vec![
            vec![best, Cell::new("1", 1)],
            vec![Cell::word("[starts a row]"), Cell::missing()],
            vec![Cell::word("commas, \"quotes\"\r\nand lines"), Cell::new("2", 2)],
        ],
        notes: vec![words.into(), "see (https://example.org/a&b), or not".into()],
    }
}

#[test]
fn awkward_text_stays_text() {
    for (name, format) in Format::ALL.into_iter().filter(|(_, format)| *format != Format::Html) {
        insta::assert_snapshot!(format!("awkward_{name}"), render(&[awkward()], format));
    }
    insta::assert_snapshot!("awkward_html", awkward().render(Format::Html));
}

/// Rows of a CSV file by column.
fn read_csv(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

/// Every field that a value becomes, and its text.
fn fields(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(parts) => {
            let parts = parts.iter();
            parts.for_each(|(part, value)| fields(&format!("{name}.{part}"), value, out));
        }
        Value::Array(items) => {
            let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            out.push((name.into(), words.join(" ")));
        }
        Value::Null => out.push((name.into(), String::new())),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\r']) && text.parse::<f64>().is_err() => {
            out.push((name.into(), format!("'{text}")));
        }
        Value::String(text) => out.push((name.into(), text.clone())),
        other => out.push((name.into(), other.to_string())),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let simple = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::from),
        "[ -~\n\r\"',;é±]{0,12}".prop_map(Value::from),
    ];
    let parts = prop::collection::btree_map("[a-z]{1,4}", simple.clone(), 0..3);
    prop_oneof![
        3 => simple,
        1 => parts.prop_map(|parts| Value::Object(parts.into_iter().collect())),
        1 => prop::collection::vec("[a-z]{1,5}", 0..3).prop_map(Value::from),
    ]
}

fn any_table() -> impl Strategy<Value = Table> {
    (1usize..5, 0usize..5).prop_flat_map(|(columns, rows)| {
        let row = prop::collection::vec(any_value(), columns);
        ("[ -~é]{0,12}", prop::collection::vec(row, rows)).prop_map(move |(title, rows)| Table {
            title,
            header: (0..columns).map(|i| Heading::word(format!("column {i}"))).collect(),
            rows: rows
                .into_iter()
                .map(|row| {
                    row.into_iter()
                        .map(|value| Cell::new(value.to_string(), value))
                        .collect()
                })
                .collect(),
            notes: Vec::new(),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_and_csv_hold_every_value_of_every_cell(tables in prop::collection::vec(any_table(), 0..3)) {
        let json: Value = serde_json::from_str(&render(&tables, Format::Json)).unwrap();
        let csv = read_csv(&render(&tables, Format::Csv));
        let mut lines = csv.iter();
        for (table, json) in tables.iter().zip(json.as_array().unwrap()) {
            for (row, json) in table.rows.iter().zip(json["rows"].as_array().unwrap()) {
                let line = lines.next().unwrap();
                let mut title = Vec::new();
                fields("table", &Value::from(table.title.clone()), &mut title);
                prop_assert_eq!(&line["table"], &title[0].1);
                for (heading, cell) in table.header.iter().zip(row) {
                    prop_assert_eq!(&json[&heading.name], &cell.value);
                    let mut expected = Vec::new();
                    fields(&heading.name, &cell.value, &mut expected);
                    for (name, field) in expected {
                        prop_assert_eq!(&line[&name], &field, "{}", name);
                    }
                }
            }
        }
        prop_assert_eq!(lines.next(), None);
    }
}

#[test]
fn a_number_in_csv_is_the_number_of_the_cell() {
    let tables = [
        main_table(&[record(0, 165)], &Evidence::default()),
        codebook_table(&[record(0, 165)]),
    ];
    let rows = read_csv(&render(&tables, Format::Csv));
    assert_eq!(
        rows[0]["esc50 linear-probe top1.mean"].parse::<f64>().unwrap(),
        165.0 / 400.0
    );
    assert_eq!(rows[1]["usage"], "1.0");
    assert_eq!(rows[1]["esc50 linear-probe top1.mean"], "");
    let lines = render(&tables, Format::Csv);
    assert!(lines.ends_with("\r\n") && lines.matches('\n').count() == lines.matches("\r\n").count());
}

#[test]
fn no_format_lets_a_control_character_through() {
    let evil = "\u{1b}]0;title\u{7}\u{9b}31m\u{202e}gnp\u{2066}";
    let mut table = awkward();
    table.title.push_str(evil);
    table.header.push(Heading::word(evil));
    table.rows.iter_mut().for_each(|row| row.push(Cell::word(evil)));
    table.notes.push(evil.into());
    for (name, format) in Format::ALL {
        let text = render(std::slice::from_ref(&table), format);
        let stray = text.chars().find(|&c| is_control(c) && !matches!(c, '\n' | '\r'));
        assert_eq!(stray, None, "{name}");
    }
}

#[test]
fn a_name_is_no_formula_no_link_and_no_html() {
    let words = [
        "=1+1",
        "+a",
        "-a",
        "@a",
        "\ta",
        "[a](b)",
        "![a](b)",
        "<img src=b>",
        "&lt;",
        "-1.5",
        "+2e3",
    ];
    let table = Table {
        title: "T".into(),
        header: vec![Heading::word("a")],
        rows: words.map(|word| vec![Cell::word(word)]).into(),
        notes: vec!["<b>[c](d)".into()],
    };
    insta::assert_snapshot!(format!(
        "{}\n{}",
        table.render(Format::Csv),
        table.render(Format::Markdown)
    ));
}
