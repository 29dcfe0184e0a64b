//! Sizes of encoder, decoder and estimator.

use super::{Choices, FactOf, Input, LeftOut, Section, Stage};
use crate::plan::{Core, DecoderKind};
use bridle_tasks::InputSpec;
use bridle_values::check::{Checked, at_least_one, require};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// The only grid of tokens (time x mel) that the Swin decoder is made for.
const SWIN_GRID: [usize; 3] = [64, 8, 1];

/// Values of a ViT beside its width.
const OF_A_VIT: [&str; 5] = ["patch", "tubelet", "depth", "heads", "mlp_ratio"];
/// The others of a Conformer.
const OF_A_CONFORMER: [&str; 4] = ["ff_ratio", "kernel", "window", "estimator_depth"];

/// The encoder and the networks trained with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Encoder {
    /// For inputs of one shape.
    Vit(VitSizes),
    /// For utterances of any length.
    Conformer(ConformerSizes),
    /// Made elsewhere, of which no more is known here.
    Given(GivenSizes),
}

/// Sizes of the networks of inputs of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VitSizes {
    #[serde(flatten)]
    pub sizes: Sizes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Decoder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<Estimator>,
}

/// The decoder: predicts the labels of the removed tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoder {
    pub kind: DecoderKind,
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
}

/// The estimator: recovers the encoder's output from the quantized vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimator {
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
}

/// Sizes of the Conformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConformerSizes {
    /// Width of encoder, tokenizer and estimator.
    pub dim: usize,
    /// Blocks of encoder and tokenizer.
    pub depth: usize,
    pub heads: usize,
    /// Hidden width of a feed-forward over the width.
    pub ff_ratio: usize,
    /// Frames that a convolution sees.
    pub kernel: usize,
    /// Frames that attention sees on each side; None: all.
    pub window: Option<usize>,
    /// Blocks of the estimator (`bridle`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator_depth: Option<usize>,
}

/// What is known of an encoder of others, or of vectors that it made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenSizes {
    /// Length of a vector.
    pub dim: usize,
    /// Blocks, if there are any to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
}

/// Sizes of a ViT, in plans and in encoder files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Side of a square patch, in frames and mels or in pixels.
    pub patch: usize,
    /// Frames per token (video).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tubelet: Option<usize>,
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
    /// Hidden width of a block's MLP over its width.
    pub mlp_ratio: usize,
}

impl<'de> Deserialize<'de> for Encoder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Value::deserialize(deserializer)?;
        // only a Conformer convolves
        let found = if values.get("kernel").is_some() {
            serde_json::from_value(values).map(Self::Conformer)
        } else if values.get("patch").is_some() {
            serde_json::from_value(values).map(Self::Vit)
        } else {
            serde_json::from_value(values).map(Self::Given)
        };
        found.map_err(D::Error::custom)
    }
}

impl Encoder {
    pub const fn dim(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.sizes.dim,
            Self::Conformer(sizes) => sizes.dim,
            Self::Given(sizes) => sizes.dim,
        }
    }

    /// Layers that can be read; none of vectors.
    pub const fn depth(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.sizes.depth,
            Self::Conformer(sizes) => sizes.depth,
            Self::Given(sizes) => match sizes.depth {
                Some(depth) => depth,
                None => 0,
            },
        }
    }

    pub const fn vit(&self) -> Option<&VitSizes> {
        match self {
            Self::Vit(sizes) => Some(sizes),
            Self::Conformer(_) | Self::Given(_) => None,
        }
    }

    pub const fn conformer(&self) -> Option<&ConformerSizes> {
        match self {
            Self::Conformer(sizes) => Some(sizes),
            Self::Vit(_) | Self::Given(_) => None,
        }
    }
}

impl Section for Encoder {
    const STAGE: Stage = Stage::Pretraining;

    fn left_out(choices: &Choices<'_>) -> Vec<LeftOut> {
        let Some(why) = choices.no_encoder() else {
            return Vec::new();
        };
        let theirs = |value: &&str| *value == "depth" && choices.foreign.is_some();
        let values = OF_A_VIT.iter().chain(&OF_A_CONFORMER);
        let left_out = values.filter(|value| !theirs(value));
        left_out.map(|&value| (value.to_owned(), why.clone())).collect()
    }

    fn decided(choices: &Choices<'_>) -> Value {
        match (choices.init, choices.foreign, choices.embeddings) {
            (Some(init), ..) => json!(init.sizes),
            (_, Some(foreign), _) => json!({"dim": foreign.dim, "depth": foreign.body.blocks()}),
            (.., Some(embeddings)) => json!({"dim": embeddings.dim}),
            (None, None, None) => Value::Null,
        }
    }

    fn fact(value: &str, choices: &Choices<'_>) -> Option<FactOf> {
        let theirs = value == "dim" || OF_A_VIT.contains(&value);
        let has_weights = choices.init.is_some() || choices.foreign.is_some();
        let fact = has_weights.then_some(FactOf::Weights);
        let fact = fact.or(choices.embeddings.map(|_| FactOf::Embeddings));
        fact.filter(|_| theirs)
    }

    fn check(&self, plan: &Core) -> Checked {
        match self {
            Self::Vit(sizes) => sizes.check(plan),
            Self::Conformer(sizes) => sizes.check(),
            Self::Given(sizes) => at_least_one("model.dim", sizes.dim),
        }
    }
}

