//! BEST-RQ (Chiu et al. 2022, arXiv 2202.01855): predict, where the input was hidden, labels that a
//! random projection and a random codebook make of the input. They are drawn once and never learn
//! ([`crate::random`]).

use crate::random::RandomQuantizer;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::LayeredEncoder;
use bridle::loss::prediction_loss;
use bridle::transformer::linear;
use bridle_backends::Ops;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// An encoder and the head that predicts labels: what BEST-RQ trains.
#[derive(Module, Debug)]
pub struct MaskedModel<B: Backend, E> {
    pub encoder: E,
    /// [D, Q * K].
    pub head: Linear<B>,
}

impl<B: Ops, E: LayeredEncoder<B>> MaskedModel<B, E> {
    /// An encoder of width `dim` with a new head for `logits` logits.
    pub fn new(encoder: E, dim: usize, logits: usize, init: &Init<B>) -> Self {
        Self {
            encoder,
            head: init.linear("head", dim, logits, true),
        }
    }

    /// Logits of the hidden frames, which have the rows `rows` of [B * T]: [M, Q * K].
    pub fn logits(&self, masked: &Frames<B>, rows: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        let hidden = self.encoder.encode(masked);
        let [batch, times, dim] = hidden.dims();
        linear(&self.head, hidden.reshape([batch * times, dim]).select(0, rows))
    }
}

/// BEST-RQ's loss, [1]: the cross-entropy of the hidden frames' labels, made from `frames`, under
/// the model's prediction from `masked`, where noise replaces them.
pub fn best_rq_loss<B: Ops, E: LayeredEncoder<B>>(
    model: &MaskedModel<B, E>,
    quantizer: &RandomQuantizer<B>,
    frames: &Frames<B>,
    masked: &Frames<B>,
    rows: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    let labels = quantizer.labels(frames.rows(rows.clone()));
    prediction_loss(model.logits(masked, rows), labels)
}
