//! The documentation is true: every relative link leads somewhere, and every spliced table is that of
//! the committed records.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the repository below `folder` with one of these extensions. Without git, all that are there.
fn tracked(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--", folder])
        .current_dir(root())
        .output();
    let listed = listed.ok().filter(|listed| listed.status.success());
    let mut files: Vec<PathBuf> = match listed {
        Some(listed) => String::from_utf8(listed.stdout)
            .unwrap()
            .split('\0')
            .map(PathBuf::from)
            .collect(),
        None => below(&root().join(folder)),
    };
    files.retain(|file| {
        file.extension()
            .is_some_and(|end| extensions.iter().any(|known| end == *known))
    });
    files.retain(|file| root().join(file).exists());
    files
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| !["target", ".git", "runs"].iter().any(|name| path.ends_with(name)));
    kept.flat_map(|path| {
        if path.is_dir() {
            below(&path)
        } else {
            vec![path.strip_prefix(root()).unwrap().to_owned()]
        }
    })
    .collect()
}

/// The lines of a page without its blocks of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence && !line.starts_with("    ")
    })
}

/// Targets of the links `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for file in tracked(".", &["md"]) {
        let page = std::fs::read_to_string(root().join(&file)).unwrap();
        for target in prose(&page).flat_map(links).filter(|target| !target.contains(':')) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = match path {
                "" => root().join(&file),
                path => root().join(&file).with_file_name("").join(path),
            };
            let has_anchor = || {
                let page = std::fs::read_to_string(&linked).unwrap_or_default();
                anchors(&page).iter().any(|known| known == anchor)
            };
            if !linked.exists() || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A copy of the committed results and of these pages, without the records that the user's own runs have
/// left beside them.
fn committed(pages: &[PathBuf]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in tracked("results", &["json", "csv", "toml"]).iter().chain(pages) {
        let to = copy.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root().join(file), to).unwrap();
    }
    copy
}

#[test]
fn every_figure_of_a_study_is_that_of_its_records() {
    let copy = committed(&[]);
    let studies = tracked("results/studies", &["toml"]);
    for study in &studies {
        let drawn = copy.path().join("drawn.svg");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
        command.args(["study", "--report", "--figure", "drawn.svg", "--out"]);
        command
            .arg(study.with_extension(""))
            .arg(study)
            .current_dir(copy.path());
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let committed = std::fs::read_to_string(root().join(study.with_extension("svg")));
        if output.status.success() {
            let drawn = std::fs::read_to_string(&drawn).unwrap();
            assert!(
                committed.is_ok_and(|known| known == drawn),
                "{} is outdated",
                study.display()
            );
        } else {
            assert!(told.contains("nothing is known yet") && committed.is_err(), "{told}");
        }
    }
    assert!(!studies.is_empty());
}

#[test]
fn every_spliced_table_is_that_of_the_committed_records() {
    let pages = tracked(".", &["md"]);
    let copy = committed(&pages);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(["table", "--check"]).current_dir(copy.path());
    pages.iter().for_each(|page| {
        command.arg("--splice").arg(page);
    });
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = std::fs::read_to_string(root().join("results/README.md")).unwrap();
    assert!(
        results.contains("\n<!-- bridle-bench table "),
        "results/README.md has no marker"
    );
}
