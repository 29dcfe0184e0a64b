//! A pipeline whose inputs all have one shape, whatever the sample: what a data set is opened with.

use serde::{Deserialize, Serialize};

use super::check::within;
use super::{Kaldi, Picture, Pipeline, PipelineError, Rows, SpeechBrain, Video};
use crate::media::audio::{frames_in, speechbrain};
use std::borrow::Cow;

/// Samples of one sound: three hours at 24,000 Hz.
const MOST_SAMPLES: usize = 1 << 28;

/// Seconds of the shortest sound; silence completes shorter ones, which would have no frame or patch.
const SHORTEST: f64 = 0.2;

/// A pipeline and the length of its sounds, if it needs one.
///
/// Longer sounds are cut to `samples`. A pipeline with a number of frames completes shorter ones
/// itself. Of any other the input of a shorter sound is shorter too, as the pipeline alone makes it:
/// what is lacking to the one shape is [`NOTHING`], and [`own`] is the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct FixedPipeline {
    pipeline: Pipeline,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<usize>,
}

/// Stands in an input where a shorter sound has ended: no number.
pub const NOTHING: f32 = f32::NAN;

/// The part of an input that is the sample's own.
pub fn own(input: &[f32]) -> &[f32] {
    let nothing = input.iter().rev().take_while(|value| value.is_nan()).count();
    &input[..input.len() - nothing]
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

    /// The shape of every input, of shorter sounds with what they lack: \[1, samples\], \[rows, numbers\], \[3, height, width\] or \[3,
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

    /// Frames of the longest input, before they are put side by side.
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
            Pipeline::Kaldi(kaldi) if kaldi.frames.is_some() => kaldi.rows(wave),
            other => other.sound(&self.long_enough(wave)),
        }?;
        if let Pipeline::Kaldi(Kaldi { frames: None, .. }) = &self.pipeline {
            // a last frame without a partner is padding, which the models' own code masks
            let width = rows.data.len() / rows.shape[0];
            rows.data.truncate(rows.heard.unwrap_or(rows.shape[0]) * width);
        }
        rows.shape = self.shape();
        rows.data.resize(rows.shape.iter().product(), NOTHING);
        Ok(rows)
    }

    /// A sound with silence behind it if it is too short for any frame or patch.
    fn long_enough<'w>(&self, wave: &'w [f32]) -> Cow<'w, [f32]> {
        let rate = self.pipeline.sample_rate().unwrap_or_default();
        let shortest = (f64::from(rate) * SHORTEST) as usize;
        let shortest = shortest.min(self.samples.unwrap_or_default());
        match shortest.checked_sub(wave.len()) {
            None | Some(0) => Cow::Borrowed(wave),
            Some(lack) => Cow::Owned([wave, &vec![0.0; lack]].concat()),
        }
    }
}
