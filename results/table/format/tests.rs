//! Every format prints the same table: snapshots, values that come back, and text that stays text.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::evidence::Evidence;
use crate::fixtures::{backend, other, record};
use crate::shown::is_control;
use crate::table::{Column, Heading, Style, View, backend_table, codebook_table, score_tables};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

impl Format {
    /// Every format with its name.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("terminal", Self::Terminal { columns: 100 }),
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
        score_tables(&records, &Evidence::default(), &View::default()).remove(0),
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

/// Every line that a value becomes: measure, then value and text.
fn lines(name: &str, value: &Value, out: &mut Vec<[String; 3]>) {
    let text = |text: &str| {
        let is_formula = text.starts_with(['=', '+', '-', '@', '\r']) && text.parse::<f64>().is_err();
        if is_formula {
            format!("'{text}")
        } else {
            text.to_owned()
        }
    };
    match value {
        Value::Object(parts) => {
            let parts = parts.iter();
            parts.for_each(|(part, value)| lines(&format!("{name}.{part}"), value, out));
        }
        Value::Array(items) => {
            let items = items.iter().zip(1..);
            items.for_each(|(item, number)| lines(&format!("{name}.{number}"), item, out));
        }
        Value::Null => {}
        Value::Number(number) => out.push([name.into(), number.to_string(), String::new()]),
        Value::String(word) => out.push([name.into(), String::new(), text(word)]),
        other => out.push([name.into(), String::new(), other.to_string()]),
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
        let mut read = csv.iter();
        for (table, json) in tables.iter().zip(json.as_array().unwrap()) {
            for (row, json) in table.rows.iter().zip(json["rows"].as_array().unwrap()) {
                for (heading, cell) in table.header.iter().zip(row) {
                    prop_assert_eq!(&json[&heading.name], &cell.value);
                    let (mut title, mut expected) = (Vec::new(), Vec::new());
                    lines("table", &Value::from(table.title.clone()), &mut title);
                    lines(&heading.name, &cell.value, &mut expected);
                    for [measure, value, text] in expected {
                        let line = read.next().unwrap();
                        let fields = ["table", "measure", "value", "text"].map(|name| line[name].clone());
                        prop_assert_eq!(fields, [title[0][2].clone(), measure, value, text]);
                    }
                }
            }
        }
        prop_assert_eq!(read.next(), None);
    }

    #[test]
    fn text_for_a_terminal_is_no_wider_than_it_unless_a_word_is(
        tables in prop::collection::vec(any_table(), 0..3), columns in 20usize..160
    ) {
        for line in render(&tables, Format::Terminal { columns }).lines() {
            let width = line.chars().count();
            // the ends of an interval stay together
            let words: Vec<usize> = line.split(' ').map(|word| word.chars().count() + 1).collect();
            let longest = words.windows(2).map(|pair| pair[0] + pair[1]).chain(words.iter().copied()).max().unwrap_or(0);
            // a bullet of a list, an indent and a mark may stand before a word
            prop_assert!(width <= columns || longest + 8 > columns, "{width} of {columns}: {line}");
        }
    }
}

#[test]
fn csv_has_a_number_in_each_line_and_names_what_it_is_of() {
    let view = View::default();
    let mut tables = score_tables(&[record(0, 165)], &Evidence::default(), &view);
    tables.push(codebook_table(&[record(0, 165)]));
    let text = render(&tables, Format::Csv);
    let rows = read_csv(&text);
    let is =
        |row: &BTreeMap<String, String>, fields: &[(&str, &str)]| fields.iter().all(|(name, word)| row[*name] == *word);
    let place = [
        ("task", "esc50"),
        ("method", "bridle rq"),
        ("protocol", "linear-probe"),
        ("metric", "top1"),
    ];
    let mean: Vec<_> = rows
        .iter()
        .filter(|row| is(row, &place) && row["measure"] == "mean")
        .collect();
    assert_eq!(mean.len(), 1);
    assert_eq!(mean[0]["value"].parse::<f64>().unwrap(), 165.0 / 400.0);
    let usage = [
        ("phase", "encoder-1"),
        ("level", "2"),
        ("measure", "usage"),
        ("value", "1.0"),
        ("protocol", ""),
    ];
    assert!(rows.iter().any(|row| is(row, &usage)));
    for row in &rows {
        assert!(row["value"].is_empty() != row["text"].is_empty(), "{row:?}");
        assert!(
            row["value"].is_empty() || row["value"].parse::<f64>().is_ok(),
            "{row:?}"
        );
    }
    assert!(text.ends_with("\r\n") && text.matches('\n').count() == text.matches("\r\n").count());
}

#[test]
fn json_names_the_fields_of_a_score() {
    let table = score_tables(&[record(0, 165)], &Evidence::default(), &View::default()).remove(0);
    let json = table.to_json();
    assert_eq!(json["columns"], json!(["method", "scores"]));
    let score = &json["rows"][0]["scores"][0];
    let place = Column::SCORE.map(|field| score[field].as_str().unwrap());
    assert_eq!(place, ["esc50", "linear-probe", "top1"]);
    assert_eq!(score["mean"], 165.0 / 400.0);
}

#[test]
fn paper_tables_in_latex_and_markdown() {
    let view = View {
        style: Style::Paper,
        ..View::default()
    };
    let mut records = vec![
        record(0, 165),
        record(1, 170),
        other(record(0, 0), None, "cccccccccccc", 110),
    ];
    records[2].program.dirty = true;
    let tables = score_tables(&records, &Evidence::default(), &view);
    insta::assert_snapshot!("paper_latex", render(&tables, Format::Latex));
    insta::assert_snapshot!("paper_markdown", render(&tables, Format::Markdown));
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
