//! Sizes and switches of wav2vec 2.0 and its kin, as transformers or fairseq write them down.

use super::names::Names;
use super::settings::{Needed, agrees, depth};
use super::strides;
use crate::names::{EncoderError, Taker};
use crate::settings::refuse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Epsilon of fairseq's and WavLM's norms, which is no setting there.
const FAIRSEQ_EPSILON: f64 = 1e-5;

/// data2vec audio's `model_type`.
const DATA2VEC: &str = "data2vec-audio";

/// One encoder over waves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechConfig {
    pub names: Names,
    pub front: FrontConfig,
    /// Width D.
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
    /// Hidden width of the feed-forward.
    pub hidden: usize,
    /// Norms before the parts of a block, and one after the last block.
    pub pre_norm: bool,
    pub positions: PositionsConfig,
    pub buckets: Option<BucketsConfig>,
    /// Of all norms after the front end.
    pub epsilon: f64,
}

/// The convolutions over the sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontConfig {
    pub convolutions: Vec<Convolution>,
    pub norm: FrontNorm,
    pub bias: bool,
}

/// One convolution without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    pub channels: usize,
    pub kernel: usize,
    pub stride: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrontNorm {
    /// Of each channel over time, after the first convolution alone.
    Group,
    /// Over channels, after every convolution.
    Layer,
}

/// Convolutions over time whose result is added to the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionsConfig {
    pub kernel: usize,
    pub groups: usize,
    /// How many convolutions data2vec's stack has; otherwise there is one, with a normed weight.
    pub stack: Option<usize>,
}

/// A bias of attention by distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketsConfig {
    /// For keys before and after the query, together.
    pub count: usize,
    /// The distance from which on all are in one bucket.
    pub largest: usize,
}

impl FrontConfig {
    /// Frames of a sound of so many samples.
    pub fn frames(&self, samples: usize) -> usize {
        let next = |length, layer: &Convolution| super::front::windows_in(length, layer.kernel, layer.stride);
        self.convolutions.iter().fold(samples, next)
    }

    /// Channels of a frame.
    pub fn channels(&self) -> usize {
        self.convolutions.last().map_or(1, |layer| layer.channels)
    }

    /// As transformers writes it down.
    ///
    /// # Errors
    /// If a setting is missing, contradicts another one or is not supported.
    pub fn from_transformers(settings: Needed) -> Result<Self, EncoderError> {
        settings.word("feat_extract_activation", &[("gelu", ())])?;
        let [channels, kernels, strides] = [
            settings.counts("conv_dim")?,
            settings.counts("conv_kernel")?,
            settings.counts("conv_stride")?,
        ];
        for (key, list) in [("conv_kernel", &kernels), ("conv_stride", &strides)] {
            if list.len() != channels.len() {
                let reason = format!("`conv_dim` is of {} convolutions", channels.len());
                return Err(refuse(key, json!(list), reason));
            }
        }
        settings.0.only("num_feat_extract_layers", channels.len())?;
        let layers = channels.into_iter().zip(kernels).zip(strides);
        let convolutions = layers.map(|((channels, kernel), stride)| Convolution {
            channels,
            kernel,
            stride,
        });
        let known = [("group", FrontNorm::Group), ("layer", FrontNorm::Layer)];
        let norm = match settings.0.word("model_type")? {
            // which has no other, and need not say it
            Some(DATA2VEC) => settings
                .0
                .only("feat_extract_norm", "layer")
                .map(|()| FrontNorm::Layer)?,
            _ => settings.word("feat_extract_norm", &known)?,
        };
        Ok(Self {
            convolutions: convolutions.collect(),
            norm,
            bias: settings.flag("conv_bias")?,
        })
    }

