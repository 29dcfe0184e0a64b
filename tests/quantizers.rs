//! A law of every registered quantizer: the codes alone are those of the whole forward pass, and start it all the same.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle::codebook::SeededPicks;
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantizer};
use bridle::rq::{RqConfig, Space};
use bridle_baselines::random::RandomConfig;
use bridle_baselines::vq::VqConfig;
use bridle_bench::quantizers::{AnyQuantizer, QuantizerConfig};
use bridle_seed::Seed;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

#[test]
fn codes_alone_are_those_of_the_whole() {
    let mut stream = Seed::root(4).stream();
    let values: Vec<f32> = (0..2 * 150 * 16).map(|_| stream.normal()).collect();
    let latents = Tensor::<Flex, 3>::from_data(TensorData::new(values, [2, 150, 16]), &Default::default());
    let (codebooks, codebook_size, code_dim) = (3, 20, 16);
    let rq = |(soft_codes, space)| {
        QuantizerConfig::from(RqConfig {
            codebooks,
            codebook_size,
            code_dim,
            soft_codes,
            space,
            ..RqConfig::default()
        })
    };
    let vq = VqConfig {
        codebook_size,
        code_dim,
        ..VqConfig::default()
    };
    let random = RandomConfig {
        codebooks,
        codebook_size,
        code_dim,
    };
    let all = [(1, Space::UnitLookup), (2, Space::UnitLookup), (1, Space::Raw)].map(rq);
    for config in all.into_iter().chain([vq.into(), random.into()]) {
        let init = Init::new(Seed::root(1), &Default::default());
        let mut whole = AnyQuantizer::<Flex>::new(&config, &init);
        let mut alone = whole.clone();
        let mut picks = SeededPicks(Seed::root(2));
        // the first call starts the codebooks, the second uses them
        for _ in 0..2 {
            let expected = whole.forward(latents.clone(), Mode::Eval, &mut picks).codes;
            let found = alone.codes(latents.clone(), &mut picks);
            assert_eq!(found.to_data(), expected.to_data(), "{config:?}");
            assert!(alone.is_started());
            let usage = [&whole, &alone].map(|quantizer| quantizer.codebooks()[0].usage.val().to_data());
            assert_eq!(usage[0], usage[1]);
        }
    }
}
