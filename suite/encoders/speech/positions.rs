//! Positions by convolutions over time: one with a normed weight, or data2vec's stack of short ones
//! (arXiv 2202.03555, section 4.2).

use super::config::PositionsConfig;
use super::names::Names;
use super::sequences::Sequences;
use crate::layers::{each_row, gelu};
use crate::names::{EncoderError, Taker};
use crate::vit::posconv::PositionalConvolution;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Epsilon of the norms in a stack, which no configuration sets.
const EPSILON: f64 = 1e-5;

/// What is added to the frames before the first block.
#[derive(Module, Debug)]
pub struct Positions<B: Backend> {
    pub layers: Vec<PositionalConvolution<B>>,
    /// Whether a norm without weights follows each convolution.
    normed: bool,
}

impl<B: Backend> Positions<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        names: Names,
        config: &PositionsConfig,
        dim: usize,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let name = |index: usize| match config.stack {
            Some(_) => names.stacked_positions(index),
            None => names.positions().to_owned(),
        };
        let shape = [dim, dim / config.groups, config.kernel];
        let layer = |index| PositionalConvolution::take(taker, &name(index), shape, device);
        Ok(Self {
            layers: (0..config.stack.unwrap_or(1)).map(layer).collect::<Result<_, _>>()?,
            normed: config.stack.is_some(),
        })
    }
}

impl<B: Ops> Positions<B> {
    /// [B, T, D] with 0 in the padding to what is added to it, [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>, frames: &Sequences<B>) -> Tensor<B, 3> {
        self.layers.iter().fold(x, |x, layer| {
            let y = layer.convolve(x);
            let y = gelu(if self.normed { standardized(y) } else { y });
            // what a layer writes into the padding must not reach the next one
            frames.cleared(y)
        })
    }
}

/// A norm over channels without weights: [B, T, D] to [B, T, D].
fn standardized<B: Ops>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let ([_, _, dim], device) = (x.dims(), x.device());
    let (scale, shift) = (Tensor::ones([dim], &device), Tensor::zeros([dim], &device));
    each_row(x, |rows| B::norm_rows(rows, scale, shift, EPSILON))
}
