//! The built-in audio task: real 16 kHz waveforms whose classes differ only in the order and rhythm
//! of the same events.
//!
//! Each slot is one column of 16 frames with one burst of noise or none; the event is when in the
//! slot the burst sounds, at one of four places. A burst stays within its slot, so no analysis
//! window contains two bursts and no patch reveals a pair. Its exact time, tilt and level are drawn
//! each time.

use bridle_seed::Stream;

use super::pattern::{self, PAUSE, SYMBOLS, Size};
use crate::media::audio::normalise;
use crate::{DataError, Dataset, Fbank, InputSpec, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};

const VERSION: u32 = 1;
const SAMPLE_RATE: u32 = 16_000;
/// Samples between two slots: 16 frames of 10 ms.
pub(super) const SLOT: usize = 2_560;
/// Samples from a slot's start to its first event: the last window of the previous slot ends there.
pub(super) const SILENT: usize = 240;

/// Samples from one place in the slot to the next.
pub(super) const PLACE: usize = (SLOT - SILENT) / (SYMBOLS - 1);

const SIZE: Size = Size { train: 300, test: 150 };
pub(super) const GENERATOR: Generator = Generator {
    burst: 460,
    ramp: 60,
    level: 0.1,
    event_decibels: 2.0,
    clip_decibels: 3.0,
    tilt: 0.3,
    noise: 0.003,
};

#[derive(Debug)]
pub(super) struct Generator {
    /// Samples of a burst; it starts anywhere in its place where it fits.
    burst: usize,
    /// Samples over which a burst fades in and out.
    ramp: usize,
    /// Root mean square of a burst, without fades and deviations.
    level: f32,
    /// Largest deviation of one burst's level.
    event_decibels: f32,
    /// Largest deviation of a whole clip's level.
    clip_decibels: f32,
    /// Largest share of the previous sample that is added, which makes a burst duller or brighter.
    tilt: f32,
    pub noise: f32,
}

pub struct Synthetic;

impl Task for Synthetic {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: "synthetic",
            version: VERSION,
            summary: "generated sound, classes differ in order and rhythm only",
            modality: Modality::Audio,
            input: InputSpec::Audio {
                frames: 256,
                mels: 64,
                sample_rate: SAMPLE_RATE,
                mean: -6.614,
                std: 4.208,
            },
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
            InputSpec::Audio {
                frames,
                mels,
                sample_rate: SAMPLE_RATE,
                mean,
                std,
            } if frames > 0 && mels > 0 => (frames, mels, mean, std),
            _ => {
                let reason = format!("it makes sound at {SAMPLE_RATE} Hz, with at least one frame and mel band");
                return Err(DataError::wrong_input(spec.name, reason));
            }
        };
        let fbank = Fbank::new(SAMPLE_RATE, mels);
        let generate = |class: usize, stream: &mut Stream| {
            let wave = GENERATOR.clip(class, frames, stream);
            fbank.padded(&wave, frames).expect("a clip has at least one window")
        };
        let parameters = format!("{GENERATOR:?}");
        pattern::dataset(&spec, SIZE, &parameters, request, progress, generate, |values| {
            normalise(values, mean, std)
        })
    }
}

impl Generator {
    /// A waveform of exactly `frames` analysis windows.
    pub fn clip(&self, class: usize, frames: usize, stream: &mut Stream) -> Vec<f32> {
        let mut wave = vec![0.0; 400 + (frames - 1) * 160];
        let gain = decibels(self.clip_decibels, stream);
        for (slot, number) in pattern::sequence(class, frames.div_ceil(16), stream)
            .into_iter()
            .enumerate()
        {
            if number != PAUSE {
                let place = slot * SLOT + SILENT + (number - 1) * PLACE;
                let start = place + stream.below(PLACE - self.burst + 1);
                let gain = gain * decibels(self.event_decibels, stream);
                // the last slot may be cut short by the clip's end
                let (start, end) = (wave.len().min(start), wave.len().min(start + self.burst));
                self.add_burst(gain, &mut wave[start..end], stream);
            }
        }
        wave.iter_mut().for_each(|x| *x += self.noise * symmetric(stream));
        wave
    }

    /// Adds white noise with a random tilt of its spectrum.
    fn add_burst(&self, gain: f32, wave: &mut [f32], stream: &mut Stream) {
        let tilt = self.tilt * symmetric(stream);
        // a uniform value has a variance of 1/3, the sum of two in these shares one of (1 + tilt^2)
        // / 3
        let amplitude = self.level * gain * (3.0 / (1.0 + tilt * tilt)).sqrt();
        let mut before = symmetric(stream);
        for (n, sample) in wave.iter_mut().enumerate() {
            let now = symmetric(stream);
            let edge = (n + 1).min(self.burst - n) as f32 / self.ramp as f32;
            *sample += amplitude * edge.min(1.0) * (now + tilt * before);
            before = now;
        }
    }
}

/// Uniform from -1 to 1.
fn symmetric(stream: &mut Stream) -> f32 {
    2.0 * stream.uniform() - 1.0
}

/// A random factor of at most so many decibels up or down.
fn decibels(most: f32, stream: &mut Stream) -> f32 {
    10f32.powf(most * symmetric(stream) / 20.0)
}
