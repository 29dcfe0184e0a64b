//! What is known of families beyond their files: licences, inputs, poolings.

use crate::pooling::Pooling;
use bridle_tasks::pipeline::{Filter, Kaldi, Normalise, Picture, Pipeline, Resize, Video, Window};

/// Mean and standard deviation of ImageNet's pictures, by channel.
pub const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// Those that bring values from 0 to 1 to those from -1 to 1.
pub const HALVES: [[f64; 3]; 2] = [[0.5; 3], [0.5; 3]];
/// Mean and standard deviation of AudioSet's spectrograms.
pub const AUDIOSET: [f64; 2] = [-4.2677393, 4.5689974];

/// Of the weights that a family's authors published.
pub fn licence(family: &str) -> Option<&'static str> {
    Some(match family {
        "mae" | "videomae" | "audio-mae" => "CC BY-NC 4.0",
        "dino" | "dinov2" => "Apache-2.0",
        "beit" | "beit2" | "beats" | "eat" => "MIT",
        "ast" => "BSD-3-Clause",
        _ => return None,
    })
}

/// What the authors probe, or what is nearest to it: one vector from the last blocks.
pub fn pooling(family: &str, dim: usize, depth: usize) -> Pooling {
    match family {
        "dino" if dim < 768 && depth >= 4 => Pooling::LastCls { blocks: 4, mean: false },
        "dino" | "dinov2" => Pooling::ClsAndMean,
        "ast" => Pooling::TwoTokens,
        "mae" | "eat" | "vit" => Pooling::Cls,
        _ => Pooling::Mean,
    }
}

/// A square picture: the shorter side resized, and the centre cut out.
pub fn cropped(side: usize, shorter: usize, filter: Filter, [mean, std]: [[f64; 3]; 2]) -> Picture {
    Picture {
        resize: Resize::ShorterSide(shorter),
        filter,
        crop: Some([side, side]),
        mean,
        std,
    }
}

/// As the authors of MAE, DINO and DINOv2 evaluate: 256 for 224, and in this proportion for other sizes.
pub fn evaluated(side: usize, constants: [[f64; 3]; 2]) -> Pipeline {
    Pipeline::Picture(cropped(side, side * 256 / 224, Filter::Bicubic, constants))
}

/// Every fourth frame.
pub fn video(frames: usize, picture: Picture) -> Pipeline {
    Pipeline::Video(Video { frames, step: 4, picture })
}

/// A spectrogram as AST and its followers make it.
pub fn spectrogram(frames: usize, mels: usize, [mean, std]: [f64; 2]) -> Kaldi {
    Kaldi {
        sample_rate: 16_000,
        mels,
        window: Window::Hann,
        scale: 1.0,
        centre: true,
        frames: Some(frames),
        normalise: Normalise::Constants { mean, std },
        stack: 1,
        padding_value: 0.0,
    }
}
