//! Losses over plain tensors: mean squared error, prediction of codes, estimation of the encoder's
//! output, and the two classification losses of fine-tuning.

use crate::codebook::unit;
use bridle_backends::Ops;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// mean((a - b)²) over all elements, [1].
pub fn mse<B: Backend>(a: Tensor<B, 2>, b: Tensor<B, 2>) -> Tensor<B, 1> {
    (a - b).powi_scalar(2).mean()
}

/// Cross-entropy of logits [n, Q * K] against codes [n, Q]: one softmax per codebook, averaged over
/// all, [1].
pub fn prediction_loss<B: Ops>(logits: Tensor<B, 2>, codes: Tensor<B, 2, Int>) -> Tensor<B, 1> {
    let ([rows, width], [_, levels]) = (logits.dims(), codes.dims());
    let logits = logits.reshape([rows * levels, width / levels]);
    B::cross_entropy_rows(logits, codes.reshape([rows * levels, 1]))
}

/// mean(1 - cosine(estimate, target)) over tokens [B, N, D], [1].
pub fn estimation_loss<B: Backend>(estimate: Tensor<B, 3>, target: Tensor<B, 3>) -> Tensor<B, 1> {
    let [batch, tokens, dim] = estimate.dims();
    let rows = |x: Tensor<B, 3>| unit(x.reshape([batch * tokens, dim]));
    (rows(estimate) * rows(target)).sum_dim(1).mean().neg().add_scalar(1.0)
}

/// Cross-entropy with soft targets: the mean over samples of -sum(target * log softmax). Both are
/// [B, C].
pub fn soft_cross_entropy<B: Backend>(logits: Tensor<B, 2>, targets: Tensor<B, 2>) -> Tensor<B, 1> {
    let [batch, _] = logits.dims();
    (log_softmax(logits, 1) * targets).sum().div_scalar(-(batch as f64))
}

/// Binary cross-entropy of each class with logits x: the mean over B * C of
/// max(x, 0) - x * target + ln(1 + exp(-|x|)). Both are [B, C].
pub fn binary_cross_entropy<B: Backend>(logits: Tensor<B, 2>, targets: Tensor<B, 2>) -> Tensor<B, 1> {
    let overflow_free = logits.clone().abs().neg().exp().log1p();
    (logits.clone().clamp_min(0.0) - logits * targets + overflow_free).mean()
}
