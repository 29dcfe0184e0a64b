//! Sums by NCCL, without a device: `standin.c` stands in for the library and for the driver. Where
//! NVIDIA's own library is in `LD_LIBRARY_PATH`, what it does without a device is tried too; with
//! `BRIDLE_REQUIRE_NCCL=1` it has to be there.

use super::launchers::{Launcher, launchers, make_standin};
use super::{command, lone_command, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The folder with the stand-in, by the names of both libraries.
fn standin() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standin");
        std::fs::create_dir_all(&folder).unwrap();
        make_standin(&folder, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standin.c"));
        folder
    })
}

/// A run with the stand-in.
struct Case {
    command: Command,
    log: PathBuf,
}

impl Case {
    fn new(mut command: Command, wrong: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "calls-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        command
            .env("LD_LIBRARY_PATH", standin())
            .env("STANDIN", wrong)
            .env("STANDIN_LOG", &log)
            .env_remove("BRIDLE_NCCL")
            .env_remove("NCCL_NVLS_ENABLE");
        Self { command, log }
    }

    /// How it ended, and the calls of each process.
    fn run(mut self) -> (Output, Vec<String>) {
        let output = self.command.output().unwrap();
        let name = format!("{}.", self.log.file_name().unwrap().to_str().unwrap());
        let files = std::fs::read_dir(self.log.parent().unwrap()).unwrap().flatten();
        let own = files.filter(|file| file.file_name().to_str().unwrap().starts_with(&name));
        let calls = own.map(|file| {
            let calls = std::fs::read_to_string(file.path()).unwrap();
            std::fs::remove_file(file.path()).unwrap();
            calls
        });
        let calls = calls.collect();
        (output, calls)
    }
}

fn run(launcher: &Launcher, ranks: usize, case: &str, wrong: &str) -> (Output, Vec<String>) {
    Case::new(command(launcher, ranks, &[case]), wrong).run()
}

