//! LaTeX tables in the style of booktabs.

use crate::shown::on_one_line;
use crate::table::{Cell, Heading, Table};

/// Comment above all tables.
pub(super) const HEAD: &str = "\
% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}; letters beyond Latin need XeLaTeX or LuaLaTeX

";

/// The table as a float with its title as caption and its notes below.
pub(super) fn table(table: &Table) -> String {
    let columns: String = (0..table.header.len())
        .map(|column| if table.is_numeric(column) { 'r' } else { 'l' })
        .collect();
    let header = table.header.iter().zip(columns.chars());
    let mut lines = vec![
        "\\begin{table}".to_string(),
        "  \\centering\\small".to_string(),
        format!("  \\caption{{{}}}", escaped(&table.title)),
        format!("  \\begin{{tabular}}{{{columns}}}"),
        "    \\toprule".to_string(),
        row(header.map(|(heading, side)| stacked(heading, side))),
        "    \\midrule".to_string(),
    ];
    lines.extend(table.rows.iter().map(|cells| row(cells.iter().map(cell))));
    lines.extend(["    \\bottomrule".to_string(), "  \\end{tabular}".to_string()]);
    if !table.notes.is_empty() {
        lines.push("  \\par\\medskip\\footnotesize\\raggedright".to_string());
    }
    lines.extend(table.notes.iter().map(|note| format!("  {}\\par", escaped(note))));
    lines.push("\\end{table}\n".to_string());
    lines.join("\n")
}

fn row(cells: impl Iterator<Item = String>) -> String {
    format!("    {} \\\\", cells.collect::<Vec<_>>().join(" & "))
}

fn cell(cell: &Cell) -> String {
    match (cell.text.as_str(), cell.best) {
        ("", _) => "--".to_string(),
        (text, true) => format!("\\textbf{{{}}}", escaped(text)),
        (text, false) => escaped(text),
    }
}

/// A heading of stacked lines.
fn stacked(heading: &Heading, side: char) -> String {
    let lines: Vec<String> = heading.text.lines().map(escaped).collect();
    match lines.as_slice() {
        [] => String::new(),
        [line] => line.clone(),
        lines => format!("\\shortstack[{side}]{{{}}}", lines.join("\\\\")),
    }
}

/// Escapes LaTeX markup. Brackets are grouped, because a `[` at the start of a row would be read as
/// an option of the line break before it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in on_one_line(text).chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            // two hyphens would become a dash
            '-' if before == '-' => out.push_str("{}-"),
            '[' => out.push_str("{[}"),
            ']' => out.push_str("{]}"),
            c => match command(c) {
                Some(command) => out.push_str(&format!("{command}{{}}")),
                None => out.push(c),
            },
        }
        before = c;
    }
    out
}

/// The command for a character that LaTeX would interpret or that its text fonts do not have.
fn command(c: char) -> Option<&'static str> {
    Some(match c {
        '\\' => "\\textbackslash",
        '~' => "\\textasciitilde",
        '^' => "\\textasciicircum",
        '<' => "\\textless",
        '>' => "\\textgreater",
        '|' => "\\textbar",
        '"' => "\\textquotedbl",
        '\'' => "\\textquotesingle",
        '`' => "\\textasciigrave",
        '±' => "\\textpm",
        '†' => "\\textdagger",
        '‡' => "\\textdaggerdbl",
        '§' => "\\textsection",
        '¶' => "\\textparagraph",
        _ => return None,
    })
}
