//! `table --splice` on the real program: what it fills, what it leaves alone, what it refuses.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::path::Path;
use std::process::{Command, Output};

const SCORES: &str = "bridle-bench table records --format markdown --published none --only scores";

/// A folder with one committed record as `records/run.json`, and this page as `page.md`.
fn folder(page: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/studies/finetune/esc50/scratch");
    let mut files = std::fs::read_dir(records).unwrap().map(|entry| entry.unwrap().path());
    let record = files
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .unwrap();
    std::fs::create_dir(folder.path().join("records")).unwrap();
    std::fs::copy(record, folder.path().join("records/run.json")).unwrap();
    std::fs::write(folder.path().join("page.md"), page).unwrap();
    folder
}

fn run(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bridle-bench"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The exit code and stderr of a splice of `page.md`.
fn splice(folder: &Path, options: &str) -> (i32, String) {
    let output = run(folder, &format!("table --splice page.md {options}"));
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn page(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("page.md")).unwrap()
}

#[test]
fn a_page_is_filled_between_its_markers_and_nowhere_else() {
    let marked = |table: &str, list: &str| {
        format!(
            "# Title\n\n<!-- {SCORES}: begin -->\n{table}<!-- end -->\nbetween\n\n    <!-- {SCORES}: begin -->\n\n\
             <!-- bridle-bench list methods: begin -->\n{list}<!-- end -->\nlast line"
        )
    };
    let empty = marked("", "an old\nlist\n");
    let folder = folder(&empty);
    let print = |line: &str| String::from_utf8(run(folder.path(), line).stdout).unwrap();
    let table = print(SCORES.strip_prefix("bridle-bench ").unwrap());
    assert!(table.contains("| method"));
    let full = marked(&table, &format!("```text\n{}```\n", print("list methods")));

    let (code, told) = splice(folder.path(), "--check");
    assert_eq!(code, 10, "{told}");
    assert!(
        told.contains("page.md:3: ") && told.contains("page.md:9: `bridle-bench list methods`"),
        "{told}"
    );
    assert_eq!(page(folder.path()), empty, "a check writes nothing");
    assert_eq!(splice(folder.path(), "").0, 0);
    assert_eq!(page(folder.path()), full);
    assert_eq!(splice(folder.path(), "--check"), (0, String::new()));
    assert_eq!(
        splice(folder.path(), ""),
        (0, String::new()),
        "a page that is up to date is not written"
    );
}

#[test]
fn what_is_wrong_is_named_by_file_and_line_and_nothing_is_written() {
    let begin = |command: &str| format!("text\n<!-- bridle-bench {command}: begin -->\n");
    let marked = |command: &str| format!("{}<!-- end -->\n", begin(command));
    let cases = [
        (begin("list tasks"), "page.md:2: a begin marker without `<!-- end -->`"),
        (
            begin("list tasks") + &marked("list tasks"),
            "page.md:4: a marker within that of page.md:2",
        ),
        (
            "<!-- end -->\n".into(),
            "page.md:1: `<!-- end -->` without a begin marker",
        ),
        (
            marked("rank records"),
            "page.md:2: `bridle-bench rank records`\n  because: unrecognized subcommand",
        ),
        (
            marked("table --frobnicate"),
            "page.md:2: `bridle-bench table --frobnicate`\n  because: unexpected argument",
        ),
        (
            marked("compare"),
            "because: the following required arguments were not provided: <A> <B>",
        ),
        (
            marked("table nowhere"),
            "page.md:2: `bridle-bench table nowhere`\n  because: nowhere does not exist",
        ),
        (
            marked("table records --only score"),
            "because: unknown table `score`; did you mean `scores`?",
        ),
        (
            marked("table --splice page.md"),
            "because: a marker may only hold table, compare, list or study --report",
        ),
        (
            marked("run --task synthetic"),
            "because: a marker may only hold table, compare, list or study --report",
        ),
        (
            marked("list tasks") + &marked("fetch esc50"),
            "page.md:5: `bridle-bench fetch esc50`",
        ),
    ];
    for (text, message) in cases {
        let folder = folder(&text);
        for options in ["", "--check"] {
            let (code, told) = splice(folder.path(), options);
            assert_eq!(code, 2, "{told}");
            assert!(told.contains(message), "{told}\nlacks\n{message}");
        }
        assert_eq!(page(folder.path()), text);
    }
}

#[test]
fn splicing_takes_no_other_option_and_needs_a_file() {
    let folder = folder("");
    for line in [
        "table --check",
        "table --splice page.md records",
        "table --splice page.md --format markdown",
        "table --splice nowhere.md",
    ] {
        assert_eq!(run(folder.path(), line).status.code(), Some(2), "{line}");
    }
}
