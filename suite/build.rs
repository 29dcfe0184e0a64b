//! Bakes the commit into the program, so that a record can say which source made it.

use std::path::Path;
use std::process::Command;

/// What decides the program's numbers; a change there asks git again.
const SOURCES: [&str; 6] = ["suite", "backends", "tasks", "baselines", "Cargo.toml", "Cargo.lock"];

fn main() {
    let commit = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // records are written by the program itself, and runs/ holds its work files: neither makes the source another one
    let changed = [
        "--no-optional-locks",
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
    ];
    let outside = [".", ":(exclude)results", ":(exclude)runs"];
    let dirty = git(&[&changed[..], &outside[..]].concat()).is_some_and(|changes| !changes.is_empty());
    println!("cargo::rustc-env=BRIDLE_COMMIT={commit}");
    println!(
        "cargo::rustc-env=BRIDLE_DIRTY_MARK={}",
        if dirty { "-dirty" } else { "" }
    );
    SOURCES
        .iter()
        .for_each(|path| println!("cargo::rerun-if-changed={path}"));
    // HEAD moves with a checkout, its log with a commit, the index with staging
    let moving = ["HEAD", "logs/HEAD", "index"]
        .iter()
        .filter_map(|name| git(&["rev-parse", "--git-path", name]));
    moving
        .filter(|path| Path::new(path).exists())
        .for_each(|path| println!("cargo::rerun-if-changed={path}"));
}

/// The output of a git command, if there is a git and a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
