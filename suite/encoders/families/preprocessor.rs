//! Inputs as `preprocessor_config.json` of transformers says them.

use super::known;
use crate::names::EncoderError;
use crate::settings::{Settings, refuse};
use bridle_tasks::pipeline::{Filter, Kaldi, Normalise, Picture, Resize};

/// What a family's preprocessor does where its file says nothing.
pub struct Usual {
    pub filter: Filter,
    pub constants: [[f64; 3]; 2],
    /// Whether one size is that of the shorter side.
    pub is_shorter: bool,
}

/// How a picture, or each frame of a video, is made; `size` is that of the model.
///
/// # Errors
/// If the file says what this program does not do.
pub fn picture(
    settings: Settings,
    size: [usize; 2],
    usual: &Usual,
    assumed: &mut Vec<String>,
) -> Result<Picture, EncoderError> {
    if settings.0.is_null() {
        assumed.push(format!("pictures resized to {} x {}: there is no preprocessor_config.json", size[0], size[1]));
        let [mean, std] = usual.constants;
        return Ok(Picture {
            resize: Resize::To(size),
            filter: usual.filter,
            crop: None,
            mean,
            std,
        });
    }
    settings.only("do_rescale", true)?;
    if let Some(factor) = settings.number("rescale_factor")?
        && (factor * 255.0 - 1.0).abs() > 1e-6
    {
        return Err(refuse("rescale_factor", factor, "this program supports 1 / 255 alone"));
    }
    let filter = match settings.size("resample")? {
        None => usual.filter,
        Some(2) => Filter::Bilinear,
        Some(3) => Filter::Bicubic,
        Some(other) => return Err(refuse("resample", other, "this program supports 2 and 3, bilinear and bicubic")),
    };
    let resize = match settings.flag("do_resize")? {
        Some(false) => Resize::None,
        _ => resize(settings, size, usual)?,
    };
    let crop = match settings.flag("do_center_crop")? {
        Some(true) => Some(square(settings, "crop_size")?.unwrap_or(size)),
        _ => None,
    };
    let [mean, std] = match settings.flag("do_normalize")? {
        Some(false) => [[0.0; 3], [1.0; 3]],
        _ => [
            constants(settings, "image_mean", usual.constants[0])?,
            constants(settings, "image_std", usual.constants[1])?,
        ],
    };
    Ok(Picture { resize, filter, crop, mean, std })
}

fn resize(settings: Settings, size: [usize; 2], usual: &Usual) -> Result<Resize, EncoderError> {
    if let Some(shorter) = settings.under("size").size("shortest_edge")? {
        return Ok(Resize::ShorterSide(shorter));
    }
    Ok(match (square(settings, "size")?, usual.is_shorter) {
        (Some([side, _]), true) if settings.size("size").is_ok_and(|size| size.is_some()) => Resize::ShorterSide(side),
        (Some(sides), _) => Resize::To(sides),
        (None, _) => Resize::To(size),
    })
}

/// Height and width: as an object, or one number for both.
fn square(settings: Settings, key: &str) -> Result<Option<[usize; 2]>, EncoderError> {
    let inner = settings.under(key);
    match (inner.size("height")?, inner.size("width")?) {
        (Some(height), Some(width)) => Ok(Some([height, width])),
        _ if inner.0.is_object() => Err(refuse(key, inner.0, "it has no height and width")),
        _ => settings.pair(key),
    }
}

fn constants(settings: Settings, key: &str, usual: [f64; 3]) -> Result<[f64; 3], EncoderError> {
    let Some(value) = settings.get(key) else {
        return Ok(usual);
    };
    serde_json::from_value(value.clone()).map_err(|_| refuse(key, value, "it is not three numbers"))
}

/// How AST's spectrogram is made; frames and mels are those of the model.
///
/// # Errors
/// If the file contradicts the model, or says what this program does not do.
pub fn spectrogram(
    settings: Settings,
    [frames, mels]: [usize; 2],
    assumed: &mut Vec<String>,
) -> Result<Kaldi, EncoderError> {
    settings.agrees("max_length", frames, "the number of frames")?;
    settings.agrees("num_mel_bins", mels, "the number of mels")?;
    settings.only("sampling_rate", 16_000)?;
    settings.only("do_normalize", true)?;
    settings.only("padding_value", 0.0)?;
    let said = [settings.number("mean")?, settings.number("std")?];
    let [mean, std] = match said {
        [Some(mean), Some(std)] => [mean, std],
        _ => {
            assumed.push("sounds normalised as AudioSet's".to_owned());
            known::AUDIOSET
        }
    };
    Ok(Kaldi {
        normalise: Normalise::Constants { mean, std },
        ..known::spectrogram(frames, mels, known::AUDIOSET)
    })
}