    /// As fairseq and WavLM's own code write it down.
    ///
    /// # Errors
    /// If a setting is missing or not supported.
    pub fn from_fairseq(settings: Needed) -> Result<Self, EncoderError> {
        let expression = settings.text("conv_feature_layers")?;
        let convolutions = strides::parse(expression);
        let known = [("default", FrontNorm::Group), ("layer_norm", FrontNorm::Layer)];
        Ok(Self {
            convolutions: convolutions.map_err(|reason| refuse("conv_feature_layers", expression, reason))?,
            norm: settings.word("extractor_mode", &known)?,
            bias: settings.flag("conv_bias")?,
        })
    }

    /// Holds the convolutions to the weights. `channels` and `kernels` are the settings that say them, with their
    /// values.
    ///
    /// # Errors
    /// If the weights have another number of convolutions, or one of other channels or another kernel.
    pub fn agrees(
        &self,
        taker: &Taker,
        names: Names,
        [channels, kernels]: [(&str, &Value); 2],
    ) -> Result<(), EncoderError> {
        let found = |index: usize| taker.shape(&format!("{}.weight", names.convolution(index)));
        let expected = |index: usize| {
            let inputs = index
                .checked_sub(1)
                .map_or(1, |before| self.convolutions[before].channels);
            let layer = &self.convolutions[index];
            [layer.channels, inputs, layer.kernel]
        };
        let refused = |(key, value): (&str, &Value), reason| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Err(refuse(key, value, reason))
        };
        let count = self.convolutions.len();
        let there = (0..2 * strides::MOST).rev().find(|&index| found(index).is_some());
        let there = there.map_or(0, |last| last + 1);
        // a single one that is missing is named when it is read
        if there > count || there + 1 < count {
            return refused(channels, format!("the weights have {there} convolutions"));
        }
        let differs = |index: &usize| found(*index).is_some_and(|shape| shape != expected(*index));
        match (0..count).find(differs) {
            Some(wrong) => {
                let (expected, found) = (expected(wrong), found(wrong).unwrap_or_default());
                let setting = if found.first() == Some(&expected[0]) {
                    kernels
                } else {
                    channels
                };
                let name = taker.full(&format!("{}.weight", names.convolution(wrong)));
                refused(
                    setting,
                    format!("tensor `{name}` has shape {found:?}, not {expected:?}"),
                )
            }
            None => Ok(()),
        }
    }
}

impl SpeechConfig {
    /// As `config.json` of transformers' folders says, of the family `model_type`.
    ///
    /// # Errors
    /// If a setting is missing, contradicts the weights or is not supported.
    pub fn from_transformers(settings: Needed, taker: &Taker) -> Result<Self, EncoderError> {
        let family = settings.text("model_type")?;
        let is_data2vec = family == DATA2VEC;
        settings.word("hidden_act", &[("gelu", ())])?;
        let unsupported = [
            ("add_adapter", false),
            ("conv_pos_batch_norm", false),
            ("feat_proj_layer_norm", true),
        ];
        for (key, supported) in unsupported {
            settings.0.only(key, supported)?;
        }
        settings.0.only("adapter_attn_dim", Value::Null)?;
        let front = FrontConfig::from_transformers(settings)?;
        front.agrees(taker, Names::Transformers, settings.pair(["conv_dim", "conv_kernel"]))?;
        let dim = settings.count("hidden_size")?;
        let groups = settings.divisor("num_conv_pos_embedding_groups", dim)?;
        let positions = match is_data2vec {
            true => PositionsConfig {
                kernel: settings.count("conv_pos_kernel_size")?,
                groups,
                stack: Some(settings.count("num_conv_pos_embeddings")?),
            },
            false => PositionsConfig {
                kernel: settings.count("num_conv_pos_embeddings")?,
                groups,
                stack: None,
            },
        };
        let buckets = match family {
            "wavlm" => Some(BucketsConfig::read(settings, ["num_buckets", "max_bucket_distance"])?),
            _ => None,
        };
        let config = Self {
            names: Names::Transformers,
            front,
            dim,
            depth: depth(settings, taker, "num_hidden_layers")?,
            heads: settings.divisor("num_attention_heads", dim)?,
            hidden: settings.count("intermediate_size")?,
            pre_norm: match is_data2vec {
                true => settings.0.only("do_stable_layer_norm", false).map(|()| false)?,
                false => settings.flag("do_stable_layer_norm")?,
            },
            positions,
            buckets,
            epsilon: settings.epsilon("layer_norm_eps")?,
        };
        config.agrees(taker, ["hidden_size", "intermediate_size"])?;
        Ok(config)
    }

