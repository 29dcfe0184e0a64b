//! Every value of a fixture whose encoder hears sounds of any length: alone, and in a padded batch.

use crate::fixture::{Fixture, Values, host};
use bridle_backends::Ops;
use bridle_encoders::conformer::front::Front;
use bridle_encoders::speech::front::WaveFront;
use bridle_encoders::{Encoder, EncoderError, Input, Pooling};
use bridle_tasks::pipeline::Pipeline;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeSet;

/// Computes and compares all that the fixture has.
pub fn check<B: Ops>(fixture: &Fixture, pipeline: &Pipeline, encoder: &Encoder<B>, device: &B::Device) {
    let mut checks = Checks {
        fixture,
        encoder,
        device,
        compared: BTreeSet::new(),
    };
    // names of sounds, as the names of their values end
    let sounds: Vec<&str> = ["", ".a", ".b"]
        .into_iter()
        .filter(|end| fixture.values.contains_key(&format!("last{end}")))
        .collect();
    let mut rows = Vec::new();
    for end in &sounds {
        match checks.sound(pipeline, end) {
            Ok(sound) => rows.push(sound),
            Err(error) => fixture.fail(format!("sound `{end}`: {error}")),
        }
    }
    if let Err(error) = checks.batch(&sounds, &rows) {
        fixture.fail(format!("a batch: {error}"));
    }
    for name in fixture.values.keys() {
        // what outputs are made from
        let is_given = name.starts_with("wave") || name == "mask";
        if !is_given && !checks.compared.contains(name) {
            fixture.fail(format!("{name}: the program has no check for this value"));
        }
    }
}

/// A sound's input, rows of `width` numbers.
#[derive(Clone)]
struct Sound {
    data: Vec<f32>,
    width: usize,
}

struct Checks<'a, B: Ops> {
    fixture: &'a Fixture,
    encoder: &'a Encoder<B>,
    device: &'a B::Device,
    compared: BTreeSet<String>,
}

impl<B: Ops> Checks<'_, B> {
    /// Compares a value, if the fixture has it.
    fn compare(&mut self, name: &str, found: impl FnOnce() -> Values) {
        if self.fixture.values.contains_key(name) {
            self.fixture.compare(name, &found());
            self.compared.insert(name.to_owned());
        }
    }

    /// Everything about one sound by itself; its input, as the fixture has it or as the pipeline makes it.
    fn sound(&mut self, pipeline: &Pipeline, end: &str) -> Result<Sound, EncoderError> {
        let wave = &self.fixture.values[&format!("wave{end}")].data;
        let wave: Vec<f32> = wave.iter().map(|value| value / 32768.0).collect();
        let made = pipeline.sound(&wave)?;
        let width = if made.shape[0] == 1 { 1 } else { made.shape[1] };
        let made = Values {
            shape: made.shape,
            data: made.data,
        };
        self.compare(&format!("input{end}"), || made.clone());
        let given = self.fixture.values.get(&format!("input{end}")).cloned();
        let sound = Sound {
            data: given.unwrap_or(made).data,
            width,
        };
        self.front(&sound, end);
        let states = self.encoder.states(self.input(std::slice::from_ref(&sound)))?;
        if end != ".b" {
            for (number, state) in states.hidden.iter().enumerate() {
                self.compare(&format!("hidden.{number}"), || host(state.clone()));
            }
        }
        self.compare(&format!("layer_mean{end}"), || {
            let means = states.hidden.iter().map(|state| state.clone().mean_dim(1));
            let sum = means.reduce(|sum, mean| sum + mean).unwrap();
            host(sum / states.hidden.len() as f32)
        });
        self.compare(&format!("last{end}"), || host(states.last));
        let mean = self
            .encoder
            .pooled(self.input(std::slice::from_ref(&sound)), Pooling::Mean)?;
        self.compare(&format!("mean{end}"), || host(mean));
        Ok(sound)
    }

    /// What convolutions and the map behind them give.
    fn front(&mut self, sound: &Sound, end: &str) {
        let length = sound.data.len() / sound.width;
        let data = TensorData::new(sound.data.clone(), [1, length, sound.width]);
        let rows = Tensor::<B, 3>::from_data(data, self.device);
        let wave: &WaveFront<B> = match self.encoder {
            Encoder::Speech(speech) => &speech.front,
            Encoder::Conformer(conformer) => match &conformer.front {
                Front::Wave(front) => front,
                Front::Mels(front) => return self.compare(&format!("conv{end}"), || host(front.convolve(rows))),
                Front::Frames(_) => return,
            },
            Encoder::Vit(_) => return self.fixture.fail("a vision transformer".to_owned()),
        };
        self.compare(&format!("conv{end}"), || {
            host(wave.convolutions.forward(rows.clone(), &[length]).0)
        });
        self.compare(&format!("projected{end}"), || {
            host(wave.forward(rows.clone(), &[length]).0)
        });
    }

    /// All sounds together; where there is one, its first half beside it.
    fn batch(&self, ends: &[&str], sounds: &[Sound]) -> Result<(), EncoderError> {
        let mut sounds = sounds.to_vec();
        if let [only] = &sounds[..] {
            let rows = only.data.len() / only.width / 2;
            let half = only.data[..rows * only.width].to_vec();
            sounds.push(Sound { data: half, ..*only });
        }
        let states = self.encoder.states(self.input(&sounds))?;
        for (sound, end) in ends.iter().enumerate() {
            let last = states
                .last
                .clone()
                .narrow(0, sound, 1)
                .narrow(1, 0, states.lengths[sound]);
            self.fixture.compare(&format!("last{end}"), &host(last));
        }
        Ok(())
    }

    /// Sounds padded to the longest by numbers that must not matter.
    fn input(&self, sounds: &[Sound]) -> Input<B> {
        let width = sounds[0].width;
        let lengths: Vec<usize> = sounds.iter().map(|sound| sound.data.len() / width).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded = sounds.iter().flat_map(|sound| {
            let mut data = sound.data.clone();
            data.resize(longest * width, 3.5);
            data
        });
        let values: Vec<f32> = padded.collect();
        let count = sounds.len();
        match width {
            1 => Input::Sounds(
                Tensor::from_data(TensorData::new(values, [count, longest]), self.device),
                lengths,
            ),
            _ => {
                let data = TensorData::new(values, [count, longest, width]);
                Input::Spectrograms(Tensor::from_data(data, self.device), lengths)
            }
        }
    }
}
