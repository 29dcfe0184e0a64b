//! What families of encoders are given, where no file beside the weights says it: by their authors'
//! code.

use super::{Filter, Kaldi, Normalise, Picture, Resize, Rounding, SpeechBrain, Video, Wave, Window};

/// AST, Audio-MAE: mean and standard deviation of AudioSet.
pub const AUDIOSET: Normalise = constants(-4.2677393, 4.5689974);
/// EAT, SSLAM.
pub const AUDIOSET_ROUNDED: Normalise = constants(-4.268, 4.569);
/// AST, Audio-MAE and EAT, fine-tuned on ESC-50.
pub const ESC50: Normalise = constants(-6.6268077, 5.358466);
/// AST, Audio-MAE and EAT, fine-tuned on Speech Commands.
pub const SPEECH_COMMANDS: Normalise = constants(-6.845978, 5.5654526);
/// BEATs, whose sounds are 16-bit integers.
pub const BEATS: Normalise = constants(15.41663, 6.55582);
/// Means and standard deviations of ImageNet's red, green and blue.
pub const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// BEiT, and ViTs of Google.
pub const HALF: [[f64; 3]; 2] = [[0.5; 3], [0.5; 3]];

const fn constants(mean: f64, std: f64) -> Normalise {
    Normalise::Constants { mean, std }
}

const RATE: u32 = 16_000;
/// Of a 16-bit integer, over that of a sound between -1 and 1.
const INTEGERS: f64 = 32_768.0;

impl Kaldi {
    /// AST, Audio-MAE, EAT, SSLAM: 128 mels in `frames` rows (1,024 for ten seconds of AudioSet, 512
    /// for ESC-50, 128 for Speech Commands).
    pub fn spectrogram(normalise: Normalise, frames: usize) -> Self {
        Self {
            sample_rate: RATE,
            mels: 128,
            window: Window::Hann,
            scale: 1.0,
            centre: true,
            frames: Some(frames),
            normalise,
            stack: 1,
            padding_value: 0.0,
        }
    }

    /// BEATs: 128 mels, all frames.
    pub fn beats() -> Self {
        Self {
            window: Window::Povey,
            scale: INTEGERS,
            centre: false,
            frames: None,
            ..Self::spectrogram(BEATS, 1)
        }
    }

    /// w2v-BERT 2.0: pairs of frames of 80 mels.
    pub fn w2v_bert() -> Self {
        Self {
            mels: 80,
            normalise: Normalise::PerBand { epsilon: 1e-7 },
            stack: 2,
            padding_value: 1.0,
            ..Self::beats()
        }
    }
}

impl Wave {
    /// wav2vec 2.0, HuBERT, WavLM and data2vec audio by fairseq; `normalise` as their configuration
    /// says.
    pub fn fairseq(normalise: bool) -> Self {
        Self {
            sample_rate: RATE,
            normalise: normalise.then_some(1e-5),
        }
    }
}

impl SpeechBrain {
    /// BEST-RQ: 80 mels, time divided by 4.
    pub fn best_rq() -> Self {
        Self {
            sample_rate: RATE,
            mels: 80,
            multiple: 4,
        }
    }
}

impl Picture {
    /// Evaluation in the code of MAE, DINO and DINOv2: bicubic, shorter side 8/7 of the crop (256
    /// for 224).
    pub fn evaluation(side: usize, [mean, std]: [[f64; 3]; 2]) -> Self {
        Self {
            resize: Resize::ShorterSide(side * 256 / 224),
            filter: Filter::Bicubic,
            crop: Some([side; 2]),
            rounding: Rounding::Even,
            scale: 1.0 / 255.0,
            mean,
            std,
        }
    }
}

impl Video {
    /// VideoMAE on Kinetics: every fourth frame (16 of 224 x 224 pixels in the released models).
    pub fn videomae(frames: usize, side: usize) -> Self {
        Self {
            frames,
            step: 4,
            picture: Picture {
                resize: Resize::ShorterSide(side),
                filter: Filter::Bilinear,
                rounding: Rounding::Down,
                ..Picture::evaluation(side, IMAGENET)
            },
        }
    }
}