impl VitSizes {
    fn check(&self, plan: &Core) -> Checked {
        let sizes = &self.sizes;
        sizes.check_patches(plan.fixed_input())?;
        at_least_one("model.depth", sizes.depth)?;
        at_least_one("model.mlp_ratio", sizes.mlp_ratio)?;
        transformer("model", sizes.dim, sizes.heads)?;
        if let Some(decoder) = &self.decoder {
            at_least_one("model.decoder.depth", decoder.depth)?;
            transformer("model.decoder", decoder.dim, decoder.heads)?;
            let grid = plan.grid();
            let fits = decoder.kind != DecoderKind::Swin || grid == SWIN_GRID;
            require(fits, "model.decoder.kind", || {
                let [times, mels, _] = grid;
                format!("swin needs a grid of 64 x 8 tokens, this plan has {times} x {mels}; use global")
            })?;
        }
        if let Some(estimator) = &self.estimator {
            at_least_one("model.estimator.depth", estimator.depth)?;
            transformer("model.estimator", estimator.dim, estimator.heads)?;
        }
        Ok(())
    }
}

impl Sizes {
    /// Patches cover an input without a rest.
    fn check_patches(&self, input: &InputSpec) -> Checked {
        let patch = self.patch;
        at_least_one("model.patch", patch)?;
        let divides = |key: &str, size: usize| {
            require(size > 0 && size.is_multiple_of(patch), key, || {
                format!("{size} is no multiple of model.patch, {patch}")
            })
        };
        match *input {
            InputSpec::Audio { frames, mels, .. } => divides("data.frames", frames).and(divides("data.mels", mels)),
            InputSpec::Image { side, .. } => divides("data.side", side),
            InputSpec::Video { frames, side, .. } => {
                let tubelet = self.tubelet.unwrap_or(1);
                at_least_one("model.tubelet", tubelet)?;
                require(frames > 0 && frames.is_multiple_of(tubelet), "data.frames", || {
                    format!("{frames} is no multiple of model.tubelet, {tubelet}")
                })?;
                divides("data.side", side)
            }
            InputSpec::Pipeline(_) => require(false, "data.kind", || {
                "pipeline, which encoders of others take, and no model of a plan's own".to_owned()
            }),
        }
    }
}

/// Width and heads of a transformer; the sine-cosine position table needs a width in quarters.
fn transformer(section: &str, dim: usize, heads: usize) -> Checked {
    at_least_one(&format!("{section}.heads"), heads)?;
    require(dim > 0 && dim.is_multiple_of(heads), &format!("{section}.dim"), || {
        format!("{dim} is no multiple of {section}.heads, {heads}")
    })?;
    require(dim.is_multiple_of(4), &format!("{section}.dim"), || {
        format!("{dim} is no multiple of 4")
    })
}

/// One of the encoder's layers, counted from 1.
pub(super) fn layer(key: &str, layer: usize, depth: usize) -> Checked {
    require((1..=depth).contains(&layer), key, || {
        format!("{layer} is not between 1 and model.depth, {depth}")
    })
}

impl ConformerSizes {
    fn check(&self) -> Checked {
        at_least_one("model.depth", self.depth)?;
        at_least_one("model.heads", self.heads)?;
        at_least_one("model.ff_ratio", self.ff_ratio)?;
        at_least_one("model.estimator_depth", self.estimator_depth.unwrap_or(1))?;
        at_least_one("model.window", self.window.unwrap_or(1))?;
        // rotary positions turn pairs of a head's numbers
        let pairs = self.dim > 0 && self.dim.is_multiple_of(2 * self.heads);
        require(pairs, "model.dim", || {
            format!("{} is no multiple of twice model.heads, {}", self.dim, self.heads)
        })?;
        require(self.kernel % 2 == 1, "model.kernel", || {
            format!("{} has no middle; it must be odd", self.kernel)
        })
    }
}

impl Core {
    /// Sizes of the ViT. Panics for speech.
    pub fn vit(&self) -> &VitSizes {
        self.model.vit().expect("inputs of one shape have a ViT")
    }

    /// Sizes of the Conformer. Panics for all but speech.
    pub fn conformer(&self) -> &ConformerSizes {
        self.model.conformer().expect("speech has a Conformer")
    }

    /// The grid of tokens of one input: time, height (or mel), width. Audio has (frames, mels, 1)
    /// over the patch. An utterance has none, and nor has an input that encoders of others take.
    pub fn grid(&self) -> [usize; 3] {
        let (Input::Fixed(input), Encoder::Vit(vit)) = (&self.data.input, &self.model) else {
            return [0, 0, 0];
        };
        let Sizes { patch, tubelet, .. } = vit.sizes;
        match *input {
            InputSpec::Audio { frames, mels, .. } => [frames / patch, mels / patch, 1],
            InputSpec::Image { side, .. } => [1, side / patch, side / patch],
            InputSpec::Video { frames, side, .. } => [frames / tubelet.unwrap_or(1), side / patch, side / patch],
            InputSpec::Pipeline(_) => [0, 0, 0],
        }
    }

    /// Tokens of one input, without the class token.
    pub fn tokens(&self) -> usize {
        self.grid().iter().product()
    }

    /// Tokens that the encoder sees in pretraining: `int(L * (1 - ratio))` in floating point, as
    /// the authors count.
    pub fn kept_tokens(&self) -> usize {
        let ratio = self.mask.as_ref().and_then(|mask| mask.ratio).unwrap_or(0.0);
        (self.tokens() as f64 * (1.0 - ratio)) as usize
    }
}
