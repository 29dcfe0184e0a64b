//! A Conformer's blocks by the names of transformers and of SpeechBrain.

use super::attention::{Attention, Relative};
use super::block::Block;
use super::config::{ConformerConfig, Front, Places};
use super::convolution::{BatchNorm, Convolution, InnerNorm};
use crate::layers::{Linear, Norm};
use crate::names::{EncoderError, Taker};
use crate::speech::block::take_joined;
use crate::speech::feed_forward::FeedForward;
use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Epsilon of batch norms, which no configuration sets.
const BATCH_EPSILON: f64 = 1e-5;

/// Takes one block.
pub struct BlockTaker<'a, B: Backend> {
    pub taker: &'a Taker<'a>,
    pub config: &'a ConformerConfig,
    /// What the names of its tensors begin with.
    pub place: String,
    pub device: &'a B::Device,
}

impl<B: Backend> BlockTaker<'_, B> {
    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.place)
    }

    fn norm(&self, name: &str) -> Result<Norm<B>, EncoderError> {
        Norm::take(
            self.taker,
            &self.name(name),
            self.config.dim,
            self.config.epsilon,
            self.device,
        )
    }

    fn feed_forward(&self, [up, down]: [&str; 2]) -> Result<FeedForward<B>, EncoderError> {
        let (up, down) = (self.name(up), self.name(down));
        let sizes = [self.config.dim, self.config.hidden];
        FeedForward::take(self.taker, [&up, &down], sizes, self.config.activation, self.device)
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EncoderError> {
        self.taker.values(&self.name(name), shape)
    }

    fn parameter<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<B, D>>, EncoderError> {
        let tensor = self.taker.tensor(&self.name(name), shape, self.device)?;
        Ok(Param::from_tensor(tensor))
    }

    /// A convolution of kernel 1, [out, in, 1], as a linear map.
    fn pointwise(&self, name: &str, [inputs, outputs]: [usize; 2], bias: bool) -> Result<Linear<B>, EncoderError> {
        let weight = self.values(&format!("{name}.weight"), &[outputs, inputs, 1])?;
        let bias = match bias {
            true => self.values(&format!("{name}.bias"), &[outputs])?,
            false => Vec::new(),
        };
        Ok(Linear::from_values(&weight, bias, [inputs, outputs], self.device))
    }

    /// Transformer-XL's tensors; those of the biases have `shape`.
    fn relative(&self, place: &str, shape: [usize; 2]) -> Result<Relative<B>, EncoderError> {
        let dim = self.config.dim;
        let bias = |part: &str| {
            let values = self.values(&format!("{place}.{part}"), &shape)?;
            let tensor = Tensor::from_data(TensorData::new(values, [dim]), self.device);
            Ok::<_, EncoderError>(Param::from_tensor(tensor))
        };
        let map = self.values(&format!("{place}.linear_pos.weight"), &[dim, dim])?;
        Ok(Relative {
            map: Linear::from_values(&map, Vec::new(), [dim, dim], self.device),
            content: bias("pos_bias_u")?,
            place: bias("pos_bias_v")?,
        })
    }

    /// By transformers' names.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn transformers(&self) -> Result<Block<B>, EncoderError> {
        let &ConformerConfig {
            dim,
            heads,
            kernel,
            places,
            ..
        } = self.config;
        let head = dim / heads;
        let attention = |part: &str| self.name(&format!("self_attn.{part}"));
        let joined = ["linear_q", "linear_k", "linear_v"].map(attention);
        let relative = matches!(places, Places::Sines { .. }).then(|| self.relative("self_attn", [heads, head]));
        let distances = match places {
            Places::Table { left, right } => {
                let shape = [left + right + 1, head];
                Some(self.parameter("self_attn.distance_embedding.weight", shape)?)
            }
            _ => None,
        };
        let is_wave = matches!(self.config.front, Front::Wave(_));
        Ok(Block {
            norm1: self.norm("ffn1_layer_norm")?,
            first: self.feed_forward(["ffn1.intermediate_dense", "ffn1.output_dense"])?,
            norm2: self.norm("self_attn_layer_norm")?,
            attention: Attention {
                qkv: take_joined(self.taker, joined.each_ref(), dim, self.device)?,
                proj: Linear::take(self.taker, &attention("linear_out"), [dim, dim], true, self.device)?,
                relative: relative.transpose()?,
                distances,
                heads,
                divisor: (head as f64).sqrt(),
            },
            convolution: Convolution {
                norm: self.norm("conv_module.layer_norm")?,
                gated: self.pointwise("conv_module.pointwise_conv1", [dim, 2 * dim], false)?,
                depthwise: self.parameter("conv_module.depthwise_conv.weight", [dim, 1, kernel])?,
                bias: None,
                inner: match is_wave {
                    true => InnerNorm::Batch(self.batch_norm("conv_module.batch_norm")?),
                    false => InnerNorm::Layer(self.norm("conv_module.depthwise_layer_norm")?),
                },
                out: self.pointwise("conv_module.pointwise_conv2", [dim, dim], false)?,
                activation: self.config.activation,
                causal: !is_wave,
            },
            norm3: self.norm("ffn2_layer_norm")?,
            second: self.feed_forward(["ffn2.intermediate_dense", "ffn2.output_dense"])?,
            norm: self.norm("final_layer_norm")?,
        })
    }

    fn batch_norm(&self, place: &str) -> Result<BatchNorm<B>, EncoderError> {
        let dim = self.config.dim;
        let take = |part: &str| self.values(&format!("{place}.{part}"), &[dim]);
        let (weight, bias) = (take("weight")?, take("bias")?);
        let (mean, variance) = (take("running_mean")?, take("running_var")?);
        // counts training steps; a batch norm is saved with it
        self.values(&format!("{place}.num_batches_tracked"), &[])?;
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from);
        let scales = wide(weight).zip(wide(variance));
        let scales: Vec<f64> = scales.map(|(w, v)| w / (v + BATCH_EPSILON).sqrt()).collect();
        let shifts = wide(bias).zip(wide(mean)).zip(&scales);
        let shifts: Vec<f32> = shifts.map(|((b, m), scale)| (b - m * scale) as f32).collect();
        let scales: Vec<f32> = scales.into_iter().map(|scale| scale as f32).collect();
        if !scales.iter().all(|scale| scale.is_finite()) {
            return Err(EncoderError::NotFinite(self.name(&format!("{place}.running_var"))));
        }
        let parameter = |values: &[f32]| Param::from_tensor(Tensor::from_floats(values, self.device));
        Ok(BatchNorm {
            scale: parameter(&scales),
            shift: parameter(&shifts),
        })
    }

    /// By SpeechBrain's names.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn speech_brain(&self) -> Result<Block<B>, EncoderError> {
        let &ConformerConfig { dim, heads, kernel, .. } = self.config;
        let weight = self.values("mha_layer.in_proj_weight", &[3 * dim, dim])?;
        let weight = parts_first(&weight, [heads, dim / heads, dim]);
        let out = |name: &str| Linear::take(self.taker, &self.name(name), [dim, dim], true, self.device);
        Ok(Block {
            norm1: self.norm("ffn_module1.0")?,
            first: self.feed_forward(["ffn_module1.1.ffn.0", "ffn_module1.1.ffn.3"])?,
            norm2: self.norm("norm1.norm")?,
            attention: Attention {
                qkv: Linear::from_values(&weight, Vec::new(), [dim, 3 * dim], self.device),
                proj: out("mha_layer.out_proj")?,
                // the numbers of a head's biases are read in the order in which they lie in the file
                relative: Some(self.relative("mha_layer", [dim / heads, heads])?),
                distances: None,
                heads,
                divisor: (dim as f64).sqrt(),
            },
            convolution: Convolution {
                norm: self.norm("convolution_module.layer_norm")?,
                gated: self.pointwise("convolution_module.bottleneck.0", [dim, 2 * dim], true)?,
                depthwise: self.parameter("convolution_module.conv.weight", [dim, 1, kernel])?,
                bias: Some(self.parameter("convolution_module.conv.bias", [dim])?),
                inner: InnerNorm::Layer(self.norm("convolution_module.after_conv.0")?),
                out: out("convolution_module.after_conv.2")?,
                activation: self.config.activation,
                causal: false,
            },
            norm3: self.norm("ffn_module2.0")?,
            second: self.feed_forward(["ffn_module2.1.ffn.0", "ffn_module2.1.ffn.3"])?,
            norm: self.norm("norm2.norm")?,
        })
    }
}

/// Rows of queries, keys and values of each head, [H, 3, D/H, D], as queries, keys and values of all
/// heads, [3, H, D/H, D].
fn parts_first(weight: &[f32], [heads, head, dim]: [usize; 3]) -> Vec<f32> {
    let chunk = head * dim;
    let part = |part: usize| (0..heads).flat_map(move |index| &weight[(3 * index + part) * chunk..][..chunk]);
    (0..3).flat_map(part).copied().collect()
}
