//! What several tests need: outside data, small sound files, and archives.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

pub(crate) mod archives;

use std::io::Cursor;
use std::path::PathBuf;

use bridle_seed::Stream;

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

/// How many damaged inputs of each format a test tries: `$BRIDLE_FUZZ`, and `unless` it is set.
pub(crate) fn fuzz_inputs(unless: u64) -> u64 {
    std::env::var("BRIDLE_FUZZ").map_or(unless, |inputs| inputs.parse().expect("$BRIDLE_FUZZ is a number"))
}

/// Bytes with one to four faults: altered bits, extreme numbers, a cut, a piece taken out, a piece
/// put in twice.
pub(crate) fn mutated(original: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=stream.below(4) {
        // directories lie at the end, headers at the start: half of the faults go there
        let near = bytes.len().clamp(1, 200);
        let at = match stream.below(4) {
            0 => stream.below(near),
            1 => bytes.len().saturating_sub(1 + stream.below(near)),
            _ => stream.below(bytes.len().max(1)),
        };
        let end = bytes.len().min(at + 1 + stream.below(64));
        match stream.below(6) {
            0 if at < end => bytes[at] ^= 1 << stream.below(8),
            1 if at < end => bytes[at..end].fill(0xff),
            2 if at < end => bytes[at..end].fill(stream.bits() as u8),
            3 => bytes.truncate(at),
            4 if at < end => drop(bytes.drain(at..end)),
            _ if at < end => drop(bytes.splice(at..at, original[..original.len().min(64)].to_vec())),
            _ => {}
        }
    }
    bytes
}

/// The most memory that this process ever used, in bytes; `None` where the system does not tell.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}
