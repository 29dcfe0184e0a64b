//! Sizes and switches of Conformers, as transformers writes them down or as SpeechBrain's weights
//! show them.

use crate::names::{EncoderError, Taker};
use crate::settings::refuse;
use crate::speech::config::FrontConfig;
use crate::speech::feed_forward::Activation;
use crate::speech::names::Names;
use crate::speech::settings::{Needed, agrees, depth, shown};
use serde::{Deserialize, Serialize};

/// One Conformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformerConfig {
    pub front: Front,
    /// Width D.
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
    /// Hidden width of the feed-forwards.
    pub hidden: usize,
    /// Frames that a depthwise convolution sees.
    pub kernel: usize,
    pub places: Places,
    pub activation: Activation,
    /// Of the norms of the blocks.
    pub epsilon: f64,
}

/// What makes frames, and with it whose Conformer it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Front {
    /// wav2vec 2.0's: convolutions over the sound.
    Wave(FrontConfig),
    /// w2v-BERT 2.0's: a map of so many numbers of a frame.
    Frames(usize),
    /// BEST-RQ's of SpeechBrain: convolutions over a filterbank.
    Mels { mels: usize, channels: [usize; 2] },
}

/// How scores know distances.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Places {
    /// By sines and cosines of them; with `even`, the sines of their sizes.
    Sines { base: f64, even: bool },
    /// By a table of those from `left` before a query to `right` after it.
    Table { left: usize, right: usize },
    /// By inputs turned by their places.
    Rotary { base: f64 },
}

/// What the names of SpeechBrain's blocks begin with.
pub const BLOCKS: &str = "1.transformer.encoder.layers.";

/// Base of the sines, which no setting says.
pub const BASE: f64 = 10_000.0;

const ACTIVATIONS: [(&str, Activation); 3] = [
    ("gelu", Activation::Gelu),
    ("swish", Activation::Silu),
    ("silu", Activation::Silu),
];

impl ConformerConfig {
    /// wav2vec 2.0's Conformer, as `config.json` says.
    ///
    /// # Errors
    /// If a setting is missing, contradicts the weights or is not supported.
    pub fn wav2vec2(settings: Needed, taker: &Taker) -> Result<Self, EncoderError> {
        let front = FrontConfig::from_transformers(settings)?;
        front.agrees(taker, Names::Transformers, settings.pair(["conv_dim", "conv_kernel"]))?;
        let places = [
            (
                "relative",
                Places::Sines {
                    base: BASE,
                    even: false,
                },
            ),
            ("rotary", Places::Rotary { base: BASE }),
        ];
        let places = match settings.word("position_embeddings_type", &places)? {
            Places::Rotary { .. } => Places::Rotary {
                base: settings.count("rotary_embedding_base")? as f64,
            },
            places => places,
        };
        Self::transformers(settings, taker, (Front::Wave(front), places))
    }

    /// w2v-BERT 2.0, as `config.json` says.
    ///
    /// # Errors
    /// If a setting is missing, contradicts the weights or is not supported.
    pub fn w2v_bert(settings: Needed, taker: &Taker) -> Result<Self, EncoderError> {
        settings.word("position_embeddings_type", &[("relative_key", ())])?;
        settings.0.only("use_intermediate_ffn_before_adapter", false)?;
        let inputs = settings.count("feature_projection_input_dim")?;
        let shown = ["layer_norm.weight", "layer_norm.bias"].map(|name| (format!("feature_projection.{name}"), 0));
        agrees(taker, "feature_projection_input_dim", inputs, &shown)?;
        let places = Places::Table {
            left: settings.count("left_max_position_embeddings")?,
            right: settings.count("right_max_position_embeddings")?,
        };
        Self::transformers(settings, taker, (Front::Frames(inputs), places))
    }

    fn transformers(settings: Needed, taker: &Taker, (front, places): (Front, Places)) -> Result<Self, EncoderError> {
        settings.0.only("add_adapter", false)?;
        let dim = settings.count("hidden_size")?;
        let kernel = settings.count("conv_depthwise_kernel_size")?;
        if kernel.is_multiple_of(2) {
            return Err(refuse(
                "conv_depthwise_kernel_size",
                kernel,
                "an even kernel has no middle",
            ));
        }
        let config = Self {
            front,
            dim,
            depth: depth(settings, taker, "num_hidden_layers")?,
            heads: settings.divisor("num_attention_heads", dim)?,
            hidden: settings.count("intermediate_size")?,
            kernel,
            places,
            activation: settings.word("hidden_act", &ACTIVATIONS)?,
            epsilon: settings.epsilon("layer_norm_eps")?,
        };
        config.has_pairs("hidden_size")?;
        config.agrees(taker)?;
        Ok(config)
    }

