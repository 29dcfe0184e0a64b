//! `config.json` and `preprocessor_config.json`, by which other programs load an encoder and make its
//! inputs.

use super::names::Names;
use super::{Encoder, SpeechCard};
use crate::plan::Sizes;
use crate::run::encoder_file::EncoderCard;
use bridle_tasks::InputSpec;
use serde_json::{Value, json};

/// Epsilon of every norm.
const EPSILON: f64 = bridle::transformer::NORM_EPSILON;

/// Files of settings, by name.
pub fn files(encoder: &Encoder) -> Vec<(&'static str, Value)> {
    match encoder {
        Encoder::Vit(card) => match card.input {
            InputSpec::Video { .. } => videomae(card),
            _ => timm(card),
        },
        Encoder::Speech(card) => vec![("config.json", speech(card))],
    }
}

/// Whose names the weights have.
pub fn names(encoder: &Encoder) -> Names {
    match encoder {
        Encoder::Vit(card) if matches!(card.input, InputSpec::Video { .. }) => Names::VideoMae,
        Encoder::Vit(_) => Names::Timm,
        Encoder::Speech(_) => Names::Pytorch,
    }
}

/// timm's VisionTransformer: fixed positions are a table as any other, and the vector is the mean of the
/// patch tokens after the final norm. A spectrogram is a picture of one channel, frames down, mels across.
fn timm(card: &EncoderCard) -> Vec<(&'static str, Value)> {
    let (size, mean, std) = match &card.input {
        InputSpec::Audio {
            frames,
            mels,
            mean,
            std,
            ..
        } => ([1, *frames, *mels], vec![*mean], vec![2.0 * std]),
        InputSpec::Image { side, mean, std } => ([3, *side, *side], mean.to_vec(), std.to_vec()),
        _ => unreachable!("timm's encoders are of sounds and images"),
    };
    let [channels, down, across] = size;
    let Sizes {
        patch,
        dim,
        depth,
        heads,
        mlp_ratio,
        ..
    } = card.model;
    let config = json!({
        "architecture": "vit_base_patch16_224",
        "num_classes": 0,
        "num_features": dim,
        "global_pool": "avg",
        "model_args": {
            "img_size": [down, across], "in_chans": channels, "patch_size": patch, "embed_dim": dim, "depth": depth,
            "num_heads": heads, "mlp_ratio": mlp_ratio, "global_pool": "avg", "fc_norm": false, "num_classes": 0,
        },
        "pretrained_cfg": {
            "tag": "bridle", "custom_load": false, "input_size": size, "fixed_input_size": true,
            "interpolation": "bicubic", "crop_pct": crop(down), "crop_mode": "center", "mean": mean, "std": std,
            "num_classes": 0, "pool_size": null, "first_conv": "patch_embed.proj", "classifier": "head",
        },
    });
    let mut files = vec![("config.json", config)];
    if let InputSpec::Audio {
        frames,
        mels,
        sample_rate,
        mean,
        std,
    } = &card.input
    {
        let extractor = json!({
            "feature_extractor_type": "ASTFeatureExtractor", "sampling_rate": sample_rate, "num_mel_bins": mels,
            "max_length": frames, "mean": mean, "std": std, "do_normalize": true, "feature_size": 1,
            "padding_value": 0.0, "padding_side": "right", "return_attention_mask": false,
        });
        files.push(("preprocessor_config.json", extractor));
    }
    files
}

/// The share of the short side that a crop of `side` is: timm resizes to the whole part of side / share,
/// and this program to side * 256 / 224.
fn crop(side: usize) -> f64 {
    let short = (side as f64 * 256.0 / 224.0).round_ties_even();
    let share = side as f64 / short;
    // a quotient may fall short of the whole number
    match (side as f64 / share).floor() == short {
        true => share,
        false => side as f64 / (short + 0.5),
    }
}

fn videomae(card: &EncoderCard) -> Vec<(&'static str, Value)> {
    let InputSpec::Video {
        frames,
        side,
        mean,
        std,
    } = &card.input
    else {
        unreachable!("these are of videos")
    };
    let sizes = &card.model;
    let config = json!({
        "architectures": ["VideoMAEModel"], "model_type": "videomae", "image_size": side, "patch_size": sizes.patch,
        "num_channels": 3, "num_frames": frames, "tubelet_size": sizes.tubelet.unwrap_or(1),
        "hidden_size": sizes.dim, "num_hidden_layers": sizes.depth, "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.mlp_ratio * sizes.dim, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "layer_norm_eps": EPSILON, "qkv_bias": true,
        "use_mean_pooling": false, "torch_dtype": "float32",
    });
    let processor = json!({
        "image_processor_type": "VideoMAEImageProcessor", "do_resize": true, "size": {"shortest_edge": side},
        "resample": 3, "do_center_crop": true, "crop_size": {"height": side, "width": side}, "do_rescale": true,
        "rescale_factor": 1.0 / 255.0, "do_normalize": true, "image_mean": mean, "image_std": std,
    });
    vec![("config.json", config), ("preprocessor_config.json", processor)]
}

/// For the file of Python beside it.
fn speech(card: &SpeechCard) -> Value {
    let (input, sizes) = (&card.input, &card.sizes);
    json!({
        "model_type": "bridle-speech", "dim": sizes.dim, "depth": sizes.depth, "heads": sizes.heads,
        "ff_ratio": sizes.ff_ratio, "kernel": sizes.kernel, "window": sizes.window, "layer_norm_eps": EPSILON,
        "sample_rate": input.sample_rate, "mels": input.mels, "stacked": input.stacked, "centred": input.centred,
        "mean": card.standardizer.mean, "std": card.standardizer.std,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timm_resizes_the_short_side_to_the_same_number_of_pixels() {
        assert_eq!(crop(224).to_bits(), 0.875_f64.to_bits());
        for side in 1..1_000_usize {
            let short = (side as f64 * 256.0 / 224.0).round_ties_even();
            assert_eq!((side as f64 / crop(side)).floor().to_bits(), short.to_bits(), "{side}");
        }
    }
}
