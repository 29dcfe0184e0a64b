//! Folders of transformers: ViT, MAE, DeiT, BEiT, data2vec vision, DINOv2, VideoMAE and AST. `config.json` says
//! everything, and is held against the weights.

mod checks;

use self::checks::{check_sizes, layer_scale, qkv_bias, table};
use super::known;
use super::sizes::{Sizes, contradicts, head_classes, kernel};
use super::{Scheme, prefixes};
use crate::names::{EncoderError, Taker};
use crate::pooling::Pooling;
use crate::recognised::{Body, Options, Recognised};
use crate::settings::{Settings, refuse};
use crate::vit::bias::window_rows;
use crate::vit::config::{Head, InputKind, NormPlace, OtherGrid, Patches, Positions, ScoreBias, VitConfig};
use crate::vit::words::Words;
use bridle_containers::Checkpoint;
use bridle_tasks::pipeline::{AUDIOSET, HALF, IMAGENET, Kaldi, Picture, Pipeline, Resize, Video};

pub const SCHEME: Scheme = Scheme {
    name: "transformers",
    find,
    recognise,
    passed_over: &[
        "classifier",
        "cls_classifier",
        "decoder",
        "distillation_classifier",
        "embeddings.mask_token",
        "encoder_to_decoder",
        "../layernorm",
        "lm_head",
        "mask_token",
    ],
};

fn find(checkpoint: &Checkpoint) -> Vec<String> {
    let ends = [
        "embeddings.patch_embeddings.projection.weight",
        "embeddings.patch_embeddings.projection.bias",
        "encoder.layer.0.attention.attention.query.weight",
        "encoder.layer.0.attention.attention.key.weight",
        "encoder.layer.0.attention.output.dense.weight",
    ];
    prefixes(checkpoint, &ends)
}

/// What tells one family of this scheme from another.
struct Family {
    word: &'static str,
    other_grid: OtherGrid,
    /// Mean and standard deviation of pictures, where no file says them.
    constants: [[f64; 3]; 2],
}

impl Family {
    /// By `model_type`.
    fn of(model_type: &str) -> Option<Self> {
        let family = |word, other_grid, constants| Self {
            word,
            other_grid,
            constants,
        };
        Some(match model_type {
            "vit" => family("vit", OtherGrid::BySize, HALF),
            "deit" => family("deit", OtherGrid::BySize, IMAGENET),
            "vit_mae" => family("mae", OtherGrid::BySize, IMAGENET),
            "dinov2" => family("dinov2", OtherGrid::BySize, IMAGENET),
            "dinov2_with_registers" => family("dinov2", OtherGrid::Antialiased, IMAGENET),
            "beit" => family("beit", OtherGrid::Refused, HALF),
            "data2vec-vision" => family("data2vec-vision", OtherGrid::Refused, HALF),
            "videomae" => family("videomae", OtherGrid::Refused, IMAGENET),
            "audio-spectrogram-transformer" => family("ast", OtherGrid::Refused, HALF),
            _ => return None,
        })
    }

    const fn is_beit(&self) -> bool {
        matches!(self.word.as_bytes(), b"beit" | b"data2vec-vision")
    }
}

