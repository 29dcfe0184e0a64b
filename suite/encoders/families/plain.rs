//! Files of MAE, Audio-MAE, DINO, DINOv2, BEiT, VideoMAE and AST as their authors released them: weights by timm's
//! names, and no settings.

use super::known;
use super::sizes::{Sizes, head_classes, shape_error, square_table, table_rows};
use super::timm::{SCHEME, base, has_part};
use super::window::{window, window_heads};
use crate::names::{EncoderError, Taker};
use crate::pooling::Pooling;
use crate::recognised::{Body, Options, Recognised};
use crate::settings::refuse;
use crate::vit::config::{Head, InputKind, OtherGrid, Positions, ScoreBias, VitConfig};
use crate::vit::words::Words;
use bridle_containers::Checkpoint;
use bridle_tasks::pipeline::{AUDIOSET, HALF, IMAGENET, Kaldi, Picture, Pipeline, Video};

/// An encoder whose file says nothing but names and shapes.
pub fn recognise(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let taker = Taker::new(checkpoint, prefix);
    let words = Words::of(SCHEME.name, &taker);
    let sizes = Sizes::of(&taker, &words)?;
    if words.swiglu == words.mlp {
        // both halves in one layer is timm's way
        let name = format!("{}{}.weight", words.block(0, &taker), words.mlp[0]);
        return Err(shape_error(&taker, &name, vec![sizes.hidden, sizes.dim]));
    }
    let mut config = base(&taker, &words, &sizes)?;
    let mut assumed = Vec::new();
    let family = family(checkpoint, &taker, &config, options, &mut assumed);
    config.bias = window(&taker, &words, sizes.depth, true)?;
    let said = options.heads.map(|heads| ("heads", heads));
    config.heads = sizes.heads(said.or(window_heads(&taker, &words)), &mut assumed)?;
    assumed.push("an epsilon of 1e-6 in every norm".to_owned());
    let pipeline = match family {
        "ast" => ast(&mut config, &taker, &words, options, &mut assumed)?,
        "audio-mae" => audio_mae(&mut config, &taker, &words, options, &mut assumed)?,
        "videomae" => videomae(&mut config, options, &mut assumed),
        _ => picture(family, &mut config, &taker, &words, options, &mut assumed)?,
    };
    let pooling = options.pooling.unwrap_or_else(|| {
        let usual = match config.pooled_norm {
            true => Pooling::MeanNorm,
            false => known::pooling(family, config.dim, config.depth),
        };
        assumed.push(format!("pooled by {usual}"));
        usual
    });
    config.check(pooling)?;
    // a norm of the mean is what fine-tuning puts in
    let labels = match family {
        "ast" => "audioset",
        "beit" | "beit2" | "mae" | "audio-mae" | "videomae" if config.pooled_norm => "unknown",
        _ => "none",
    };
    Ok(Recognised {
        family: family.to_owned(),
        scheme: SCHEME.name.to_owned(),
        prefix: prefix.to_owned(),
        body: Body::Vit(config),
        pipeline,
        pooling,
        assumed,
        licence: known::licence(family).map(str::to_owned),
        labels: labels.to_owned(),
    })
}

/// The family, from what only it has.
fn family(
    checkpoint: &Checkpoint,
    taker: &Taker,
    config: &VitConfig,
    options: &Options,
    assumed: &mut Vec<String>,
) -> &'static str {
    let has = |part: &str| has_part(taker, part);
    let ast = [
        "../mlp_head.0.weight",
        "../mlp_head.1.weight",
        "dist_token",
        "head_dist.weight",
    ];
    match config.patches {
        ref patches if patches.input == InputKind::Video => "videomae",
        ref patches if patches.channels == 1 && ast.iter().any(|name| taker.has(name)) => "ast",
        ref patches if patches.channels == 1 => "audio-mae",
        _ if has("cls_pt_layers.") => "beit2",
        _ if has("q_bias") || has("v_bias") || has("gamma_1") || has("gamma_2") || has("relative_position") => "beit",
        _ if config.layer_scale || config.registers > 0 => "dinov2",
        _ if has("decoder_") || config.pooled_norm => "mae",
        _ => {
            // MAE's encoder alone has the names of DINO's
            let usual = if checkpoint.entry == "model" { "mae" } else { "dino" };
            let family = match options.family.as_deref() {
                Some("mae") => "mae",
                Some("dino") => "dino",
                _ => usual,
            };
            assumed.push(format!(
                "weights of {family}: those of MAE and of DINO have the same names"
            ));
            family
        }
    }
}

