//! The Python that some tests need: `$BRIDLE_PYTHON`, else `python3`, with the packages of
//! `tests/python/requirements.txt`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter, if it has these packages. Without it the check is not made, which is said on stderr;
/// with `BRIDLE_REQUIRE_PYTHON=1` that is a failure.
pub fn interpreter(check: &str, packages: &str) -> Option<PathBuf> {
    let python = std::env::var_os("BRIDLE_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let output = Command::new(&python)
        .args(["-c", &format!("import {packages}")])
        .output();
    let why = match &output {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr)
            .trim()
            .lines()
            .last()
            .unwrap_or("")
            .to_owned(),
        Err(error) => error.to_string(),
    };
    let told = format!("{check}: NOT CHECKED: {} has no {packages} ({why})", python.display());
    assert!(
        std::env::var_os("BRIDLE_REQUIRE_PYTHON").is_none_or(|value| value != "1"),
        "{told}"
    );
    // past the test harness, which keeps what passing tests print
    #[expect(clippy::explicit_write, reason = "tests keep what eprintln says to themselves")]
    writeln!(std::io::stderr(), "{told}").unwrap();
    None
}

/// Runs lines of Python in a folder, and gives what they print.
pub fn run(python: &Path, folder: &Path, lines: &str) -> String {
    let output = Command::new(python)
        .args(["-c", lines])
        .current_dir(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

/// The blocks of Python in a page.
pub fn blocks(page: &str) -> Vec<String> {
    let after = page.split("```python\n").skip(1);
    after.map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}
