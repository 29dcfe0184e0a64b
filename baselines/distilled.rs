//! A second codebook beside BEST-RQ's, distilled from a middle layer of the encoder (arXiv
//! 2606.30671, section 2.2.3).
//!
//! The features of a layer drift while the encoder learns; their similarities over time do not.
//! With c_t the code nearest to the projected frame t, and h_t the layer's features,
//!
//! ```text
//! S_C = unit(c) unit(c)^T    S_H = unit(h) unit(h)^T
//! loss = sum over visible t, s of |S_H - S_C| / T
//! ```
//!
//! trains only the codes. (The paper's other form weighs all codes instead of the nearest one; its
//! table 4 finds no difference.) Codes are compared at unit length, as in the other codebooks.

use crate::best_rq::MaskedModel;
use crate::random::{RandomQuantizer, nearest_unit_codes};
use bridle::codebook::unit;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::LayeredEncoder;
use bridle::loss::prediction_loss;
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// The book. It shares the projection of the first random book.
#[derive(Module, Debug)]
pub struct DistilledBook<B: Backend> {
    /// [K, d].
    pub codes: Param<Tensor<B, 2>>,
}

impl<B: Ops> DistilledBook<B> {
    /// `codes` random codes of `dim` numbers.
    pub fn new(codes: usize, dim: usize, init: &Init<B>) -> Self {
        Self {
            codes: init.param([codes, dim], init.unit_rows("codes", codes, dim)),
        }
    }

    /// The nearest codes of projected rows [N, d]: [N, 1].
    pub fn labels(&self, projected: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        nearest_unit_codes(projected, unit(self.codes.val()))
    }

    /// The loss that moves the codes, [1]: from projected frames [B, T, d] and a layer's features
    /// of them [B, T, D], which have no graph, over the frames with 1 in `visible` [B, T, 1]; the
    /// mean over sequences.
    pub fn loss(&self, projected: Tensor<B, 3>, features: Tensor<B, 3>, visible: Tensor<B, 3>) -> Tensor<B, 1> {
        let [batch, times, dim] = projected.dims();
        let labels = self.labels(projected.reshape([batch * times, dim]));
        let codes = self.codes.val().select(0, labels.reshape([batch * times]));
        let codes = codes.reshape([batch, times, dim]);
        let counted = visible.clone().matmul(visible.clone().transpose()); // [B, T, T]
        let apart = (self_similarity(features) - self_similarity(codes)).abs() * counted;
        let lengths = visible.sum_dim(1).clamp_min(1.0); // [B, 1, 1]
        (apart.sum_dim(1).sum_dim(2) / lengths).mean()
    }
}

/// Cosines of all pairs of frames of a sequence: [B, T, D] to [B, T, T].
fn self_similarity<B: Backend>(frames: Tensor<B, 3>) -> Tensor<B, 3> {
    let [batch, times, width] = frames.dims();
    let rows = unit(frames.reshape([batch * times, width])).reshape([batch, times, width]);
    rows.clone().matmul(rows.transpose())
}

/// BEST-RQ's loss with the second book as one more: averaged over all books, [1]. The head's last
/// logits are the second book's.
pub fn two_books_loss<B: Ops, E: LayeredEncoder<B>>(
    model: &MaskedModel<B, E>,
    quantizer: &RandomQuantizer<B>,
    second: &DistilledBook<B>,
    frames: &Frames<B>,
    masked: &Frames<B>,
    rows: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    let inputs = frames.rows(rows.clone());
    let labels = quantizer.labels(inputs.clone()); // [M, Q]
    let second_labels = second.labels(quantizer.projected(inputs)); // [M, 1]
    let logits = model.logits(masked, rows);
    let ([_, books], [_, width], [codes, _]) = (labels.dims(), logits.dims(), second.codes.dims());
    let first = prediction_loss(logits.clone().narrow(1, 0, width - codes), labels);
    let second = prediction_loss(logits.narrow(1, width - codes, codes), second_labels);
    (first.mul_scalar(books as f32) + second).div_scalar((books + 1) as f32)
}
