//! Losses and codebook statistics after training stay in bands that were measured: mean and 4 standard deviations over
//! the runs in `tests/bands.json`, which vary the seed, the number of threads and the backend. Two planted bugs must
//! leave their band.
//!
//! `BRIDLE_MEASURE_BANDS=1 cargo test --release --features tch --test bands` measures anew: it adds this process's runs
//! to the file. Remove the file first, and run once with `RAYON_NUM_THREADS=1` and once without.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot do")]

mod small;

use bridle::codebook::SeededPicks;
use bridle::init::Init;
use bridle::mask::Mask;
use bridle::optimizer::{AdamW, AdamWConfig, UniformRate};
use bridle::pretrain::{Student, Teacher, encoder_loss, labels, tokenizer_loss};
use bridle::quantizer::Mode;
use bridle::rq::{ResidualQuantizer, RqConfig};
use bridle::swin::Dropout;
use bridle::tokenizer::Source;
use bridle_backends::{Choice, Facts, Job, Name, TrainBackend};
use bridle_results::codes::CodebookCounts;
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

const BATCH: usize = 16;
const ENCODER_STEPS: u64 = 40;
const TOKENIZER_STEPS: u64 = 60;
/// Half the width of a band, in standard deviations.
const DEVIATIONS: f64 = 4.0;

/// What is wrong with a run on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// The first two codebooks change places once they have started.
    LevelsSwapped,
    /// Codebooks do not move in the tokenizer phase.
    FrozenCodebook,
}

/// One measured run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    backend: String,
    threads: usize,
    seed: u64,
    numbers: BTreeMap<String, f64>,
}

struct Train {
    seed: u64,
    bug: Bug,
}

impl Job for Train {
    type Output = Run;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Run {
        let (config, data, seed) = (small::config(), small::spectrograms(), Seed::root(self.seed));
        let init = Init::<B>::new(seed.child("weights"), &device);
        let mut student = Student::new(&config, &init.child("student"));
        let mut teacher = Teacher::<B, ResidualQuantizer<B>>::new(&config, &init.child("teacher"));
        let adamw = AdamWConfig {
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 1e-4,
        };
        let all: Vec<usize> = (0..small::SAMPLES).collect();
        let mut numbers = BTreeMap::new();
        let pick = |phase: &str, step: u64| -> Vec<usize> {
            let order = seed.child(phase).indexed(step / 4).stream().permutation(small::SAMPLES);
            order[(step % 4) as usize * BATCH..][..BATCH].to_vec()
        };

        // encoder phase, cold start
        let mut picks = SeededPicks(seed.child("cold"));
        let mut frozen = teacher.tokenizer.valid();
        frozen.quantize(
            small::batch(&data, &all, &device),
            Source::ColdStart,
            Mode::Eval,
            &mut picks,
        );
        if self.bug == Bug::LevelsSwapped {
            frozen.quantizer.levels.swap(0, 1);
        }
        let codes = frozen
            .quantize(
                small::batch(&data, &all, &device),
                Source::ColdStart,
                Mode::Eval,
                &mut picks,
            )
            .codes;
        note_statistics(
            "cold",
            &codes.into_data().iter::<i64>().collect::<Vec<_>>(),
            &config,
            &mut numbers,
        );
        let mut optimizer = AdamW::<B>::new(adamw);
        let mut losses = Vec::new();
        for step in 0..ENCODER_STEPS {
            let x = small::batch::<B>(&data, &pick("encoder", step), &device);
            let mut noise = seed.child("mask").indexed(step).stream();
            let noise: Vec<f32> = (0..BATCH * config.geometry.tokens()).map(|_| noise.uniform()).collect();
            let mask = Mask::random(&noise, config.geometry.tokens(), 0.8);
            let codes = labels(
                &mut frozen,
                x.clone().inner(),
                Source::ColdStart,
                &mask.upload(&device),
                &mut picks,
            );
            let rows = mask.upload(&device);
            let loss = encoder_loss(&student, x, &rows, Tensor::from_inner(codes), &mut Dropout::Off);
            student = optimizer.step(student, &mut loss.backward(), 2e-3, &UniformRate);
            losses.push(scalar(loss));
        }
        numbers.insert("encoder loss".to_owned(), tail_mean(&losses));

        // tokenizer phase
        let mut picks = SeededPicks(seed.child("tokenizer"));
        let mut optimizer = AdamW::<B>::new(adamw);
        let encoder = student.valid().encoder;
        let mut losses = Vec::new();
        for step in 0..TOKENIZER_STEPS {
            let x = small::batch::<B>(&data, &pick("tokenizer", step), &device);
            let target = Tensor::from_inner(encoder.embed_patches(x.clone().inner()));
            let before: Vec<_> = teacher
                .tokenizer
                .quantizer
                .levels
                .iter()
                .map(|book| book.vectors.val().detach())
                .collect();
            let loss = tokenizer_loss(&mut teacher, x, target, Mode::Train, &mut picks).total();
            let books = &mut teacher.tokenizer.quantizer.levels;
            if self.bug == Bug::LevelsSwapped && step == 0 {
                books.swap(0, 1);
            }
            if self.bug == Bug::FrozenCodebook && step > 0 {
                books
                    .iter_mut()
                    .zip(before)
                    .for_each(|(book, vectors)| book.set_vectors(vectors));
            }
            teacher = optimizer.step(teacher, &mut loss.backward(), 2e-3, &UniformRate);
            losses.push(scalar(loss));
        }
        numbers.insert("tokenizer loss".to_owned(), tail_mean(&losses));
        let mut tokenizer = teacher.tokenizer.valid();
        let codes = tokenizer
            .quantize(
                small::batch(&data, &all, &device),
                Source::Network,
                Mode::Eval,
                &mut picks,
            )
            .codes;
        note_statistics(
            "trained",
            &codes.into_data().iter::<i64>().collect::<Vec<_>>(),
            &config,
            &mut numbers,
        );
        let norms = tokenizer.quantizer.levels.iter().map(|book| {
            let vectors: Vec<f32> = book.vectors.val().into_data().iter::<f32>().collect();
            f64::from(vectors.iter().map(|x| x * x).sum::<f32>()).sqrt()
                / (config.quantizer.codebook_size as f64).sqrt()
        });
        norms.enumerate().for_each(|(level, norm)| {
            numbers.insert(format!("code norm, level {}", level + 1), norm);
        });
        Run {
            backend: facts.name.to_owned(),
            threads: facts.threads.unwrap_or(1),
            seed: self.seed,
            numbers,
        }
    }
}

