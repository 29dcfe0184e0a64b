//! The transformer block of wav2vec 2.0 and its kin, with norms after its parts (base) or before
//! them (large).

use super::attention::by_head;
use super::config::SpeechConfig;
use super::feed_forward::{Activation, FeedForward};
use super::sequences::Sequences;
use crate::layers::{Linear, Norm};
use crate::names::{EncoderError, Taker};
use crate::vit::bias::Gate;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Queries, keys, values, [D, 3D].
    pub qkv: Linear<B>,
    /// [D, D].
    pub proj: Linear<B>,
    /// On the bias by distance, where there is one.
    pub gate: Option<Gate<B>>,
    /// After attention, or before it.
    pub norm1: Norm<B>,
    pub feed_forward: FeedForward<B>,
    /// After the feed-forward, or before it.
    pub norm2: Norm<B>,
    heads: usize,
    pre_norm: bool,
}

impl<B: Backend> Block<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(taker: &Taker, config: &SpeechConfig, index: usize, device: &B::Device) -> Result<Self, EncoderError> {
        let &SpeechConfig {
            dim, heads, epsilon, ..
        } = config;
        let names = config.names.block(index);
        let [queries, keys, values, proj] = &names.attention;
        let gate = config
            .buckets
            .map(|_| Gate::take(taker, [&names.gate, &names.gate_constant], [heads, dim / heads], device));
        Ok(Self {
            qkv: take_joined(taker, [queries, keys, values], dim, device)?,
            proj: Linear::take(taker, proj, [dim, dim], true, device)?,
            gate: gate.transpose()?,
            norm1: Norm::take(taker, &names.norm1, dim, epsilon, device)?,
            feed_forward: FeedForward::take(
                taker,
                names.feed_forward.each_ref().map(String::as_str),
                [dim, config.hidden],
                Activation::Gelu,
                device,
            )?,
            norm2: Norm::take(taker, &names.norm2, dim, epsilon, device)?,
            heads,
            pre_norm: config.pre_norm,
        })
    }
}

/// Takes three maps of D numbers to D as one, [D, 3D].
///
/// # Errors
/// If a tensor is missing, of another shape or not finite.
pub fn take_joined<B: Backend>(
    taker: &Taker,
    names: [&String; 3],
    dim: usize,
    device: &B::Device,
) -> Result<Linear<B>, EncoderError> {
    let (mut weight, mut bias) = (Vec::new(), Vec::new());
    for name in names {
        weight.extend(taker.values(&format!("{name}.weight"), &[dim, dim])?);
        bias.extend(taker.values(&format!("{name}.bias"), &[dim])?);
    }
    Ok(Linear::from_values(&weight, bias, [dim, 3 * dim], device))
}

impl<B: Ops> Block<B> {
    /// [B, T, D] to [B, T, D]. `bias`, [H, T, T], is added to the scores as the block's gate lets it.
    pub fn forward(&self, x: Tensor<B, 3>, frames: &Sequences<B>, bias: Option<&Tensor<B, 3>>) -> Tensor<B, 3> {
        if self.pre_norm {
            let x = x.clone() + self.attention(self.norm1.forward(x), frames, bias);
            return x.clone() + self.feed_forward.forward(self.norm2.forward(x));
        }
        let x = self.norm1.forward(x.clone() + self.attention(x, frames, bias));
        self.norm2.forward(x.clone() + self.feed_forward.forward(x))
    }

    fn attention(&self, x: Tensor<B, 3>, frames: &Sequences<B>, bias: Option<&Tensor<B, 3>>) -> Tensor<B, 3> {
        let qkv = self.qkv.forward(x.clone());
        let bias = match (bias, &self.gate) {
            (Some(bias), Some(gate)) => Some(frames.seen(gate.forward(by_head(x, self.heads), bias.clone()))),
            _ => frames.hiding(),
        };
        let mixed = match bias {
            Some(bias) => B::biased_attention(qkv, bias, self.heads),
            None => B::self_attention(qkv, self.heads),
        };
        self.proj.forward(mixed)
    }
}
