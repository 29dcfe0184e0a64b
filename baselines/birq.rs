//! BiRQ (arXiv 2509.15430): BEST-RQ's anchor labels, and enhanced labels that the encoder makes
//! itself.
//!
//! The first k layers see the unmasked input. Their features u are normalised, projected by a
//! second random matrix and compared with the same codes: y1 = softmax(-(|| u - C_n ||² + v_n) /
//! tau), v_n Gumbel noise. This label is soft, and gradients flow through it into the first k
//! layers. With one head, on hidden frames, G is the cross-entropy with the anchor label, F that
//! with the enhanced label, and the loss is w1 F + w2 G.

use crate::best_rq::MaskedModel;
use crate::random::{RandomBook, nearest_unit_codes, unit_distances};
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::{LayeredEncoder, layer_features};
use bridle::standardizer::Standardizer;
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// Epsilon of the norm of the features, which has no weights.
const NORM_EPSILON: f64 = 1e-5;

/// BiRQ's values: the section `birq` of plans.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BirqConfig {
    /// Layers that make the enhanced label (k).
    pub layers: usize,
    /// Temperature of the enhanced label.
    pub tau: f64,
    /// Weight of F.
    pub enhanced: f64,
    /// Weight of G.
    pub anchor: f64,
}

/// What makes both labels: frozen.
#[derive(Module, Debug)]
pub struct BirqLabels<B: Backend> {
    /// Before the anchor label's projection.
    pub standard: Standardizer<B>,
    /// A and C of the anchor label.
    pub book: RandomBook<B>,
    /// The second projection [D, d].
    pub projection: Param<Tensor<B, 2>>,
}

impl<B: Ops> BirqLabels<B> {
    /// For an encoder of width `width`.
    pub fn new(standard: Standardizer<B>, width: usize, codes: usize, dim: usize, init: &Init<B>) -> Self {
        let [inputs] = standard.mean.dims();
        let bound = (6.0 / (width + dim) as f32).sqrt();
        let projection = init.uniform("enhanced", [width, dim], bound);
        Self {
            book: RandomBook::new(inputs, codes, dim, &init.child("anchor")),
            projection: projection.set_require_grad(false),
            standard,
        }
    }

    /// The anchor labels of rows [N, F]: [N, 1].
    pub fn anchor(&self, rows: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        self.book.labels(self.standard.apply(rows))
    }

    /// The enhanced label of features u [N, D] with Gumbel noise [N, K]: [N, K], each row of sum 1,
    /// with gradient.
    pub fn enhanced(&self, features: Tensor<B, 2>, noise: Tensor<B, 2>, tau: f64) -> Tensor<B, 2> {
        let distances = unit_distances(self.projected(features), self.book.codes.val());
        softmax((distances + noise).div_scalar(-tau), 1)
    }

    /// The likeliest code of the enhanced label of features u [N, D], without noise: [N, 1].
    pub fn likeliest(&self, features: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        nearest_unit_codes(self.projected(features), self.book.codes.val())
    }

    /// Features u [N, D] as the codes see them: [N, d].
    fn projected(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let [_, width] = features.dims();
        let device = features.device();
        let (ones, zeros) = (Tensor::ones([width], &device), Tensor::zeros([width], &device));
        let normed = B::norm_rows(features, ones, zeros, NORM_EPSILON);
        normed.matmul(self.projection.val())
    }
}

/// One step's losses and labels.
#[derive(Clone, Debug)]
pub struct BirqLoss<B: Backend> {
    /// G: cross-entropy with the anchor label, [1].
    pub anchor: Tensor<B, 1>,
    /// F: cross-entropy with the enhanced label, [1].
    pub enhanced: Tensor<B, 1>,
    /// w1 F + w2 G, [1].
    pub total: Tensor<B, 1>,
    /// y0 of the hidden frames, [M, 1].
    pub codes: Tensor<B, 2, Int>,
    /// y1 of the hidden frames, [M, K].
    pub label: Tensor<B, 2>,
}

/// BiRQ's loss of one batch. `masked` are the `frames` with noise at `rows` of [B * T], the hidden
/// ones; `noise` is [M, K].
pub fn birq_loss<B: Ops, E: LayeredEncoder<B>>(
    model: &MaskedModel<B, E>,
    labels: &BirqLabels<B>,
    config: &BirqConfig,
    frames: &Frames<B>,
    masked: &Frames<B>,
    rows: Tensor<B, 1, Int>,
    noise: Tensor<B, 2>,
) -> BirqLoss<B> {
    let codes = labels.anchor(frames.rows(rows.clone()));
    let features = layer_features(&model.encoder, config.layers, frames, rows.clone());
    let label = labels.enhanced(features, noise, config.tau);
    let predicted = log_softmax(model.logits(masked, rows), 1);
    let anchor = predicted.clone().gather(1, codes.clone()).mean().neg();
    let enhanced = (predicted * label.clone()).sum_dim(1).mean().neg();
    BirqLoss {
        total: enhanced.clone().mul_scalar(config.enhanced) + anchor.clone().mul_scalar(config.anchor),
        anchor,
        enhanced,
        codes,
        label,
    }
}
