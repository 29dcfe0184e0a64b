//! Tables made from records: what they hold ([`Table`]) apart from how they are printed ([`Format`]).
//!
//! [`main_table`] compares methods, [`codebook_table`] shows how quantizers use their codes, [`backend_table`] compares
//! one plan on several backends, [`ablation_tables`] compare plans that differ in one value. All of them leave a dash
//! where there is nothing to show.

use serde_json::{Value, json};

mod ablation;
mod backends;
mod codebooks;
mod format;
mod mark;
mod runs;
mod scores;

pub use ablation::ablation_tables;
pub use backends::backend_table;
pub use codebooks::codebook_table;
pub(crate) use format::html;
pub use format::{Format, render};
pub(crate) use runs::{Series, backend as backend_words, plural, series, value_word, words as run_words};
pub use scores::main_table;
pub(crate) use scores::scale;

/// A table before it is printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// One heading for each column.
    pub header: Vec<Heading>,
    /// Rows of one cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// What must be known to read it: units, methods, marks.
    pub notes: Vec<String>,
}

/// The heading of a column: its text for people and its name for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The text, with the unit; it may stand on several lines.
    pub text: String,
    /// The name in JSON. Fractions stay fractions there, whatever the unit of the text.
    pub name: String,
}

impl Heading {
    /// A heading with this text and name.
    pub fn new(text: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            name: name.into(),
        }
    }

    /// A heading whose text is its name.
    pub fn word(word: impl Into<String>) -> Self {
        let text = word.into();
        Self {
            name: text.clone(),
            text,
        }
    }
}

/// One cell: its text for people and its value for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The text, without emphasis. Empty for a missing cell, which is printed as a dash.
    pub text: String,
    /// The value in JSON; null for a missing cell.
    pub value: Value,
    /// Whether it is the best of its column.
    pub best: bool,
}

impl Cell {
    /// A cell with this text and value.
    pub fn new(text: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            text: text.into(),
            value: value.into(),
            best: false,
        }
    }

    /// A cell of words.
    pub fn word(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(text.clone(), text)
    }

    /// A cell without anything to show.
    pub fn missing() -> Self {
        Self::new("", Value::Null)
    }
}

impl Table {
    /// The table in this format, ending with a line end; in HTML the part of a page.
    pub fn render(&self, format: Format) -> String {
        format::one(self, format)
    }

    /// The table as JSON: `title`, `rows` as objects by column, `notes`.
    pub fn to_json(&self) -> Value {
        let names: Vec<String> = self.header.iter().map(|heading| heading.name.clone()).collect();
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                names
                    .iter()
                    .cloned()
                    .zip(row.iter().map(|cell| cell.value.clone()))
                    .collect()
            })
            .collect();
        json!({ "title": self.title, "columns": names, "rows": rows, "notes": self.notes })
    }

    /// Whether a column holds plain numbers, which are set to the right.
    fn is_numeric(&self, column: usize) -> bool {
        let mut values = self
            .rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| &cell.value);
        values.all(|value| value.is_number() || value.is_null())
    }
}

#[cfg(test)]
mod tests;
