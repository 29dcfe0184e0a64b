//! Tables for papers fit the one column of an article: LaTeX sets those of the committed records
//! without an overfull box. Without LaTeX nothing is measured, and the test says so.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use bridle_results::evidence::Evidence;
use bridle_results::published::{self, Shown};
use bridle_results::record::RunRecord;
use bridle_results::store;
use bridle_results::table::{Format, Style, Table, TableKind, View, render};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What scales down a table that is too wide.
const GUARD: &str = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%";

/// The paper tables of the committed records in these folders.
fn tables(kind: TableKind, folders: &[&str]) -> Vec<Table> {
    let folders: Vec<PathBuf> = folders
        .iter()
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .collect();
    let found = store::find(&folders).unwrap();
    let evidence = Evidence::read(&found).unwrap();
    let records: Vec<RunRecord> = found.into_iter().map(|(_, record)| record).collect();
    let view = View {
        style: Style::Paper,
        baseline: (kind == TableKind::Scores).then(|| "random-init".into()),
        ..View::default()
    };
    let mut tables = kind.of(&records, &evidence, &view);
    if kind == TableKind::Scores {
        let published = published::tables(&records, Shown::Protocol);
        tables.extend(published.into_iter().flat_map(|table| view.style.fitted(table)));
    }
    tables
}

/// What LaTeX says of an article with these tables. None without LaTeX.
fn log(tables: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    // each float on a page of its own, so that none waits for the others
    let tables = tables.replace("\\begin{table}", "\\clearpage\\begin{table}[p]");
    let article = format!(
        "\\documentclass{{article}}\n\\usepackage[T1]{{fontenc}}\n\\usepackage{{textcomp,booktabs,graphicx}}\n\
         \\begin{{document}}\n{tables}\n\\end{{document}}\n"
    );
    std::fs::write(folder.path().join("article.tex"), article).unwrap();
    let output = Command::new("pdflatex")
        .args([
            "-draftmode",
            "-interaction=nonstopmode",
            "-halt-on-error",
            "article.tex",
        ])
        .env("max_print_line", "1000")
        .current_dir(folder.path())
        .output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{log}");
    Some(log)
}

fn overfull(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.starts_with("Overfull") || line.contains("Float too large"))
        .collect()
}

#[test]
fn tables_of_committed_records_fit_the_column_of_an_article() {
    let folders = ["records", "small-sets", "ablations"];
    for (name, kind) in TableKind::ALL.into_iter().filter(|(_, kind)| *kind != TableKind::Runs) {
        let text = render(&tables(kind, &folders), Format::Latex);
        let Some(log) = log(&text) else {
            eprintln!("no pdflatex here: the width of tables for papers was NOT measured");
            return;
        };
        assert_eq!(overfull(&log), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn six_columns_of_scores_need_no_scaling() {
    for folder in ["records/esc50", "records/digits"] {
        let mut scores = tables(TableKind::Scores, &[folder]);
        scores.retain(|table| table.title.starts_with("Scores"));
        let text = render(&scores, Format::Latex).replace(GUARD, "\\mbox{%");
        assert!(text.contains("\\mbox{%"), "the guard has another form");
        let Some(log) = log(&text) else {
            eprintln!("no pdflatex here: the width of tables for papers was NOT measured");
            return;
        };
        assert_eq!(overfull(&log), Vec::<&str>::new(), "{folder}");
    }
}

#[test]
fn labels_in_one_article_differ() {
    let text = render(&tables(TableKind::Scores, &["records", "small-sets"]), Format::Latex);
    let labels: Vec<&str> = text.lines().filter(|line| line.contains("\\label{")).collect();
    let mut different = labels.clone();
    different.sort_unstable();
    different.dedup();
    assert!(labels.len() > 2);
    assert_eq!(different.len(), labels.len(), "{labels:?}");
}
