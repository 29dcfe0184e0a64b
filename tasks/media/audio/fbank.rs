//! Kaldi's log-mel filterbank, as torchaudio.compliance.kaldi.fbank computes it for the authors'
//! data loader.
//!
//! Waveform minus its mean; 25 ms frames every 10 ms, none padded; per frame: minus its mean,
//! pre-emphasis 0.97, symmetric Hann window, power spectrum over the next power of two, triangles
//! on the HTK mel scale from 20 Hz to half the sample rate, log of at least the float32 epsilon.
//! Encoders of others also take Kaldi's own window, 16-bit samples, or the waveform with its mean.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::triangle::Triangle;
use crate::pipeline::Window;

/// Raised whenever a change here changes the numbers; part of the key of stored features.
pub const FBANK_VERSION: u32 = 1;

const PRE_EMPHASIS: f32 = 0.97;
const LOWEST_HZ: f64 = 20.0;

/// A waveform that does not fill one analysis window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the waveform has {samples} samples, fewer than the {window} of one filterbank window")]
pub struct TooShort {
    pub samples: usize,
    pub window: usize,
}

/// A filterbank, planned once and shared by threads.
pub struct Fbank {
    mels: usize,
    hop: usize,
    /// What the waveform is multiplied by.
    scale: f32,
    /// Whether the mean of the waveform is taken off.
    centre: bool,
    window: Vec<f32>,
    triangles: Vec<Triangle>,
    fft: Arc<dyn RealToComplex<f32>>,
}

/// One thread's working memory.
struct Scratch {
    frame: Vec<f32>,
    padded: Vec<f32>,
    spectrum: Vec<Complex32>,
    power: Vec<f32>,
    fft: Vec<Complex32>,
}

impl Fbank {
    /// A filterbank of `mels` triangles for waveforms of `sample_rate` hertz.
    pub fn new(sample_rate: u32, mels: usize) -> Self {
        Self::with(sample_rate, mels, Window::Hann, 1.0, true)
    }

    /// The same with another window, of the waveform times `scale`, and less its mean if `centre`.
    pub fn with(sample_rate: u32, mels: usize, window: Window, scale: f32, centre: bool) -> Self {
        let length = window_samples(sample_rate);
        let padded = length.next_power_of_two();
        let step = std::f64::consts::TAU / (length - 1) as f64;
        let hann = (0..length).map(|n| 0.5 - 0.5 * (step * n as f64).cos());
        Self {
            mels,
            hop: hop_samples(sample_rate),
            scale,
            centre,
            window: match window {
                Window::Hann => hann.map(|weight| weight as f32).collect(),
                Window::Povey => hann.map(|weight| weight.powf(0.85) as f32).collect(),
            },
            triangles: triangles(f64::from(sample_rate), mels, padded),
            fft: RealFftPlanner::new().plan_fft_forward(padded),
        }
    }

    /// The window's weights.
    pub fn window(&self) -> &[f32] {
        &self.window
    }

    /// All triangles with zeros: \[mels, bins below half the sample rate\].
    pub fn mel_banks(&self) -> Vec<f32> {
        let bins = self.fft.len() / 2;
        let mut banks = vec![0.0; self.mels * bins];
        for (row, triangle) in banks.chunks_exact_mut(bins).zip(&self.triangles) {
            triangle.write(row);
        }
        banks
    }

    /// The number of complete frames in `samples` samples.
    pub fn frames(&self, samples: usize) -> usize {
        frames(samples, self.window.len(), self.hop)
    }

    /// Frame number `index` before zero padding: centred, pre-emphasised, windowed.
    pub fn windowed_frame(&self, wave: &[f32], index: usize) -> Result<Vec<f32>, TooShort> {
        let needed = index * self.hop + self.window.len();
        if wave.len() < needed {
            return Err(TooShort {
                samples: wave.len(),
                window: needed,
            });
        }
        let mut scratch = self.scratch();
        self.window_frame(&wave[index * self.hop..], self.offset(wave), &mut scratch);
        scratch.padded.truncate(self.window.len());
        Ok(scratch.padded)
    }

    /// The log-mel energies of a mono waveform: \[frames, mels\], natural logarithm.
    pub fn compute(&self, wave: &[f32]) -> Result<Vec<f32>, TooShort> {
        let mut out = vec![0.0; self.frames(wave.len()) * self.mels];
        self.fill(wave, &mut out)?;
        Ok(out)
    }

