//! MPI's launchers, as far as they are installed, for all tests that start ranks.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::Command;

/// A launcher, found in `PATH`.
#[derive(Clone, Copy, Debug)]
pub struct Launcher {
    /// Of its library.
    pub name: &'static str,
    pub program: &'static str,
    /// Words that let it start processes anywhere: as root, and more than there are cores.
    options: &'static [&'static str],
}

const KNOWN: [Launcher; 2] = [
    Launcher {
        name: "Open MPI",
        program: "mpirun.openmpi",
        options: &["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
    },
    Launcher {
        name: "MPICH",
        program: "mpiexec.hydra",
        options: &[],
    },
];

impl Launcher {
    /// It, with as many ranks; the program that they run is still to be named.
    pub fn start(&self, ranks: usize) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.options).args(["-n", &ranks.to_string()]);
        command
    }
}

/// Those that are installed. At least one has to be where `BRIDLE_REQUIRE_DATA=1` is set.
pub fn launchers() -> Vec<Launcher> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |known: &Launcher| std::env::split_paths(&path).any(|folder| folder.join(known.program).is_file());
    let found: Vec<Launcher> = KNOWN.into_iter().filter(is_there).collect();
    if found.is_empty() {
        let required = std::env::var_os("BRIDLE_REQUIRE_DATA").is_some_and(|value| value == "1");
        assert!(!required, "neither Open MPI nor MPICH is installed");
        eprintln!("skipped: neither Open MPI nor MPICH is installed");
    }
    found
}

/// The processes whose names begin so that a launcher started, directly or by a process of its own, in order.
pub fn ranks_of(launcher: u32, name: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let processes: Vec<(u32, u32, bool)> = all
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent, stat.contains(&format!("({name}"))))
        })
        .collect();
    let below = |parent: u32| processes.iter().filter(move |(_, of, _)| *of == parent);
    let mut found: Vec<u32> = below(launcher)
        .flat_map(|own| std::iter::once(own).chain(below(own.0)))
        .filter(|(_, _, is_rank)| *is_rank)
        .map(|(id, _, _)| *id)
        .collect();
    found.sort_unstable();
    found
}

/// Puts `suite/ranks/tests/standin.c` into a folder by the names of NCCL and of NVIDIA's driver. Needs a C compiler,
/// as Rust's linker does.
pub fn make_standin(folder: &Path, source: &Path) {
    let (library, driver) = (folder.join("libnccl.so.2"), folder.join("libcuda.so.1"));
    let made = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, source])
        .output();
    let made = made.expect("no C compiler `cc` for standin.c: apt-get install gcc libc6-dev");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // one file, so that the loader opens it once; an earlier test may have left the link
    let _ = std::fs::remove_file(&driver);
    std::os::unix::fs::symlink("libnccl.so.2", driver).unwrap();
}
