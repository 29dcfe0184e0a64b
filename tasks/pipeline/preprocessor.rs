//! Reads `preprocessor_config.json`, which transformers writes beside weights. What a file leaves out
//! is as in the class that it names, whose defaults are below.

use serde_json::{Value, json};

use super::settings::{Settings, count, refused};
use super::{
    AUDIOSET, Filter, HALF, Kaldi, Normalise, Picture, Pipeline, PipelineError, Resize, Rounding, Video, Wave, Window,
};

/// Mean and standard deviation that CLIP's pictures, and transformers' Bit, have.
const CLIP: [[f64; 3]; 2] = [
    [0.48145466, 0.4578275, 0.40821073],
    [0.26862954, 0.26130258, 0.27577711],
];

/// Settings that change no number of ours: pictures always are RGB, and sounds come one by one.
const MEANINGLESS: &[&str] = &[
    "processor_class",
    "auto_map",
    "_valid_processor_keys",
    "do_convert_rgb",
    "do_reduce_labels",
    "return_attention_mask",
    "device",
    "disable_grouping",
    "return_tensors",
];

/// What a class of image processors does where its file says nothing.
struct Defaults {
    size: usize,
    /// Whether a size of one number is that of both sides, or of the shorter one.
    square: bool,
    filter: Filter,
    /// Side of the square in the centre, for classes that can cut.
    crop: Option<usize>,
    channels: [[f64; 3]; 2],
}

const VIT: Defaults = Defaults {
    size: 224,
    square: true,
    filter: Filter::Bilinear,
    crop: None,
    channels: HALF,
};
const BEIT: Defaults = Defaults {
    size: 256,
    filter: Filter::Bicubic,
    crop: Some(224),
    ..VIT
};
const BIT: Defaults = Defaults {
    size: 224,
    square: false,
    channels: CLIP,
    ..BEIT
};
const VIDEO_MAE: Defaults = Defaults {
    square: false,
    crop: Some(224),
    ..VIT
};

impl Pipeline {
    /// The pipeline of a `preprocessor_config.json`. Videos are 16 frames, every fourth: their number
    /// is in no such file (`num_frames` of config.json has it).
    ///
    /// # Errors
    /// Names a key with a value that is not supported, or a key that is not known and may matter.
    pub fn from_preprocessor(config: &Value) -> Result<Self, PipelineError> {
        let settings = Settings::new(config)?;
        let extractor = settings.text("feature_extractor_type")?;
        let class = settings.text("image_processor_type")?.or(extractor);
        let Some(class) = class else {
            let reason = "it says what kind of input this is";
            return Err(refused("feature_extractor_type", &Value::Null, reason));
        };
        let name = class.trim_end_matches("Fast");
        let name = name
            .strip_suffix("ImageProcessor")
            .or(name.strip_suffix("FeatureExtractor"));
        let pipeline = match name {
            Some("ViT") => Self::Picture(picture(&settings, &VIT)?),
            // of DeiT the defaults are equal
            Some("Beit" | "DeiT") => Self::Picture(picture(&settings, &BEIT)?),
            Some("Bit") => Self::Picture(picture(&settings, &BIT)?),
            Some("VideoMAE") => Self::Video(Video {
                picture: picture(&settings, &VIDEO_MAE)?,
                ..Video::videomae(16, 224)
            }),
            Some("AST") => Self::Kaldi(ast(&settings)?),
            Some("Wav2Vec2") => Self::Wave(wave(&settings)?),
            Some("SeamlessM4T") => Self::Kaldi(seamless(&settings)?),
            _ => {
                let reason = "supported are ViT, Beit, DeiT, Bit, VideoMAE, AST, Wav2Vec2 and SeamlessM4T";
                return Err(PipelineError::setting("feature_extractor_type", class, reason));
            }
        };
        settings.end(MEANINGLESS)?;
        pipeline.check()?;
        Ok(pipeline)
    }
}

