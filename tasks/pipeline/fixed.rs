//! A pipeline whose inputs all have one shape, whatever the sample: what a data set is opened with.

use serde::{Deserialize, Serialize};

use super::check::within;
use super::{Kaldi, Normalise, Picture, Pipeline, PipelineError, Rows, SpeechBrain, Video};
use crate::media::audio::{frames_in, speechbrain};

/// Samples of one sound: three hours at 24,000 Hz.
const MOST_SAMPLES: usize = 1 << 28;

/// A pipeline and the length of its sounds, if it needs one.
///
/// Longer sounds are cut to `samples`. Shorter ones are completed as the models' own code does in a
/// batch: by 0 after the normalisation (`Wave`, `SpeechBrain`), by rows of `padding_value` after a
/// normalisation per band, and by silence before one by constants, unless the pipeline has rows of 0
/// for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct FixedPipeline {
    pipeline: Pipeline,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    pipeline: Pipeline,
    samples: Option<usize>,
}

impl TryFrom<Unchecked> for FixedPipeline {
    type Error = PipelineError;

    fn try_from(Unchecked { pipeline, samples }: Unchecked) -> Result<Self, PipelineError> {
        Self::new(pipeline, samples)
    }
}

impl FixedPipeline {
    /// A pipeline of sounds of `samples` at its own rate. None for pictures and videos; sounds need
    /// none where the pipeline itself has a number of frames.
    ///
    /// # Errors
    /// Names a value that makes no input, or inputs of different shapes.
    pub fn new(pipeline: Pipeline, samples: Option<usize>) -> Result<Self, PipelineError> {
        pipeline.check()?;
        let given = || samples.map_or_else(|| "not given".to_owned(), |samples| samples.to_string());
        let wrong = |key: &str, value: String, reason: &str| Err(PipelineError::setting(key, value, reason));
        if let Some(samples) = samples {
            within("samples", samples, MOST_SAMPLES)?;
        }
        match (&pipeline, samples) {
            (Pipeline::Wave(_) | Pipeline::SpeechBrain(_) | Pipeline::Kaldi(Kaldi { frames: None, .. }), None) => {
                return wrong(
                    "samples",
                    given(),
                    "inputs of one shape are made of sounds of one length",
                );
            }
            (Pipeline::Kaldi(kaldi), Some(samples)) if frames_in(samples, kaldi.sample_rate) == 0 => {
                return wrong("samples", given(), "it is shorter than one window of the filterbank");
            }
            (Pipeline::Picture(_) | Pipeline::Video(_), Some(_)) => {
                return wrong("samples", given(), "it is the length of sounds");
            }
            (Pipeline::Picture(picture) | Pipeline::Video(Video { picture, .. }), None)
                if picture.fixed_size().is_none() =>
            {
                let reason = "inputs of one shape are made by a crop, or by resizing to a height and a width";
                return wrong("crop", "not given".to_owned(), reason);
            }
            _ => {}
        }
        Ok(Self { pipeline, samples })
    }

    /// A pipeline of sounds of so many seconds, rounded to whole samples.
    ///
    /// # Errors
    /// As [`FixedPipeline::new`].
    pub fn lasting(pipeline: Pipeline, seconds: f64) -> Result<Self, PipelineError> {
        let samples = pipeline
            .sample_rate()
            .map(|rate| (f64::from(rate) * seconds).round() as usize);
        Self::new(pipeline, samples)
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// What longer sounds are cut to.
    pub fn samples(&self) -> Option<usize> {
        self.samples
    }

    /// The shape of every input: \[1, samples\], \[rows, numbers\], \[3, height, width\] or \[3,
    /// frames, height, width\].
    pub fn shape(&self) -> Vec<usize> {
        let samples = self.samples.unwrap_or_default();
        let sides = |picture: &Picture| picture.fixed_size().unwrap_or_default();
        match &self.pipeline {
            Pipeline::Wave(_) => vec![1, samples],
            Pipeline::Kaldi(kaldi) => vec![self.frames(kaldi).div_ceil(kaldi.stack), kaldi.stack * kaldi.mels],
            Pipeline::SpeechBrain(SpeechBrain { mels, multiple, .. }) => {
                vec![speechbrain::frames(samples).next_multiple_of(*multiple), *mels]
            }
            Pipeline::Picture(picture) => {
                let [height, width] = sides(picture);
                vec![3, height, width]
            }
            Pipeline::Video(Video { frames, picture, .. }) => {
                let [height, width] = sides(picture);
                vec![3, *frames, height, width]
            }
        }
    }

    /// Frames of every input, before they are put side by side.
    fn frames(&self, kaldi: &Kaldi) -> usize {
        let of_samples = || frames_in(self.samples.unwrap_or_default(), kaldi.sample_rate);
        kaldi.frames.unwrap_or_else(of_samples)
    }

    /// The input of a sound, one channel at the pipeline's rate.
    ///
    /// # Errors
    /// As [`Pipeline::sound`].
    pub fn sound(&self, wave: &[f32]) -> Result<Rows, PipelineError> {
        let wave = &wave[..wave.len().min(self.samples.unwrap_or(usize::MAX))];
        let mut rows = match &self.pipeline {
            Pipeline::Kaldi(kaldi) => self.kaldi(kaldi, wave),
            other => other.sound(wave),
        }?;
        rows.shape = self.shape();
        rows.data.resize(rows.shape.iter().product(), 0.0);
        Ok(rows)
    }

    fn kaldi(&self, kaldi: &Kaldi, wave: &[f32]) -> Result<Rows, PipelineError> {
        let frames = self.frames(kaldi);
        let of = |wave: &[f32]| {
            let frames = Some(frames);
            Kaldi {
                frames,
                ..kaldi.clone()
            }
            .rows(wave)
        };
        match (&kaldi.normalise, kaldi.frames, self.samples) {
            (Normalise::Constants { .. }, None, Some(samples)) if wave.len() < samples => {
                let heard = frames_in(wave.len(), kaldi.sample_rate) / kaldi.stack;
                let mut completed = wave.to_vec();
                completed.resize(samples, 0.0);
                let rows = of(&completed)?;
                Ok(Rows {
                    heard: Some(heard),
                    ..rows
                })
            }
            _ => of(wave),
        }
    }
}