    /// As [`Fbank::compute`], cut or padded with zeros to `frames` frames, not normalised:
    /// \[frames, mels\].
    pub fn padded(&self, wave: &[f32], frames: usize) -> Result<Vec<f32>, TooShort> {
        let mut out = vec![0.0; frames * self.mels];
        self.fill(wave, &mut out)?;
        Ok(out)
    }

    /// The model's input: [`Fbank::padded`], then (x - mean) / (2 std), padding included: \[frames,
    /// mels\].
    pub fn model_input(&self, wave: &[f32], frames: usize, mean: f64, std: f64) -> Result<Vec<f32>, TooShort> {
        let mut out = self.padded(wave, frames)?;
        normalise(&mut out, mean, std);
        Ok(out)
    }

    /// Writes as many frames as both `wave` and `out` have room for.
    fn fill(&self, wave: &[f32], out: &mut [f32]) -> Result<(), TooShort> {
        if wave.len() < self.window.len() {
            return Err(TooShort {
                samples: wave.len(),
                window: self.window.len(),
            });
        }
        let mut scratch = self.scratch();
        let offset = self.offset(wave);
        for (frame, row) in out
            .chunks_exact_mut(self.mels)
            .take(self.frames(wave.len()))
            .enumerate()
        {
            self.window_frame(&wave[frame * self.hop..], offset, &mut scratch);
            self.fft
                .process_with_scratch(&mut scratch.padded, &mut scratch.spectrum, &mut scratch.fft)
                .expect("every buffer was made by this plan, so the lengths agree");
            for (power, bin) in scratch.power.iter_mut().zip(&scratch.spectrum) {
                *power = bin.norm_sqr();
            }
            for (energy, triangle) in row.iter_mut().zip(&self.triangles) {
                *energy = triangle.energy(&scratch.power).max(f32::EPSILON).ln();
            }
        }
        Ok(())
    }

    /// What is taken off every sample.
    fn offset(&self, wave: &[f32]) -> f32 {
        if self.centre { mean(wave) } else { 0.0 }
    }

    /// Fills the padded buffer with the first frame of `wave`.
    fn window_frame(&self, wave: &[f32], offset: f32, scratch: &mut Scratch) {
        let length = self.window.len();
        for (kept, sample) in scratch.frame.iter_mut().zip(wave) {
            *kept = (sample - offset) * self.scale;
        }
        let centre = mean(&scratch.frame);
        scratch.frame.iter_mut().for_each(|sample| *sample -= centre);
        // the first sample has no predecessor and takes itself
        scratch.padded[0] = (scratch.frame[0] - PRE_EMPHASIS * scratch.frame[0]) * self.window[0];
        for (n, out) in scratch.padded[1..length].iter_mut().enumerate() {
            *out = (scratch.frame[n + 1] - PRE_EMPHASIS * scratch.frame[n]) * self.window[n + 1];
        }
        // the transform overwrites its input
        scratch.padded[length..].fill(0.0);
    }

    fn scratch(&self) -> Scratch {
        Scratch {
            frame: vec![0.0; self.window.len()],
            padded: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            power: vec![0.0; self.fft.len() / 2],
            fft: self.fft.make_scratch_vec(),
        }
    }
}

/// Samples of one frame, 25 ms.
fn window_samples(sample_rate: u32) -> usize {
    sample_rate as usize * 25 / 1000
}

/// Samples from one frame to the next, 10 ms.
fn hop_samples(sample_rate: u32) -> usize {
    sample_rate as usize / 100
}

fn frames(samples: usize, window: usize, hop: usize) -> usize {
    if samples < window {
        0
    } else {
        1 + (samples - window) / hop
    }
}

/// The number of complete frames in `samples` samples at `sample_rate` hertz.
pub(crate) fn frames_in(samples: usize, sample_rate: u32) -> usize {
    frames(samples, window_samples(sample_rate), hop_samples(sample_rate))
}

/// (x - mean) / (2 std) in place, the authors' form: two standard deviations, not one.
pub(crate) fn normalise(values: &mut [f32], mean: f64, std: f64) {
    let (mean, scale) = (mean as f32, (2.0 * std) as f32);
    values.iter_mut().for_each(|x| *x = (*x - mean) / scale);
}

