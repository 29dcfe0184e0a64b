//! The labels and codebook statistics of step 0, from host-drawn weights: the same on every processor and backend.
//!
//! No distance between a best and a second-best code is closer than the margin, so rounding cannot change a label.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot do")]

mod small;

use bridle::codebook::{SeededPicks, unit};
use bridle::init::Init;
use bridle::pretrain::Teacher;
use bridle::quantizer::{Mode, Quantizer};
use bridle::rq::ResidualQuantizer;
use bridle::tokenizer::Source;
use bridle_backends::{Choice, Facts, Job, TrainBackend};
use bridle_results::codes::CodebookCounts;
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::ElementConversion;
use std::fmt::Write;

/// The smallest allowed gap between the best and the second-best squared distance.
const MARGIN: f32 = 1e-4;
/// Chosen so that the gap is wide enough.
const SEED: u64 = 0;

struct StepZero;

impl Job for StepZero {
    type Output = String;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> String {
        let config = small::config();
        let seed = Seed::root(SEED);
        let teacher = Teacher::<B, ResidualQuantizer<B>>::new(&config, &Init::new(seed.child("weights"), &device));
        let mut tokenizer = teacher.tokenizer.valid();
        let data = small::spectrograms();
        let x = small::batch(&data, &[0, 1, 2, 3, 4, 5, 6, 7], &device);
        // codebooks as drawn, normalised, without k-means: nothing that could turn a rounding error into another start
        let quantizer = &mut tokenizer.quantizer;
        quantizer.levels.iter_mut().for_each(|book| {
            let centred = book.vectors.val() - 0.5;
            book.set_vectors(unit(centred));
        });
        let books = quantizer.levels.clone();
        quantizer.set_started(true);
        let latents = tokenizer.latents(x.clone(), Source::ColdStart, None);
        let [batch, tokens, dim] = latents.dims();
        let mut residual = latents.reshape([batch * tokens, dim]);
        let mut margin = f32::INFINITY;
        for book in &books {
            let distances = book.distances(unit(residual.clone()));
            let best = distances.clone().neg().topk(2, 1);
            let gap = best.clone().narrow(1, 0, 1) - best.narrow(1, 1, 1);
            margin = margin.min(gap.min().into_scalar().elem());
            residual = residual - book.lookup(distances.argmin(1));
        }
        assert!(
            margin > MARGIN,
            "{}: the smallest gap is {margin:e}; choose another seed",
            facts.name
        );
        let mut picks = SeededPicks(seed);
        let codes = tokenizer.quantize(x, Source::ColdStart, Mode::Eval, &mut picks).codes;
        let [_, _, levels] = codes.dims();
        let codes: Vec<i64> = codes.into_data().iter::<i64>().collect();
        let mut counts = CodebookCounts::new(levels, config.quantizer.codebook_size);
        counts.add(&codes).unwrap();
        let mut text = String::new();
        for (sample, codes) in codes.chunks_exact(tokens * levels).enumerate() {
            writeln!(text, "sample {sample}: {codes:?}").unwrap();
        }
        for (level, found) in counts.statistics().iter().enumerate() {
            let (level, used, dead) = (level + 1, found.used, found.dead);
            writeln!(
                text,
                "level {level}: used {used}, dead {dead}, perplexity {:.6}",
                found.perplexity
            )
            .unwrap();
        }
        text
    }
}

#[test]
fn labels_of_step_zero_are_the_same_everywhere() {
    for name in bridle_backends::compiled() {
        match bridle_backends::run(&Choice::of(name), StepZero) {
            Ok(text) => insta::assert_snapshot!("step_zero", text),
            Err(error) => println!("{}: not run, {error}", name.as_str()),
        }
    }
}
