//! Markdown tables, as GitHub reads them.

use super::{grid, paragraphs};
use crate::shown::on_one_line;
use crate::table::{Cell, Table};
use tabled::settings::Style;

pub(super) fn table(table: &Table) -> String {
    let grid = rows(table);
    let title = format!("**{}**", escaped(&table.title));
    let notes = table.notes.iter().map(|note| format!("- {}\n", escaped(note)));
    paragraphs(&title, &grid, notes)
}

/// The rows below their headings, without title and notes.
pub(crate) fn rows(table: &Table) -> String {
    let style = |grid: &mut tabled::Table| {
        grid.with(Style::markdown());
    };
    let grid = grid(table, style, escaped, cell);
    let mut lines: Vec<String> = grid.lines().map(str::to_owned).collect();
    if let Some(line) = lines.get_mut(1) {
        *line = aligned(table, line);
    }
    lines.join("\n")
}

/// The line below the headings, with the sign for columns that are aligned right.
fn aligned(table: &Table, line: &str) -> String {
    let parts = line.trim_matches('|').split('|').enumerate();
    let parts = parts.map(|(column, dashes)| match dashes.strip_suffix('-') {
        Some(rest) if table.is_numeric(column) => format!("{rest}:"),
        _ => dashes.to_owned(),
    });
    format!("|{}|", parts.collect::<Vec<_>>().join("|"))
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "-".to_string(),
        (text, true) => format!("**{}**", escaped(text)),
        (text, false) => escaped(text),
    }
}

/// Escapes what Markdown would read as the end of a cell, as emphasis, a link, a picture or HTML.
/// Web addresses stay, and so do the brackets of an interval.
pub(crate) fn escaped(text: &str) -> String {
    let text = on_one_line(text);
    let has_link = text.contains("](") || text.contains("][") || text.contains("]:") && text.contains("://");
    let words = text.split(' ').map(|word| {
        if is_address(word) {
            word.to_owned()
        } else {
            escaped_word(word, has_link)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn escaped_word(word: &str, has_link: bool) -> String {
    let mut out = String::new();
    for (place, c) in word.char_indices() {
        let of_link = has_link && (matches!(c, '[' | ']') || word[place..].starts_with("!["));
        if of_link || matches!(c, '|' | '*' | '_' | '`' | '\\' | '<') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Whether a word is a web address, perhaps with punctuation around it, and nothing else.
fn is_address(word: &str) -> bool {
    let address = word.trim_matches(['(', ')', ',', ';', '.']);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#%&=+@".contains(c);
    address.starts_with("https://") && address.chars().all(fits)
}
