//! Completion scripts in the shells themselves: commands, options, and values of options. Manual pages in
//! the programs that show them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bridle_bench::cli::Cli;
use clap::CommandFactory;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What is typed so far, and a word that it is completed to.
const TYPED: [(&str, &str); 9] = [
    ("bridle-bench reprod", "reproduce"),
    ("bridle-bench run --quan", "--quantizer"),
    ("bridle-bench run --task esc", "esc50"),
    ("bridle-bench run --quantizer v", "vq"),
    ("bridle-bench check --protocol linear", "linear-probe"),
    ("bridle-bench run --method random", "random-init"),
    ("bridle-bench run --backend t", "tch"),
    ("bridle-bench run --set pretrain.acc", "pretrain.accumulate="),
    ("bridle-bench explain knn.temp", "knn.temperature"),
];

/// Whether the shell, or the program that shows manual pages, is installed; where tests must not be left
/// out, it has to be.
fn is_there(shell: &str) -> bool {
    let there = Command::new(shell)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    let required = std::env::var_os("BRIDLE_REQUIRE_SHELLS").is_some_and(|value| value == "1");
    assert!(there || !required, "{shell} is not installed");
    if !there {
        eprintln!("needs {shell}, which is not installed");
    }
    there
}

/// Writes the script of a shell to a file in `folder`.
fn script(folder: &Path, shell: &str, name: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_bridle-bench"))
        .args(["completions", shell])
        .output()
        .unwrap();
    assert!(output.status.success());
    std::fs::write(folder.join(name), output.stdout).unwrap();
}

fn said(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    format!("{out}{err}")
}

#[test]
fn bash_completes_commands_options_and_values() {
    if !is_there("bash") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "bash", "script");
    for (typed, wanted) in TYPED {
        let words: Vec<&str> = typed.split(' ').collect();
        let (current, previous) = (words[words.len() - 1], words[words.len() - 2]);
        let line = format!(
            "source ./script; COMP_WORDS=({typed}); COMP_CWORD={}; \
             $(complete -p bridle-bench | sed 's/.*-F \\([^ ]*\\).*/\\1/') bridle-bench {current} {previous}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        let output = Command::new("bash")
            .args(["-c", &line])
            .current_dir(&folder)
            .output()
            .unwrap();
        let found = said(&output);
        assert!(found.lines().any(|line| line == wanted), "{typed}: {found}");
    }
}

#[test]
fn fish_completes_commands_options_and_values() {
    if !is_there("fish") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "fish", "script");
    for (typed, wanted) in TYPED {
        let line = format!("source ./script; complete -C '{typed}'");
        let output = Command::new("fish")
            .args(["--no-config", "-c", &line])
            .current_dir(&folder)
            .output()
            .unwrap();
        let found = said(&output);
        let first = |line: &str| line.split('\t').next() == Some(wanted);
        assert!(found.lines().any(first), "{typed}: {found}");
    }
}

/// Types into an interactive zsh, in a terminal of zsh's own, and gives what it shows.
const IN_A_TERMINAL: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT=READY; fpath=($PWD \$fpath); autoload -Uz compinit; compinit -D -u; LISTMAX=0; print DONE-\$((1+1))"
zpty -r -m shell _ '*DONE-2*'
while read -r typed; do
  zpty -w -n shell "$typed"$'\t'
  # a shell that sees more keys coming lists nothing
  sleep 1
  zpty -w shell $'\a'" -- TYPED"
  zpty -r -m shell shown '*TYPED*'
  print -r -- "$shown"
done
zpty -d shell
"#;

#[test]
fn zsh_completes_commands_options_and_values() {
    if !is_there("zsh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "zsh", "_bridle-bench");
    for (typed, wanted) in TYPED {
        let mut zsh = Command::new("zsh")
            .args(["-f", "-c", IN_A_TERMINAL])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(zsh.stdin.take().unwrap(), "{typed}").unwrap();
        let found = said(&zsh.wait_with_output().unwrap());
        assert!(found.contains(wanted), "{typed}: {found}");
    }
}

/// One space in place of any white space.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A manual page as `man` shows it, in lines that are neither filled up nor hyphenated.
fn as_shown(folder: &Path, page: &str) -> String {
    let man = Command::new("man")
        .args([
            "--local-file",
            "--warnings=w",
            "--no-hyphenation",
            "--no-justification",
            page,
        ])
        .envs([
            ("MANWIDTH", "78"),
            ("LC_ALL", "C.UTF-8"),
            ("MANPAGER", "cat"),
            ("MAN_KEEP_FORMATTING", ""),
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(man.status.success() && man.stderr.is_empty(), "{page}: {}", said(&man));
    words(&String::from_utf8(man.stdout).unwrap())
}

#[test]
fn manual_pages_hold_every_command_option_and_text_and_are_shown_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man/man1");
    let written = Command::new(env!("CARGO_BIN_EXE_bridle-bench"))
        .arg("man")
        .arg(&pages)
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", said(&written));
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<_> = std::iter::once(&program).chain(program.get_subcommands()).collect();
    let name = |command: &clap::Command| format!("{}.1", command.get_display_name().unwrap_or("bridle-bench"));
    let wanted: BTreeSet<String> = commands.iter().map(|command| name(command)).collect();
    let entries = std::fs::read_dir(&pages).unwrap();
    let found: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(found == wanted && found.len() > 15, "{found:?}");
    let readers = ["man", "groff", "mandoc"].map(is_there);
    for command in commands {
        let page = name(command);
        if readers[1] {
            let groff = ["-man", "-ww", "-z", "-Tutf8", &page[..]];
            let groff = Command::new("groff").args(groff).current_dir(&pages).output().unwrap();
            assert!(
                groff.status.success() && said(&groff).is_empty(),
                "{page}: {}",
                said(&groff)
            );
        }
        if readers[2] {
            let lint = ["-T", "lint", "-W", "warning", &page[..]];
            let lint = Command::new("mandoc").args(lint).current_dir(&pages).output().unwrap();
            assert!(
                lint.status.success() && said(&lint).is_empty(),
                "{page}: {}",
                said(&lint)
            );
        }
        if !readers[0] {
            continue;
        }
        let shown = as_shown(&pages, &page);
        let mut missing: Vec<String> = Vec::new();
        let mut holds = |text: String| {
            let text = words(&text);
            if !shown.contains(&text) {
                missing.push(text);
            }
        };
        for option in command.get_arguments() {
            option
                .get_long()
                .into_iter()
                .for_each(|long| holds(format!("--{long}")));
            let values = option.get_value_names().filter(|_| option.get_action().takes_values());
            values.into_iter().flatten().for_each(|value| holds(value.to_string()));
            let help = option.get_long_help().or(option.get_help());
            help.into_iter().for_each(|help| holds(help.to_string()));
        }
        for below in command.get_subcommands() {
            holds(format!(
                "{}(1) {}",
                below.get_display_name().unwrap(),
                below.get_about().unwrap()
            ));
        }
        let end = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        end.lines()
            .filter(|line| line.starts_with(' '))
            .for_each(|line| holds(line.to_owned()));
        assert!(missing.is_empty(), "{page} lacks {missing:#?} in {shown}");
    }
}
