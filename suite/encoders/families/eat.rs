//! EAT and SSLAM, in fairseq's files and in folders of the hub: data2vec 2.0's body over spectrograms.

use super::known;
use super::sizes::{Sizes, kernel, table_rows};
use super::{Scheme, prefixes};
use crate::names::{EncoderError, Taker};
use crate::recognised::{Body, Options, Recognised};
use crate::settings::{Settings, refuse};
use crate::vit::config::{InputKind, MlpKind, NormPlace, Patches, Positions, QkvBias, ScoreBias, VitConfig};
use crate::vit::words::Words;
use bridle_containers::Checkpoint;
use bridle_tasks::pipeline::{AUDIOSET_ROUNDED, Kaldi, Pipeline};

const PASSED_OVER: &[&str] = &[
    "_ema",
    "center",
    "decoder",
    "head",
    "modality_encoders.IMAGE.decoder",
    "shared_decoder",
];

pub const FAIRSEQ: Scheme = Scheme {
    name: "eat",
    find: |checkpoint| {
        let ends = [
            "modality_encoders.IMAGE.extra_tokens",
            "modality_encoders.IMAGE.fixed_positional_encoder.positions",
            "modality_encoders.IMAGE.local_encoder.proj.weight",
            "modality_encoders.IMAGE.context_encoder.norm.weight",
        ];
        prefixes(checkpoint, &ends)
    },
    recognise: fairseq,
    passed_over: PASSED_OVER,
};

pub const HUB: Scheme = Scheme {
    name: "eat-hub",
    find: |checkpoint| {
        let ends = [
            "extra_tokens",
            "fixed_positional_encoder.positions",
            "local_encoder.proj.weight",
            "pre_norm.weight",
        ];
        let mut found = prefixes(checkpoint, &ends);
        found.retain(|prefix| !prefix.contains("modality_encoders."));
        found
    },
    recognise: hub,
    passed_over: PASSED_OVER,
};

/// The released ones' frames and mels.
const USUAL: [usize; 2] = [1_024, 128];

fn fairseq(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let whole = Settings(&checkpoint.options).under("cfg");
    let settings = whole.under("model");
    let picture = settings.under("modalities").under("image");
    picture.only("use_alibi_encoder", false)?;
    picture.only("fixed_positions", true)?;
    picture.only("num_extra_tokens", 1)?;
    picture.only("prenet_depth", 0)?;
    let frames = picture.size("target_length")?;
    eat(
        FAIRSEQ.name,
        [settings, picture],
        [frames, None],
        checkpoint,
        prefix,
        options,
    )
}

fn hub(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let settings = Settings(&checkpoint.config);
    settings.only("model_type", "eat")?;
    settings.only("model_variant", "pretrain")?;
    settings.only("fixed_positions", true)?;
    settings.only("qkv_bias", true)?;
    let [frames, columns] = match settings.pair("img_size")? {
        Some([frames, mels]) => [Some(frames), Some(mels)],
        None => [None, None],
    };
    let mels = settings.size("mel_bins")?;
    if let (Some(mels), Some(columns)) = (mels, columns)
        && mels != columns
    {
        return Err(refuse("mel_bins", mels, format!("`img_size` has {columns}")));
    }
    eat(
        HUB.name,
        [settings; 2],
        [frames, mels.or(columns)],
        checkpoint,
        prefix,
        options,
    )
}

