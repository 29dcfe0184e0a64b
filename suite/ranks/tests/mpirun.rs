//! Ranks under real launchers: Open MPI's and MPICH's, as far as they are installed. Where
//! `BRIDLE_REQUIRE_DATA=1` is set, at least one has to be.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

#[path = "../../../tests/launchers/mod.rs"]
mod launchers;
mod nccl;

use launchers::{Launcher, launchers, ranks_of};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// This case of the tests' program, by as many ranks.
fn command(launcher: &Launcher, ranks: usize, case: &[&str]) -> Command {
    let mut command = launcher.start(ranks);
    command.arg(env!("CARGO_BIN_EXE_bridle-ranks-process")).args(case);
    know_no_launcher(&mut command);
    command
}

/// Takes away what a launcher around these tests says.
fn know_no_launcher(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let prefixes = ["OMPI_", "PMI_", "PMIX_", "SLURM_", "WORLD_SIZE"];
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}

fn run(launcher: &Launcher, ranks: usize, case: &[&str]) -> Output {
    command(launcher, ranks, case).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until no process of the tests' program is a child of a launcher that has ended.
fn no_process_is_left(of: &str) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if processes(of).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("processes are left: {:?}", processes(of));
}

/// Processes with this argument.
fn processes(argument: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let words = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    words
        .filter(|line| line.contains("bridle-ranks-process") && line.contains(argument))
        .collect()
}

#[test]
fn every_operation_gives_what_one_process_makes_of_all_values() {
    for launcher in launchers() {
        for ranks in 1..=4 {
            let output = run(&launcher, ranks, &["collectives"]);
            let (out, err) = (stdout(&output), stderr(&output));
            assert!(output.status.success(), "{} {ranks}: {out} {err}", launcher.name);
            let engine = if ranks == 1 { "alone" } else { launcher.name };
            assert!(out.starts_with(engine), "{out}");
        }
    }
}

#[test]
fn sums_have_the_same_bits_in_every_run_under_every_library_and_layout() {
    let mut found = Vec::new();
    for launcher in launchers() {
        for case in [&["collectives"][..], &["collectives"], &["collectives", "2"]] {
            let output = run(&launcher, 4, case);
            assert!(output.status.success(), "{}", stderr(&output));
            found.push(stdout(&output).split(' ').next_back().unwrap().to_owned());
        }
        // other layouts are summed over all ranks at once
        assert!(run(&launcher, 3, &["collectives", "3"]).status.success());
        assert!(run(&launcher, 4, &["collectives", "3"]).status.success());
    }
    found.dedup();
    assert!(found.len() <= 1, "{found:?}");
}

#[test]
fn more_than_a_bucket_is_summed() {
    for launcher in launchers() {
        let output = run(&launcher, 2, &["large"]);
        assert!(output.status.success(), "{}", stderr(&output));
        eprintln!("{}: {}", launcher.name, stdout(&output));
    }
}

#[test]
fn different_plans_are_told_by_rank_and_value() {
    for launcher in launchers() {
        let output = run(&launcher, 4, &["plans"]);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{}: {err}", launcher.name);
        let told = "error: rank 2 has another plan than rank 0: fedc, not abcd";
        assert_eq!(err.matches(told).count(), 1, "{err}");
    }
}

#[test]
fn more_ranks_than_samples_are_refused() {
    for launcher in launchers() {
        assert_eq!(stdout(&run(&launcher, 3, &["samples", "3"])), "shared");
        let output = run(&launcher, 3, &["samples", "2"]);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{}: {err}", launcher.name);
        assert!(
            err.contains("3 ranks cannot share 2 samples of a batch (pretrain.batch)"),
            "{err}"
        );
    }
}

#[test]
fn a_rank_that_hangs_is_noticed_after_the_time_limit_and_named() {
    // stopped; at work on something else; stopped while the others wait for it without limit
    for (case, lost) in [("hang", 2), ("linger", 2), ("alone", 0)] {
        for launcher in launchers() {
            let begun = Instant::now();
            let output = run(&launcher, 3, &[case]);
            let (err, took) = (stderr(&output), begun.elapsed());
            assert_eq!(output.status.code(), Some(1), "{case}, {}: {err}", launcher.name);
            let named = err.contains(&format!("error: rank {lost} (process "));
            let why = ["did not answer within 2 s", "gave no sign of life for 2 s"];
            assert!(
                named && why.iter().any(|why| err.contains(why)),
                "{case}, {}: {err}",
                launcher.name
            );
            assert!(err.contains("try: the same command with --resume"), "{err}");
            assert!((2.0..30.0).contains(&took.as_secs_f64()), "{case}: {took:?}");
            no_process_is_left(case);
        }
    }
}

#[test]
fn a_rank_that_never_joins_ends_all_after_the_time_limit() {
    for launcher in launchers() {
        let begun = Instant::now();
        let output = run(&launcher, 3, &["absent"]);
        let (err, took) = (stderr(&output), begun.elapsed());
        // MPICH's gives the code of the process that it killed, if that is the last to end
        let code = output.status.code();
        let fits = code == Some(1) || launcher.name == "MPICH" && code == Some(9);
        assert!(fits, "{}: {code:?}, {err}", launcher.name);
        let told = "error: another rank did not answer within 2 s (starting MPI)\ntry: the same program and command";
        assert!(err.contains(told), "{}: {err}", launcher.name);
        assert!((2.0..30.0).contains(&took.as_secs_f64()), "{took:?}");
        no_process_is_left("absent");
    }
}

