//! Threads of LibTorch sleep soon where they wait, so that a run is not slowed by other programs' work.

#![cfg(all(feature = "tch", target_os = "linux"))]
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The variable of a program that computes on `backend` and was started with `set`, as the system has it; waits until
/// the program is what it starts anew as.
fn spin_count(backend: &str, set: Option<&str>) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args("run --task synthetic --preset smoke --backend".split_whitespace());
    command.arg(backend).current_dir(&folder);
    command.env_remove("GOMP_SPINCOUNT").env_remove("OMP_WAIT_POLICY");
    command.envs(set.map(|value| ("GOMP_SPINCOUNT", value)));
    let mut program = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    // it has begun its work when it has written something
    while std::fs::read_dir(&folder).unwrap().next().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120) && program.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    let environment = std::fs::read(format!("/proc/{}/environ", program.id())).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    let variables = environment.split(|&byte| byte == 0);
    let mut values = variables.filter_map(|variable| variable.strip_prefix(b"GOMP_SPINCOUNT="));
    values.next().map(|value| String::from_utf8(value.to_owned()).unwrap())
}

#[test]
fn a_program_on_libtorch_has_threads_that_wait_briefly() {
    assert_eq!(spin_count("tch", None).as_deref(), Some("1000"));
    assert_eq!(
        spin_count("tch", Some("70")).as_deref(),
        Some("70"),
        "what is set stays"
    );
    assert_eq!(spin_count("flex", None), None, "flex has no such threads");
}
