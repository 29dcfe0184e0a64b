//! timm's names: timm's own folders, and the files of authors who built on it, which say less ([`plain`]).

use super::plain;
use super::sizes::{Sizes, kernel, square_table, table_rows};
use super::window::{window, window_heads};
use super::{Scheme, prefixes};
use crate::names::{EncoderError, Taker};
use crate::pooling::Pooling;
use crate::recognised::{Body, Options, Recognised};
use crate::settings::{Settings, refuse};
use crate::vit::config::{InputKind, MlpKind, NormPlace, OtherGrid, Patches, Positions, QkvBias, ScoreBias, VitConfig};
use crate::vit::words::Words;
use bridle_containers::Checkpoint;
use bridle_tasks::pipeline::{Pipeline, Resize};

pub const SCHEME: Scheme = Scheme {
    name: "timm",
    find,
    recognise,
    passed_over: &[
        "cls_pt_layers",
        "decoder",
        "decoder_blocks",
        "decoder_embed",
        "decoder_norm",
        "decoder_pos_embed",
        "decoder_pred",
        "dino_head",
        "encoder_to_decoder",
        "head",
        "head_dist",
        "ibot_head",
        "lm_head",
        "mask_token",
        "mlp_head",
        "student",
    ],
};

fn find(checkpoint: &Checkpoint) -> Vec<String> {
    let ends = [
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "blocks.0.attn.qkv.weight",
        "blocks.0.attn.proj.weight",
        "blocks.0.norm1.weight",
        "blocks.0.0.attn.qkv.weight",
        "blocks.0.0.norm1.weight",
    ];
    prefixes(checkpoint, &ends)
}

fn recognise(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    if checkpoint.config.get("architecture").is_none() {
        return plain::recognise(checkpoint, prefix, options);
    }
    folder(checkpoint, prefix, options)
}

/// Whether some tensor's name has a part that begins so.
pub(super) fn has_part(taker: &Taker, part: &str) -> bool {
    taker
        .names()
        .any(|name| name.starts_with(part) || name.contains(&format!(".{part}")))
}

/// What can be told from names and shapes for every family of this scheme; positions are still to be told.
pub(super) fn base(taker: &Taker, words: &Words, sizes: &Sizes) -> Result<VitConfig, EncoderError> {
    let kernel = kernel(taker, words, sizes.dim)?;
    let first_norm = has_part(taker, "norm_pre.");
    let pooled_norm = has_part(taker, "fc_norm.");
    let final_norm = taker.names().any(|name| name.starts_with("norm."));
    if !final_norm && !pooled_norm {
        return Err(taker.missing("norm.weight", |shape| shape == [sizes.dim]));
    }
    let registers = taker.shape(words.registers).and_then(|shape| shape.get(1).copied());
    if registers.is_none() && has_part(taker, words.registers) {
        return Err(taker.missing(
            words.registers,
            |shape| matches!(shape, [1, _, dim] if *dim == sizes.dim),
        ));
    }
    let own_bias = has_part(taker, "q_bias") || has_part(taker, "v_bias");
    Ok(VitConfig {
        patches: Patches {
            input: if kernel.is_video {
                InputKind::Video
            } else {
                InputKind::Picture
            },
            channels: kernel.channels,
            kernel: kernel.sizes,
            stride: kernel.sizes,
            // timm has none where a norm comes first
            bias: !first_norm || taker.has("patch_embed.proj.bias"),
            width: sizes.dim,
            norm: false,
        },
        dim: sizes.dim,
        depth: sizes.depth,
        heads: 0,
        hidden: sizes.hidden,
        mlp: sizes.mlp,
        norm: NormPlace::Pre,
        epsilon: 1e-6,
        cls: true,
        distillation: taker.has(words.distillation),
        registers: registers.unwrap_or(0),
        positions: Positions::None,
        bias: ScoreBias::None,
        qkv_bias: if own_bias { QkvBias::QueryValue } else { QkvBias::All },
        layer_scale: ["ls1.", "ls2.", "gamma_1", "gamma_2"]
            .iter()
            .any(|part| has_part(taker, part)),
        first_norm,
        final_norm,
        pooled_norm,
        pooler: false,
        head: None,
    })
}

