//! Sound in one thread: log-mel energies of 16 kHz samples, and, apart, 44.1 to 16 kHz and the
//! decoding of files.
//!
//! `BRIDLE_DATA=DIR cargo bench -p bridle-tasks --bench sound`, with esc50 in DIR. `sound.py`
//! beside it runs it in turn with torchaudio, by way of `$BRIDLE_RACE`.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bridle_tasks::{Fbank, Waveform, decode, resample};
use criterion::{Criterion, Throughput};

const MELS: usize = 128;
/// Every so many of the 2,000 files.
const EVERY: usize = 50;
/// Samples of a clip of five seconds.
const CLIP: usize = 80_000;

fn main() {
    match std::env::var_os("BRIDLE_RACE") {
        Some(folder) => race(Path::new(&folder)),
        None => {
            let mut criterion = Criterion::default().configure_from_args();
            sounds(&mut criterion);
            criterion.final_summary();
        }
    }
}

/// Runs once over `clips` for every line that comes in, and answers with the seconds. What it
/// computes goes to `energies`, because a timing counts only if the numbers are right.
fn race(folder: &Path) {
    let bytes = std::fs::read(folder.join("clips")).expect("the clips of the race");
    let (numbers, _) = bytes.as_chunks::<4>();
    let samples: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let fbank = Fbank::new(16_000, MELS);
    let energies = |clip: &[f32]| fbank.compute(clip).expect("a clip of five seconds");
    let all = samples.chunks_exact(CLIP).flat_map(energies).flat_map(f32::to_le_bytes);
    std::fs::write(folder.join("energies"), all.collect::<Vec<u8>>()).expect("room for the energies");
    for _ in std::io::stdin().lock().lines() {
        let begun = Instant::now();
        samples
            .chunks_exact(CLIP)
            .for_each(|clip| drop(black_box(energies(clip))));
        println!("{}", begun.elapsed().as_secs_f64());
        std::io::stdout().flush().expect("somebody who listens");
    }
}

/// Some files of one ending, in memory.
fn files(ending: &str) -> Vec<Vec<u8>> {
    let root = std::env::var_os("BRIDLE_DATA").map(|data| PathBuf::from(data).join("esc50/audio"));
    let entries = root.and_then(|root| std::fs::read_dir(root).ok()).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    let some = paths.iter().step_by(EVERY);
    some.filter_map(|path| std::fs::read(path).ok()).collect()
}

fn sounds(criterion: &mut Criterion) {
    let mut waves: Vec<Waveform> = Vec::new();
    for ending in ["flac", "ogg"] {
        let files = files(ending);
        if files.is_empty() {
            return eprintln!("needs outside data: esc50 in $BRIDLE_DATA");
        }
        let decoded = || {
            files
                .iter()
                .map(|file| decode(file.clone(), ending).expect("a whole file"))
        };
        waves.extend(decoded());
        let mut group = criterion.benchmark_group("sound");
        group.throughput(Throughput::Elements(files.len() as u64));
        group.bench_function(format!("decode {ending}"), |bench| {
            bench.iter(|| decoded().for_each(|wave| drop(black_box(wave))))
        });
    }
    let mut group = criterion.benchmark_group("sound");
    group.throughput(Throughput::Elements(waves.len() as u64));
    let fbank = Fbank::new(16_000, MELS);
    group.bench_function("filterbank", |bench| {
        bench.iter(|| {
            waves
                .iter()
                .for_each(|wave| drop(black_box(fbank.compute(&wave.samples))))
        })
    });
    // the resampler's time does not depend on what it hears
    let long = || waves.iter().map(|wave| wave.samples.repeat(3)[..220_500].to_vec());
    group.bench_function("44.1 to 16 kHz, clips of 5 s", |bench| {
        bench.iter(|| long().for_each(|samples| drop(black_box(resample(samples, 44_100, 16_000)))))
    });
    group.finish();
}
