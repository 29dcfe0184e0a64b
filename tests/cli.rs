//! The real binary: help texts, plans, listings, and every kind of wrong input with its exit code and message.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program in `folder`, apart from whatever the caller's environment says about data and terminals.
fn program(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    for name in ["BRIDLE_DATA", "COLUMNS", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    // no cache of the user's, and nothing is fetched
    command
        .env("HF_HOME", folder.join("hub"))
        .env("HF_ENDPOINT", "http://127.0.0.1:9");
    command
}

fn output(folder: &Path, line: &str) -> Output {
    program(folder, line).output().unwrap()
}

fn stdout(line: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = output(folder.path(), line);
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What the user sees of a command that fails: the line, the exit code, and stderr with the folder's name taken out.
fn refusal(folder: &Path, line: &str) -> String {
    let output = output(folder, line);
    let told = String::from_utf8(output.stderr)
        .unwrap()
        .replace(folder.to_str().unwrap(), "FOLDER");
    let code = output
        .status
        .code()
        .map_or("killed".to_owned(), |code| format!("exit {code}"));
    format!("$ bridle-bench {line}\n{told}{code}\n")
}

fn refusals(folder: &Path, lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| refusal(folder, line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "",
        "run",
        "list",
        "check",
        "reproduce",
        "explain",
        "table",
        "compare",
        "regress",
        "study",
        "fetch",
        "features",
        "export",
        "import",
        "bench",
        "completions",
        "man",
    ] {
        let name = if command.is_empty() { "program" } else { command };
        insta::assert_snapshot!(format!("help_{name}"), stdout(&format!("{command} --help")));
    }
}

/// The plan as `check` prints it, from its hash on. Without data the command fails after printing it.
fn printed_plan(options: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = output(folder.path(), &format!("check {options}"));
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text[text.find("\nplan ").unwrap() + 1..].to_owned()
}

#[test]
fn plans_are_printed_whole() {
    insta::assert_snapshot!(
        "plan_smoke_rq",
        printed_plan("--task esc50 --preset smoke --quantizer rq")
    );
    insta::assert_snapshot!("plan_mini_vq", printed_plan("--task esc50 --quantizer vq"));
    insta::assert_snapshot!(
        "plan_mini_joint",
        printed_plan("--task esc50 --method bridle-joint --subset 10")
    );
    insta::assert_snapshot!(
        "plan_mini_random_init",
        printed_plan("--task esc50 --method random-init")
    );
    insta::assert_snapshot!("plan_paper_rq", printed_plan("--task audioset --preset paper"));
}

#[test]
fn a_check_for_programs_has_the_plan_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let output = output(folder.path(), "check --task esc50 --set pretrain.batch=8 --format json");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["plan"]["quantizer"], &report["plan"]["pretrain.batch"]),
        (&"rq".into(), &8.into())
    );
    assert_eq!(report["plan_hash"].as_str().unwrap().len(), 12);
    assert_eq!(report["problems"][0]["exit_code"], 3);
    assert_eq!(report["problems"].as_array().unwrap().len(), 1);
}

#[test]
fn the_version_names_the_commit() {
    let version = stdout("--version");
    let commit = version.split(['(', ')']).nth(1).unwrap().trim_end_matches("-dirty");
    assert!(commit == "unknown" || commit.len() == 40, "{version}");
}

#[test]
fn a_check_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    output(folder.path(), "check --task esc50 --preset smoke --out records");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_there_is_can_be_listed() {
    for what in ["quantizers", "methods", "protocols", "presets"] {
        insta::assert_snapshot!(format!("list_{what}"), stdout(&format!("list {what}")));
    }
    for what in ["tasks", "quantizers", "methods", "protocols", "presets", "backends"] {
        let entries: serde_json::Value = serde_json::from_str(&stdout(&format!("list {what} --format json"))).unwrap();
        for entry in entries.as_array().unwrap() {
            let name = entry["name"].as_str().unwrap();
            assert!(stdout(&format!("list {what}")).contains(name), "{what}: {name}");
        }
    }
}

#[test]
fn unknown_names_and_bad_values_are_wrong_use() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "run --task ecs50",
        "run --task esc50 --preset paper",
        "check --task esc50 --preset paper --method bridle-joint",
        "run --task esc50 --quantizer residual",
        "run --task esc50 --method bridel",
        "run --task esc50 --backend gpu",
        "run --task esc50 --preset tiny",
        "run --task esc50 --protocol linear-prob",
        "run --task esc50 --recipe correct",
        "run --task esc50 --method scratch --protocol knn",
        "run --task esc50 --method random-init --protocol finetune",
        "run --task esc50 --set model.widht=64",
        "run --task esc50 --set model.dim=sixty",
        "run --task esc50 --set model.dim=130",
        "run --task esc50 --folds 6",
        "run --task esc50 --folds one",
        "run --task esc50 --dtype fp16",
        "run --task esc50 --seeds 0",
        "run --task esc50 --resume --fresh",
        "run --quantizer rq",
        "list task",
        "benchmark",
    ];
    insta::assert_snapshot!(refusals(folder.path(), &lines));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was begun"
    );
}

