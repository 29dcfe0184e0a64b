//! Completion scripts in the shells themselves: commands, options, and values of options.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

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

/// Whether the shell is installed; where tests must not be left out, it has to be.
fn is_there(shell: &str) -> bool {
    let there = Command::new(shell)
        .arg("--version")
        .stdout(Stdio::null())
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
