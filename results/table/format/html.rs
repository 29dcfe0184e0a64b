//! Tables as parts of a page, written so that XML readers take them too.

use crate::table::{Cell, Table};

/// The table with its title as caption and its notes below. The grid scrolls by itself where it is wider than the page.
pub(super) fn table(table: &Table) -> String {
    let title = escaped(&table.title);
    let numeric: Vec<bool> = (0..table.header.len()).map(|column| table.is_numeric(column)).collect();
    let class = |column: usize| if numeric[column] { " class=\"number\"" } else { "" };
    let mut out = format!(
        "<div class=\"table\">\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\n\
         <table>\n<caption>{title}</caption>\n<thead><tr>"
    );
    for (column, heading) in table.header.iter().enumerate() {
        let lines: Vec<String> = heading.text.lines().map(escaped).collect();
        out.push_str(&format!(
            "<th scope=\"col\"{}>{}</th>",
            class(column),
            lines.join("<br/>")
        ));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        let cells = row.iter().enumerate();
        let cells: String = cells
            .map(|(column, content)| format!("<td{}>{}</td>", class(column), cell(content)))
            .collect();
        out.push_str(&format!("<tr>{cells}</tr>\n"));
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
    if !table.notes.is_empty() {
        let notes: String = table
            .notes
            .iter()
            .map(|note| format!("<li>{}</li>\n", linked(note)))
            .collect();
        out.push_str(&format!("<ul class=\"notes\">\n{notes}</ul>\n"));
    }
    out.push_str("</div>\n");
    out
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "-".to_string(),
        (text, true) => format!("<strong>{}</strong>", escaped(text)),
        (text, false) => escaped(text),
    }
}

/// Text in which HTML finds no markup, in an element as in an attribute. Control characters, which no page may hold,
/// become the replacement character.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Text whose web addresses can be followed. A reader follows them; the page fetches nothing.
pub(crate) fn linked(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(['(', ')', ',', ';']);
        if bare.starts_with("https://") {
            let (before, after) = word.split_once(bare).unwrap_or(("", ""));
            let (before, bare, after) = (escaped(before), escaped(bare), escaped(after));
            format!("{before}<a href=\"{bare}\" rel=\"noreferrer\">{bare}</a>{after}")
        } else {
            escaped(word)
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