fn recognise(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let settings = Settings(&checkpoint.config);
    let model_type = settings.required("model_type", settings.word("model_type")?)?;
    let family = Family::of(model_type).ok_or_else(|| {
        refuse(
            "model_type",
            model_type,
            "its tensors are those of a vision transformer",
        )
    })?;
    settings.only("hidden_act", "gelu")?;
    let taker = Taker::new(checkpoint, prefix);
    let words = Words::of(SCHEME.name, &taker);
    let sizes = Sizes::of(&taker, &words)?;
    let kernel = kernel(&taker, &words, sizes.dim)?;
    check_sizes(settings, &taker, &words, &sizes, &kernel)?;
    let heads = settings.required("num_attention_heads", settings.size("num_attention_heads")?)?;
    if let Some(option) = options.heads.filter(|option| *option != heads) {
        return Err(refuse("heads", option, format!("`num_attention_heads` is {heads}")));
    }
    let mut assumed = Vec::new();
    let mut config = VitConfig {
        patches: Patches {
            input: if kernel.is_video {
                InputKind::Video
            } else {
                InputKind::Picture
            },
            channels: kernel.channels,
            kernel: kernel.sizes,
            stride: kernel.sizes,
            bias: true,
            width: sizes.dim,
            norm: false,
        },
        dim: sizes.dim,
        depth: sizes.depth,
        heads: sizes.heads(Some(("num_attention_heads", heads)), &mut assumed)?,
        hidden: sizes.hidden,
        mlp: sizes.mlp,
        norm: NormPlace::Pre,
        epsilon: settings.required("layer_norm_eps", settings.epsilon("layer_norm_eps")?)?,
        cls: family.word != "videomae",
        distillation: matches!(model_type, "deit" | "audio-spectrogram-transformer"),
        registers: settings.size("num_register_tokens")?.unwrap_or(0),
        positions: Positions::None,
        bias: ScoreBias::None,
        qkv_bias: qkv_bias(settings, &family, &taker)?,
        layer_scale: layer_scale(settings, &family)?,
        first_norm: false,
        final_norm: settings.flag("use_mean_pooling")? != Some(true),
        pooled_norm: has_any(&taker, words.pooled_norm),
        pooler: has_any(&taker, words.pooler),
        head: None,
    };
    if config.pooler {
        settings.only("pooler_act", "tanh")?;
    }
    let pipeline = match family.word {
        "ast" => sound(checkpoint, &mut config, &taker, &words, &mut assumed)?,
        _ => seen(checkpoint, &family, &mut config, &taker, &words, &mut assumed)?,
    };
    let pooling = options.pooling.unwrap_or_else(|| {
        let usual = match config.pooled_norm {
            true => Pooling::MeanNorm,
            false => known::pooling(family.word, config.dim, config.depth),
        };
        assumed.push(format!("pooled by {usual}"));
        usual
    });
    config.check(pooling)?;
    let architectures = settings
        .get("architectures")
        .map(ToString::to_string)
        .unwrap_or_default();
    let is_self_supervised = matches!(family.word, "dinov2" | "data2vec-vision" | "mae" | "videomae");
    let labels = match family.word {
        _ if architectures.contains("Pretraining") || architectures.contains("PreTraining") => "none",
        _ if is_self_supervised && !architectures.contains("Classification") => "none",
        _ => "unknown",
    };
    Ok(Recognised {
        family: family.word.to_owned(),
        scheme: SCHEME.name.to_owned(),
        prefix: prefix.to_owned(),
        body: Body::Vit(config),
        pipeline,
        pooling,
        assumed,
        // the folder's card has its own
        licence: None,
        labels: labels.to_owned(),
    })
}

/// Whether a layer has its weight or its bias.
fn has_any(taker: &Taker, layer: &str) -> bool {
    ["weight", "bias"]
        .iter()
        .any(|part| taker.has(&format!("{layer}.{part}")))
}

