//! What several tests need: outside data, small sound files, and archives.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

pub(crate) mod packed;

use std::io::Cursor;
use std::path::PathBuf;

/// The folder `name` within `$BRIDLE_DATA`. Without it the test has nothing to say, which it says, and which is a
/// failure where `$BRIDLE_REQUIRE_DATA` is 1.
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

/// Bytes with some damage: cut off, a few altered, a piece doubled, taken out or overwritten with one value.
pub(crate) fn mutated(bytes: &[u8], stream: &mut bridle_seed::Stream) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + stream.below(3) {
        let (from, length) = (stream.below(bytes.len().max(1)), 1 + stream.below(64));
        let piece = from..bytes.len().min(from + length);
        match stream.below(5) {
            0 => bytes.truncate(from),
            1 => bytes[piece].iter_mut().for_each(|byte| *byte ^= stream.bits() as u8),
            2 => bytes.extend_from_within(piece),
            3 => drop(bytes.drain(piece)),
            _ => bytes[piece].fill(stream.bits() as u8),
        }
    }
    bytes
}
