//! What a checkpoint is, told from its names, shapes and settings.

use crate::conformer::config::ConformerConfig;
use crate::names::EncoderError;
use crate::pooling::Pooling;
use crate::speech::config::SpeechConfig;
use crate::vit::config::VitConfig;
use bridle_tasks::pipeline::Pipeline;
use serde::{Deserialize, Serialize};

/// What files do not say, and their user can.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The family, where names fit several.
    pub family: Option<String>,
    pub heads: Option<usize>,
    pub pooling: Option<Pooling>,
    /// Frames of a spectrogram, or of a video.
    pub frames: Option<usize>,
    pub mels: Option<usize>,
    /// Steps from patch to patch along frequency and time.
    pub strides: Option<[usize; 2]>,
    /// Height and width of a picture or video.
    pub size: Option<usize>,
}

/// A checkpoint's encoder: everything about it but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recognised {
    /// A word such as `dino`, `beats` or `wavlm`.
    pub family: String,
    /// How its tensors are named; see [`crate::families::SCHEMES`].
    pub scheme: String,
    /// What the names of its tensors begin with.
    pub prefix: String,
    pub body: Body,
    pub pipeline: Pipeline,
    pub pooling: Pooling,
    /// What the file did not say, in sentences.
    pub assumed: Vec<String>,
    /// Of the published weights of this family, if one is known.
    pub licence: Option<String>,
    /// Labels that its training saw: `none`, names of data sets, or `unknown`.
    pub labels: String,
}

/// Sizes and options of an encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Body {
    Vit(VitConfig),
    Speech(SpeechConfig),
    Conformer(ConformerConfig),
}

impl Body {
    /// Whether it takes inputs of this shape, which has no axis of samples.
    ///
    /// # Errors
    /// If it is a vision transformer and has no positions or biases for them.
    pub fn check_input(&self, shape: &[usize]) -> Result<(), EncoderError> {
        match self {
            Self::Vit(config) => config.check_input(shape),
            Self::Speech(_) | Self::Conformer(_) => Ok(()),
        }
    }
}