/// The mean, summed in eight lanes so that it can be vectorised and loses little.
fn mean(values: &[f32]) -> f32 {
    let mut lanes = [0f64; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&x| f64::from(x)).sum();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x);
        }
    }
    ((lanes.iter().sum::<f64>() + rest) / values.len() as f64) as f32
}

/// Triangles on the HTK mel scale, 1127 ln(1 + f / 700), with equal spacing in mel (Kaldi's
/// mel-computations).
fn triangles(sample_rate: f64, mels: usize, padded: usize) -> Vec<Triangle> {
    let mel = |hertz: f64| 1127.0 * (1.0 + hertz / 700.0).ln();
    let (low, high) = (mel(LOWEST_HZ), mel(sample_rate / 2.0));
    let spacing = (high - low) / (mels + 1) as f64;
    let bin_mels: Vec<f64> = (0..padded / 2)
        .map(|bin| mel(bin as f64 * sample_rate / padded as f64))
        .collect();
    (0..mels)
        .map(|index| {
            let left = low + index as f64 * spacing;
            let weight = |m: f64| {
                ((m - left) / spacing)
                    .min((left + 2.0 * spacing - m) / spacing)
                    .max(0.0) as f32
            };
            Triangle::new(bin_mels.len(), |bin| weight(bin_mels[bin]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use bridle_seed::Seed;

    fn noise(samples: usize) -> Vec<f32> {
        let mut stream = Seed::root(5).child("fbank").stream();
        (0..samples).map(|_| 0.1 * stream.normal()).collect()
    }

    #[test]
    fn energies_agree_with_a_plain_f64_transform() {
        let fbank = Fbank::new(16_000, 128);
        let wave = noise(1_200);
        let got = fbank.compute(&wave).unwrap();
        let banks = fbank.mel_banks();
        for frame in 0..fbank.frames(wave.len()) {
            let windowed = fbank.windowed_frame(&wave, frame).unwrap();
            let power: Vec<f64> = (0..256).map(|bin| plain_power(&windowed, bin)).collect();
            for mel in 0..128 {
                let energy: f64 = banks[mel * 256..][..256]
                    .iter()
                    .zip(&power)
                    .map(|(&w, p)| f64::from(w) * p)
                    .sum();
                let expected = energy.max(f64::from(f32::EPSILON)).ln();
                let difference = (f64::from(got[frame * 128 + mel]) - expected).abs();
                assert!(difference < 1e-3, "frame {frame}, mel {mel}: off by {difference}");
            }
        }
    }

    fn plain_power(frame: &[f32], bin: usize) -> f64 {
        let angle = |n: usize| std::f64::consts::TAU * (n * bin % 512) as f64 / 512.0;
        let part = |f: fn(f64) -> f64| {
            frame
                .iter()
                .enumerate()
                .map(|(n, &x)| f64::from(x) * f(angle(n)))
                .sum::<f64>()
        };
        part(f64::cos).powi(2) + part(f64::sin).powi(2)
    }

    #[test]
    fn a_constant_added_to_the_waveform_changes_nothing_that_can_be_heard() {
        let fbank = Fbank::new(16_000, 64);
        let wave = noise(4_000);
        let shifted: Vec<f32> = wave.iter().map(|x| x + 0.25).collect();
        let pairs = fbank
            .compute(&wave)
            .unwrap()
            .into_iter()
            .zip(fbank.compute(&shifted).unwrap());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-2, "{a} and {b}"));
    }

    #[test]
    fn padding_is_zero_before_the_normalisation() {
        let fbank = Fbank::new(16_000, 128);
        let wave = noise(400 + 160);
        let input = fbank.model_input(&wave, 4, -6.0, 5.0).unwrap();
        assert_eq!(input.len(), 4 * 128);
        assert!(
            input[2 * 128..].iter().all(|&x| x == 0.6),
            "a padded row is (0 - mean) / (2 std)"
        );
        let cut = fbank.model_input(&wave, 1, -6.0, 5.0).unwrap();
        assert_eq!(cut, input[..128]);
    }

    #[test]
    fn a_waveform_shorter_than_a_window_is_named() {
        let fbank = Fbank::new(16_000, 128);
        let error = fbank.compute(&[0.0; 399]).unwrap_err();
        assert_eq!(
            error,
            TooShort {
                samples: 399,
                window: 400
            }
        );
        assert_eq!(fbank.frames(400), 1);
        assert_eq!(fbank.compute(&[0.0; 400]).unwrap(), vec![f32::EPSILON.ln(); 128]);
    }
}
