//! Tables made from records: what they hold ([`Table`]) apart from how they are printed ([`Format`]).
//!
//! [`main_table`] compares methods, [`codebook_table`] shows how quantizers use their codes, [`label_table`] what the
//! codes say, [`backend_table`] compares one plan on several backends, [`ablation_tables`] compare plans that differ in
//! one value, [`comparison_table`] tests two sets of records. All leave a dash where there is nothing to show.

use crate::record::RunRecord;
use serde_json::{Value, json};

mod ablation;
mod backends;
mod codebooks;
mod comparison;
mod format;
mod labels;
mod mark;
mod runs;
mod scores;

pub use ablation::ablation_tables;
pub use backends::backend_table;
pub use codebooks::codebook_table;
pub use comparison::{comparison_sentences, comparison_table};
pub use format::{Format, render};
pub(crate) use format::{html, markdown};
pub use labels::label_table;
pub(crate) use mark::notes_of as mark_notes;
pub(crate) use runs::name as run_name;
pub(crate) use runs::{
    Series, backend as backend_words, method as method_words, plural, series, value_word, words as run_words,
};
pub use scores::main_table;
pub(crate) use scores::{Column, Summary, columns, decimals, scale};

/// A table that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Methods against tasks, protocols and metrics.
    Scores,
    /// How each level's codes are used.
    Codebooks,
    /// What the codes of all levels say.
    Labels,
    /// Plans that differ in one value.
    Ablation,
    /// One plan on several backends.
    Backends,
}

impl Kind {
    /// Every table with its name, in the order of printing.
    pub const ALL: [(&'static str, Self); 5] = [
        ("scores", Self::Scores),
        ("codebooks", Self::Codebooks),
        ("labels", Self::Labels),
        ("ablation", Self::Ablation),
        ("backends", Self::Backends),
    ];

    /// The table of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }

    /// The tables that these records make. None where they have nothing for it; ablations make one for each value.
    pub fn of(self, records: &[RunRecord]) -> Vec<Table> {
        let quantized = || records.iter().any(|record| record.quantizer().is_some());
        match self {
            Self::Scores => vec![main_table(records)],
            Self::Codebooks if quantized() => vec![codebook_table(records)],
            Self::Codebooks => Vec::new(),
            Self::Labels => label_table(records).into_iter().collect(),
            Self::Ablation => ablation_tables(records),
            Self::Backends => backend_table(records).into_iter().collect(),
        }
    }
}

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
