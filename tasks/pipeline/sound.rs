//! From a sound to a model's input.

use super::{Kaldi, Normalise, Pipeline, PipelineError, Rows, SpeechBrain, Wave};
use crate::media::audio::{Fbank, normalise, speechbrain};

impl Pipeline {
    /// The input of a sound: one channel at [`Pipeline::sample_rate`], between -1 and 1.
    ///
    /// # Errors
    /// If this is no pipeline of sounds or its values make no input; if the sound is shorter than one
    /// window of Kaldi's filterbank.
    pub fn sound(&self, wave: &[f32]) -> Result<Rows, PipelineError> {
        self.check()?;
        match self {
            Self::Wave(own) => Ok(own.rows(wave)),
            Self::Kaldi(kaldi) => kaldi.rows(wave),
            Self::SpeechBrain(speech) => Ok(speech.rows(wave)),
            Self::Picture(_) | Self::Video(_) => Err(self.other_media("a sound")),
        }
    }
}

impl Wave {
    pub(super) fn rows(&self, wave: &[f32]) -> Rows {
        let mut data = wave.to_vec();
        if let Some(epsilon) = self.normalise {
            normalise_bands(&mut data, 1, |squares, n| (squares / n + epsilon).sqrt());
        }
        let samples = data.len();
        Rows {
            data,
            shape: vec![1, samples],
            heard: Some(samples),
        }
    }
}

impl Kaldi {
    pub(super) fn rows(&self, wave: &[f32]) -> Result<Rows, PipelineError> {
        let fbank = Fbank::with(self.sample_rate, self.mels, self.window, self.scale as f32, self.centre);
        let found = fbank.frames(wave.len());
        let frames = self.frames.unwrap_or(found);
        let heard = found.min(frames);
        let mut data = fbank.padded(wave, frames)?;
        match self.normalise {
            Normalise::Constants { mean, std } => normalise(&mut data, mean, std),
            Normalise::PerBand { epsilon } => {
                let (sound, padding) = data.split_at_mut(heard * self.mels);
                normalise_bands(sound, self.mels, |squares, n| {
                    (squares / (n - 1.0).max(1.0) + epsilon).sqrt()
                });
                padding.fill(self.padding_value as f32);
            }
        }
        let rows = frames.div_ceil(self.stack);
        data.resize(rows * self.stack * self.mels, self.padding_value as f32);
        Ok(Rows {
            data,
            shape: vec![rows, self.stack * self.mels],
            heard: Some(heard / self.stack),
        })
    }
}

impl SpeechBrain {
    pub(super) fn rows(&self, wave: &[f32]) -> Rows {
        let mut data = speechbrain::decibels(wave, self.mels);
        normalise_bands(&mut data, self.mels, |squares, n| (squares / n).sqrt().max(1e-10));
        let heard = data.len() / self.mels;
        let frames = heard.next_multiple_of(self.multiple);
        data.resize(frames * self.mels, 0.0);
        Rows {
            data,
            shape: vec![frames, self.mels],
            heard: Some(heard),
        }
    }
}

/// Each band of \[frames, bands\] less its mean over time, over its `deviation`, which is given the
/// sum of squared differences from the mean, and the number of frames.
fn normalise_bands(values: &mut [f32], bands: usize, deviation: impl Fn(f64, f64) -> f64) {
    let n = (values.len() / bands) as f64;
    for band in 0..bands {
        let each = || values.iter().skip(band).step_by(bands).map(|&value| f64::from(value));
        let mean = each().sum::<f64>() / n;
        let squares = each().map(|value| (value - mean).powi(2)).sum::<f64>();
        let deviation = deviation(squares, n);
        for value in values.iter_mut().skip(band).step_by(bands) {
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
}
