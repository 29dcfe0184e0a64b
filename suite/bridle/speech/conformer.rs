//! The Conformer (Gulati et al. 2020, arXiv 2005.08100) over sequences of different lengths.
//!
//! A block is half a feed-forward, attention, convolution, half a feed-forward, a norm. Positions
//! are rotary (Su et al. 2021), so that no sequence is too long. The convolution has a layer norm:
//! a batch norm would mix in padding and other sequences.

use crate::frames::Frames;
use crate::init::Init;
use crate::layered::{LayeredEncoder, frame_linear};
use crate::transformer::{NORM_EPSILON, Norm};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{sigmoid, silu, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConformerConfig {
    /// Numbers of a frame, F.
    pub inputs: usize,
    /// Width D.
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
    /// Hidden width of a feed-forward over D.
    pub ff_ratio: usize,
    /// Frames that a convolution sees; odd.
    pub kernel: usize,
}

/// Frames in, D-wide frames out.
#[derive(Module, Debug)]
pub struct Conformer<B: Backend> {
    /// [F, D].
    pub input: Linear<B>,
    pub blocks: Vec<ConformerBlock<B>>,
}

#[derive(Module, Debug)]
pub struct ConformerBlock<B: Backend> {
    /// The first half feed-forward.
    pub first: FeedForward<B>,
    /// Attention with rotary positions.
    pub attention: RotaryAttention<B>,
    pub convolution: ConvolutionModule<B>,
    /// The second half feed-forward.
    pub second: FeedForward<B>,
    pub norm: Norm<B>,
}

/// Norm, linear, swish, linear.
#[derive(Module, Debug)]
pub struct FeedForward<B: Backend> {
    pub norm: Norm<B>,
    /// [D, ratio * D].
    pub up: Linear<B>,
    /// [ratio * D, D].
    pub down: Linear<B>,
}

/// Norm, multi-head self-attention with rotary positions.
#[derive(Module, Debug)]
pub struct RotaryAttention<B: Backend> {
    pub norm: Norm<B>,
    /// [D, 3D].
    pub qkv: Linear<B>,
    /// [D, D].
    pub proj: Linear<B>,
    heads: usize,
}

/// Norm, pointwise with a gate, depthwise over time, norm, swish, pointwise.
#[derive(Module, Debug)]
pub struct ConvolutionModule<B: Backend> {
    pub norm: Norm<B>,
    /// [D, 2D]: values and their gates.
    pub gated: Linear<B>,
    /// Weights over time [kernel, D].
    pub depthwise: Param<Tensor<B, 2>>,
    /// After the depthwise convolution.
    pub inner_norm: Norm<B>,
    /// [D, D].
    pub out: Linear<B>,
}

impl<B: Backend> Conformer<B> {
    /// Panics if the kernel is even or a head's width is odd.
    pub fn new(config: &ConformerConfig, init: &Init<B>) -> Self {
        assert!(config.kernel % 2 == 1, "an even kernel has no middle");
        assert!(
            config.dim.is_multiple_of(2 * config.heads),
            "rotary positions turn pairs of a head's numbers"
        );
        let block = |index| ConformerBlock::new(config, &init.child("blocks").indexed(index));
        Self {
            input: init.linear("input", config.inputs, config.dim, true),
            blocks: (0..config.depth).map(block).collect(),
        }
    }
}

impl<B: Backend> ConformerBlock<B> {
    fn new(config: &ConformerConfig, init: &Init<B>) -> Self {
        let dim = config.dim;
        let norm = || Norm::new(dim, NORM_EPSILON, init);
        let feed_forward = |name: &str| FeedForward {
            norm: norm(),
            up: init.child(name).linear("up", dim, config.ff_ratio * dim, true),
            down: init.child(name).linear("down", config.ff_ratio * dim, dim, true),
        };
        let bound = (3.0 / config.kernel as f32).sqrt();
        Self {
            first: feed_forward("first"),
            attention: RotaryAttention {
                norm: norm(),
                qkv: init.linear("qkv", dim, 3 * dim, true),
                proj: init.linear("proj", dim, dim, true),
                heads: config.heads,
            },
            convolution: ConvolutionModule {
                norm: norm(),
                gated: init.linear("gated", dim, 2 * dim, true),
                depthwise: init.uniform("depthwise", [config.kernel, dim], bound),
                inner_norm: norm(),
                out: init.linear("out", dim, dim, true),
            },
            second: feed_forward("second"),
            norm: norm(),
        }
    }
}

impl<B: Ops> LayeredEncoder<B> for Conformer<B> {
    fn layers(&self) -> usize {
        self.blocks.len()
    }

    fn enter(&self, frames: &Frames<B>) -> Tensor<B, 3> {
        frame_linear(&self.input, frames.x.clone())
    }

    fn pass(&self, hidden: Tensor<B, 3>, layers: Range<usize>, frames: &Frames<B>) -> Tensor<B, 3> {
        let blocks = &self.blocks[layers];
        let [_, times, dim] = hidden.dims();
        // one for all blocks, which have heads of one width
        let heads = blocks.first().map_or(1, |block| block.attention.heads);
        let turns = Turns::new(times, dim / heads, &hidden.device());
        blocks.iter().fold(hidden, |x, block| block.turned(x, frames, &turns))
    }
}

impl<B: Ops> ConformerBlock<B> {
    /// [B, T, D] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>, frames: &Frames<B>) -> Tensor<B, 3> {
        let [_, times, dim] = x.dims();
        let turns = Turns::new(times, dim / self.attention.heads, &x.device());
        self.turned(x, frames, &turns)
    }

    fn turned(&self, x: Tensor<B, 3>, frames: &Frames<B>, turns: &Turns<B>) -> Tensor<B, 3> {
        let x = x.clone() + self.first.forward(x).mul_scalar(0.5);
        let x = x.clone() + self.attention.forward(x, frames, turns);
        let x = x.clone() + self.convolution.forward(x, frames);
        let x = x.clone() + self.second.forward(x).mul_scalar(0.5);
        self.norm.forward(x)
    }
}

