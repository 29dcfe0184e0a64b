//! What `config.json` says, held against the weights.

use super::Family;
use crate::families::sizes::{Kernel, Sizes, contradicts};
use crate::names::{EncoderError, Taker};
use crate::settings::{Settings, refuse};
use crate::vit::config::{MlpKind, QkvBias};
use crate::vit::words::Words;

/// Sizes that the configuration and the weights both say.
pub fn check_sizes(
    settings: Settings,
    taker: &Taker,
    words: &Words,
    sizes: &Sizes,
    kernel: &Kernel,
) -> Result<(), EncoderError> {
    settings.agrees("hidden_size", sizes.dim, "the width")?;
    settings.agrees("num_hidden_layers", sizes.depth, "the number of blocks")?;
    settings.agrees("intermediate_size", sizes.hidden, "the width of the MLP")?;
    let is_gated = sizes.mlp == MlpKind::SwiGlu;
    if let Some(flag) = settings.flag("use_swiglu_ffn")?.filter(|flag| *flag != is_gated) {
        return Err(refuse("use_swiglu_ffn", flag, "its weights are not so"));
    }
    if let Some(ratio) = settings.number("mlp_ratio")? {
        let wide = (sizes.dim as f64 * ratio) as usize;
        // DINOv2 makes a gated MLP narrower by a third
        let hidden = match is_gated {
            true => (2 * wide / 3).next_multiple_of(8),
            false => wide,
        };
        if hidden != sizes.hidden {
            let reason = format!("the MLP of the weights is {} wide", sizes.hidden);
            return Err(refuse("mlp_ratio", ratio, reason));
        }
    }
    let name = format!("{}.weight", words.patch);
    let mut expected = taker.shape(&name).unwrap_or_default().to_vec();
    if let Some(channels) = settings
        .size("num_channels")?
        .filter(|channels| *channels != kernel.channels)
    {
        expected[1] = channels;
        return Err(contradicts(("num_channels", channels), taker, &name, &expected));
    }
    if let Some(frames) = settings
        .size("tubelet_size")?
        .filter(|frames| *frames != kernel.sizes[0])
    {
        expected[2] = frames;
        return Err(contradicts(("tubelet_size", frames), taker, &name, &expected));
    }
    if let Some([rows, columns]) = settings.pair("patch_size")?
        && kernel.sizes[1..] != [rows, columns]
    {
        let end = expected.len();
        expected[end - 2..].copy_from_slice(&[rows, columns]);
        return Err(contradicts(("patch_size", rows), taker, &name, &expected));
    }
    Ok(())
}

pub fn qkv_bias(settings: Settings, family: &Family, taker: &Taker) -> Result<QkvBias, EncoderError> {
    let has = taker.names().any(|name| {
        ["query.bias", "key.bias", "value.bias", "q_bias", "v_bias"]
            .iter()
            .any(|end| name.ends_with(end))
    });
    match settings.flag("qkv_bias")? {
        Some(false) if has => Err(refuse("qkv_bias", false, "its weights have one")),
        Some(false) => Ok(QkvBias::None),
        _ if family.is_beit() || family.word == "videomae" => Ok(QkvBias::QueryValue),
        _ => Ok(QkvBias::All),
    }
}

pub fn layer_scale(settings: Settings, family: &Family) -> Result<bool, EncoderError> {
    match family.word {
        "dinov2" => Ok(true),
        "beit" | "data2vec-vision" => Ok(settings.number("layer_scale_init_value")?.unwrap_or(0.1) > 0.0),
        _ => Ok(false),
    }
}

/// Holds the rows of a table of positions against what a setting says.
pub fn table(
    taker: &Taker,
    words: &Words,
    dim: usize,
    prefix: usize,
    [rows, columns]: [usize; 2],
    (key, value): (&str, usize),
) -> Result<(), EncoderError> {
    let expected = [1, prefix + rows * columns, dim];
    match taker.shape(words.positions) {
        Some(found) if found != expected => Err(contradicts((key, value), taker, words.positions, &expected)),
        _ => Ok(()),
    }
}
