//! Stores the commit in the program, so that a record can say which source made it: git's, or, where the sources lie
//! outside of git (an archive, a package), the one that the environment variable `BRIDLE_COMMIT` names.

use std::path::Path;
use std::process::Command;

/// Folders of data only. A change in any other tracked file marks the commit as dirty.
pub const DATA: [&str; 6] = [
    "results/records",
    "results/ablations",
    "results/small-sets",
    "results/smoke",
    "results/gates",
    "runs",
];

/// Sources of the program, which is built again when one changes.
const PROGRAM: [&str; 7] = [
    "suite",
    "backends",
    "tasks",
    "baselines",
    "results",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    println!("cargo::rerun-if-changed=suite/build.rs");
    println!("cargo::rerun-if-env-changed=BRIDLE_COMMIT");
    let root = Path::new(".");
    // manual pages have a date
    let date = git(root, &["log", "-1", "--format=%cs"]).unwrap_or_else(|| "undated".to_owned());
    println!("cargo::rustc-env=BRIDLE_COMMIT_DATE={date}");
    if let Ok(commit) = std::env::var("BRIDLE_COMMIT") {
        println!("cargo::rustc-env=BRIDLE_COMMIT={commit}");
        println!("cargo::rustc-env=BRIDLE_DIRTY_MARK=");
        return;
    }
    let commit = git(root, &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BRIDLE_COMMIT={commit}");
    let mark = if is_dirty(root) { "-dirty" } else { "" };
    println!("cargo::rustc-env=BRIDLE_DIRTY_MARK={mark}");

    // HEAD moves with a checkout, its log with a commit, the index with staging
    let moving = ["HEAD", "logs/HEAD", "index"].map(|name| git(root, &["rev-parse", "--git-path", name]));
    let sources = git(root, &without_data(&["ls-files", "--"], &PROGRAM)).unwrap_or_default();
    let watched = moving.iter().flatten().map(String::as_str).chain(sources.lines());
    watched
        .filter(|path| Path::new(path).exists())
        .for_each(|path| println!("cargo::rerun-if-changed={path}"));
}

/// Whether a tracked file outside [`DATA`] differs from the commit.
pub fn is_dirty(root: &Path) -> bool {
    let status = [
        "--no-optional-locks",
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
    ];
    git(root, &without_data(&status, &["."])).is_some_and(|changes| !changes.is_empty())
}

/// A git command on `paths` outside [`DATA`].
fn without_data(command: &[&str], paths: &[&str]) -> Vec<String> {
    let paths = command.iter().chain(paths).map(|&word| word.to_owned());
    paths.chain(DATA.map(|folder| format!(":(exclude){folder}"))).collect()
}

/// The output of a git command; None without git or a repository.
fn git(root: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let output = output.status.success().then_some(output.stdout)?;
    Some(String::from_utf8(output).ok()?.trim().to_owned())
}