fn picture(
    family: &str,
    config: &mut VitConfig,
    taker: &Taker,
    words: &Words,
    options: &Options,
    assumed: &mut Vec<String>,
) -> Result<Pipeline, EncoderError> {
    let kernel = config.patches.kernel[1];
    let is_beit = matches!(family, "beit" | "beit2");
    let own = match config.bias {
        ScoreBias::Window { rows, .. } => rows,
        _ => 0,
    };
    if is_beit && own == 0 && !taker.has(words.positions) {
        return Err(taker.missing(words.window[0], |shape| shape.len() == 2));
    }
    let side = if is_beit && !taker.has(words.positions) {
        own
    } else {
        let (prefix, side) = square_table(taker, words, config.dim, &[1, config.prefix()])?;
        let other = match family {
            "dino" => OtherGrid::ByOffset,
            "dinov2" if config.registers > 0 => OtherGrid::Antialiased,
            "dinov2" => OtherGrid::ByOffset,
            _ => OtherGrid::Refused,
        };
        config.positions = Positions::Table {
            prefix,
            rows: side,
            columns: side,
            other,
        };
        side
    };
    let usual = if family == "dinov2" {
        224 / kernel * kernel
    } else {
        side * kernel
    };
    let size = options.size.unwrap_or(usual);
    if family != "dino" && family != "dinov2" && size != side * kernel {
        let reason = format!("its positions are those of pictures of {}", side * kernel);
        return Err(refuse("size", size, reason));
    }
    assumed.push(format!(
        "pictures of {size} x {size}, resized and cut as its authors evaluate"
    ));
    let constants = if family == "beit" { HALF } else { IMAGENET };
    Ok(Pipeline::Picture(Picture::evaluation(size, constants)))
}

fn ast(
    config: &mut VitConfig,
    taker: &Taker,
    words: &Words,
    options: &Options,
    assumed: &mut Vec<String>,
) -> Result<Pipeline, EncoderError> {
    let rows = table_rows(taker, words, config.dim)?;
    // the released ones: steps of 10, 1,024 frames of 128 mels
    let is_released = rows == 1_214;
    let mut say = |option: &'static str, what: &str, given: Option<usize>, usual: usize| match given {
        Some(given) => Ok(given),
        None if is_released => {
            assumed.push(format!("{usual} {what}"));
            Ok(usual)
        }
        None => Err(EncoderError::Ask {
            option,
            what: format!("number of {what}"),
        }),
    };
    let frames = say("frames", "frames", options.frames, 1_024)?;
    let mels = say("mels", "mels", options.mels, 128)?;
    let frequency = say(
        "strides",
        "bins from patch to patch",
        options.strides.map(|[step, _]| step),
        10,
    )?;
    let time = say(
        "strides",
        "frames from patch to patch",
        options.strides.map(|[_, step]| step),
        10,
    )?;
    let [_, high, wide] = config.patches.kernel;
    let count = |size: usize, kernel: usize, step: usize| {
        let left = size.checked_sub(kernel).filter(|_| step > 0);
        left.map(|left| left / step + 1)
            .ok_or_else(|| refuse("strides", step, format!("no patch of {kernel} in {size}")))
    };
    config.patches.input = InputKind::SpectrogramByFrequency;
    config.patches.stride = [1, frequency, time];
    config.distillation = true;
    config.positions = Positions::Table {
        prefix: 2,
        rows: count(mels, high, frequency)?,
        columns: count(frames, wide, time)?,
        other: OtherGrid::Refused,
    };
    let classes = head_classes(taker, words, config.dim)?;
    // PyTorch's own epsilon
    config.head = classes.map(|classes| Head { classes, epsilon: 1e-5 });
    assumed.push("sounds normalised as AudioSet's".to_owned());
    Ok(spectrogram(frames, mels))
}

fn audio_mae(
    config: &mut VitConfig,
    taker: &Taker,
    words: &Words,
    options: &Options,
    assumed: &mut Vec<String>,
) -> Result<Pipeline, EncoderError> {
    let rows = table_rows(taker, words, config.dim)?;
    // the released ones: 64 x 8 patches
    let is_released = rows == 513;
    let mut say = |option: &'static str, given: Option<usize>, usual: usize| match given {
        Some(given) => Ok(given),
        None if is_released => {
            assumed.push(format!("{usual} {option}"));
            Ok(usual)
        }
        None => Err(EncoderError::Ask {
            option,
            what: format!("number of {option}"),
        }),
    };
    let (frames, mels) = (say("frames", options.frames, 1_024)?, say("mels", options.mels, 128)?);
    let [_, high, wide] = config.patches.kernel;
    config.patches.input = InputKind::Spectrogram;
    config.positions = Positions::Table {
        prefix: 1,
        rows: frames / high,
        columns: mels / wide,
        other: OtherGrid::Refused,
    };
    assumed.push("sounds normalised as AudioSet's".to_owned());
    Ok(spectrogram(frames, mels))
}

fn videomae(config: &mut VitConfig, options: &Options, assumed: &mut Vec<String>) -> Pipeline {
    let mut say = |what: &str, given: Option<usize>, usual: usize| {
        given.unwrap_or_else(|| {
            assumed.push(format!("{what} of {usual}"));
            usual
        })
    };
    let (frames, size) = (
        say("videos, in frames,", options.frames, 16),
        say("pictures, in pixels,", options.size, 224),
    );
    let [deep, high, wide] = config.patches.kernel;
    config.cls = false;
    config.positions = Positions::Sines {
        grid: [frames / deep, size / high, size / wide],
    };
    assumed.push("every fourth frame".to_owned());
    Pipeline::Video(Video::videomae(frames, size))
}

fn spectrogram(frames: usize, mels: usize) -> Pipeline {
    let usual = Kaldi::spectrogram(AUDIOSET, frames);
    Pipeline::Kaldi(Kaldi { mels, ..usual })
}