    /// Sines and turns are of pairs of numbers.
    fn has_pairs(&self, key: &str) -> Result<(), EncoderError> {
        let width = match self.places {
            Places::Sines { .. } => self.dim,
            Places::Rotary { .. } => self.dim / self.heads,
            Places::Table { .. } => return Ok(()),
        };
        match width.is_multiple_of(2) {
            true => Ok(()),
            false => Err(refuse(
                key,
                self.dim,
                format!("positions are of pairs, and {width} is odd"),
            )),
        }
    }

    /// Holds sizes to the weights.
    fn agrees(&self, taker: &Taker) -> Result<(), EncoderError> {
        let axis = |name: &str, axis: usize| (format!("encoder.layers.0.{name}"), axis);
        let widths = [axis("final_layer_norm.weight", 0), axis("final_layer_norm.bias", 0)];
        agrees(taker, "hidden_size", self.dim, &widths)?;
        let hiddens = [
            axis("ffn1.intermediate_dense.weight", 0),
            axis("ffn1.intermediate_dense.bias", 0),
            axis("ffn1.output_dense.weight", 1),
        ];
        agrees(taker, "intermediate_size", self.hidden, &hiddens)?;
        let kernels = (0..self.depth).map(|index| {
            let name = format!("encoder.layers.{index}.conv_module.depthwise_conv.weight");
            (name, 2)
        });
        agrees(
            taker,
            "conv_depthwise_kernel_size",
            self.kernel,
            &kernels.collect::<Vec<_>>(),
        )
    }

    /// SpeechBrain's BEST-RQ, whose sizes its weights show. `depth` is how many blocks there are.
    ///
    /// # Errors
    /// If no tensor shows one of them, or the heads do not divide the width.
    pub fn best_rq(taker: &Taker, depth: usize) -> Result<Self, EncoderError> {
        let places = |part: &str, axes: &[(&str, usize)]| {
            let place = |(name, axis): &(&str, usize)| (format!("{part}{name}"), *axis);
            shown(taker, &axes.iter().map(place).collect::<Vec<_>>())
        };
        let front = |index: usize, axes: &[(&str, usize)]| places(&format!("0.convblock_{index}.convs."), axes);
        let channels = [
            ("conv_0.conv.weight", 0),
            ("conv_0.conv.bias", 0),
            ("norm_0.norm.weight", 1),
        ];
        let in_blocks = |axes: &[(&str, usize)]| {
            let block = |index| move |(name, axis): &(&str, usize)| (format!("{BLOCKS}{index}.{name}"), *axis);
            let all = (0..depth).flat_map(|index| axes.iter().map(block(index)));
            shown(taker, &all.collect::<Vec<_>>())
        };
        let widths = [("norm1.norm.weight", 0), ("norm2.norm.weight", 0)];
        let hiddens = [("ffn_module1.1.ffn.0.bias", 0), ("ffn_module2.1.ffn.0.bias", 0)];
        let dim = in_blocks(&widths)?;
        let heads = in_blocks(&[("mha_layer.pos_bias_u", 1), ("mha_layer.pos_bias_v", 1)])?;
        if !dim.is_multiple_of(heads) {
            return Err(refuse("heads", heads, format!("they do not divide the width, {dim}")));
        }
        let config = Self {
            front: Front::Mels {
                mels: 2 * front(0, &[("norm_0.norm.weight", 0), ("norm_0.norm.bias", 0)])?,
                channels: [front(0, &channels)?, front(1, &channels)?],
            },
            dim,
            depth,
            heads,
            hidden: in_blocks(&hiddens)?,
            kernel: in_blocks(&[("convolution_module.conv.weight", 2)])?,
            places: Places::Sines { base: BASE, even: true },
            activation: Activation::Gelu,
            epsilon: 1e-5,
        };
        config.has_pairs("width")?;
        Ok(config)
    }
}
