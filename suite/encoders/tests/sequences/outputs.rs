//! Encoders over waves and frames against the numbers of their authors' code, alone and in padded batches.

use crate::fixture::{Fixture, all, largest_difference};
use bridle_encoders::{Encoder, Input, Pooling, build, recognise};
use bridle_tasks::pipeline::Pipeline;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};

type B = Flex;

fn device() -> FlexDevice {
    Default::default()
}

fn encoder(fixture: &Fixture) -> Encoder<B> {
    let recognised = recognise(&fixture.checkpoint, &Default::default()).expect("it is recognised");
    let (encoder, _) = build(&recognised, &fixture.checkpoint, &device()).expect("it is built");
    encoder
}

fn pipeline(fixture: &Fixture) -> Pipeline {
    recognise(&fixture.checkpoint, &Default::default())
        .expect("it is recognised")
        .pipeline
}

/// The model's input for the sound `name`, ready-made or from the wave: rows of `width` numbers.
fn input(fixture: &Fixture, name: &str) -> (Vec<f32>, usize) {
    match pipeline(fixture) {
        Pipeline::Wave(wave) => {
            let samples: Vec<f64> = fixture
                .values(&format!("wave{name}"))
                .iter()
                .map(|x| f64::from(*x) / 32768.0)
                .collect();
            let mean = samples.iter().sum::<f64>() / samples.len() as f64;
            let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / samples.len() as f64;
            let made = |x: &f64| match wave.normalise {
                Some(epsilon) => ((x - mean) / (variance + epsilon).sqrt()) as f32,
                None => *x as f32,
            };
            (samples.iter().map(made).collect(), 1)
        }
        _ => {
            let shape = fixture.shape("input");
            (fixture.values("input"), shape[2])
        }
    }
}

/// Sounds of rows of `width` numbers, padded to the longest by numbers that must not matter.
fn batch(sounds: &[Vec<f32>], width: usize) -> Input<B> {
    let lengths: Vec<usize> = sounds.iter().map(|sound| sound.len() / width).collect();
    let longest = lengths.iter().copied().max().expect("a sound");
    let padded = |sound: &Vec<f32>| {
        let mut sound = sound.clone();
        sound.resize(longest * width, 3.5);
        sound
    };
    let values: Vec<f32> = sounds.iter().flat_map(padded).collect();
    let count = sounds.len();
    match width {
        1 => Input::Sounds(
            Tensor::from_data(TensorData::new(values, [count, longest]), &device()),
            lengths,
        ),
        _ => {
            let data = TensorData::new(values, [count, longest, width]);
            Input::Spectrograms(Tensor::from_data(data, &device()), lengths)
        }
    }
}

fn numbers<const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("32-bit numbers")
}

/// Names of the sounds of a fixture, as the names of its outputs end.
fn sounds(fixture: &Fixture) -> Vec<&'static str> {
    let has = |name: &&str| fixture.has(&format!("last{name}"));
    ["", ".a", ".b"].into_iter().filter(has).collect()
}

#[test]
fn every_state_is_that_of_the_authors_code() {
    for fixture in all() {
        let encoder = encoder(&fixture);
        for name in sounds(&fixture) {
            let (rows, width) = input(&fixture, name);
            if fixture.has(&format!("input{name}")) {
                fixture.compare(&format!("input{name}"), &rows);
            }
            let states = encoder
                .states(batch(&[rows.clone()], width))
                .expect("an input of its kind");
            for (index, state) in states.hidden.iter().enumerate().filter(|_| name != ".b") {
                fixture.compare(&format!("hidden.{index}"), &numbers(state.clone()));
            }
            if fixture.has(&format!("layer_mean{name}")) {
                let sum = states
                    .hidden
                    .iter()
                    .map(|state| state.clone().mean_dim(1))
                    .reduce(|sum, mean| sum + mean);
                let mean = sum.expect("a state").div_scalar(states.hidden.len() as f32);
                fixture.compare(&format!("layer_mean{name}"), &numbers(mean));
            }
            fixture.compare(&format!("last{name}"), &numbers(states.last));
            let pooled = encoder
                .pooled(batch(&[rows], width), Pooling::Mean)
                .expect("frames have a mean");
            fixture.compare(&format!("mean{name}"), &numbers(pooled));
        }
        fixture.all_compared(&["wave", "input", "mask", "conv", "projected"]);
    }
}

