//! Tables made from records: what they hold ([`Table`]) apart from how they are printed ([`Format`]).
//!
//! [`main_table`] compares methods, [`codebook_table`] shows how quantizers use their codes, [`backend_table`] compares
//! one plan on several backends, [`comparison_table`] tests two sets of records. All leave a dash where there is nothing to show.

use serde_json::{Value, json};
use tabled::builder::Builder;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Style};

mod backends;
mod codebooks;
mod comparison;
mod mark;
mod runs;
mod scores;

pub use backends::backend_table;
pub use codebooks::codebook_table;
pub use comparison::{comparison_sentences, comparison_table};
pub(crate) use mark::notes_of as mark_notes;
pub(crate) use runs::name as run_name;
pub use scores::main_table;

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

/// A form in which tables are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned text; the best of a column carries a `*`.
    Terminal,
    /// A Markdown table; the best of a column is bold.
    Markdown,
    /// Values for programs.
    Json,
}

impl Format {
    /// Every format with its name.
    pub const ALL: [(&'static str, Self); 3] = [
        ("terminal", Self::Terminal),
        ("markdown", Self::Markdown),
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

/// Prints tables one after the other, ending with a line end; in JSON as one list.
pub fn render(tables: &[Table], format: Format) -> String {
    match format {
        Format::Json => {
            let tables = Value::from(tables.iter().map(Table::to_json).collect::<Vec<_>>());
            format!("{tables:#}\n")
        }
        text => tables
            .iter()
            .map(|table| table.render(text))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

impl Table {
    /// The table as text, ending with a line end.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Terminal => self.text(&format!("{}\n", self.title), "", format),
            Format::Markdown => self.text(&format!("**{}**\n", self.title), "- ", format),
            Format::Json => format!("{:#}\n", self.to_json()),
        }
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

    fn text(&self, title: &str, bullet: &str, format: Format) -> String {
        let mut text = format!("{title}\n{}\n", self.grid(format));
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("{bullet}{note}\n"));
        }
        text
    }

    fn grid(&self, format: Format) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.header.iter().map(|heading| match format {
            Format::Markdown => escaped(&heading.text),
            _ => heading.text.clone(),
        }));
        for row in &self.rows {
            builder.push_record(row.iter().map(|cell| printed(cell, format)));
        }
        let mut grid = builder.build();
        match format {
            Format::Markdown => grid.with(Style::markdown()),
            _ => grid.with(Style::psql()),
        };
        for column in (0..self.header.len()).filter(|&column| self.is_numeric(column)) {
            grid.modify(Columns::one(column), Alignment::right());
        }
        grid.modify(Rows::first(), Alignment::left());
        let grid = grid.to_string();
        grid.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
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

fn printed(cell: &Cell, format: Format) -> String {
    if cell.text.is_empty() {
        return "-".to_string();
    }
    match format {
        Format::Markdown if cell.best => format!("**{}**", escaped(&cell.text)),
        Format::Markdown => escaped(&cell.text),
        _ if cell.best => format!("* {}", cell.text),
        _ => cell.text.clone(),
    }
}

/// Text in which Markdown finds neither a cell's end nor emphasis.
fn escaped(text: &str) -> String {
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

#[cfg(test)]
mod tests;
