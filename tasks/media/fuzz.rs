//! Damaged sound files and pictures by the thousand, read as samples are: each gives an input or an
//! error that names the file, soon, and without memory for what is not there.
//!
//! `BRIDLE_FUZZ=1000 cargo test -p bridle-tasks --release fuzz` reads that many of every format
//! that the suite reads, videos among them, each of which is a process or two; without the variable
//! those are few.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridle_seed::Seed;

use super::*;
use crate::InputSpec;
use crate::cache::pool;
use crate::files::hashes::KnownHashes;
use crate::files::tree::Tree;
use crate::fixtures::{fuzz_inputs, mutated, peak_memory, wav_bytes};
use crate::media::audio::Sounds;
use crate::media::image::Pictures;
use crate::media::image::tests::{pattern, png_bytes};

/// For one input, unoptimised and on a busy machine.
const TIME: Duration = Duration::from_secs(20);
/// For all inputs of a format, above what reading a whole one takes.
const MEMORY: u64 = 512 << 20;

fn sound() -> Box<dyn Media> {
    let input = InputSpec::Audio {
        frames: 32,
        mels: 16,
        sample_rate: 16_000,
        mean: -6.0,
        std: 4.0,
    };
    Box::new(Sounds::new("test", &input).unwrap())
}

fn pictures() -> Box<dyn Media> {
    let input = InputSpec::Image {
        side: 16,
        mean: [0.5; 3],
        std: [0.25; 3],
    };
    Box::new(Pictures::new("test", &input, true).unwrap())
}

/// Wav in whole numbers, as recorders write it.
fn wav_16_bits(samples: usize) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    (0..samples).for_each(|n| writer.write_sample((n * 37 % 4_001) as i16).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

/// Reads the file as a sample, for judging and for training.
fn read(media: Box<dyn Media>, root: &Path, name: &str) -> Result<usize, DataError> {
    let (tree, name) = (Arc::new(Tree::folder(root)), name.to_owned());
    let hashed = KnownHashes::none(root)
        .hash(vec![name.clone()], &pool(1).unwrap(), &())
        .unwrap();
    let files = MediaFiles::new(media, VerifiedFiles::new(tree, &hashed, [Some(&name)].into_iter()));
    let values = files.input(0)?;
    let drawn = files.drawn(0, Views::FineTuning, &mut Seed::root(2).stream())?;
    assert_eq!(values.len(), drawn.len());
    Ok(values.len())
}

/// Holds `$BRIDLE_FUZZ` damaged inputs of a format to the law.
fn hold(ending: &str, media: fn() -> Box<dyn Media>, values: usize, whole: &[Vec<u8>]) {
    let folder = tempfile::tempdir().unwrap();
    let (name, inputs) = (format!("damaged.{ending}"), fuzz_inputs(1_000));
    let path = folder.path().join(&name);
    for file in whole {
        std::fs::write(&path, file).unwrap();
        assert_eq!(read(media(), folder.path(), &name).unwrap(), values);
    }
    let (before, begun) = (peak_memory(), Instant::now());
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    for number in 0..inputs {
        let stream = &mut Seed::root(17).child(ending).indexed(number).stream();
        std::fs::write(&path, mutated(&whole[stream.below(whole.len())], stream)).unwrap();
        let begun = Instant::now();
        match read(media(), folder.path(), &name) {
            Ok(found) => assert_eq!(found, values),
            Err(error) => {
                assert!(error.to_string().contains(&name), "{number}: {error}");
                refused += 1;
            }
        }
        slowest = slowest.max(begun.elapsed());
        assert!(slowest < TIME, "{ending} {number}: {slowest:?}");
    }
    // the system's count may fall by some pages
    let more = peak_memory()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    println!(
        "{ending}: {refused} of {inputs} refused, slowest {slowest:.1?}, {:?} MiB more, {:.1?} in all",
        more.map(|bytes| bytes >> 20),
        begun.elapsed()
    );
    // all, where every part of a file has its checksum, as in ogg
    assert!(refused >= inputs / 5, "{ending}: {refused} refused");
    assert!(more.is_none_or(|bytes| bytes < MEMORY), "{ending}: {more:?} bytes more");
}

#[test]
fn wav() {
    let tone: Vec<f32> = (0..4_000).map(|n| (n as f32 * 0.3).sin() * 0.5).collect();
    hold(
        "wav",
        sound,
        32 * 16,
        &[wav_bytes(16_000, 1, &tone), wav_16_bits(4_000)],
    );
}

#[test]
fn flac() {
    let files = [&include_bytes!("tone.flac")[..], include_bytes!("noise.flac")];
    hold("flac", sound, 32 * 16, &files.map(<[u8]>::to_vec));
}

#[test]
fn ogg() {
    hold("ogg", sound, 32 * 16, &[include_bytes!("tone.ogg").to_vec()]);
}

#[test]
fn mp3() {
    let files = [&include_bytes!("tone.mp3")[..], include_bytes!("noise.mp3")];
    hold("mp3", sound, 32 * 16, &files.map(<[u8]>::to_vec));
}

#[test]
fn png() {
    hold("png", pictures, 3 * 16 * 16, &[png_bytes(&pattern(40, 30))]);
}
