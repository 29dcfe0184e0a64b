//! BEATs (arXiv 2212.09058) as released: sizes are in the file's `cfg`.

use super::known;
use super::sizes::{Sizes, contradicts, kernel};
use super::{Scheme, prefixes};
use crate::names::{EncoderError, Taker};
use crate::recognised::{Body, Options, Recognised};
use crate::settings::{Settings, refuse};
use crate::vit::config::{InputKind, MlpKind, NormPlace, Patches, Positions, QkvBias, ScoreBias, VitConfig};
use crate::vit::posconv::kernel_name;
use crate::vit::words::Words;
use bridle_containers::Checkpoint;
use bridle_tasks::pipeline::{Kaldi, Pipeline};

pub const SCHEME: Scheme = Scheme {
    name: "beats",
    find,
    recognise,
    passed_over: &["predictor", "mask_emb"],
};

fn find(checkpoint: &Checkpoint) -> Vec<String> {
    let is_beats = checkpoint
        .tensors
        .keys()
        .any(|name| name.ends_with("patch_embedding.weight"))
        || Settings(&checkpoint.options)
            .under("cfg")
            .get("input_patch_size")
            .is_some();
    if !is_beats {
        return Vec::new();
    }
    let ends = [
        "patch_embedding.weight",
        "post_extract_proj.weight",
        "encoder.layer_norm.weight",
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.layers.0.self_attn.out_proj.weight",
    ];
    prefixes(checkpoint, &ends)
}

fn recognise(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let settings = Settings(&checkpoint.options).under("cfg");
    let needed = |key: &str| settings.required(key, settings.size(key)?);
    let taker = Taker::new(checkpoint, prefix);
    let words = Words::of(SCHEME.name, &taker);
    let sizes = Sizes::of(&taker, &words)?;
    let dim = sizes.dim;
    settings.agrees("encoder_embed_dim", dim, "the width")?;
    settings.agrees("encoder_layers", sizes.depth, "the number of blocks")?;
    settings.agrees("encoder_ffn_embed_dim", sizes.hidden, "the width of the MLP")?;
    settings.only("activation_fn", "gelu")?;
    settings.only("layer_norm_first", false)?;
    let width = needed("embed_dim")?;
    let kernel = kernel(&taker, &words, width)?;
    settings.agrees("input_patch_size", kernel.sizes[1], "that")?;
    if kernel.channels != 1 || kernel.is_video {
        let expected = vec![width, 1, kernel.sizes[1], kernel.sizes[2]];
        return Err(super::sizes::shape_error(
            &taker,
            &format!("{}.weight", words.patch),
            expected,
        ));
    }
    let name = format!("{}.weight", words.patch);
    if taker.shape(&name).is_some_and(|shape| shape[0] != width) {
        let expected = [width, 1, kernel.sizes[1], kernel.sizes[2]];
        return Err(contradicts(("embed_dim", width), &taker, &name, &expected));
    }
    let mut assumed = vec!["an epsilon of 1e-5 in every norm".to_owned()];
    let heads = needed("encoder_attention_heads")?;
    if let Some(option) = options.heads.filter(|option| *option != heads) {
        return Err(refuse("heads", option, format!("`encoder_attention_heads` is {heads}")));
    }
    let heads = sizes.heads(Some(("encoder_attention_heads", heads)), &mut assumed)?;
    let (places, groups) = (needed("conv_pos")?, needed("conv_pos_groups")?);
    if groups == 0 || !dim.is_multiple_of(groups) {
        return Err(refuse(
            "conv_pos_groups",
            groups,
            format!("it does not divide the width, {dim}"),
        ));
    }
    if let Some(name) = kernel_name(&taker, words.convolution) {
        let expected = [dim, dim / groups, places];
        let differs = |axis: usize| {
            taker
                .shape(&name)
                .is_some_and(|shape| shape.get(axis) != expected.get(axis))
        };
        for (axis, setting) in [(2, ("conv_pos", places)), (1, ("conv_pos_groups", groups))] {
            if differs(axis) {
                return Err(contradicts(setting, &taker, &name, &expected));
            }
        }
    }
    let bias = match settings.flag("relative_position_embedding")?.unwrap_or(false) {
        true => ScoreBias::Buckets {
            count: needed("num_buckets")?,
            largest: needed("max_distance")?,
            gated: settings.flag("gru_rel_pos")?.unwrap_or(false),
        },
        false => ScoreBias::None,
    };
    if let ScoreBias::Buckets { count, .. } = bias {
        let name = format!("{}{}.weight", words.block(0, &taker), words.buckets);
        if taker.shape(&name).is_some_and(|shape| shape.first() != Some(&count)) {
            return Err(contradicts(("num_buckets", count), &taker, &name, &[count, heads]));
        }
        if count < 4 {
            return Err(refuse("num_buckets", count, "too few for distances on both sides"));
        }
    }
    let residual = match settings.flag("deep_norm")?.unwrap_or(false) {
        true => (2.0 * sizes.depth as f64).powf(0.25),
        false => 1.0,
    };
    let pooling = options.pooling.unwrap_or_else(|| {
        assumed.push("pooled by the mean of all tokens".to_owned());
        known::pooling("beats", dim, sizes.depth)
    });
    let mels = options.mels.unwrap_or(128);
    let config = VitConfig {
        patches: Patches {
            input: InputKind::Spectrogram,
            channels: 1,
            kernel: kernel.sizes,
            stride: kernel.sizes,
            bias: settings.flag("conv_bias")?.unwrap_or(false),
            width,
            norm: true,
        },
        dim,
        depth: sizes.depth,
        heads,
        hidden: sizes.hidden,
        mlp: MlpKind::Gelu,
        norm: NormPlace::Post { residual },
        epsilon: 1e-5,
        cls: false,
        distillation: false,
        registers: 0,
        positions: Positions::Convolution { kernel: places, groups },
        bias,
        qkv_bias: QkvBias::All,
        layer_scale: false,
        first_norm: true,
        final_norm: false,
        pooled_norm: false,
        pooler: false,
        head: None,
    };
    config.check(pooling)?;
    // later iterations learn from a tokenizer that saw labels, which no file says
    Ok(Recognised {
        family: "beats".to_owned(),
        scheme: SCHEME.name.to_owned(),
        prefix: prefix.to_owned(),
        body: Body::Vit(config),
        pipeline: Pipeline::Kaldi(Kaldi { mels, ..Kaldi::beats() }),
        pooling,
        assumed,
        licence: known::licence("beats").map(str::to_owned),
        labels: "unknown".to_owned(),
    })
}
