//! A thousand mutated inputs of each form: no panic, no hang, no memory set aside for what is not
//! there; every error names the file.

use std::time::{Duration, Instant};

use bridle_seed::Seed;

use super::*;
use crate::fixtures::{fuzz_inputs, mutated, peak_memory};

/// For one input, unoptimised and on a busy machine.
const TIME: Duration = Duration::from_secs(20);
/// Above what reading the whole originals takes.
const MEMORY: u64 = 512 << 20;

#[test]
fn damaged_archives_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = files();
    small[3].1.truncate(2_000);
    let inputs = fuzz_inputs(1_000);
    for (n, (ending, original)) in packed(&small).into_iter().enumerate() {
        let (begun, before) = (Instant::now(), peak_memory());
        let mut refused = 0;
        for seed in 0..inputs {
            let bytes = mutated(&original, &mut Seed::root(seed).indexed(n as u64).stream());
            let path = written(&folder, &format!("{n}.{ending}"), &bytes);
            let since = Instant::now();
            if let Err(error) = whole(&path) {
                refused += 1;
                let message = error.to_string();
                assert!(message.contains(&path.display().to_string()), "seed {seed}: {message}");
            }
            assert!(since.elapsed() < TIME, "{ending}, seed {seed}: {:?}", since.elapsed());
        }
        assert!(
            refused > inputs / 2,
            "{ending}: only {refused} of {inputs} were refused"
        );
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            assert!(
                after - before < MEMORY,
                "{ending}: {} bytes more in use",
                after - before
            );
        }
        println!("{n}.{ending}: {refused} of {inputs} refused in {:.1?}", begun.elapsed());
    }
}
