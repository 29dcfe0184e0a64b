//! LaTeX tables in the style of booktabs.

use crate::shown::on_one_line;
use crate::table::{Cell, Heading, Table};
use std::collections::BTreeMap;

/// Comment above all tables.
const HEAD: &str = "\
% needs \\usepackage{booktabs}, \\usepackage{graphicx} and \\usepackage[T1]{fontenc}; letters beyond Latin need XeLaTeX or
% LuaLaTeX

";

/// Longer words of notes may be broken after signs.
const LONG: usize = 24;

/// All tables, each with a label of its own.
pub(super) fn file(tables: &[Table]) -> String {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let tables = tables.iter().map(|one| {
        let label = label(one);
        let count = seen.entry(label.clone()).or_default();
        *count += 1;
        match *count {
            1 => table(one, &label),
            count => table(one, &format!("{label}-{count}")),
        }
    });
    format!("{HEAD}{}", tables.collect::<Vec<_>>().join("\n"))
}

/// What the table is referred to by: the first words of its title.
pub(super) fn label(table: &Table) -> String {
    let start = table.title.split(',').next().unwrap_or_default().to_lowercase();
    let words = start
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    format!("tab:{}", words.collect::<Vec<_>>().join("-"))
}

/// The table as a float with its title as caption and its notes below. One that is wider than the
/// text is scaled down.
pub(super) fn table(table: &Table, label: &str) -> String {
    let columns: Vec<&str> = (0..table.header.len()).map(|column| side(table, column)).collect();
    let mut lines = vec![
        "\\begin{table}".to_string(),
        "  \\centering\\footnotesize\\setlength{\\tabcolsep}{1.5pt}".to_string(),
        format!("  \\caption{{{}}}", escaped(&table.title)),
        format!("  \\label{{{label}}}"),
        "  \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%".to_string(),
        format!("  \\begin{{tabular}}{{{}}}", columns.concat()),
        "    \\toprule".to_string(),
    ];
    lines.extend(group_rows(&table.header));
    lines.push(row(table
        .header
        .iter()
        .zip(&columns)
        .map(|(heading, side)| stacked(heading, side))));
    lines.push("    \\midrule".to_string());
    let cells = |cells: &Vec<Cell>| {
        row(table
            .header
            .iter()
            .zip(cells)
            .map(|(heading, cell)| shown(heading, cell)))
    };
    lines.extend(table.rows.iter().map(cells));
    lines.extend(["    \\bottomrule".to_string(), "  \\end{tabular}}".to_string()]);
    if !table.notes.is_empty() {
        lines.push("  \\par\\medskip\\scriptsize\\raggedright".to_string());
    }
    lines.extend(table.notes.iter().map(|note| format!("  {}\\par", breakable(note))));
    lines.push("\\end{table}\n".to_string());
    lines.join("\n")
}

/// How a column is aligned: the mean of a short score right, its spread left beside it.
fn side(table: &Table, column: usize) -> &'static str {
    match table.is_numeric(column) {
        _ if table.header[column].is_short_score() => "r@{\\,}l",
        true => "r",
        false => "l",
    }
}

/// LaTeX columns of a heading.
fn span(heading: &Heading) -> usize {
    if heading.is_short_score() { 2 } else { 1 }
}

/// A row for each level of groups, with a rule below each group.
fn group_rows(header: &[Heading]) -> Vec<String> {
    let levels = header.iter().map(|heading| heading.groups.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for level in 0..levels {
        let (mut cells, mut rules, mut first) = (Vec::new(), String::new(), 1);
        let above = |heading: &Heading| heading.groups.get(..=level).map(<[String]>::to_vec);
        for of_group in header.chunk_by(|a, b| above(a).is_some() && above(a) == above(b)) {
            let width: usize = of_group.iter().map(span).sum();
            match of_group[0].groups.get(level) {
                Some(group) => {
                    cells.push(format!("\\multicolumn{{{width}}}{{c}}{{{}}}", escaped(group)));
                    rules.push_str(&format!("\\cmidrule(lr){{{first}-{}}}", first + width - 1));
                }
                None => cells.push(String::new()),
            }
            first += width;
        }
        lines.push(row(cells.into_iter()));
        lines.push(format!("    {rules}"));
    }
    lines
}

fn row(cells: impl Iterator<Item = String>) -> String {
    format!("    {} \\\\", cells.collect::<Vec<_>>().join(" & "))
}

/// A cell; of a short score both columns.
fn shown(heading: &Heading, cell: &Cell) -> String {
    if !heading.is_short_score() {
        return bold(cell, &cell.text);
    }
    match cell.text.split_once(' ') {
        Some((mean, spread)) if mean.parse::<f64>().is_ok() => {
            format!("{} & {{\\tiny {}}}", bold(cell, mean), escaped(spread))
        }
        _ => format!("\\multicolumn{{2}}{{c}}{{{}}}", bold(cell, &cell.text)),
    }
}

fn bold(cell: &Cell, text: &str) -> String {
    match (text, cell.best) {
        ("", _) => "--".to_string(),
        (text, true) => format!("\\textbf{{{}}}", escaped(text)),
        (text, false) => escaped(text),
    }
}

/// A heading of stacked lines.
fn stacked(heading: &Heading, side: &str) -> String {
    let lines: Vec<String> = heading.text.lines().map(escaped).collect();
    if heading.is_short_score() {
        return format!("\\multicolumn{{2}}{{c}}{{{}}}", lines.join(" "));
    }
    match lines.as_slice() {
        [] => String::new(),
        [line] => line.clone(),
        lines => format!("\\shortstack[{side}]{{{}}}", lines.join("\\\\")),
    }
}

/// A note whose long words, such as web addresses, may be broken after signs.
fn breakable(note: &str) -> String {
    let word = |word: &str| {
        if word.chars().count() <= LONG {
            return escaped(word);
        }
        let parts = word.split_inclusive(['/', '.', '-', '_', '=']).map(escaped);
        parts.collect::<Vec<_>>().join("\\allowbreak{}")
    };
    note.split(' ').map(word).collect::<Vec<_>>().join(" ")
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
        '¹' => "\\textsuperscript{1}",
        '±' => "\\textpm",
        '†' => "\\textdagger",
        '‡' => "\\textdaggerdbl",
        '§' => "\\textsection",
        '¶' => "\\textparagraph",
        _ => return None,
    })
}
