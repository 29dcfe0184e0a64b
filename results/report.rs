//! The report: records and their tables as one page with plots, for phone, desktop, paper and
//! screen reader.
//!
//! The page is self-contained: nothing is fetched, and its own policy forbids it; one short script
//! sorts tables, and without it they stand as they are. Colour is never the only sign: a method also
//! has a marker, its settings have dash patterns, every plot has a description.

use crate::evidence::Evidence;
use crate::record::{RunRecord, plural};
use crate::table::html::{document, escaped, fragments, section};
use crate::table::{Series, Table, series};

mod answers;
mod axis;
mod classes;
mod codes;
mod differences;
mod dots;
mod panel;
mod runs;
mod training;

pub use answers::answers_figure;

/// The page: plots, tables, provenance, and the plan of each run.
pub fn page(records: &[RunRecord], evidence: &Evidence, tables: &[Table]) -> String {
    let series = series(records);
    let sections = [
        section("scores", "Scores", &dots::plots(&series, evidence)),
        section("differences", "Differences", &differences::plots(&series, evidence)),
        section("classes", "Classes", &classes::plots(&series)),
        section("tables", "Tables", &fragments(tables)),
        section("training", "Training", &training::plots(&series)),
        section("codebooks", "Codebooks", &codes::plots(&series)),
        section("runs", "Runs", &runs::list(&series)),
    ];
    document(&overview(records, &series), &sections)
}

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
    format!("<p>{}</p>\n", escaped(&text))
}

#[cfg(test)]
mod tests;
