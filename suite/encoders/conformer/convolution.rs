//! The convolution of a Conformer block (arXiv 2005.08100, section 2.2): norm, pointwise with a gate,
//! depthwise over time, norm, activation, pointwise.

use crate::layers::{Linear, Norm};
use crate::speech::feed_forward::Activation;
use crate::speech::sequences::Sequences;
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;

#[derive(Module, Debug)]
pub struct Convolution<B: Backend> {
    pub norm: Norm<B>,
    /// Values and their gates, [D, 2D].
    pub gated: Linear<B>,
    /// [D, 1, kernel].
    pub depthwise: Param<Tensor<B, 3>>,
    /// Of the depthwise convolution, [D].
    pub bias: Option<Param<Tensor<B, 1>>>,
    pub inner: InnerNorm<B>,
    /// [D, D].
    pub out: Linear<B>,
    #[module(skip)]
    pub(super) activation: Activation,
    /// Whether a frame sees earlier frames alone, not as many later ones.
    pub(super) causal: bool,
}

/// The norm after the depthwise convolution.
#[derive(Module, Debug)]
pub enum InnerNorm<B: Backend> {
    Layer(Norm<B>),
    Batch(BatchNorm<B>),
}

/// A batch norm by its running mean and variance, as one scale and one shift.
#[derive(Module, Debug)]
pub struct BatchNorm<B: Backend> {
    /// [D].
    pub scale: Param<Tensor<B, 1>>,
    /// [D].
    pub shift: Param<Tensor<B, 1>>,
}

impl<B: Ops> Convolution<B> {
    /// [B, T, D] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>, frames: &Sequences<B>) -> Tensor<B, 3> {
        let [_, _, dim] = x.dims();
        let both = self.gated.forward(self.norm.forward(x));
        let gated = both.clone().narrow(2, 0, dim) * sigmoid(both.narrow(2, dim, dim));
        let over_time = self.over_time(frames.cleared(gated));
        let normed = match &self.inner {
            InnerNorm::Layer(norm) => norm.forward(over_time),
            InnerNorm::Batch(norm) => over_time * norm.scale.val().unsqueeze() + norm.shift.val().unsqueeze(),
        };
        self.out.forward(self.activation.of(normed))
    }

    /// The depthwise convolution, with zeros beyond the ends: [B, T, D] to [B, T, D].
    fn over_time(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let ([_, times, dim], [_, _, kernel]) = (x.dims(), self.depthwise.dims());
        let padding = if self.causal { kernel - 1 } else { kernel / 2 };
        let options = ConvOptions::new([1], [padding], [1], dim);
        let bias = self.bias.as_ref().map(Param::val);
        let y = conv1d(x.swap_dims(1, 2), self.depthwise.val(), bias, options); // [B, D, T]
        y.narrow(2, 0, times).swap_dims(1, 2)
    }
}