impl<B: Ops> FeedForward<B> {
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        frame_linear(&self.down, silu(frame_linear(&self.up, self.norm.forward(x))))
    }
}

impl<B: Ops> RotaryAttention<B> {
    fn forward(&self, x: Tensor<B, 3>, frames: &Frames<B>, turns: &Turns<B>) -> Tensor<B, 3> {
        let [batch, times, dim] = x.dims();
        let head = dim / self.heads;
        let qkv = frame_linear(&self.qkv, self.norm.forward(x));
        // [B, T, 3, H, D/H] -> [3, B, H, T, D/H]
        let qkv = qkv
            .reshape([batch, times, 3, self.heads, head])
            .permute([2, 0, 3, 1, 4]);
        let part = |index| {
            qkv.clone()
                .narrow(0, index, 1)
                .reshape([batch, self.heads, times, head])
        };
        let turned = |part: Tensor<B, 4>| part.clone() * turns.cos.clone() + swapped(part) * turns.sin.clone();
        let (q, k, v) = (turned(part(0)), turned(part(1)), part(2));
        let scores = q.matmul(k.swap_dims(2, 3)).mul_scalar((head as f64).powf(-0.5)); // [B, H, T, T]
        let scores = match &frames.scores {
            Some(unseen) => scores + unseen.clone(),
            None => scores,
        };
        let mixed = softmax(scores, 3).matmul(v);
        frame_linear(&self.proj, mixed.swap_dims(1, 2).reshape([batch, times, dim]))
    }
}

/// Cosines and sines by which place t turns the pairs (j, j + h/2) of a head's h numbers: angle t /
/// 10000^(2j/h), both [1, 1, T, h].
struct Turns<B: Backend> {
    cos: Tensor<B, 4>,
    sin: Tensor<B, 4>,
}

impl<B: Backend> Turns<B> {
    fn new(times: usize, head: usize, device: &B::Device) -> Self {
        let half = head / 2;
        let speed = |j: usize| 10000f64.powf(-(j as f64) / half as f64);
        let speeds: Vec<f64> = (0..half).map(speed).collect();
        let angles = (0..times).flat_map(|t| speeds.iter().map(move |speed| t as f64 * speed));
        let pairs: Vec<(f64, f64)> = angles.map(f64::sin_cos).collect();
        let table = |of: fn(&(f64, f64)) -> f64| {
            let row = |row: &[(f64, f64)]| row.iter().chain(row).map(|pair| of(pair) as f32).collect::<Vec<_>>();
            let values: Vec<f32> = pairs.chunks_exact(half).flat_map(row).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, times, head]), device)
        };
        Self {
            cos: table(|pair| pair.1),
            sin: table(|pair| pair.0),
        }
    }
}

/// (a, b) to (-b, a), halves of the last axis.
fn swapped<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let half = x.dims()[3] / 2;
    let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    Tensor::cat(vec![b.neg(), a], 3)
}

impl<B: Ops> ConvolutionModule<B> {
    fn forward(&self, x: Tensor<B, 3>, frames: &Frames<B>) -> Tensor<B, 3> {
        let [_, _, dim] = x.dims();
        let both = frame_linear(&self.gated, self.norm.forward(x));
        let gated = both.clone().narrow(2, 0, dim) * sigmoid(both.narrow(2, dim, dim));
        let over_time = depthwise(gated * frames.valid.clone(), self.depthwise.val());
        frame_linear(&self.out, silu(self.inner_norm.forward(over_time)))
    }
}

/// y[t] = sum over j of w[j] x[t + j - middle] for each of D channels, with zeros beyond the ends:
/// [B, T, D].
fn depthwise<B: Backend>(x: Tensor<B, 3>, weights: Tensor<B, 2>) -> Tensor<B, 3> {
    let ([batch, times, dim], [kernel, _]) = (x.dims(), weights.dims());
    let border = Tensor::zeros([batch, kernel / 2, dim], &x.device());
    let padded = Tensor::cat(vec![border.clone(), x, border], 1); // [B, T + kernel - 1, D]
    let tap = |j: usize| padded.clone().narrow(1, j, times) * weights.clone().narrow(0, j, 1).unsqueeze::<3>();
    (1..kernel).fold(tap(0), |sum, j| sum + tap(j))
}