    /// As fairseq's and WavLM's own files say.
    ///
    /// # Errors
    /// If a setting is missing, contradicts the weights or is not supported.
    pub fn from_fairseq(settings: Needed, taker: &Taker) -> Result<Self, EncoderError> {
        settings.word("activation_fn", &[("gelu", ())])?;
        let supported = [
            ("layer_type", json!("transformer")),
            ("attn_type", json!("")),
            ("pos_enc_type", json!("abs")),
            ("pos_conv_depth", json!(1)),
            ("conv_pos_batch_norm", json!(false)),
            ("quantize_input", json!(false)),
        ];
        for (key, value) in supported {
            settings.0.only(key, value)?;
        }
        let front = FrontConfig::from_fairseq(settings)?;
        front.agrees(taker, Names::Fairseq, settings.pair(["conv_feature_layers"; 2]))?;
        let dim = settings.count("encoder_embed_dim")?;
        let buckets = match settings.0.flag("relative_position_embedding")? {
            Some(true) => {
                if !settings.flag("gru_rel_pos")? {
                    return Err(refuse("gru_rel_pos", false, "only true is supported"));
                }
                Some(BucketsConfig::read(settings, ["num_buckets", "max_distance"])?)
            }
            _ => None,
        };
        let config = Self {
            names: Names::Fairseq,
            front,
            dim,
            depth: depth(settings, taker, "encoder_layers")?,
            heads: settings.divisor("encoder_attention_heads", dim)?,
            hidden: settings.count("encoder_ffn_embed_dim")?,
            pre_norm: settings.flag("layer_norm_first")?,
            positions: PositionsConfig {
                kernel: settings.count("conv_pos")?,
                groups: settings.divisor("conv_pos_groups", dim)?,
                stack: None,
            },
            buckets,
            epsilon: FAIRSEQ_EPSILON,
        };
        config.agrees(taker, ["encoder_embed_dim", "encoder_ffn_embed_dim"])?;
        Ok(config)
    }

    /// Holds widths to the weights.
    fn agrees(&self, taker: &Taker, [dim, hidden]: [&str; 2]) -> Result<(), EncoderError> {
        let block = self.names.block(0);
        let axis = |name: &str, part: &str, axis: usize| (format!("{name}.{part}"), axis);
        let widths = [
            axis(self.names.projection()[1], "weight", 0),
            axis(self.names.norm(), "weight", 0),
            axis(&block.norm2, "bias", 0),
        ];
        agrees(taker, dim, self.dim, &widths)?;
        let [up, down] = &block.feed_forward;
        let hiddens = [axis(up, "weight", 0), axis(up, "bias", 0), axis(down, "weight", 1)];
        agrees(taker, hidden, self.hidden, &hiddens)
    }
}

impl BucketsConfig {
    fn read(settings: Needed, [count, largest]: [&str; 2]) -> Result<Self, EncoderError> {
        let config = Self {
            count: settings.count(count)?,
            largest: settings.count(largest)?,
        };
        if config.count < 4 || config.count % 2 == 1 {
            return Err(refuse(count, config.count, "it must be even and 4 at least"));
        }
        if config.largest <= config.count / 4 {
            let reason = format!("distances up to {} have buckets of their own", config.count / 4);
            return Err(refuse(largest, config.largest, reason));
        }
        Ok(config)
    }
}