fn picture(settings: &Settings, defaults: &Defaults) -> Result<Picture, PipelineError> {
    let is_on = |key: &str, default| settings.flag(key).map(|flag| flag.unwrap_or(default));
    settings.only("data_format", &json!("channels_first"), "channels come first here")?;
    let square = settings.flag("default_to_square")?.unwrap_or(defaults.square);
    let size = settings.get("size").map_or_else(
        || Ok(of_one(defaults.size, square)),
        |value| size(value, square).ok_or_else(|| refused("size", value, SIZES)),
    )?;
    let filter = match settings.get("resample") {
        None => defaults.filter,
        Some(value) => match value.as_u64() {
            Some(2) => Filter::Bilinear,
            Some(3) => Filter::Bicubic,
            _ => return Err(refused("resample", value, "supported are 2, bilinear, and 3, bicubic")),
        },
    };
    let resize = if is_on("do_resize", true)? { size } else { Resize::None };
    let crop = match settings.get("crop_size") {
        None => defaults.crop.map(|side| [side; 2]),
        Some(value) => match self::size(value, true) {
            Some(Resize::To(sides)) => Some(sides),
            _ => {
                return Err(refused(
                    "crop_size",
                    value,
                    "supported are a number, and height and width",
                ));
            }
        },
    };
    let cuts = is_on("do_center_crop", defaults.crop.is_some())?;
    if cuts && defaults.crop.is_none() {
        return Err(refused(
            "do_center_crop",
            &json!(true),
            "this class of processors does not cut",
        ));
    }
    let factor = settings.number("rescale_factor")?.unwrap_or(1.0 / 255.0);
    let scale = if is_on("do_rescale", true)? { factor } else { 1.0 };
    let [mean, std] = defaults.channels;
    let mean = settings.channels("image_mean")?.unwrap_or(mean);
    let std = settings.channels("image_std")?.unwrap_or(std);
    let normalises = is_on("do_normalize", true)?;
    let [mean, std] = if normalises { [mean, std] } else { [[0.0; 3], [1.0; 3]] };
    Ok(Picture {
        resize,
        filter,
        crop: crop.filter(|_| cuts),
        rounding: Rounding::Down,
        scale,
        mean,
        std,
    })
}

const SIZES: &str = "supported are a number, height and width, and shortest_edge";

fn of_one(side: usize, square: bool) -> Resize {
    if square {
        Resize::To([side; 2])
    } else {
        Resize::ShorterSide(side)
    }
}

fn size(value: &Value, square: bool) -> Option<Resize> {
    let Value::Object(sides) = value else {
        return count(value).map(|side| of_one(side, square));
    };
    // files of fast processors name every form
    let sides: Vec<(&str, &Value)> = sides
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    match sides[..] {
        [("shortest_edge", side)] => count(side).map(Resize::ShorterSide),
        [("height", height), ("width", width)] | [("width", width), ("height", height)] => {
            Some(Resize::To([count(height)?, count(width)?]))
        }
        _ => None,
    }
}

/// Hertz, and what every extractor of sounds has.
fn sampling_rate(settings: &Settings) -> Result<u32, PipelineError> {
    settings.only("padding_side", &json!("right"), "padding is at the end here")?;
    let hertz = settings.count("sampling_rate")?.unwrap_or(16_000);
    u32::try_from(hertz).map_err(|_| PipelineError::setting("sampling_rate", hertz, "it is no rate of sounds"))
}

fn wave(settings: &Settings) -> Result<Wave, PipelineError> {
    settings.only("feature_size", &json!(1), "sounds have one channel here")?;
    settings.only("padding_value", &json!(0), "sounds are padded with 0 here")?;
    Ok(Wave {
        sample_rate: sampling_rate(settings)?,
        normalise: settings.flag("do_normalize")?.unwrap_or(true).then_some(1e-7),
    })
}

fn ast(settings: &Settings) -> Result<Kaldi, PipelineError> {
    settings.only("feature_size", &json!(1), "sounds have one channel here")?;
    settings.only("padding_value", &json!(0), "rows of 0 complete a sound here")?;
    settings.only("do_normalize", &json!(true), "energies are always normalised here")?;
    let (mut mean, mut std) = (settings.number("mean")?, settings.number("std")?);
    if let Normalise::Constants {
        mean: usual,
        std: spread,
    } = AUDIOSET
    {
        (mean, std) = (mean.or(Some(usual)), std.or(Some(spread)));
    }
    Ok(Kaldi {
        sample_rate: sampling_rate(settings)?,
        mels: settings.count("num_mel_bins")?.unwrap_or(128),
        window: Window::Hann,
        scale: 1.0,
        // unlike the authors
        centre: false,
        frames: Some(settings.count("max_length")?.unwrap_or(1_024)),
        normalise: Normalise::Constants {
            mean: mean.unwrap_or_default(),
            std: std.unwrap_or_default(),
        },
        stack: 1,
        padding_value: 0.0,
    })
}

fn seamless(settings: &Settings) -> Result<Kaldi, PipelineError> {
    let mels = settings.count("num_mel_bins")?.unwrap_or(80);
    settings.only("feature_size", &json!(mels), "it is not `num_mel_bins`")?;
    Ok(Kaldi {
        sample_rate: sampling_rate(settings)?,
        mels,
        stack: settings.count("stride")?.unwrap_or(2),
        padding_value: settings.number("padding_value")?.unwrap_or(0.0),
        ..Kaldi::w2v_bert()
    })
}
