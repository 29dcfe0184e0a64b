//! A record names a clean commit only if no code was changed; records and other data do not count.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use std::path::Path;
use std::process::Command;

#[allow(dead_code)] // its `main` runs when the program is built
#[path = "../suite/build.rs"]
mod build;

fn git(root: &Path, arguments: &[&str]) -> String {
    let name = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
    let output = Command::new("git")
        .args(name)
        .args(arguments)
        .current_dir(root)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_changed_metric_marks_the_commit_and_a_changed_record_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |file: &str, text: &str| {
        std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        std::fs::write(root.join(file), text).unwrap();
    };
    let (metric, record) = ("results/metric/ranking.rs", "results/records/esc50/run.json");
    write(metric, "one");
    write(record, "one");
    git(root, &["init", "--quiet"]);
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "--message", "one"]);
    assert!(!build::is_dirty(root));
    write(record, "two");
    assert!(!build::is_dirty(root));
    write(metric, "two");
    assert!(build::is_dirty(root));
}

#[test]
fn folders_of_data_hold_no_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".git").exists() {
        return; // a copy without git has no commit to mark
    }
    let tracked = git(root, &[&["ls-files", "--"], &build::DATA[..]].concat());
    let code = tracked
        .lines()
        .filter(|file| file.ends_with(".rs") || file.ends_with("Cargo.toml"));
    assert_eq!(code.collect::<Vec<_>>(), Vec::<&str>::new());
}