#[test]
fn sums_by_nccl_are_those_of_all_values() {
    for launcher in launchers() {
        for ranks in 2..=3 {
            let (output, calls) = run(&launcher, ranks, "nccl", "");
            let (out, err) = (stdout(&output), stderr(&output));
            assert!(output.status.success(), "{}: {out} {err}", launcher.name);
            assert_eq!(out, "NCCL 2.27.5 with NCCL_NVLS_ENABLE=0", "{}", launcher.name);
            assert_eq!(calls.len(), ranks);
            let ids = calls.iter().filter(|calls| calls.contains("id\n")).count();
            assert_eq!(ids, 1, "{calls:?}");
            for calls in calls {
                let own = calls.trim_start_matches("id\n");
                assert!(own.starts_with("join ") && own.contains("NVLS 0"), "{calls}");
                let rest: Vec<&str> = own.lines().skip(1).collect();
                let expected = "broadcast 1000,sum 1000,sum 1,sum 3,sum 1000,sum 65537,destroy";
                assert_eq!(rest, expected.split(',').collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn what_one_rank_cannot_none_does() {
    let cases = [
        (
            "nccl-lacking",
            "",
            "rank 2: no NCCL library could be opened (tried /nowhere/libnccl.so;",
        ),
        ("nccl-off", "", "rank 1: BRIDLE_NCCL is `off`"),
        (
            "nccl",
            "old",
            "rank 0: `libnccl.so.2` is NCCL 2.10.3, older than 2.14.0; try: ",
        ),
        (
            "nccl",
            "no-device",
            "rank 0: starting the driver failed in NVIDIA's driver: no CUDA-capable device is detected (code 100)",
        ),
        ("nccl", "same", "ranks 0 and 1 have the same device, which NCCL refuses"),
        (
            "nccl",
            "id",
            "rank 0: making an id failed in NCCL 2.27.5: no luck (code 2)",
        ),
        (
            "nccl",
            "init",
            "rank 1: joining ranks failed in NCCL 2.27.5: no luck (code 2)",
        ),
        ("nccl", "stuck", "rank 0: joining ranks was not over after 2 s"),
        ("nccl", "wrong", "rank 0: a first sum gave 7 where 6 is right"),
    ];
    for launcher in launchers() {
        for (case, wrong, why) in cases {
            let begun = Instant::now();
            let (output, calls) = run(&launcher, 3, case, wrong);
            let (out, err) = (stdout(&output), stderr(&output));
            assert!(output.status.success(), "{} {case} {wrong}: {out} {err}", launcher.name);
            assert!(out.starts_with(&format!("main memory: {why}")), "{case} {wrong}: {out}");
            assert!(begun.elapsed() < Duration::from_secs(30), "{case} {wrong}");
            // who had joined has left
            let joined = calls.iter().filter(|calls| calls.contains("broadcast")).count();
            let left = calls.iter().filter(|calls| calls.contains("abort")).count();
            assert_eq!(joined, left, "{case} {wrong}: {calls:?}");
        }
    }
}

#[test]
fn a_sum_that_fails_ends_all_and_the_rank_is_named() {
    for launcher in launchers() {
        let (output, calls) = run(&launcher, 2, "nccl", "async");
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {err}", launcher.name);
        let told = "rank 1: error: an exchange between devices failed in NCCL 2.27.5: a peer is gone (code 6)\n\
                    try: the same command with --resume; BRIDLE_NCCL=off";
        assert!(
            err.replace("\nrank 1: try", "\ntry").contains(told),
            "{}: {err}",
            launcher.name
        );
        assert!(calls.iter().any(|calls| calls.ends_with("sum 1\nabort\n")), "{calls:?}");
    }
}

#[test]
fn a_sum_that_is_never_over_ends_all_after_the_time_limit() {
    for launcher in launchers() {
        let begun = Instant::now();
        let (output, calls) = run(&launcher, 2, "nccl", "hang");
        let (err, took) = (stderr(&output), begun.elapsed());
        assert_eq!(output.status.code(), Some(1), "{}: {err}", launcher.name);
        assert!(
            err.contains("did not answer within 2 s (summing by NCCL)"),
            "{}: {err}",
            launcher.name
        );
        assert!((2.0..30.0).contains(&took.as_secs_f64()), "{took:?}");
        assert!(calls.iter().any(|calls| calls.ends_with("sum 1\nabort\n")), "{calls:?}");
    }
}

#[test]
fn a_rank_that_hangs_while_others_sum_by_nccl_is_named() {
    for launcher in launchers() {
        let (output, _) = run(&launcher, 3, "nccl-hang", "");
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {err}", launcher.name);
        assert!(err.contains("error: rank 2 (process "), "{}: {err}", launcher.name);
    }
}

/// What the library does without ranks and devices.
fn library(path: Option<&str>) -> Output {
    let mut command = lone_command("nccl-library");
    command
        .env_remove("BRIDLE_NCCL")
        .envs(path.map(|path| ("BRIDLE_NCCL", path)));
    command.output().unwrap()
}

#[test]
fn libraries_that_cannot_serve_are_named_with_a_way_out() {
    for (path, told) in [
        (
            "/nowhere/libnccl.so",
            "no NCCL library could be opened (tried /nowhere/libnccl.so;",
        ),
        (
            "libm.so.6",
            "the NCCL library `libm.so.6` has no function `ncclGetVersion`",
        ),
    ] {
        let output = library(Some(path));
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{err}");
        assert!(
            err.contains(told) && err.contains("; try: BRIDLE_NCCL with the path of"),
            "{err}"
        );
    }
}

#[test]
fn the_library_of_nvidia_has_a_version_and_an_id_without_a_device() {
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let required = std::env::var("BRIDLE_REQUIRE_NCCL").is_ok_and(|value| value == "1");
    if !std::env::split_paths(&path).any(|folder| folder.join("libnccl.so.2").is_file()) {
        assert!(!required, "no libnccl.so.2 in LD_LIBRARY_PATH");
        eprintln!("skipped: no libnccl.so.2 in LD_LIBRARY_PATH");
        return;
    }
    let output = library(None);
    let (out, err) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{out} {err}");
    // the one that setup-libtorch installs
    let version = if required { "2.27.5" } else { "2." };
    assert!(
        out.starts_with(version) && out.contains(", an id of 128 bytes, "),
        "{out}"
    );
    let device = Path::new("/dev/nvidia0").exists();
    assert!(device || out.contains("joining ranks failed in NCCL "), "{out}");
    eprintln!("{out}");
}
