//! The built-in audio task: real 16 kHz waveforms whose classes differ only in the order and rhythm of the same events.
//!
//! Each slot is one column of 16 frames. An event sounds inside its slot only, so that no analysis window holds two of them
//! and no patch betrays a pair; pitch, partials, glide and gain are drawn anew each time, within the event's own band.

use std::f64::consts::TAU;

use bridle_seed::Stream;

use crate::audio::normalise;
use crate::pattern::{self, PAUSE, Pattern, SYMBOLS};
use crate::{DataError, Dataset, Fbank, InputSpec, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};

const VERSION: u32 = 1;
const SAMPLE_RATE: u32 = 16_000;
/// Samples between two slots: 16 frames of 10 ms.
const SLOT: usize = 2_560;
/// Samples after a slot's start at which its event starts: the last window of the slot before ends there.
const SILENT: usize = 240;

const PATTERN: Pattern = Pattern { shortest: 6, longest: 12, train: 300, test: 150 };
const GENERATOR: Generator = Generator {
    bands: [[200.0, 440.0], [640.0, 1_080.0], [1_450.0, 2_300.0], [3_000.0, 4_900.0]],
    partials: [2, 4],
    event_decibels: 3.0,
    clip_decibels: 3.0,
    ramp: 160,
    noise: 0.003,
};

/// Everything that shapes the sound.
#[derive(Debug)]
struct Generator {
    /// Lowest and highest frequency of each event in hertz.
    bands: [[f64; 2]; SYMBOLS - 1],
    /// Fewest and most partials of an event.
    partials: [usize; 2],
    /// Largest deviation of one event's level.
    event_decibels: f64,
    /// Largest deviation of a whole clip's level.
    clip_decibels: f64,
    /// Samples over which an event fades in and out.
    ramp: usize,
    /// Largest value of the background noise; events have an effective value of 0.1 on average.
    noise: f32,
}

/// The task.
pub struct Synthetic;

impl Task for Synthetic {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: "synthetic",
            version: VERSION,
            summary: "generated sound, classes differ in order and rhythm only",
            modality: Modality::Audio,
            input: InputSpec::Audio { frames: 256, mels: 128, sample_rate: SAMPLE_RATE, mean: -8.0, std: 4.0 },
            classes: pattern::classes(),
            folds: None,
            metric: MainMetric::Top1,
            source: "made by the program",
            licence: "that of the program",
            citation: "none: made by the program",
        }
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        let spec = self.spec();
        let (frames, mels, mean, std) = match request.input {
            InputSpec::Audio { frames, mels, sample_rate: SAMPLE_RATE, mean, std } if frames > 0 && mels > 0 => {
                (frames, mels, mean, std)
            }
            _ => {
                let reason = format!("it makes sound at {SAMPLE_RATE} Hz, with at least one frame and mel band");
                return Err(DataError::WrongInput { task: spec.name, reason });
            }
        };
        let fbank = Fbank::new(SAMPLE_RATE, mels);
        let generate = |class: usize, stream: &mut Stream| {
            let wave = GENERATOR.clip(class, frames, stream);
            fbank.padded(&wave, frames).expect("a clip has at least one window")
        };
        let parameters = format!("{GENERATOR:?}");
        pattern::dataset(&spec, PATTERN, &parameters, request, progress, generate, |values| normalise(values, mean, std))
    }
}

impl Generator {
    /// The waveform of exactly `frames` analysis windows.
    fn clip(&self, class: usize, frames: usize, stream: &mut Stream) -> Vec<f32> {
        let mut wave = vec![0.0; 400 + (frames - 1) * 160];
        let slots = PATTERN.draw(class, frames.div_ceil(16), stream);
        let gain = decibels(self.clip_decibels, stream);
        for (slot, &number) in slots.iter().enumerate() {
            let start = wave.len().min(slot * SLOT + SILENT);
            let end = wave.len().min((slot + 1) * SLOT);
            if number != PAUSE && start < end {
                let gain = gain * decibels(self.event_decibels, stream);
                self.add_event(self.bands[number - 1], gain, &mut wave[start..end], stream);
            }
        }
        wave.iter_mut().for_each(|x| *x += self.noise * (2.0 * stream.uniform() - 1.0));
        wave
    }

    /// Adds partials that glide within the band, with an effective value of 0.1 times `gain`.
    fn add_event(&self, [low, high]: [f64; 2], gain: f64, wave: &mut [f32], stream: &mut Stream) {
        let [fewest, most] = self.partials;
        let partials = fewest + stream.below(most - fewest + 1);
        let amplitude = 0.1 * gain * (2.0 / partials as f64).sqrt();
        let pitch = |stream: &mut Stream| low + (high - low) * stream.uniform_f64();
        let length = wave.len() as f64;
        for _ in 0..partials {
            let (from, to, phase) = (pitch(stream), pitch(stream), TAU * stream.uniform_f64());
            for (n, sample) in wave.iter_mut().enumerate() {
                let t = n as f64;
                let cycles = (from * t + (to - from) * t * t / (2.0 * length)) / f64::from(SAMPLE_RATE);
                let edge = (t + 0.5).min(length - t - 0.5) / self.ramp as f64;
                *sample += (amplitude * edge.min(1.0) * (TAU * cycles + phase).sin()) as f32;
            }
        }
    }
}

/// A random factor of at most so many decibels up or down.
fn decibels(most: f64, stream: &mut Stream) -> f64 {
    10f64.powf(most * (2.0 * stream.uniform_f64() - 1.0) / 20.0)
}

#[cfg(test)]
mod tests;
