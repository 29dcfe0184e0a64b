//! Laws of every registered quantizer: its section of the plan reads back as it was written; the codes alone are those of
//! the whole forward pass, start the quantizer all the same, and stand for the vectors that it returns. Finite scalar
//! quantization is held to golden numbers of an independent computation (`tests/fsq_reference.py`).

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must fail a comparison")]

#[path = "parity_cases/case.rs"]
#[allow(dead_code)] // the parity tests use what is left over here
mod case;

use bridle::codebook::SeededPicks;
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantizer, QuantizerValues};
use bridle::rq::{RqConfig, Space};
use bridle_backends::{Choice, Facts, Job, TrainBackend};
use bridle_bench::quantizers::fsq::{FiniteScalarQuantizer, FsqConfig};
use bridle_bench::quantizers::{AnyQuantizer, QuantizerConfig, QuantizerKind};
use bridle_seed::Seed;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use case::Case;
use std::path::Path;

fn latents(dim: usize) -> Tensor<Flex, 3> {
    let mut stream = Seed::root(4).stream();
    let values: Vec<f32> = (0..2 * 150 * dim).map(|_| stream.normal()).collect();
    Tensor::from_data(TensorData::new(values, [2, 150, dim]), &Default::default())
}

/// One of each kind, and the forms of residual quantization.
fn configs() -> Vec<QuantizerConfig> {
    let sized = |kind| QuantizerConfig::sized(kind, 3, 20, 16).unwrap();
    let rq = |(soft_codes, space)| {
        QuantizerConfig::from(RqConfig {
            codebooks: 3,
            codebook_size: 20,
            code_dim: 16,
            soft_codes,
            space,
            ..RqConfig::default()
        })
    };
    let forms = [(2, Space::UnitLookup), (1, Space::Raw)].map(rq);
    QuantizerKind::all().map(sized).chain(forms).collect()
}

#[test]
fn a_section_reads_back_as_it_was_written() {
    for config in configs() {
        config.check().unwrap();
        let section = serde_json::to_value(&config).unwrap();
        assert_eq!(section["kind"], config.kind().word());
        assert_eq!(serde_json::from_value::<QuantizerConfig>(section).unwrap(), config);
    }
}

#[test]
fn codes_alone_are_those_of_the_whole() {
    for config in configs() {
        let latents = latents(config.code_dim());
        let init = Init::new(Seed::root(1), &Default::default());
        let mut whole = AnyQuantizer::<Flex>::new(&config, &init);
        let mut alone = whole.clone();
        assert_eq!(whole.sizes(), [config.codebooks(), config.codebook_size()]);
        let mut picks = SeededPicks(Seed::root(2));
        // the first call starts the codebooks, the second uses them
        for _ in 0..2 {
            let expected = whole.forward(latents.clone(), Mode::Eval, &mut picks);
            let found = alone.codes(latents.clone(), &mut picks);
            assert_eq!(found.to_data(), expected.codes.to_data(), "{config:?}");
            assert!(alone.is_started());
            let usage = [&whole, &alone].map(|quantizer| {
                let books = quantizer.codebooks().iter();
                books.map(|book| book.usage.val().to_data()).collect::<Vec<_>>()
            });
            assert_eq!(usage[0], usage[1]);
            let apart = (alone.decode(found) - expected.values).abs().max().into_scalar();
            assert!(apart < 1e-4, "{config:?}: decoded {apart} away");
        }
    }
}

struct FsqCase(&'static str);

impl Job for FsqCase {
    type Output = ();

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) {
        println!("{} on {}", self.0, facts.name);
        let case = Case::read(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity_quantizers"),
            self.0,
        );
        let sizes = case.sizes("sizes");
        let init = Init::<B>::new(Seed::root(0), &device);
        let mut quantizer = FiniteScalarQuantizer::new(&FsqConfig { sizes }, &init);
        let z = case.tensor::<B, 3>("z", &device).require_grad();
        let found = quantizer.forward(z.clone(), Mode::Train, &mut SeededPicks(Seed::root(0)));
        let [_, codes] = quantizer.sizes();
        let all = Tensor::arange(0..codes as i64, &device).reshape([1, codes, 1]);
        case.check("grid", quantizer.decode(all).squeeze_dim::<2>(0));
        case.check_codes("codes", found.codes);
        case.check("values", found.values.clone());
        let loss = (found.values * case.tensor("weights", &device)).sum() + found.loss;
        case.check("grad", z.grad(&loss.backward()).unwrap());
        let failures = case.finish();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}

#[test]
fn finite_scalar_quantization_has_the_golden_numbers() {
    for name in bridle_backends::compiled() {
        for case in ["fsq", "fsq_small"] {
            if let Err(error) = bridle_backends::run(&Choice::of(name), FsqCase(case)) {
                println!("{}: not run, {error}", name.as_str());
            }
        }
    }
}
