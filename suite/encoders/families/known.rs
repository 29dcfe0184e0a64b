//! What is known of families beyond their files: licences, and what their authors probe.

use crate::pooling::Pooling;

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
        "mae" | "eat" | "vit" | "deit" => Pooling::Cls,
        _ => Pooling::Mean,
    }
}
