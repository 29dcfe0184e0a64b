//! Values, gradients and refusals of every fixture.

use crate::fixture::{Fixture, Values, host};
use crate::{core, fixtures, speech};
use bridle_encoders::conformer::front::Front;
use bridle_encoders::{Encoder, Input, Options, Pooling, Recognised, recognise};
use burn::backend::Autodiff;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

type B = Flex;

/// The first sound's input, as the pipeline makes it.
fn made(fixture: &Fixture) -> Values {
    let recognised = fixture.recognised(&fixture.checkpoint());
    let wave = fixture.values.get("wave.a").or(fixture.values.get("wave")).unwrap();
    let wave: Vec<f32> = wave.data.iter().map(|value| value / 32768.0).collect();
    let rows = recognised.pipeline.sound(&wave).unwrap();
    Values {
        shape: rows.shape,
        data: rows.data,
    }
}

/// Sounds of rows of `width` numbers, the shorter ones with numbers behind them that must not matter.
fn batch(sounds: &[&[f32]], width: usize) -> Input<B> {
    let lengths: Vec<usize> = sounds.iter().map(|sound| sound.len() / width).collect();
    let longest = *lengths.iter().max().unwrap();
    let padded = |sound: &&[f32]| {
        let mut sound = sound.to_vec();
        sound.resize(longest * width, 3.5);
        sound
    };
    let (values, device): (Vec<f32>, _) = (sounds.iter().flat_map(padded).collect(), Default::default());
    let count = sounds.len();
    match width {
        1 => Input::Sounds(
            Tensor::from_data(TensorData::new(values, [count, longest]), &device),
            lengths,
        ),
        _ => Input::Spectrograms(
            Tensor::from_data(TensorData::new(values, [count, longest, width]), &device),
            lengths,
        ),
    }
}

/// Numbers of a row: samples are rows of one.
fn width(made: &Values) -> usize {
    if made.shape[0] == 1 { 1 } else { made.shape[1] }
}