/// `body` and `patches` are settings of the blocks and of what is before them.
fn eat(
    scheme: &str,
    [body, patches]: [Settings; 2],
    [frames, mels]: [Option<usize>; 2],
    checkpoint: &Checkpoint,
    prefix: &str,
    options: &Options,
) -> Result<Recognised, EncoderError> {
    let taker = Taker::new(checkpoint, prefix);
    let words = Words::of(scheme, &taker);
    let sizes = Sizes::of(&taker, &words)?;
    let mut assumed = Vec::new();
    body.agrees("embed_dim", sizes.dim, "the width")?;
    body.agrees("depth", sizes.depth, "the number of blocks")?;
    body.only("layer_norm_first", false)?;
    body.only("norm_affine", true)?;
    if let Some(ratio) = body.number("mlp_ratio")?
        && (sizes.dim as f64 * ratio) as usize != sizes.hidden
    {
        return Err(refuse(
            "mlp_ratio",
            ratio,
            format!("the MLP of the weights is {} wide", sizes.hidden),
        ));
    }
    let kernel = kernel(&taker, &words, sizes.dim)?;
    patches.agrees("patch_size", kernel.sizes[1], "that")?;
    patches.agrees("stride", kernel.sizes[1], "the patch")?;
    patches.agrees("in_chans", kernel.channels, "the number of channels")?;
    if kernel.channels != 1 || kernel.is_video {
        let expected = vec![sizes.dim, 1, kernel.sizes[1], kernel.sizes[2]];
        return Err(super::sizes::shape_error(
            &taker,
            &format!("{}.weight", words.patch),
            expected,
        ));
    }
    let said = match body.size("num_heads")? {
        Some(heads) if options.heads.is_some_and(|option| option != heads) => {
            return Err(refuse(
                "heads",
                options.heads.unwrap_or(0),
                format!("`num_heads` is {heads}"),
            ));
        }
        Some(heads) => Some(("num_heads", heads)),
        None => options.heads.map(|heads| ("heads", heads)),
    };
    let heads = sizes.heads(said, &mut assumed)?;
    let epsilon = body.epsilon("norm_eps")?.unwrap_or_else(|| {
        assumed.push("an epsilon of 1e-6 in every norm".to_owned());
        1e-6
    });
    let mut say = |what: &str, [option, said]: [Option<usize>; 2], usual: usize| {
        option.or(said).unwrap_or_else(|| {
            assumed.push(format!("{usual} {what}"));
            usual
        })
    };
    let frames = say("frames", [options.frames, frames], USUAL[0]);
    let mels = say("mels", [options.mels, mels], USUAL[1]);
    let rows = match patches.size("max_length")? {
        // rows of patches along time
        Some(longest) => longest * (mels / kernel.sizes[2]),
        None => table_rows(&taker, &words, sizes.dim)?,
    };
    let pooling = options.pooling.unwrap_or_else(|| {
        assumed.push("pooled by cls".to_owned());
        known::pooling("eat", sizes.dim, sizes.depth)
    });
    assumed.push("sounds normalised as AudioSet's, whose mean and deviation EAT rounds".to_owned());
    let config = VitConfig {
        patches: Patches {
            input: InputKind::Spectrogram,
            channels: 1,
            kernel: kernel.sizes,
            stride: kernel.sizes,
            bias: true,
            width: sizes.dim,
            norm: false,
        },
        dim: sizes.dim,
        depth: sizes.depth,
        heads,
        hidden: sizes.hidden,
        mlp: MlpKind::Gelu,
        norm: NormPlace::Post { residual: 1.0 },
        epsilon,
        cls: true,
        distillation: false,
        registers: 0,
        positions: Positions::FirstRows { rows },
        bias: ScoreBias::None,
        qkv_bias: QkvBias::All,
        layer_scale: false,
        first_norm: true,
        final_norm: false,
        pooled_norm: false,
        pooler: false,
        head: None,
    };
    config.check(pooling)?;
    let is_tuned = checkpoint.tensors.keys().any(|name| name.ends_with("head.weight"));
    Ok(Recognised {
        family: "eat".to_owned(),
        scheme: scheme.to_owned(),
        prefix: prefix.to_owned(),
        body: Body::Vit(config),
        pipeline: Pipeline::Kaldi(Kaldi {
            mels,
            ..Kaldi::spectrogram(AUDIOSET_ROUNDED, frames)
        }),
        pooling,
        assumed,
        licence: known::licence("eat").map(str::to_owned),
        labels: if is_tuned { "unknown" } else { "none" }.to_owned(),
    })
}
