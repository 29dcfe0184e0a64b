//! Consent on the real binary: more than a gigabyte is fetched only when that was agreed to. A hub on
//! loopback claims sizes that it does not have, and counts who asks for its files.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than this is asked for.
const GIGABYTE: u64 = 1_000_000_000;

/// A hub whose one repository claims to hold one file.
struct Hub {
    address: String,
    asked: Arc<AtomicUsize>,
}

impl Hub {
    /// Its one file's size is what it claims; whoever asks for the file itself is refused. Its thread ends with
    /// the test's process.
    fn claiming(size: u64) -> Self {
        Self::holding("ashraq/esc50", "data/train.parquet", size)
    }

    fn holding(repository: &'static str, name: &'static str, size: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hub = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&hub.asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let path = head.first().map_or("", |line| line.split(' ').nth(1).unwrap_or(""));
                let (status, body) = if path.contains("/revision/") {
                    (
                        200,
                        serde_json::json!({"id": repository, "sha": "c".repeat(40), "gated": false}),
                    )
                } else if path.contains("/tree/") {
                    let (oid, sha256) = ("a".repeat(40), "b".repeat(64));
                    let lfs = serde_json::json!({"oid": sha256, "size": size, "pointerSize": 130});
                    let file = serde_json::json!({"type": "file", "oid": oid, "size": size, "path": name, "lfs": lfs});
                    (200, serde_json::json!([file]))
                } else {
                    asked.fetch_add(1, Ordering::SeqCst);
                    (404, serde_json::json!({}))
                };
                let body = body.to_string();
                let length = body.len();
                // a client that went away is no fault of the hub's
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                );
            }
        });
        hub
    }

    /// Whether anybody asked for the file since the last time.
    fn was_asked(&self) -> bool {
        self.asked.swap(0, Ordering::SeqCst) > 0
    }
}

/// The program in an empty folder, with this hub and this cache.
fn command(hub: &Hub, folder: &Path, mut command: Command) -> Command {
    command.current_dir(folder).env_remove("BRIDLE_DATA");
    command
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HOME", folder.join("cache"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn outcome(hub: &Hub, line: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut program = command(hub, folder.path(), Command::new(env!("CARGO_BIN_EXE_bridle-bench")));
    let output = program.args(line.split_whitespace()).output().unwrap();
    (output.status.code(), said(&output))
}

/// The same in a terminal, where the user types an answer.
fn answered(hub: &Hub, line: &str, answer: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_bridle-bench"));
    let mut terminal = command(hub, folder.path(), Command::new("script"));
    terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let mut terminal = terminal.stdin(Stdio::piped()).spawn().unwrap();
    writeln!(terminal.stdin.take().unwrap(), "{answer}").unwrap();
    said(&terminal.wait_with_output().unwrap())
}

/// Each command asks before it fetches anything of a hub whose one file is larger.
fn each_asks(hub: &Hub, repository: &str, lines: &[&str]) {
    for line in lines {
        let (code, told) = outcome(hub, line);
        assert!(code == Some(3) && told.contains("--yes"), "{line}: {code:?} {told}");
        assert!(
            ["1.0 GB", "1000000001 bytes", "1000.0 MB"]
                .iter()
                .any(|size| told.contains(size)),
            "{line}: {told}"
        );
        assert!(!hub.was_asked(), "{line}: {told}");
        let (code, told) = outcome(hub, &format!("{line} --yes"));
        assert!(hub.was_asked() && code == Some(3), "{line} --yes: {code:?} {told}");
        let told = answered(hub, line, "n");
        let question = format!("fetch 1.0 GB of {repository}? [y/N]");
        assert!(told.contains(&question), "{line}: {told}");
        assert!(!hub.was_asked(), "{line}, no: {told}");
        let told = answered(hub, line, "y");
        assert!(hub.was_asked(), "{line}, yes: {told}");
    }
}

#[test]
fn more_than_a_gigabyte_is_fetched_only_when_that_was_agreed_to() {
    let hub = Hub::claiming(GIGABYTE + 1);
    each_asks(
        &hub,
        "ashraq/esc50",
        &["fetch esc50", "run --task esc50 --preset smoke"],
    );
    // these fetch nothing, whatever they are told
    for line in ["fetch esc50 --dry-run --yes", "check --task esc50 --preset smoke --yes"] {
        let (_, told) = outcome(&hub, line);
        assert!(!hub.was_asked(), "{line}: {told}");
    }
}

#[test]
fn a_gigabyte_needs_no_consent() {
    let hub = Hub::claiming(GIGABYTE);
    let (code, told) = outcome(&hub, "fetch esc50");
    assert!(hub.was_asked() && code == Some(3), "{code:?} {told}");
    assert!(!told.contains("--yes"), "{told}");
}

#[test]
fn a_model_of_more_than_a_gigabyte_is_asked_about_too() {
    let hub = Hub::holding("someone/giant-vit", "model.safetensors", GIGABYTE + 1);
    let lines = [
        "fetch hub:someone/giant-vit",
        "run --task synthetic-image --preset smoke --protocol knn --init hub:someone/giant-vit",
        "features --files . --init hub:someone/giant-vit",
    ];
    each_asks(&hub, "someone/giant-vit", &lines);
    for line in [
        "fetch hub:someone/giant-vit --dry-run --yes",
        "check --task synthetic-image --preset smoke --init hub:someone/giant-vit --yes",
        "features --files . --init hub:someone/giant-vit --yes --offline",
    ] {
        let (_, told) = outcome(&hub, line);
        assert!(!hub.was_asked(), "{line}: {told}");
    }
}
