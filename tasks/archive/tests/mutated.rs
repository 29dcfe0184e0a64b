//! A thousand mutated inputs of each form: no panic, no hang, no memory set aside for what is not there; every error
//! names the file.

use std::time::{Duration, Instant};

use bridle_seed::{Seed, Stream};

use super::*;

const INPUTS: u64 = 1_000;
/// For all inputs of one form, unoptimised and on a busy machine; one hang would exceed it.
const TIME: Duration = Duration::from_secs(120);
/// Above what reading the whole originals takes.
const MEMORY: u64 = 512 << 20;

/// One to four faults: altered bytes, extreme numbers, a cut, a piece taken out, a piece put in twice.
fn mutate(original: &[u8], draws: &mut Stream) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=draws.below(4) {
        // directories lie at the end, headers at the start: half of the faults go there
        let near = bytes.len().clamp(1, 200);
        let at = match draws.below(4) {
            0 => draws.below(near),
            1 => bytes.len().saturating_sub(1 + draws.below(near)),
            _ => draws.below(bytes.len().max(1)),
        };
        let end = bytes.len().min(at + 1 + draws.below(64));
        match draws.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << draws.below(8),
            1 if at < bytes.len() => bytes[at..end].fill(0xff),
            2 if at < bytes.len() => bytes[at..end].fill(0),
            3 => bytes.truncate(at),
            4 if at < bytes.len() => drop(bytes.drain(at..end)),
            _ if at < bytes.len() => drop(bytes.splice(at..at, original[..64].to_vec())),
            _ => {}
        }
    }
    bytes
}

/// The most memory this process ever used; `None` where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

#[test]
fn mutated_inputs_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = files();
    small[3].1.truncate(2_000);
    for (n, (ending, original)) in packed(&small).into_iter().enumerate() {
        let (begun, before) = (Instant::now(), peak_memory());
        let mut refused = 0;
        for seed in 0..INPUTS {
            let bytes = mutate(&original, &mut Seed::root(seed).indexed(n as u64).stream());
            let path = written(&folder, &format!("{n}.{ending}"), &bytes);
            if let Err(error) = whole(&path) {
                refused += 1;
                let message = error.to_string();
                assert!(message.contains(&path.display().to_string()), "seed {seed}: {message}");
            }
            assert!(begun.elapsed() < TIME, "{ending}, seed {seed}: it hangs");
        }
        assert!(
            refused > INPUTS / 2,
            "{ending}: only {refused} of {INPUTS} were refused"
        );
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            assert!(
                after - before < MEMORY,
                "{ending}: {} bytes more in use",
                after - before
            );
        }
        println!("{n}.{ending}: {refused} of {INPUTS} refused in {:.1?}", begun.elapsed());
    }
}
