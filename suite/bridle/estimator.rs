//! The estimator TE: a short transformer that must recover the encoder's output from the quantized
//! vectors.

use crate::config::{Geometry, StackConfig};
use crate::init::Init;
use crate::position;
use crate::transformer::{Block, NORM_EPSILON, Norm, add_to_each, each_row, linear};
use bridle_backends::Ops;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Embedding, positions, blocks, norm, prediction; no cls token.
#[derive(Module, Debug)]
pub struct Estimator<B: Backend> {
    /// [d, D''].
    pub embed: Linear<B>,
    pub blocks: Vec<Block<B>>,
    pub norm: Norm<B>,
    /// [D'', D].
    pub pred: Linear<B>,
    /// Position table [N, D''], not trained.
    positions: Tensor<B, 2>,
}

impl<B: Backend> Estimator<B> {
    pub fn new(geometry: &Geometry, code_dim: usize, stack: &StackConfig, encoder_dim: usize, init: &Init<B>) -> Self {
        let video = geometry.is_video();
        Self {
            embed: init.linear("embed", code_dim, stack.dim, !video),
            blocks: Block::stack(stack, !video, &init.child("blocks")),
            norm: Norm::new(stack.dim, NORM_EPSILON, init),
            pred: init.linear("pred", stack.dim, encoder_dim, true),
            positions: init.table([geometry.tokens(), stack.dim], position::table(geometry, stack.dim)),
        }
    }

    /// The fixed position table [N, D''].
    pub fn positions(&self) -> Tensor<B, 2> {
        self.positions.clone()
    }
}

impl<B: Ops> Estimator<B> {
    /// Quantized vectors [B, N, d] to an estimate of the encoder's patch tokens [B, N, D].
    pub fn forward(&self, values: Tensor<B, 3>) -> Tensor<B, 3> {
        let embedded = each_row(values, |rows| linear(&self.embed, rows));
        let x = add_to_each(embedded, self.positions.clone());
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        each_row(x, |rows| linear(&self.pred, self.norm.rows(rows)))
    }
}
