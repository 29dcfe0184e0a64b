//! Positions by convolutions over time: one with a normed weight, or data2vec's stack of short ones
//! (arXiv 2202.03555, section 4.2).

use super::config::PositionsConfig;
use super::names::Names;
use super::sequences::Sequences;
use crate::layers::each_row;
use crate::names::{EncoderError, Taker};
use crate::vit::posconv::PositionalConvolution;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use burn::tensor::backend::Backend;

/// Epsilon of the norms in a stack, which no configuration sets.
const EPSILON: f64 = 1e-5;

/// What is added to the frames before the first block.
#[derive(Module, Debug)]
pub enum Positions<B: Backend> {
    Convolution(PositionalConvolution<B>),
    Stack(Vec<PositionalConvolution<B>>),
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
        let shape = [dim, dim / config.groups, config.kernel];
        Ok(match config.stack {
            None => Self::Convolution(PositionalConvolution::take(taker, names.positions(), shape, device)?),
            Some(depth) => {
                let layer = |index| PositionalConvolution::take(taker, &names.stacked_positions(index), shape, device);
                Self::Stack((0..depth).map(layer).collect::<Result<_, _>>()?)
            }
        })
    }
}

impl<B: Ops> Positions<B> {
    /// [B, T, D] without padding to what is added to it, [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>, frames: &Sequences<B>) -> Tensor<B, 3> {
        match self {
            Self::Convolution(layer) => layer.forward(x),
            // what a layer writes into the padding must not reach the next one
            Self::Stack(layers) => layers
                .iter()
                .fold(x, |x, layer| frames.cleared(gelu(standardized(layer.convolve(x))))),
        }
    }
}

/// A norm over channels without weights: [B, T, D] to [B, T, D].
fn standardized<B: Ops>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let ([_, _, dim], device) = (x.dims(), x.device());
    let (scale, shift) = (Tensor::ones([dim], &device), Tensor::zeros([dim], &device));
    each_row(x, |rows| B::norm_rows(rows, scale, shift, EPSILON))
}
