//! Facts of the machine, of this process and of this build, for records.

use crate::cli::progress::TerminalProgress;
use crate::cli::ranks;
use bridle_backends::{Choice, Facts, Name};
use bridle_ranks::{Ranks, RanksError};
use bridle_results::record::{self, Machine, Program};
use std::sync::OnceLock;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Version and commit, as printed by `--version`.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("BRIDLE_COMMIT"),
    env!("BRIDLE_DIRTY_MARK"),
    ")"
);

/// The program: its version, the commit that it was built from, and how it was called.
pub fn program() -> Program {
    Program {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("BRIDLE_COMMIT").to_owned(),
        dirty: !env!("BRIDLE_DIRTY_MARK").is_empty(),
        command: Some(command()),
    }
}

/// The words of the command line as they were typed; of the program its name alone, wherever it lies.
fn command() -> Vec<String> {
    let typed = std::env::args_os().skip(1);
    let typed = typed.map(|word| word.to_string_lossy().into_owned());
    std::iter::once(env!("CARGO_PKG_NAME").to_owned())
        .chain(typed)
        .collect()
}

/// The machine: processor, logical cores, main memory in bytes. `gpu` is what the backend says of
/// its device. What the system does not say is `unknown` or 0.
pub fn machine(gpu: Option<String>) -> Machine {
    let what = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what).ok();
    let brand = system
        .as_ref()
        .and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
    Machine {
        cpu: brand
            .filter(|brand| !brand.is_empty())
            .unwrap_or_else(|| "unknown".to_owned()),
        processor: bridle_backends::processor::words(),
        bf16: None,
        cores: cores() as u64,
        memory_bytes: system.map_or(0, |system| system.total_memory()),
        gpu,
        ranks: joined_ranks(),
    }
}

/// Keeps memory that is freed for whoever asks next, instead of giving it back to the system: every layer and step asks
/// for the same megabytes, and the system clears what it gives. Not for utterances: their lengths differ, and what one
/// left would not fit the next.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, i32::MAX)] {
        // SAFETY: the call only changes how this process's allocator works from here on
        unsafe { libc::mallopt(setting, value) };
    }
}

/// The processes that this one trains with.
pub fn joined_ranks() -> Option<record::Ranks> {
    let ranks = ranks::joined();
    (ranks.size() > 1).then(|| record::Ranks {
        count: ranks.size() as u64,
        machines: ranks.machines() as u64,
        engine: ranks.engine().to_owned(),
        tensor_sums: ranks.tensor_sums().map(str::to_owned),
        input_wait_seconds: None,
    })
}

/// Has tensors of NVIDIA devices summed there, where every rank can; else says why not.
///
/// # Errors
/// If the other ranks do not answer.
pub fn sum_on_devices(ranks: &Ranks, facts: &Facts, progress: &TerminalProgress) -> Result<(), RanksError> {
    let Some(device) = facts.cuda else { return Ok(()) };
    if let Some(why) = ranks.open_nccl(device)? {
        progress.say(&format!(
            "note: sums over ranks go through main memory, which is slow; no NCCL: {why}"
        ));
    }
    Ok(())
}

/// What ranks compare of a choice: whether each computes on a device of its own kind.
pub fn kind_of_backend(choice: &Choice) -> String {
    match (choice.name, choice.device) {
        (Name::Tch, Some(_)) => format!("{} on a device", choice.name.as_str()),
        _ => choice.name.as_str().to_owned(),
    }
}

/// Finds out how many ranks may use the very cores that this one may: some launchers give each rank
/// cores of its own, others leave all cores to all.
///
/// # Errors
/// If the other ranks do not answer.
pub fn share_cores(ranks: &Ranks) -> Result<(), RanksError> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cores = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
    // one name for a machine from its start on
    let machine = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mine = format!("{machine} {}", cores.unwrap_or_default());
    let all = ranks.gather(mine.as_bytes())?;
    let sharing = all.iter().filter(|other| **other == mine.as_bytes()).count();
    SHARING.get_or_init(|| sharing);
    Ok(())
}

/// Ranks on the cores of this process, once that is known.
static SHARING: OnceLock<usize> = OnceLock::new();

/// Logical cores for each of the ranks that may use those of this process; at least 1.
pub fn own_cores() -> usize {
    (cores() / SHARING.get().copied().unwrap_or(1)).max(1)
}

/// Logical cores of the machine, whoever may use them.
pub fn all_cores() -> usize {
    let what = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    System::new_with_specifics(what).map_or(1, |system| system.cpus().len())
}

/// Logical cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Main memory that could be had now, in bytes. None where the system does not say.
pub fn available_memory_bytes() -> Option<u64> {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(what)
        .ok()
        .map(|system| system.available_memory())
}

/// Jobs that wanted the processor over the last 1, 5 and 15 minutes. None where the system does not
/// tell.
pub fn load_average() -> Option<[f64; 3]> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??, words.next()??])
}

/// The most main memory that this process has held, in bytes. None where the system does not tell
/// (it does on Linux).
pub fn peak_memory_bytes() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmHWM: 1234 kB` of Linux's process status.
fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(parse_peak("VmPeak:\t  9 kB\nVmHWM:\t    1234 kB\n"), Some(1234 * 1024));
        assert_eq!(parse_peak("nothing of the kind"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_grows_with_what_is_held() {
        let before = peak_memory_bytes();
        let held = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak_memory_bytes() >= before.map(|bytes| bytes.max(held.len() as u64)));
    }

    #[test]
    fn a_machine_has_memory_and_cores() {
        let machine = machine(None);
        assert!(machine.memory_bytes > 1 << 20 && machine.cores >= 1, "{machine:?}");
        assert!(available_memory_bytes() <= Some(machine.memory_bytes));
    }
}
