//! The fine-tuned model: the encoder without its last norm, the mean of its patch tokens, a norm of
//! its own, a linear head (authors' code; parity cases `finetune`, `finetune_mask2d`).

use crate::encoder::Vit;
use crate::init::Init;
use crate::mask::MaskRows;
use crate::transformer::{BranchFactors, NORM_EPSILON, Norm};
use bridle_backends::Ops;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Deviation of the head's first weights. Near zero, so that fine-tuning starts from the encoder's
/// features (as in MAE).
pub const HEAD_DEVIATION: f32 = 2e-5;

/// An encoder with a head for C classes.
#[derive(Module, Debug)]
pub struct Classifier<B: Backend> {
    /// The encoder; its last norm is not used and not trained.
    pub encoder: Vit<B>,
    /// Over the pooled features.
    pub fc_norm: Norm<B>,
    /// [D, C].
    pub head: Linear<B>,
}

impl<B: Backend> Classifier<B> {
    pub fn new(encoder: Vit<B>, classes: usize, init: &Init<B>) -> Self {
        let dim = encoder.dim();
        Self {
            encoder,
            fc_norm: Norm::new(dim, NORM_EPSILON, init),
            head: Linear {
                weight: init.normal("head", [dim, classes], HEAD_DEVIATION),
                bias: Some(init.constant([classes], 0.0)),
            },
        }
    }
}

/// What training drops from one batch; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Dropped<B: Backend> {
    /// Only these tokens are seen.
    pub tokens: Option<MaskRows<B>>,
    /// Stochastic depth, block by block; None for a block that is never dropped.
    pub branches: Vec<Option<BranchFactors<B>>>,
}

impl<B: Ops> Classifier<B> {
    /// Pooled and normed features of inputs [B, C, T, H, W]: [B, D].
    pub fn features(&self, x: Tensor<B, 5>, dropped: &Dropped<B>) -> Tensor<B, 2> {
        let tokens = self.encoder.tokens(x);
        let tokens = match &dropped.tokens {
            Some(mask) => self.encoder.select(tokens, mask.kept.clone(), mask.batch),
            None => tokens,
        };
        let mut y = self.encoder.with_cls(tokens);
        for (index, block) in self.encoder.blocks.iter().enumerate() {
            y = match dropped.branches.get(index).and_then(Option::as_ref) {
                Some(factors) => block.forward_dropped(y, factors),
                None => block.forward(y),
            };
        }
        let y = self.encoder.without_cls(y);
        let [batch, _, dim] = y.dims();
        self.fc_norm.rows(y.mean_dim(1).reshape([batch, dim]))
    }

    /// Class scores: [B, C].
    pub fn logits(&self, x: Tensor<B, 5>, dropped: &Dropped<B>) -> Tensor<B, 2> {
        self.head.forward(self.features(x, dropped))
    }
}

/// Rate of stochastic depth of each of `depth` blocks: from 0 for the first evenly up to `most` for
/// the last.
pub fn drop_rates(most: f64, depth: usize) -> Vec<f64> {
    let last = depth.saturating_sub(1).max(1) as f64;
    (0..depth).map(|block| most * block as f64 / last).collect()
}

/// A branch's factors from keep flags, one for each sample: [B, 1, 1].
pub fn branch_factor<B: Backend>(kept: &[bool], rate: f64, device: &B::Device) -> Tensor<B, 3> {
    let factor = |&kept: &bool| if kept { (1.0 / (1.0 - rate)) as f32 } else { 0.0 };
    let factors: Vec<f32> = kept.iter().map(factor).collect();
    Tensor::from_data(TensorData::new(factors, [kept.len(), 1, 1]), device)
}
