//! What several tests need: outside data, small sound files, and archives.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

pub(crate) mod archives;

use std::io::Cursor;
use std::path::PathBuf;

pub(crate) use crate::replay::{fuzz_inputs, mutated};

/// The folder `name` within `$BRIDLE_DATA`. Without it the test has nothing to say, which it says,
/// and which is a failure where `$BRIDLE_REQUIRE_DATA` is 1.
pub(crate) fn outside_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BRIDLE_DATA")
        .map(|data| PathBuf::from(data).join(name))
        .filter(|path| path.is_dir());
    if folder.is_none() {
        let required = std::env::var("BRIDLE_REQUIRE_DATA").is_ok_and(|value| value == "1");
        assert!(!required, "needs outside data: {name}, and $BRIDLE_REQUIRE_DATA is 1");
        eprintln!("needs outside data: {name}");
    }
    folder
}

/// A 32-bit float wav file of interleaved samples.
pub(crate) fn wav_bytes(sample_rate: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels,
        sample_rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a writer into memory");
    samples
        .iter()
        .for_each(|&sample| writer.write_sample(sample).expect("room in memory"));
    writer.finalize().expect("a header in memory");
    bytes.into_inner()
}

/// The most memory that this process ever used, in bytes; `None` where the system does not tell.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}
