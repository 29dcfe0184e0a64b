//! The results in README.md are those of the committed records.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_results_in_the_readme_are_those_of_the_records() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for task in ["esc50", "digits"] {
        let output = Command::new(env!("CARGO_BIN_EXE_bridle-bench"))
            .args([
                "table",
                "--format",
                "markdown",
                "--published",
                "none",
                "--only",
                "scores,codebooks,labels",
            ])
            .args(committed_records(root, task))
            .current_dir(root)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (_, rest) = readme
            .split_once(&format!("<!-- results of {task}: begin -->"))
            .unwrap();
        let (shown, _) = rest.split_once("<!-- results: end -->").unwrap();
        assert_eq!(
            shown.trim(),
            String::from_utf8(output.stdout).unwrap().trim(),
            "{task}: make the table of the committed records as README.md says and put it between the marks"
        );
    }
}

/// The records of a task that belong to the repository, without those that its user's runs have left beside them. A copy without
/// git has only those of the repository if nothing was run in it.
fn committed_records(root: &Path, task: &str) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", &format!("results/records/{task}")])
        .current_dir(root)
        .output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        return Vec::new();
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let records = listed.split('\0').filter(|name| name.ends_with(".json"));
    records.map(str::to_owned).collect()
}