/// Positions, biases and input of pictures and videos.
fn seen(
    checkpoint: &Checkpoint,
    family: &Family,
    config: &mut VitConfig,
    taker: &Taker,
    words: &Words,
    assumed: &mut Vec<String>,
) -> Result<Pipeline, EncoderError> {
    let settings = Settings(&checkpoint.config);
    let size = settings.required("image_size", settings.pair("image_size")?)?;
    let [deep, high, wide] = config.patches.kernel;
    let (rows, columns) = (size[0] / high, size[1] / wide);
    if rows == 0 || columns == 0 {
        return Err(refuse(
            "image_size",
            size[0],
            format!("smaller than a patch of {high} x {wide}"),
        ));
    }
    let picture = || {
        let usual = Picture::evaluation(size[0], family.constants);
        Picture {
            resize: Resize::To(size),
            crop: None,
            ..usual
        }
    };
    if family.word == "videomae" {
        let frames = settings.required("num_frames", settings.size("num_frames")?)?;
        config.positions = Positions::Sines {
            grid: [frames / deep, rows, columns],
        };
        assumed.push("every fourth frame".to_owned());
        let usual = Video::videomae(frames, size[0]);
        return Ok(match preprocessor(checkpoint, assumed)? {
            Some(Pipeline::Video(video)) => Pipeline::Video(Video { frames, ..video }),
            other => other.unwrap_or(Pipeline::Video(usual)),
        });
    }
    let has_table = !family.is_beit() || settings.flag("use_absolute_position_embeddings")? == Some(true);
    if family.is_beit() {
        let flags = ["use_shared_relative_position_bias", "use_relative_position_bias"];
        let [shared, own] = flags.map(|key| settings.flag(key));
        if let Some(shared) = [(shared?, true), (own?, false)]
            .iter()
            .find_map(|(flag, kind)| (*flag == Some(true)).then_some(*kind))
        {
            config.bias = ScoreBias::Window { rows, columns, shared };
            if rows != columns {
                let reason = "transformers mixes up the biases of windows that are no squares";
                return Err(refuse("image_size", format!("{size:?}"), reason));
            }
        }
        // a table of another grid
        let own = format!("{}{}", words.block(0, taker), words.window[1]);
        let expected = [window_rows(rows, columns), config.heads];
        for name in [words.window[0], &own] {
            if taker.shape(name).is_some_and(|shape| shape.first() != expected.first()) {
                return Err(contradicts(("image_size", size[0]), taker, name, &expected));
            }
        }
    }
    if has_table {
        let prefix = 1 + usize::from(config.distillation);
        table(
            taker,
            words,
            config.dim,
            prefix,
            [rows, columns],
            ("image_size", size[0]),
        )?;
        config.positions = Positions::Table {
            prefix,
            rows,
            columns,
            // transformers resizes squares only
            other: match rows == columns {
                true => family.other_grid,
                false => OtherGrid::Refused,
            },
        };
    }
    Ok(preprocessor(checkpoint, assumed)?.unwrap_or_else(|| Pipeline::Picture(picture())))
}

/// How the input is made, if a file says it.
fn preprocessor(checkpoint: &Checkpoint, assumed: &mut Vec<String>) -> Result<Option<Pipeline>, EncoderError> {
    if checkpoint.preprocessor.is_null() {
        assumed.push("the family's usual input: there is no preprocessor_config.json".to_owned());
        return Ok(None);
    }
    Ok(Some(Pipeline::from_preprocessor(&checkpoint.preprocessor)?))
}

/// Strides, positions and input of AST.
fn sound(
    checkpoint: &Checkpoint,
    config: &mut VitConfig,
    taker: &Taker,
    words: &Words,
    assumed: &mut Vec<String>,
) -> Result<Pipeline, EncoderError> {
    let settings = Settings(&checkpoint.config);
    let needed = |key: &str| settings.required(key, settings.size(key)?);
    let (frames, mels) = (needed("max_length")?, needed("num_mel_bins")?);
    let [_, high, wide] = config.patches.kernel;
    let count = |key: &str, size: usize, kernel: usize| {
        let step = needed(key)?;
        let left = size.checked_sub(kernel).filter(|_| step > 0);
        let patches = left.map(|left| (step, left / step + 1));
        patches.ok_or_else(|| refuse(key, step, format!("no patch of {kernel} in {size}")))
    };
    let (frequency, rows) = count("frequency_stride", mels, high)?;
    let (time, columns) = count("time_stride", frames, wide)?;
    config.patches.input = InputKind::SpectrogramByFrequency;
    config.patches.stride = [1, frequency, time];
    table(taker, words, config.dim, 2, [rows, columns], ("max_length", frames))?;
    config.positions = Positions::Table {
        prefix: 2,
        rows,
        columns,
        other: OtherGrid::Refused,
    };
    let classes = head_classes(taker, words, config.dim)?;
    config.head = classes.map(|classes| Head {
        classes,
        epsilon: config.epsilon,
    });
    let said = Settings(&checkpoint.preprocessor);
    said.agrees("max_length", frames, "the number of frames")?;
    said.agrees("num_mel_bins", mels, "the number of mels")?;
    let usual = Kaldi {
        mels,
        ..Kaldi::spectrogram(AUDIOSET, frames)
    };
    Ok(preprocessor(checkpoint, assumed)?.unwrap_or(Pipeline::Kaldi(usual)))
}
