//! The report: records and their tables as one page with plots, to be read on a phone, on a desk, on paper, and aloud.
//!
//! The page stands by itself: no script, and nothing is fetched; its own policy forbids both. Colours are never the only
//! sign: every series has a dash pattern and a marker too, and every plot a description in words.

use crate::record::RunRecord;
use crate::table::{Format, Series, Table, html, plural, series};

mod classes;
mod codes;
mod dots;
mod panel;
mod runs;
mod training;

/// Style of the page, for light and dark screens, phones and paper.
const STYLE: &str = include_str!("report/style.css");

/// All of it: plots, tables, provenance, and the plan of each run.
pub fn page(records: &[RunRecord], tables: &[Table]) -> String {
    let series = series(records);
    let sections = [
        section("scores", "Scores", &dots::plots(&series)),
        section("classes", "Classes", &classes::plots(&series)),
        section("tables", "Tables", &fragments(tables)),
        section("training", "Training", &training::plots(&series)),
        section("codebooks", "Codebooks", &codes::plots(&series)),
        section("runs", "Runs", &runs::list(&series)),
    ];
    document(&overview(records, &series), &sections)
}

/// A page of tables alone.
pub(crate) fn tables(tables: &[Table]) -> String {
    document("", &[section("tables", "Tables", &fragments(tables))])
}

fn fragments(tables: &[Table]) -> String {
    tables.iter().map(|table| table.render(Format::Html)).collect()
}

/// What the page is about, in a sentence.
fn overview(records: &[RunRecord], series: &[Series]) -> String {
    let runs = series.iter().flat_map(|series| &series.runs);
    let mut tasks: Vec<&str> = runs.clone().map(|run| run.task()).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let newest = runs.clone().map(|run| run.finished).max();
    let newest = newest.map_or_else(String::new, |time| {
        format!("; the last ended {}", time.strftime("%Y-%m-%d %H:%M UTC"))
    });
    let dirty = runs.clone().filter(|run| !run.program.is_clean()).count();
    let dirty = match dirty {
        0 => "All were built from a commit without changes.".to_string(),
        1 => "One of them was built from changed or unknown sources.".to_string(),
        _ => format!("{dirty} of them were built from changed or unknown sources."),
    };
    let count = runs.count();
    let older = match records.len() - count {
        0 => String::new(),
        older => format!(" ({older} older left out)"),
    };
    let text = format!(
        "{count} {}{older} in {} {} on {}{newest}. {dirty}",
        plural(count, "run"),
        series.len(),
        plural(series.len(), "setting"),
        tasks.join(", "),
    );
    format!("<p>{}</p>\n", html::escaped(&text))
}

/// A section with its anchor, title and content.
struct Section {
    id: &'static str,
    title: &'static str,
    content: String,
}

fn section(id: &'static str, title: &'static str, content: &str) -> Section {
    let content = if content.is_empty() {
        "<p>Nothing to show.</p>\n".to_string()
    } else {
        content.to_string()
    };
    Section { id, title, content }
}

fn document(overview: &str, sections: &[Section]) -> String {
    let links = sections
        .iter()
        .map(|Section { id, title, .. }| format!("<li><a href=\"#{id}\">{title}</a></li>"));
    let links: String = links.collect();
    let bodies = sections.iter().map(|Section { id, title, content }| {
        format!("<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{content}</section>\n")
    });
    let bodies: String = bodies.collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>bridle-bench report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>bridle-bench report</h1>\n{overview}<nav aria-label=\"Contents\"><ul>{links}</ul></nav>\n</header>\n\
         <main>\n{bodies}</main>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests;
