//! Operations that backends may compute better than a chain of small ones: plain form here, fast forms per backend.
//!
//! [`Ops`] has the plain form as default body. A backend overrides what it can do faster; tests hold every override to
//! the plain form, values and gradients.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::Tensor;

/// The fused operations of the method.
pub trait Ops: Backend {
    /// Multi-head self-attention from fused queries, keys and values: softmax(q kᵀ / sqrt(D/heads)) v.
    ///
    /// `qkv` is [B, T, 3D], each third split into heads contiguously; the result is [B, T, D].
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        plain_self_attention(qkv, heads)
    }

    /// Layer normalisation over the last axis of `rows` [N, D] with scale and shift [D].
    fn norm_rows(rows: Tensor<Self, 2>, scale: Tensor<Self, 1>, shift: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        plain_norm_rows(rows, scale, shift, epsilon)
    }
}

/// The readable form of [`Ops::self_attention`].
pub fn plain_self_attention<B: Backend>(qkv: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let [batch, tokens, width3] = qkv.dims();
    let width = width3 / 3;
    let head = width / heads;
    // [B, T, 3, H, D/H] -> [3, B, H, T, D/H]
    let qkv = qkv.reshape([batch, tokens, 3, heads, head]).permute([2, 0, 3, 1, 4]);
    let part = |index: usize| qkv.clone().narrow(0, index, 1).reshape([batch, heads, tokens, head]);
    let (q, k, v) = (part(0), part(1), part(2));
    let scores = q.mul_scalar((head as f64).powf(-0.5)).matmul(k.swap_dims(2, 3)); // [B, H, T, T]
    let mixed = softmax(scores, 3).matmul(v); // [B, H, T, D/H]
    mixed.swap_dims(1, 2).reshape([batch, tokens, width])
}

/// The readable form of [`Ops::norm_rows`].
pub fn plain_norm_rows<B: Backend>(
    rows: Tensor<B, 2>,
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let centred = rows.clone() - rows.mean_dim(1); // [N, D]
    let variance = centred.clone().powi_scalar(2).mean_dim(1); // [N, 1]
    centred / variance.add_scalar(epsilon).sqrt() * scale.unsqueeze() + shift.unsqueeze()
}

impl Ops for burn_flex::Flex {}

#[cfg(feature = "tch")]
impl Ops for burn_tch::LibTorch {}

#[cfg(feature = "cuda")]
impl Ops for burn_cuda::Cuda {}

impl<B: Ops, C: CheckpointStrategy> Ops for Autodiff<B, C> {}