#[test]
fn a_rank_may_work_alone_for_longer_than_the_limit() {
    for launcher in launchers() {
        let output = run(&launcher, 3, &["alone", "5"]);
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(
            output.status.success() && out.ends_with("together"),
            "{}: {out} {err}",
            launcher.name
        );
    }
}

#[test]
fn ranks_that_were_all_stopped_go_on() {
    for launcher in launchers() {
        let mut command = command(&launcher, 3, &["alone", "4"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "alone");
        // as a scheduler that lets another job run meanwhile
        let ranks = ranks_of(child.id(), "bridle-ranks-");
        assert_eq!(ranks.len(), 3, "{}", launcher.name);
        let all = |signal| ranks.iter().for_each(|&rank| send(rank as libc::pid_t, signal));
        all(libc::SIGSTOP);
        std::thread::sleep(Duration::from_secs(5));
        all(libc::SIGCONT);
        let said = lines.next().map(Result::unwrap);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            said.as_deref(),
            Some("together"),
            "{}: {}",
            launcher.name,
            stderr(&output)
        );
        assert!(output.status.success(), "{}", launcher.name);
    }
}

fn send(process: libc::pid_t, signal: i32) {
    // SAFETY: a signal to a process that these tests started
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

#[test]
fn a_rank_that_dies_takes_the_others_with_it() {
    for launcher in launchers() {
        let begun = Instant::now();
        let output = run(&launcher, 3, &["die"]);
        assert!(!output.status.success(), "{}", launcher.name);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        no_process_is_left("die");
    }
}

#[test]
fn a_panic_on_one_rank_ends_all() {
    for launcher in launchers() {
        let output = run(&launcher, 3, &["panic"]);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {err}", launcher.name);
        assert!(
            err.contains("rank 2: panicked at") && err.contains("a fault of the program"),
            "{err}"
        );
        no_process_is_left("panic");
    }
}

#[test]
fn ctrl_c_on_the_launcher_ends_all() {
    for launcher in launchers() {
        let mut command = command(&launcher, 3, &["loop"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "summing");
        // SAFETY: a signal to a child that is not waited for yet
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
        assert!(ended(&mut child, Duration::from_secs(30)), "{} goes on", launcher.name);
        no_process_is_left("loop");
    }
}

/// Whether it ends within the time, with whatever code: of launchers 0, 1 and 2 were seen.
fn ended(child: &mut Child, limit: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    false
}

#[test]
fn a_missing_library_is_named_with_a_way_out() {
    for launcher in launchers() {
        let output = command(&launcher, 2, &["loop"])
            .env("BRIDLE_MPI", "/nowhere/libmpi.so")
            .output()
            .unwrap();
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{}: {err}", launcher.name);
        assert!(
            err.contains("no MPI library could be opened to join them (tried /nowhere/libmpi.so;"),
            "{err}"
        );
        assert!(
            err.contains("try: install the MPI library that the launcher belongs to"),
            "{err}"
        );
    }
}

#[test]
fn a_library_that_is_none_of_mpi_is_refused() {
    for launcher in launchers() {
        let output = command(&launcher, 2, &["loop"])
            .env("BRIDLE_MPI", "libm.so.6")
            .output()
            .unwrap();
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{}: {err}", launcher.name);
        let told = "the MPI library `libm.so.6` has no function `MPI_Get_library_version`";
        assert!(err.contains(told), "{err}");
    }
}

#[test]
fn the_library_of_another_launcher_is_refused() {
    let both = launchers();
    let [open_mpi, mpich] = &both[..] else {
        return eprintln!("skipped: fewer than two launchers are installed");
    };
    for (launcher, library) in [(open_mpi, "libmpich.so.12"), (mpich, "libmpi.so.40")] {
        let output = command(launcher, 2, &["loop"])
            .env("BRIDLE_MPI", library)
            .output()
            .unwrap();
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{}: {err}", launcher.name);
        assert!(err.contains(&format!("started 2 processes, but `{library}`")), "{err}");
        assert!(
            err.contains("try: BRIDLE_MPI with the path of the launcher's own library"),
            "{err}"
        );
    }
}

#[test]
fn mpi_is_started_once_in_a_process() {
    for launcher in launchers() {
        let output = run(&launcher, 2, &["twice"]);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {err}", launcher.name);
        assert!(err.contains("MPI is already initialised in this process"), "{err}");
    }
}

/// A process by itself.
fn lone_command(case: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-ranks-process"));
    know_no_launcher(&mut command);
    command.arg(case);
    command
}

/// A process by itself, with these variables.
fn lone(variables: &[(&str, &str)]) -> Output {
    let mut command = lone_command("collectives");
    command.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn processes_that_a_launcher_did_not_join_are_refused() {
    for variables in [
        &[
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_NUM_TASKS", "2"),
            ("SLURM_NTASKS", "2"),
        ][..],
        &[("WORLD_SIZE", "4"), ("RANK", "1")],
    ] {
        let output = lone(variables);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(
            err.contains("processes") && err.contains("that know nothing of each other"),
            "{err}"
        );
        assert!(err.contains("try: srun --mpi=pmix"), "{err}");
    }
}

#[test]
fn without_a_launcher_a_process_is_alone() {
    for variables in [
        &[][..],
        &[("SLURM_NTASKS", "8"), ("SLURM_JOB_ID", "1")],
        &[("WORLD_SIZE", "1")],
    ] {
        let output = lone(variables);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).starts_with("alone 1 "), "{}", stdout(&output));
    }
}