#[test]
fn more_threads_than_can_be_kept_busy_are_refused_before_any_starts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("study.toml"),
        "question = \"?\"\ntasks = [\"synthetic\"]\nhours = 1\nseeds = 1\nreference = \"a\"\n[[arm]]\nname = \"a\"\n",
    )
    .unwrap();
    for line in [
        "run --task synthetic --preset smoke",
        "check --task synthetic --preset smoke",
        "study study.toml",
        "bench",
    ] {
        for threads in ["1000000", "4294967295"] {
            let told = refusal(folder.path(), &format!("{line} --threads {threads}"));
            let said = told.contains(&format!("{threads} threads are too many for"));
            assert!(
                said && told.contains("omit --threads") && told.ends_with("exit 2\n"),
                "{told}"
            );
        }
        for wrong in ["0", "4294967296", "all"] {
            let told = refusal(folder.path(), &format!("{line} --threads {wrong}"));
            assert!(told.contains("--threads") && told.ends_with("exit 2\n"), "{told}");
        }
    }
    // as many as no machine minds
    let output = output(folder.path(), "check --task synthetic --preset smoke --threads 64");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("64 threads"));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_settings_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for line in [
        "run --task pipe.toml",
        "study pipe.toml",
        "regress --baseline pipe.toml",
        "table pipe.toml",
        "table --splice pipe.toml",
        "compare pipe.toml pipe.toml",
        "export --to a.safetensors pipe.toml",
        "run --task synthetic --preset smoke --init pipe.toml",
    ] {
        let told = refusal(folder.path(), line);
        assert!(told.contains("a pipe, a socket or a device"), "{told}");
    }
}

#[test]
fn data_that_is_not_what_it_should_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("pictures")).unwrap();
    let absolute = folder.path().join("pictures");
    let lines = [
        "run --task esc50 --offline".to_owned(),
        "check --task esc50 --data nowhere".to_owned(),
        format!("run --task esc50 --data {}", absolute.display()),
        "run --task audioset --offline".to_owned(),
        format!("check --task audioset-20k --data {}", absolute.display()),
    ];
    let told: Vec<String> = lines.iter().map(|line| refusal(folder.path(), line)).collect();
    insta::assert_snapshot!(told.join("\n").replace(folder.path().to_str().unwrap(), "FOLDER"));
}

/// A folder laid out as the original ESC-50, whose every sound file holds `content`.
fn false_esc50(folder: &Path, content: &str) {
    let classes = bridle_tasks::find("esc50").unwrap().spec().classes;
    std::fs::create_dir_all(folder.join("meta")).unwrap();
    std::fs::create_dir_all(folder.join("audio")).unwrap();
    let mut table = "filename,fold,target,category,esc10,src_file,take\n".to_owned();
    for clip in 0..2_000 {
        let (fold, target, source) = (clip % 5 + 1, clip / 5 % 50, 1_000 + clip);
        let name = format!("{fold}-{source}-A-{target}.wav");
        table += &format!("{name},{fold},{target},{},False,{source},A\n", classes[target]);
        std::fs::write(folder.join("audio").join(name), content).unwrap();
    }
    std::fs::write(folder.join("meta/esc50.csv"), table).unwrap();
}

#[test]
fn text_in_sound_files_is_told_by_the_file_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    false_esc50(&data, "this is no sound\n");
    for options in ["", "--allow-different-data"] {
        let line = format!("run --task esc50 --preset smoke --data {} {options}", data.display());
        let told = refusal(folder.path(), &line);
        assert!(told.contains("exit 3") && told.contains("-A-"), "{told}");
    }
    // the folder for records was proved writable, and holds nothing
    let records = folder.path().join("results/records/esc50/bridle-rq");
    assert_eq!(std::fs::read_dir(records).unwrap().count(), 0, "no record was written");
}

#[test]
fn an_output_that_cannot_be_written_stops_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "in the way").unwrap();
    let lines = [
        "run --task synthetic --preset smoke --out file/records",
        "check --task esc50 --out file/records",
    ];
    insta::assert_snapshot!(refusals(folder.path(), &lines));
}

#[test]
fn records_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.json"), "not JSON").unwrap();
    std::fs::write(folder.path().join("other.json"), "{\"a\": 1}").unwrap();
    std::fs::write(folder.path().join("newer.json"), "{\"schema\": 99}").unwrap();
    std::fs::write(folder.path().join("broken.json"), "{\"schema\": 1, \"id\": 7}").unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let lines = [
        "table",
        "table nowhere",
        "table empty",
        "table notes.json",
        "table other.json",
        "table newer.json",
        "table broken.json",
    ];
    insta::assert_snapshot!(refusals(folder.path(), &lines));
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path(), "completions bash")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}

/// burn would read it, in this folder or any above it.
#[test]
fn a_file_of_settings_for_burn_decides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("burn.toml"), "[no toml").unwrap();
    let line = "run --task synthetic --preset smoke --subset 20 --set data.frames=64 --set pretrain.rounds=1 \
                --set pretrain.encoder.epochs=1 --set probe.epochs=2";
    let output = output(folder.path(), line);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            stdout(&format!("completions {shell}")).contains("bridle-bench"),
            "{shell}"
        );
    }
}

/// A reader that closes the pipe early is no error.
#[test]
fn a_closed_pipe_ends_a_listing_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program(folder.path(), "list tasks").stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
