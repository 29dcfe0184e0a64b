//! Inputs as other people's encoders were trained with: from a sound, a picture or the frames of a
//! video to the numbers that a model reads. Each is data, which records can hold.
//!
//! [`Pipeline::sound`], [`Pipeline::picture`] and [`Pipeline::video`] compute them, in whatever
//! shape comes out. A [`FixedPipeline`] makes inputs of one shape, so that a data set can be opened
//! with it. [`Pipeline::from_preprocessor`] and [`Pipeline::from_timm`] read what lies beside
//! weights; `families` has what the authors' code says.

mod check;
mod families;
mod fixed;
pub(crate) mod media;
mod picture;
mod preprocessor;
mod settings;
mod sound;
mod timm;
mod video;

use serde::{Deserialize, Serialize};

use crate::{Modality, TooShort};

pub use self::families::{AUDIOSET, AUDIOSET_ROUNDED, BEATS, ESC50, HALF, IMAGENET, SPEECH_COMMANDS};
pub use self::fixed::{FixedPipeline, NOTHING, own};

/// Why an input cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PipelineError {
    /// A setting that cannot be, or that this program does not support.
    #[error("`{key}` is {value}: {reason}")]
    Setting { key: String, value: String, reason: String },
    #[error("{given} is given to a pipeline of {takes}")]
    OtherMedia { given: &'static str, takes: &'static str },
    #[error(transparent)]
    TooShort(#[from] TooShort),
    /// Sides without pixels, or bytes that are not three for each pixel.
    #[error("{bytes} bytes are no picture of {width} x {height} pixels")]
    NoPicture { width: usize, height: usize, bytes: usize },
    #[error("the video has no frame")]
    NoFrame,
    #[error("the picture becomes {width} x {height} pixels, more than {most} in all", most = crate::MOST_PIXELS)]
    TooLarge { width: usize, height: usize },
}

/// A model's input, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub data: Vec<f32>,
    pub shape: Vec<usize>,
    /// How many samples or rows are of the sound; the rest is padding, or completed by padding.
    /// `None` for pictures and videos.
    pub heard: Option<usize>,
}

/// How a model's input is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pipeline {
    /// The sound itself.
    Wave(Wave),
    /// Log-mel energies as Kaldi computes them.
    Kaldi(Kaldi),
    /// Log-mel energies as SpeechBrain computes them.
    SpeechBrain(SpeechBrain),
    Picture(Picture),
    Video(Video),
}

/// The sound itself, between -1 and 1: \[1, samples\].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// Hertz.
    pub sample_rate: u32,
    /// If given, the sound less its mean, over the root of its variance plus this.
    pub normalise: Option<f64>,
}

/// Kaldi's filterbank, 25 ms every 10 ms: \[frames, mels\], or \[pairs, 2 mels\] of pairs of frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kaldi {
    pub sample_rate: u32,
    pub mels: usize,
    pub window: Window,
    /// What a sound between -1 and 1 is multiplied by first.
    pub scale: f64,
    /// Whether the mean of the whole sound is taken off first.
    pub centre: bool,
    /// Longer sounds are cut. Shorter ones get rows of 0 before a normalisation by constants, and
    /// rows of `padding_value` after one per band. All frames if none.
    pub frames: Option<usize>,
    pub normalise: Normalise,
    /// Frames side by side in one row: 1, or 2, where a last single frame is completed by
    /// `padding_value`.
    pub stack: usize,
    pub padding_value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// Hann's, symmetric.
    Hann,
    /// Kaldi's default: Hann's to the power 0.85.
    Povey,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Normalise {
    /// (x - mean) / (2 std).
    Constants { mean: f64, std: f64 },
    /// Each band less its mean over time, over the root of its variance (n - 1; 0 of a single
    /// frame) plus this.
    PerBand { epsilon: f64 },
}

/// SpeechBrain's filterbank, each band less its mean over time and over its standard deviation (n):
/// \[frames, mels\].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechBrain {
    pub sample_rate: u32,
    pub mels: usize,
    /// Rows of 0 complete the frames to a multiple of this: what the model's convolutions divide
    /// time by.
    pub multiple: usize,
}

/// A picture, resized, cut, and (x scale - mean) / std of its bytes x: \[3, height, width\].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    pub resize: Resize,
    pub filter: Filter,
    /// Height and width of what is cut from the centre; nothing is cut if none. What lies outside
    /// the picture is black.
    pub crop: Option<[usize; 2]>,
    pub rounding: Rounding,
    /// 1 / 255 makes bytes to values from 0 to 1.
    pub scale: f64,
    /// By channel.
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// To this height and width, whatever the picture's own.
    To([usize; 2]),
    /// The shorter side to this length; the longer one in proportion, rounded down.
    ShorterSide(usize),
    None,
}

/// Where a crop begins whose middle is half a pixel off the picture's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// At the smaller place (transformers).
    Down,
    /// At the even one (torchvision, so timm and most authors' code); a smaller picture has the
    /// smaller part of the black in front.
    Even,
}

/// Pillow's filters, with antialiasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    Bilinear,
    Bicubic,
}

/// Frames from the middle of a video; the last repeats if it is shorter: \[3, frames, height,
/// width\].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    pub frames: usize,
    /// Every which frame is taken.
    pub step: usize,
    pub picture: Picture,
}

impl Pipeline {
    pub fn modality(&self) -> Modality {
        match self {
            Self::Wave(_) | Self::Kaldi(_) | Self::SpeechBrain(_) => Modality::Audio,
            Self::Picture(_) => Modality::Image,
            Self::Video(_) => Modality::Video,
        }
    }

    /// The rate that sounds must have, in hertz; `None` for pictures and videos.
    pub fn sample_rate(&self) -> Option<u32> {
        match self {
            Self::Wave(Wave { sample_rate, .. })
            | Self::Kaldi(Kaldi { sample_rate, .. })
            | Self::SpeechBrain(SpeechBrain { sample_rate, .. }) => Some(*sample_rate),
            Self::Picture(_) | Self::Video(_) => None,
        }
    }

    /// The error of `given` to this pipeline.
    fn other_media(&self, given: &'static str) -> PipelineError {
        let takes = match self.modality() {
            Modality::Audio => "sounds",
            Modality::Image => "pictures",
            Modality::Video => "videos",
        };
        PipelineError::OtherMedia { given, takes }
    }
}

impl PipelineError {
    fn setting(key: &str, value: impl ToString, reason: &str) -> Self {
        let (key, value, reason) = (key.to_owned(), value.to_string(), reason.to_owned());
        Self::Setting { key, value, reason }
    }
}

#[cfg(test)]
mod tests;