fn scalar<B: TrainBackend>(loss: Tensor<B, 1>) -> f64 {
    f64::from(loss.into_data().iter::<f32>().next().unwrap())
}

/// Mean of the last ten.
fn tail_mean(losses: &[f64]) -> f64 {
    losses[losses.len() - 10..].iter().sum::<f64>() / 10.0
}

fn note_statistics(
    when: &str,
    codes: &[i64],
    config: &bridle::config::ModelConfig<RqConfig>,
    numbers: &mut BTreeMap<String, f64>,
) {
    let mut counts = CodebookCounts::new(config.quantizer.codebooks, config.quantizer.codebook_size);
    counts.add(codes).unwrap();
    for (level, found) in counts.statistics().iter().enumerate() {
        numbers.insert(format!("{when} perplexity, level {}", level + 1), found.perplexity);
        numbers.insert(format!("{when} used, level {}", level + 1), found.used as f64);
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bands.json")
}

fn train(name: Name, seed: u64, bug: Bug) -> Option<Run> {
    match bridle_backends::run(&Choice::of(name), Train { seed, bug }) {
        Ok(run) => Some(run),
        Err(error) => {
            println!("{}: not run, {error}", name.as_str());
            None
        }
    }
}

/// Mean and half width of every number's band.
fn bands(runs: &[Run]) -> BTreeMap<String, (f64, f64)> {
    let names: Vec<String> = runs[0].numbers.keys().cloned().collect();
    let band = |name: &String| {
        let values: Vec<f64> = runs.iter().map(|run| run.numbers[name]).collect();
        let deviation = bridle_results::stats::sample_sd(&values).unwrap();
        (bridle_results::stats::mean(&values).unwrap(), DEVIATIONS * deviation)
    };
    names.into_iter().map(|name| (name.clone(), band(&name))).collect()
}

/// The numbers of a run that are outside their band.
fn outside(run: &Run, bands: &BTreeMap<String, (f64, f64)>) -> Vec<String> {
    let beyond = |(name, (mean, width)): (&String, &(f64, f64))| {
        let value = run.numbers[name];
        // a number that never varied must stay what it was
        let within = (value - mean).abs() <= width.max(1e-9 * mean.abs());
        (!within).then(|| format!("{name}: {value:.4}, band {:.4} to {:.4}", mean - width, mean + width))
    };
    bands.iter().filter_map(beyond).collect()
}

#[test]
fn training_stays_in_its_bands_and_planted_bugs_leave_them() {
    let mut runs: Vec<Run> = match std::fs::read_to_string(file()) {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(_) => Vec::new(),
    };
    if std::env::var_os("BRIDLE_MEASURE_BANDS").is_some() {
        for name in bridle_backends::compiled() {
            runs.extend((0..6).filter_map(|seed| train(name, 100 + seed, Bug::None)));
        }
        std::fs::write(file(), serde_json::to_string_pretty(&runs).unwrap() + "\n").unwrap();
    }
    assert!(
        runs.len() >= 10,
        "bands need at least 10 measured runs, there are {}",
        runs.len()
    );
    let bands = bands(&runs);
    for name in bridle_backends::compiled() {
        let Some(run) = train(name, 0, Bug::None) else { continue };
        assert_eq!(
            outside(&run, &bands),
            Vec::<String>::new(),
            "{} left its bands",
            name.as_str()
        );
    }
    for bug in [Bug::LevelsSwapped, Bug::FrozenCodebook] {
        let run = train(Name::Flex, 0, bug).unwrap();
        let found = outside(&run, &bands);
        println!("{bug:?} is seen in: {found:?}");
        assert!(!found.is_empty(), "{bug:?} stays in every band");
    }
}
