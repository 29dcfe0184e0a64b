//! Tables made from records: their content ([`Table`]), separate from how they are printed
//! ([`Format`]).
//!
//! [`score_tables`] compare methods, [`codebook_table`] shows how quantizers use their codes,
//! [`label_table`] what the labels say, [`backend_table`] compares one plan on several backends,
//! [`ablation_tables`] compare plans that differ in one value, [`comparison_table`] compares two
//! sets of records. A [`View`] says which rows and columns of scores are shown, and in which
//! [`Style`]. A dash stands for a missing value.

use crate::evidence::Evidence;
use crate::record::RunRecord;
use crate::stats;
use serde_json::{Map, Value, json};

mod ablation;
mod backends;
mod best;
mod codebooks;
mod comparison;
mod difference;
mod each_run;
mod format;
mod labels;
mod paper;
mod runs;
mod scores;
mod series;
mod summary;
mod view;

pub use ablation::ablation_tables;
pub use backends::backend_table;
pub use codebooks::codebook_table;
pub use comparison::{ArmAnswer, answer_differences, answer_table, comparison_sentences, comparison_table};
pub(crate) use difference::against_best;
pub use format::{Format, render};
pub(crate) use format::{html, markdown};
pub use labels::label_table;
pub use scores::score_tables;
pub(crate) use scores::{ScoreColumn, columns, decimals, scale};
pub(crate) use series::{Series, series};
pub(crate) use summary::Summary;
pub use view::{Style, View, ViewError};

/// The name of a row's list of scores in JSON.
const SCORES: &str = "scores";

/// A table that can be requested by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Methods against tasks, protocols and metrics.
    Scores,
    /// How each level's codes are used.
    Codebooks,
    /// What the labels of all levels say.
    Labels,
    /// Plans that differ in one value.
    Ablation,
    /// One plan on several backends.
    Backends,
    /// The scores of every single run.
    Runs,
}

impl TableKind {
    pub const ALL: [(&'static str, Self); 6] = [
        ("scores", Self::Scores),
        ("codebooks", Self::Codebooks),
        ("labels", Self::Labels),
        ("ablation", Self::Ablation),
        ("backends", Self::Backends),
        ("runs", Self::Runs),
    ];

    /// Those of the report, which has a section for single runs.
    pub fn of_report() -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter().map(|(_, kind)| kind);
        all.filter(|kind| *kind != Self::Runs)
    }

    /// Whether it shows scores, whose intervals need the evidence of predictions.
    pub fn has_scores(self) -> bool {
        matches!(self, Self::Scores | Self::Ablation | Self::Runs)
    }

    /// The tables that these records make; none where they have nothing to show. Ablations make one
    /// per value.
    pub fn of(self, records: &[RunRecord], evidence: &Evidence, view: &View) -> Vec<Table> {
        let quantized = || records.iter().any(|record| record.quantizer().is_some());
        let tables = match self {
            Self::Scores => return score_tables(records, evidence, view),
            Self::Ablation => return ablation_tables(records, evidence, view.style),
            Self::Codebooks if quantized() => vec![codebook_table(records)],
            Self::Codebooks => Vec::new(),
            Self::Labels => label_table(records).into_iter().collect(),
            Self::Backends => backend_table(records).into_iter().collect(),
            Self::Runs => vec![each_run::run_table(records, evidence)],
        };
        tables.into_iter().flat_map(|table| view.style.fitted(table)).collect()
    }
}

/// A table before it is printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub title: String,
    pub header: Vec<Heading>,
    pub rows: Vec<Vec<Cell>>,
    /// What a reader needs to know: units, methods, marks.
    pub notes: Vec<String>,
}

/// The heading of a column: its text for people and its name for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The text, with the unit; it may stand on several lines.
    pub text: String,
    /// The name in JSON. Fractions stay fractions there, whatever the unit of the text.
    pub name: String,
    /// Headings over this and neighbouring columns, the widest first. Only in tables for papers.
    pub groups: Vec<String>,
    pub column: Column,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// What tells rows apart.
    Key,
    /// A value, measured or in words.
    Value,
    /// The scores of a task, protocol and metric.
    Score([String; 3]),
}

