//! Inputs as other people's encoders were trained with: from a sound, a picture or the frames of a
//! video to the numbers that a model reads. Each is data, which records can hold.

use serde::{Deserialize, Serialize};

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

/// The sound itself, between -1 and 1: [1, samples].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// Hertz.
    pub sample_rate: u32,
    /// If given, the sound less its mean, over the root of its variance plus this.
    pub normalise: Option<f64>,
}

/// Kaldi's filterbank: [frames, mels], or [pairs, 2 mels] of pairs of frames.
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
    /// Shorter sounds get rows of 0 before the normalisation, longer ones are cut; all frames if
    /// none.
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
    /// Each band less its mean over time, over the root of its variance (n - 1) plus this.
    PerBand { epsilon: f64 },
}

/// SpeechBrain's filterbank: [frames, mels].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechBrain {
    pub sample_rate: u32,
    pub mels: usize,
}

/// A picture: [3, height, width].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    pub resize: Resize,
    pub filter: Filter,
    /// Height and width of what is cut from the centre; nothing is cut if none.
    pub crop: Option<[usize; 2]>,
    /// Of values from 0 to 1, by channel.
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

/// Pillow's filters, with antialiasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    Bilinear,
    Bicubic,
}

/// Frames of a video: [3, frames, height, width].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    pub frames: usize,
    /// Every which frame is taken.
    pub step: usize,
    pub picture: Picture,
}
