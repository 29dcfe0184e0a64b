//! What one model input looks like.

use serde::{Deserialize, Serialize};

use crate::pipeline::FixedPipeline;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Sound, as log-mel spectrograms.
    Audio,
    Image,
    Video,
}

/// What one model input looks like; part of a run's plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum InputSpec {
    /// A log-mel spectrogram of `frames` frames, 10 ms each, normalised by (x - mean) / (2 std).
    Audio {
        /// Shorter clips are padded with zeros before the normalisation, longer ones are cut.
        frames: usize,
        /// Number of mel bands.
        mels: usize,
        /// Hertz; sound at other rates is resampled.
        sample_rate: u32,
        /// Mean and standard deviation of the log-mel energies.
        mean: f64,
        std: f64,
    },
    /// A square picture with three channels, normalised by (x - mean) / std per channel.
    Image {
        /// Pixels per edge.
        side: usize,
        /// Mean and standard deviation per channel, of values from 0 to 1.
        mean: [f64; 3],
        std: [f64; 3],
    },
    /// Square frames with three channels, normalised by (x - mean) / std per channel.
    Video {
        frames: usize,
        /// Pixels per edge.
        side: usize,
        /// Mean and standard deviation per channel, of values from 0 to 1.
        mean: [f64; 3],
        std: [f64; 3],
    },
    /// What an encoder of others was trained with. Training sees no other views than evaluation.
    Pipeline(FixedPipeline),
}

impl InputSpec {
    /// The shape of one input: \[1, frames, mels\], \[3, side, side\] or \[3, frames, side, side\]; of
    /// a pipeline, see [`FixedPipeline::shape`].
    pub fn shape(&self) -> Vec<usize> {
        match self {
            &Self::Audio { frames, mels, .. } => vec![1, frames, mels],
            &Self::Image { side, .. } => vec![3, side, side],
            &Self::Video { frames, side, .. } => vec![3, frames, side, side],
            Self::Pipeline(fixed) => fixed.shape(),
        }
    }

    pub fn modality(&self) -> Modality {
        match self {
            Self::Audio { .. } => Modality::Audio,
            Self::Image { .. } => Modality::Image,
            Self::Video { .. } => Modality::Video,
            Self::Pipeline(fixed) => fixed.pipeline().modality(),
        }
    }

    /// The normalisation's constants, averaged over channels: (mean, standard deviation). A pipeline
    /// normalises by itself, so that its inputs are used, and measured, as they come: (0, 1).
    pub fn constants(&self) -> (f64, f64) {
        let average = |channels: &[f64; 3]| channels.iter().sum::<f64>() / 3.0;
        match self {
            Self::Audio { mean, std, .. } => (*mean, *std),
            Self::Image { mean, std, .. } | Self::Video { mean, std, .. } => (average(mean), average(std)),
            Self::Pipeline(_) => (0.0, 1.0),
        }
    }
}