impl Column {
    /// What the parts of a score's column are, in JSON and CSV.
    pub const SCORE: [&'static str; 3] = ["task", "protocol", "metric"];
}

impl Heading {
    pub fn new(text: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            name: name.into(),
            groups: Vec::new(),
            column: Column::Value,
        }
    }

    /// A heading whose text is its name.
    pub fn word(word: impl Into<String>) -> Self {
        let text = word.into();
        Self::new(text.clone(), text)
    }

    /// The heading of a column that tells rows apart.
    pub fn key(word: impl Into<String>) -> Self {
        Self {
            column: Column::Key,
            ..Self::word(word)
        }
    }

    /// Whether this is a column of scores in a short form, aligned by the decimal point.
    fn is_short_score(&self) -> bool {
        !self.groups.is_empty() && matches!(self.column, Column::Score(_))
    }
}

/// One cell: its text for people and its value for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The text, without emphasis. Empty for a missing cell, which is printed as a dash.
    pub text: String,
    /// The value in JSON; null for a missing cell.
    pub value: Value,
    pub best: bool,
}

impl Cell {
    pub fn new(text: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            text: text.into(),
            value: value.into(),
            best: false,
        }
    }

    pub fn word(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(text.clone(), text)
    }

    /// A cell without a value, printed as a dash.
    pub fn missing() -> Self {
        Self::new("", Value::Null)
    }
}

/// The mean of these values, then these signs, then the sample standard deviation of several.
fn mean_cell(values: &[f64], decimals: usize, scale: f64, signs: &str) -> Cell {
    let Some(mean) = stats::mean(values) else {
        return Cell::missing();
    };
    // equal counts are shown without a spread of 0
    let spread = stats::sample_sd(values).filter(|sd| decimals > 0 || *sd > 0.0);
    let spread = spread.map_or_else(String::new, |sd| format!(" ± {:.decimals$}", sd * scale));
    Cell::new(format!("{:.decimals$}{signs}{spread}", mean * scale), mean)
}

impl Table {
    /// The table in this format, ending with a line end; in HTML the part of a page.
    pub fn render(&self, format: Format) -> String {
        format::one(self, format)
    }

    /// The table as JSON: `title`, `rows` as objects by column, `notes`. A row's scores are a list,
    /// each with its task, protocol and metric.
    pub fn to_json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.row_as_json(row)).collect();
        let mut columns: Vec<&str> = Vec::new();
        for heading in &self.header {
            let name = match heading.column {
                Column::Score(_) => SCORES,
                _ => &heading.name,
            };
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        json!({ "title": self.title, "columns": columns, "rows": rows, "notes": self.notes })
    }

    fn row_as_json(&self, row: &[Cell]) -> Value {
        let (mut fields, mut scores) = (Map::new(), Vec::new());
        for (heading, cell) in self.header.iter().zip(row) {
            match (&heading.column, &cell.value) {
                (Column::Score(_), Value::Null) => {}
                (Column::Score(place), value) => {
                    let place = Column::SCORE.into_iter().zip(place);
                    let mut score: Map<String, Value> = place
                        .map(|(name, word)| (name.to_owned(), word.as_str().into()))
                        .collect();
                    score.extend(value.as_object().cloned().unwrap_or_default());
                    scores.push(Value::Object(score));
                }
                (_, value) => {
                    fields.insert(heading.name.clone(), value.clone());
                }
            }
        }
        if self
            .header
            .iter()
            .any(|heading| matches!(heading.column, Column::Score(_)))
        {
            fields.insert(SCORES.into(), scores.into());
        }
        Value::Object(fields)
    }

    /// Whether a column holds plain numbers, which are aligned right.
    fn is_numeric(&self, column: usize) -> bool {
        if self.header[column].is_short_score() {
            return true;
        }
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
