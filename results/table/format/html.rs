//! Tables as HTML pages and parts of them, well-formed for XML readers too.

use super::stacked;
use crate::shown::is_control;
use crate::table::{Cell, Table};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

/// Style of a page, for light and dark screens, phones and paper.
pub(crate) const STYLE: &str = include_str!("page.css");

/// The page's only script: without it, tables stand as they are.
pub(crate) const SCRIPT: &str = include_str!("sort.js");

/// A page of tables only.
pub(super) fn page(tables: &[Table]) -> String {
    document("", &[section("tables", "Tables", &fragments(tables))])
}

/// The tables as parts of a page.
pub(crate) fn fragments(tables: &[Table]) -> String {
    tables.iter().map(table).collect()
}

/// A section with its anchor, title and content.
pub(crate) struct Section {
    id: &'static str,
    title: &'static str,
    content: String,
}

/// A section, or a remark that there is nothing to show.
pub(crate) fn section(id: &'static str, title: &'static str, content: &str) -> Section {
    let content = if content.is_empty() {
        "<p>Nothing to show.</p>\n".to_string()
    } else {
        content.to_string()
    };
    Section { id, title, content }
}

/// A page of sections below a sentence on what it is about.
pub(crate) fn document(overview: &str, sections: &[Section]) -> String {
    let links = sections
        .iter()
        .map(|Section { id, title, .. }| format!("<li><a href=\"#{id}\">{title}</a></li>"));
    let links: String = links.collect();
    let bodies = sections.iter().map(|Section { id, title, content }| {
        format!("<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{content}</section>\n")
    });
    let bodies: String = bodies.collect();
    let digest = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'sha256-{digest}'\"/>\n\
         <title>bridle-bench report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>bridle-bench report</h1>\n{overview}<nav aria-label=\"Contents\"><ul>{links}</ul></nav>\n</header>\n\
         <main>\n{bodies}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// The table with its title as caption and its notes below. A grid wider than the page scrolls.
pub(super) fn table(table: &Table) -> String {
    let title = escaped(&table.title);
    let numeric: Vec<bool> = (0..table.header.len()).map(|column| table.is_numeric(column)).collect();
    let class = |column: usize| if numeric[column] { " class=\"number\"" } else { "" };
    let mut out = format!(
        "<div class=\"table\">\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\n\
         <table>\n<caption>{title}</caption>\n<thead><tr>"
    );
    for (column, heading) in table.header.iter().enumerate() {
        let lines: Vec<String> = stacked(heading).lines().map(escaped).collect();
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
            .map(|(column, content)| format!("<td{}{}>{}</td>", class(column), order(content), cell(content)))
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

/// The number by which a cell is sorted, as an attribute; nothing for words.
fn order(cell: &Cell) -> String {
    let parts = ["mean", "median", "difference", "value"].into_iter();
    let number = cell
        .value
        .as_f64()
        .or_else(|| parts.filter_map(|part| cell.value.get(part)?.as_f64()).next());
    number.map_or_else(String::new, |number| format!(" data-sort=\"{number}\""))
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "-".to_string(),
        (text, true) => format!("<strong>{}</strong>", escaped(text)),
        (text, false) => escaped(text),
    }
}

/// Escapes markup, for elements and attributes. Control characters, which no page may hold, become
/// the replacement character.
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
            c if is_control(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Escapes text and turns web addresses into links.
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
