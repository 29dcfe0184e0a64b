//! The Conformer block (arXiv 2005.08100, section 2.4): half a feed-forward, attention, convolution,
//! half a feed-forward, norm.

use super::attention::Attention;
use super::convolution::Convolution;
use super::distances::Distances;
use crate::layers::Norm;
use crate::speech::feed_forward::FeedForward;
use crate::speech::sequences::Sequences;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Before the first feed-forward.
    pub norm1: Norm<B>,
    pub first: FeedForward<B>,
    /// Before the attention.
    pub norm2: Norm<B>,
    pub attention: Attention<B>,
    pub convolution: Convolution<B>,
    /// Before the second feed-forward.
    pub norm3: Norm<B>,
    pub second: FeedForward<B>,
    /// Of the result.
    pub norm: Norm<B>,
}

impl<B: Ops> Block<B> {
    /// [B, T, D] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>, frames: &Sequences<B>, distances: &Distances<B>) -> Tensor<B, 3> {
        let x = x.clone() + self.first.forward(self.norm1.forward(x)).mul_scalar(0.5);
        let x = x.clone() + self.attention.forward(self.norm2.forward(x), frames, distances);
        let x = x.clone() + self.convolution.forward(x, frames);
        let x = x.clone() + self.second.forward(self.norm3.forward(x)).mul_scalar(0.5);
        self.norm.forward(x)
    }
}