#[test]
fn what_is_in_front_of_the_blocks_is_that_of_the_authors_code() {
    for fixture in all() {
        let name = sounds(&fixture)[0];
        let (rows, width) = input(&fixture, name);
        let length = rows.len() / width;
        let rows = Tensor::from_data(TensorData::new(rows, [1, length, width]), &device());
        let wave = |front: &bridle_encoders::speech::front::WaveFront<B>| {
            let (channels, _) = front.convolutions.forward(rows.clone(), &[length]);
            fixture.compare(&format!("conv{name}"), &numbers(channels));
            let (frames, _) = front.forward(rows.clone(), &[length]);
            if fixture.has(&format!("projected{name}")) {
                fixture.compare(&format!("projected{name}"), &numbers(frames));
            }
        };
        match encoder(&fixture) {
            Encoder::Speech(speech) => wave(&speech.front),
            Encoder::Conformer(conformer) => match conformer.front {
                bridle_encoders::conformer::front::Front::Wave(front) => wave(&front),
                bridle_encoders::conformer::front::Front::Mels(front) => {
                    fixture.compare("conv", &numbers(front.convolve(rows)));
                }
                bridle_encoders::conformer::front::Front::Frames(_) => {}
            },
            Encoder::Vit(_) => panic!("{} is no vision transformer", fixture.name),
        }
    }
}

#[test]
fn a_sound_gives_the_same_numbers_alone_and_beside_a_longer_one() {
    for fixture in all() {
        let encoder = encoder(&fixture);
        let names = sounds(&fixture);
        let (first, width) = input(&fixture, names[0]);
        // where there is one sound, its first half is the other
        let second = match names[..] {
            [_, other] => input(&fixture, other).0,
            _ => first[..first.len() / width / 2 * width].to_vec(),
        };
        let alone = encoder
            .states(batch(&[second.clone()], width))
            .expect("an input of its kind");
        let frames = alone.lengths[0];
        let both = || batch(&[first.clone(), second.clone()], width);
        let states = encoder.states(both()).expect("an input of its kind");
        assert_eq!(states.lengths[1], frames, "{}", fixture.name);
        let of = |tensor: Tensor<B, 3>, sound: usize| {
            let frames = states.lengths[sound];
            numbers(tensor.narrow(0, sound, 1).narrow(1, 0, frames))
        };
        let pooled = encoder.pooled(both(), Pooling::Mean).expect("frames have a mean");
        for (sound, name) in names.iter().enumerate() {
            fixture.compare(&format!("last{name}"), &of(states.last.clone(), sound));
            let mean = numbers(pooled.clone().narrow(0, sound, 1));
            fixture.compare(&format!("mean{name}"), &mean);
        }
        for (index, (alone, beside)) in alone.hidden.iter().zip(&states.hidden).enumerate() {
            let tolerance = fixture.tolerance(&format!("hidden.{index}"));
            let (alone, beside) = (numbers(alone.clone()), of(beside.clone(), 1));
            let largest = largest_difference(&alone, &beside);
            assert!(
                largest <= tolerance,
                "{}: state {index} is off by {largest}",
                fixture.name
            );
        }
    }
}

#[test]
fn too_short_sounds_and_other_inputs_are_refused() {
    for fixture in all() {
        let encoder = encoder(&fixture);
        let (rows, width) = input(&fixture, sounds(&fixture)[0]);
        let other = match width {
            1 => Input::Spectrograms(Tensor::zeros([1, 40, 80], &device()), vec![40]),
            _ => Input::Sounds(Tensor::zeros([1, 4000], &device()), vec![4000]),
        };
        assert!(encoder.states(other).is_err(), "{}", fixture.name);
        let (Input::Sounds(_, lengths) | Input::Spectrograms(_, lengths)) = &mut batch(&[rows.clone()], width) else {
            unreachable!("inputs of sequences")
        };
        let longest = lengths[0];
        for wrong in [vec![0], vec![longest + 1], vec![longest, longest]] {
            let input = match batch(&[rows.clone()], width) {
                Input::Sounds(x, _) => Input::Sounds(x, wrong.clone()),
                Input::Spectrograms(x, _) => Input::Spectrograms(x, wrong.clone()),
                other => other,
            };
            assert!(
                encoder.states(input).is_err(),
                "{} took lengths {wrong:?}",
                fixture.name
            );
        }
        let short = batch(&[rows[..width].to_vec()], width);
        assert_eq!(encoder.states(short).is_err(), width == 1, "{}", fixture.name);
        assert!(
            encoder.pooled(batch(&[rows], width), Pooling::Cls).is_err(),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn an_encoder_without_weights_has_the_same_parameters() {
    for fixture in all() {
        let recognised = recognise(&fixture.checkpoint, &Default::default()).expect("it is recognised");
        let json = serde_json::to_string(&recognised).expect("it can be written");
        let again = serde_json::from_str(&json).expect("it can be read again");
        assert_eq!(recognised, again, "{}", fixture.name);
        let blank = Encoder::<B>::blank(&again, &device()).expect("sizes that fit");
        assert_eq!(blank.num_params(), encoder(&fixture).num_params(), "{}", fixture.name);
    }
}