#[test]
fn every_value_is_within_its_tolerance() {
    let mut failed = Vec::new();
    for fixture in fixtures() {
        let device = Default::default();
        let (recognised, encoder) = fixture.encoder::<B>(&device);
        speech::check(&fixture, &recognised.pipeline, &encoder, &device);
        failed.extend(
            fixture
                .finish()
                .into_iter()
                .map(|failure| format!("{}: {failure}", fixture.name)),
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_shorter_sound_gives_the_same_numbers_alone_and_beside_a_longer_one() {
    for fixture in fixtures() {
        let (_, encoder) = fixture.encoder::<B>(&Default::default());
        let long = made(&fixture);
        let (width, name) = (width(&long), &fixture.name);
        // uneven numbers of rows, so that every stride has a rest
        let short = &long.data[..(long.data.len() / width * 4 / 7) * width];
        let alone = encoder.states(batch(&[short], width)).unwrap();
        let both = batch(&[&long.data, short], width);
        let beside = encoder.states(both.clone()).unwrap();
        assert_eq!(beside.lengths[1], alone.lengths[0], "{name}");
        let states = alone.hidden.iter().chain([&alone.last]);
        for (number, (alone, beside)) in states.zip(beside.hidden.iter().chain([&beside.last])).enumerate() {
            let [_, frames, _] = alone.dims();
            let beside = beside.clone().narrow(0, 1, 1).narrow(1, 0, frames);
            let off = (alone.clone() - beside).abs().max().into_scalar();
            // as far as another order of sums goes, in numbers up to 4
            assert!(off < 6e-5, "{name}: state {number} is off by {off}");
        }
        let pooled = |input| host(encoder.pooled(input, Pooling::Mean).unwrap()).data;
        let (alone, both) = (pooled(batch(&[short], width)), pooled(both));
        let off = alone.iter().zip(&both[alone.len()..]).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 2e-5, "{name}: the mean is off");
    }
}

#[test]
fn too_short_sounds_and_other_inputs_are_refused() {
    for fixture in fixtures() {
        let (_, encoder) = fixture.encoder::<B>(&Default::default());
        let made = made(&fixture);
        let (width, name) = (width(&made), &fixture.name);
        let input = || batch(&[&made.data], width);
        let other = match input() {
            Input::Sounds(..) => Input::Spectrograms(Tensor::zeros([1, 40, 80], &Default::default()), vec![40]),
            _ => Input::Sounds(Tensor::zeros([1, 4000], &Default::default()), vec![4000]),
        };
        assert!(encoder.states(other).is_err(), "{name}");
        let rows = made.data.len() / width;
        for wrong in [vec![0], vec![rows + 1], vec![rows, rows]] {
            let input = match input() {
                Input::Sounds(x, _) => Input::Sounds(x, wrong.clone()),
                Input::Spectrograms(x, _) => Input::Spectrograms(x, wrong.clone()),
                other => other,
            };
            assert!(encoder.states(input).is_err(), "{name} took lengths {wrong:?}");
        }
        let one_row = batch(&[&made.data[..width]], width);
        assert_eq!(encoder.states(one_row).is_err(), width == 1, "{name}");
        assert!(encoder.pooled(input(), Pooling::Cls).is_err(), "{name}");
    }
}

#[test]
fn gradients_reach_the_first_weights_of_every_encoder() {
    for fixture in fixtures() {
        let (_, encoder) = fixture.encoder::<Autodiff<B>>(&Default::default());
        let made = made(&fixture);
        let (width, device) = (width(&made), Default::default());
        let rows = made.data.len() / width;
        let input = match width {
            1 => Input::from_values(made.data, &[1, rows], &device),
            _ => Input::from_values(made.data, &[1, rows, width], &device),
        };
        let pooled = encoder.pooled(input.unwrap(), Pooling::Mean).unwrap();
        // squares: sums of normed numbers do not move
        let gradients = pooled.powi_scalar(2).sum().backward();
        let gradient = match &encoder {
            Encoder::Speech(speech) => {
                let first = &speech.front.convolutions.layers[0];
                first
                    .convolution
                    .weight
                    .grad(&gradients)
                    .map(|gradient| gradient.abs().sum())
            }
            Encoder::Conformer(conformer) => match &conformer.front {
                Front::Wave(front) => {
                    let first = &front.convolutions.layers[0];
                    first
                        .convolution
                        .weight
                        .grad(&gradients)
                        .map(|gradient| gradient.abs().sum())
                }
                Front::Frames(projection) => projection
                    .map
                    .weight
                    .grad(&gradients)
                    .map(|gradient| gradient.abs().sum()),
                Front::Mels(front) => {
                    let first = &front.layers[0];
                    first.weight.grad(&gradients).map(|gradient| gradient.abs().sum())
                }
            },
            Encoder::Vit(_) => None,
        };
        let size = gradient.unwrap().into_scalar();
        assert!(size.is_finite() && size > 0.0, "{}: {size}", fixture.name);
    }
}

#[test]
fn what_is_recognised_is_the_same_after_a_round_through_json_and_makes_a_blank_encoder() {
    for fixture in fixtures() {
        let recognised = fixture.recognised(&fixture.checkpoint());
        let text = serde_json::to_string(&recognised).unwrap();
        let again: Recognised = serde_json::from_str(&text).unwrap();
        assert_eq!(again, recognised, "{}", fixture.name);
        let device = Default::default();
        let blank = Encoder::<B>::blank(&again, &device).unwrap();
        let (_, encoder) = fixture.encoder::<B>(&device);
        assert_eq!(blank.num_params(), encoder.num_params(), "{}", fixture.name);
    }
}

#[test]
fn data2vec_has_one_norm_whether_its_folder_says_so_or_not() {
    let fixture = Fixture::read(&core(), "data2vec-audio-hf");
    let mut checkpoint = fixture.checkpoint();
    let recognised = fixture.recognised(&checkpoint);
    let settings = checkpoint.config.as_object_mut().unwrap();
    assert!(settings.remove("feat_extract_norm").is_some());
    assert_eq!(fixture.recognised(&checkpoint), recognised);
    checkpoint.config["feat_extract_norm"] = "group".into();
    let error = recognise(&checkpoint, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("`feat_extract_norm`"), "{error}");
}

#[test]
fn waves_have_the_rate_that_the_folder_says() {
    let fixture = Fixture::read(&core(), "wav2vec2-large-hf");
    let mut checkpoint = fixture.checkpoint();
    checkpoint.preprocessor["sampling_rate"] = 8_000.into();
    assert_eq!(fixture.recognised(&checkpoint).pipeline.sample_rate(), Some(8_000));
    for wrong in [0, 1 << 23] {
        checkpoint.preprocessor["sampling_rate"] = wrong.into();
        assert!(recognise(&checkpoint, &Options::default()).is_err(), "{wrong} Hz");
    }
}
