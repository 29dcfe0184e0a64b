//! Attention with something added to its scores, or with padding.

use super::sequences::Sequences;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;

/// Queries, keys and values, [B, H, T, D/H] each, of [B, T, 3D].
pub fn split<B: Backend>(qkv: Tensor<B, 3>, heads: usize) -> [Tensor<B, 4>; 3] {
    let [_, _, wide] = qkv.dims();
    let dim = wide / 3;
    [0, 1, 2].map(|part| by_head(qkv.clone().narrow(2, part * dim, dim), heads))
}

/// [B, T, D] to [B, H, T, D/H].
pub fn by_head<B: Backend>(x: Tensor<B, 3>, heads: usize) -> Tensor<B, 4> {
    let [batch, times, dim] = x.dims();
    x.reshape([batch, times, heads, dim / heads]).swap_dims(1, 2)
}

/// What queries take from values by their scores: [B, H, T, T] and [B, H, T, D/H] to [B, T, D].
pub fn mixed<B: Backend>(scores: Tensor<B, 4>, values: Tensor<B, 4>, frames: &Sequences<B>) -> Tensor<B, 3> {
    let [batch, heads, times, head] = values.dims();
    let mixed = softmax(frames.seen(scores), 3).matmul(values);
    mixed.swap_dims(1, 2).reshape([batch, times, heads * head])
}