/// Arguments of timm's models that this program holds against the weights, or that change no numbers.
const ARGUMENTS: &[&str] = &[
    "attn_drop_rate",
    "class_token",
    "depth",
    "drop_path_rate",
    "drop_rate",
    "dynamic_img_size",
    "embed_dim",
    "fc_norm",
    "global_pool",
    "img_size",
    "in_chans",
    "init_values",
    "mlp_ratio",
    "no_embed_class",
    "num_classes",
    "num_heads",
    "patch_drop_rate",
    "patch_size",
    "pos_drop_rate",
    "pre_norm",
    "proj_drop_rate",
    "qkv_bias",
    "reg_tokens",
    "weight_init",
];

/// A folder of timm's: `config.json` names the architecture, with arguments and constants.
fn folder(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let settings = Settings(&checkpoint.config);
    let (arguments, pretrained) = (settings.under("model_args"), settings.under("pretrained_cfg"));
    if let Some((key, value)) = arguments.0.as_object().and_then(|all| {
        let mut all = all.iter();
        all.find(|(key, value)| !value.is_null() && !ARGUMENTS.contains(&key.as_str()))
    }) {
        return Err(refuse(key, value, "this program does not support it"));
    }
    let architecture = settings.word("architecture")?.unwrap_or_default();
    // those have another activation, another epsilon, or norms elsewhere
    if let Some(word) = ["beit3", "clip", "quickgelu", "rpn", "siglip"]
        .iter()
        .find(|word| architecture.contains(**word))
    {
        return Err(refuse(
            "architecture",
            architecture,
            format!("this program does not support {word}"),
        ));
    }
    let taker = Taker::new(checkpoint, prefix);
    let words = Words::of(SCHEME.name, &taker);
    let sizes = Sizes::of(&taker, &words)?;
    if words.swiglu == words.mlp && !architecture.contains("dinov2") {
        let reason = "its MLPs have two halves, which this program knows of DINOv2";
        return Err(refuse("architecture", architecture, reason));
    }
    let mut config = base(&taker, &words, &sizes)?;
    let mut assumed = Vec::new();
    arguments.agrees("embed_dim", sizes.dim, "the width")?;
    settings.agrees("num_features", sizes.dim, "the width")?;
    arguments.agrees("depth", sizes.depth, "the number of blocks")?;
    arguments.agrees("in_chans", config.patches.channels, "the number of channels")?;
    for (key, found) in [("class_token", taker.has(words.cls)), ("pre_norm", config.first_norm)] {
        if let Some(flag) = arguments.flag(key)?.filter(|flag| *flag != found) {
            return Err(refuse(key, flag, "its weights are not so"));
        }
    }
    arguments.agrees("reg_tokens", config.registers, "the number of registers")?;
    if let Some([rows, columns]) = arguments.pair("patch_size")? {
        let [_, found @ ..] = config.patches.kernel;
        if found != [rows, columns] {
            return Err(refuse("patch_size", rows, format!("that of the weights is {found:?}")));
        }
    }
    if let Some(ratio) = arguments.number("mlp_ratio")? {
        let wide = match config.mlp {
            MlpKind::Gelu => sizes.hidden,
            MlpKind::SwiGlu => 2 * sizes.hidden,
        };
        if (sizes.dim as f64 * ratio) as usize != wide {
            let reason = format!("the MLP of the weights is {wide} wide");
            return Err(refuse("mlp_ratio", ratio, reason));
        }
    }
    if arguments.flag("qkv_bias")? == Some(false) {
        config.qkv_bias = QkvBias::None;
    }
    let pool = settings.word("global_pool")?;
    config.cls = arguments
        .flag("class_token")?
        .unwrap_or_else(|| taker.has(words.cls) || !has_positions_alone(&taker, &words) || pool == Some("token"));
    config.distillation |= architecture.contains("distilled");
    let said = match (arguments.size("num_heads")?, options.heads) {
        (Some(heads), Some(option)) if heads != option => {
            return Err(refuse("heads", option, format!("`num_heads` is {heads}")));
        }
        (Some(heads), _) => Some(("num_heads", heads)),
        (None, option) => option.map(|heads| ("heads", heads)),
    };
    config.bias = window(&taker, &words, sizes.depth, false)?;
    config.heads = sizes.heads(said.or(window_heads(&taker, &words)), &mut assumed)?;
    let front = config.prefix();
    if taker.has(words.positions) || matches!(config.bias, ScoreBias::None) {
        let usual = match arguments.flag("no_embed_class")? {
            Some(true) => vec![0],
            _ => vec![front, usize::from(config.cls), 0],
        };
        // where the size is said, the rows that are left over are those of tokens in front
        let [_, high, wide] = config.patches.kernel;
        let grid = arguments
            .pair("img_size")?
            .map(|[rows, columns]| [rows / high, columns / wide]);
        let rows = table_rows(&taker, &words, sizes.dim)?;
        let fits = |grid: &[usize; 2]| {
            let patches: usize = grid.iter().product();
            usual.iter().copied().find(|prefix| prefix + patches == rows)
        };
        let (prefix, [down, across]) = match grid.and_then(|grid| Some((fits(&grid)?, grid))) {
            Some(found) => found,
            None => {
                let (prefix, side) = square_table(&taker, &words, sizes.dim, &usual)?;
                (prefix, [side; 2])
            }
        };
        let other = match arguments.flag("dynamic_img_size")? {
            Some(true) if down == across => OtherGrid::Antialiased,
            _ => OtherGrid::Refused,
        };
        config.positions = Positions::Table {
            prefix,
            rows: down,
            columns: across,
            other,
        };
        if let Some([rows, columns]) = grid.filter(|grid| *grid != [down, across]) {
            let reason = format!("it makes {rows} x {columns} patches, and positions are those of {down} x {across}");
            let size = arguments.get("img_size").map(ToString::to_string);
            return Err(refuse("img_size", size.unwrap_or_default(), reason));
        }
    }
    let mut pipeline = Pipeline::from_timm(&checkpoint.config)?;
    if let (
        Positions::Table {
            rows,
            columns,
            other: OtherGrid::Refused,
            ..
        },
        Pipeline::Picture(picture),
    ) = (config.positions, &mut pipeline)
    {
        // timm writes the size of the published model, whatever the size of this one
        let [_, high, wide] = config.patches.kernel;
        let own = [rows * high, columns * wide];
        let is_other = |said: &[usize; 2]| [said[0] / high, said[1] / wide] != [rows, columns];
        if let Some(said) = picture.crop.filter(is_other) {
            let scaled = |side: usize, axis: usize| side * own[axis] / said[axis];
            picture.resize = match picture.resize {
                Resize::To([down, across]) => Resize::To([scaled(down, 0), scaled(across, 1)]),
                Resize::ShorterSide(side) if rows == columns => Resize::ShorterSide(scaled(side, 0)),
                Resize::ShorterSide(_) | Resize::None => Resize::To(own),
            };
            picture.crop = Some(own);
            assumed.push(format!(
                "pictures of {} x {}, for which it has positions, and not of {} x {} as `pretrained_cfg` says",
                own[0], own[1], said[0], said[1]
            ));
        }
    }
    let pooling = match options.pooling {
        Some(pooling) => pooling,
        None => {
            let usual = match pool {
                _ if config.pooled_norm => Pooling::MeanNorm,
                Some("token") | None if config.distillation => Pooling::TwoTokens,
                Some("token") | None if config.cls => Pooling::Cls,
                _ => Pooling::Mean,
            };
            assumed.push(format!("pooled by {usual}"));
            usual
        }
    };
    config.check(pooling)?;
    let tag = pretrained.word("tag")?.unwrap_or_default();
    let labels = ["in1k", "in12k", "in21k", "in22k"]
        .iter()
        .any(|word| tag.contains(word));
    Ok(Recognised {
        family: "timm".to_owned(),
        scheme: SCHEME.name.to_owned(),
        prefix: prefix.to_owned(),
        body: Body::Vit(config),
        pipeline,
        pooling,
        assumed,
        licence: pretrained.word("license")?.map(str::to_owned),
        labels: if labels { "imagenet" } else { "unknown" }.to_owned(),
    })
}

/// Whether a table of positions has rows for patches alone.
fn has_positions_alone(taker: &Taker, words: &Words) -> bool {
    matches!(taker.shape(words.positions), Some([1, rows, _]) if rows.isqrt().pow(2) == *rows)
}
