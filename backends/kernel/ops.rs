//! The trait of fused operations, whose default is the plain form of each.

use super::plain;
use super::tensors::{
    AdamWFactors, AdamWState, BlockSizes, BlockTensors, LinearGrads, MlpTensors, NormGrads, Selection,
};
use bridle_ranks::nccl::Buffers;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// A tensor that was filled on a device; else the values that it would have been filled from.
pub type Filled<B, const D: usize> = Result<Tensor<B, D>, Tensor<B, D>>;

/// The fused operations of the method. N rows, B batch, T tokens, D width, M hidden width.
pub trait Ops: Backend {
    /// Multi-head self-attention from fused queries, keys and values:
    /// softmax(q kᵀ / sqrt(D/heads)) v.
    ///
    /// `qkv` is [B, T, 3D], each third split into heads contiguously; the result is [B, T, D].
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        plain::self_attention(qkv, heads)
    }

    /// Gradient of `qkv` [B, T, 3D] in [`Ops::self_attention`], from that of its result, [B, T, D].
    fn self_attention_backward(qkv: Tensor<Self, 3>, grad: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        plain::self_attention_backward(qkv, grad, heads)
    }

    /// The same with `bias` added to the scores: softmax(q kᵀ / sqrt(D/heads) + bias) v. `bias` is
    /// [B, heads, T, T], or 1 along any of the first three axes.
    fn biased_attention(qkv: Tensor<Self, 3>, bias: Tensor<Self, 4>, heads: usize) -> Tensor<Self, 3> {
        plain::biased_attention(qkv, bias, heads)
    }

    /// Gradients of `qkv` and, if wanted, `bias` in [`Ops::biased_attention`], from that of its result,
    /// [B, T, D].
    fn biased_attention_backward(
        qkv: Tensor<Self, 3>,
        bias: Tensor<Self, 4>,
        grad: Tensor<Self, 3>,
        heads: usize,
        wants_bias: bool,
    ) -> (Tensor<Self, 3>, Option<Tensor<Self, 4>>) {
        plain::biased_attention_backward(qkv, bias, grad, heads, wants_bias)
    }

    /// The exact (erf) GELU of each number of `rows` [N, D].
    fn gelu_rows(rows: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::gelu_rows(rows)
    }

    /// Gradient of the rows in [`Ops::gelu_rows`], from that of its result, [N, D].
    fn gelu_rows_backward(rows: Tensor<Self, 2>, grad: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::gelu_rows_backward(rows, grad)
    }

    /// A linear layer on `rows` [N, K], with weight [K, M] and bias [M].
    fn linear_rows(rows: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        plain::linear_rows(rows, weight, bias)
    }

    /// Gradients of [`Ops::linear_rows`], from that of its result, [N, M]; of the rows only if
    /// wanted.
    fn linear_rows_backward(
        rows: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
        wants_rows: bool,
    ) -> LinearGrads<Self> {
        plain::linear_rows_backward(rows, weight, grad, wants_rows)
    }

    /// The index of the nearest of `vectors` [K, d] to each of `rows` [N, d], the lowest on ties:
    /// [N, 1]. No gradient.
    fn nearest_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int> {
        plain::nearest_codes(rows, vectors)
    }

    /// The same of the vector with the largest dot product.
    fn most_similar_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int> {
        plain::most_similar_codes(rows, vectors)
    }

    /// Dot products of `rows` [N, d] with `vectors` [K, d], [N, K]. Equal vectors have equal ones, and
    /// a row's do not depend on other rows. No gradient.
    fn dot_products(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::dot_products(rows, vectors)
    }

    /// Codes of `rows` [N, d] in a chain of Q codebooks [K, d], each of which quantizes the
    /// residual of those before: [N, Q]. With `unit_lookup` the residual is scaled to unit length
    /// for the lookup only. No gradient.
    fn residual_codes(rows: Tensor<Self, 2>, books: Vec<Tensor<Self, 2>>, unit_lookup: bool) -> Tensor<Self, 2, Int> {
        plain::residual_codes(rows, books, unit_lookup)
    }

    /// How often each code below `count` occurs in `codes` [N]: [count]. Exact; no gradient.
    fn code_counts(codes: Tensor<Self, 1, Int>, count: usize) -> Tensor<Self, 1> {
        plain::code_counts(codes, count)
    }

    /// The sum of the rows of `rows` [N, d] that have each code below `count` among their `codes` [N, S]:
    /// [count, d]. Summed in the same order in every call; no gradient.
    fn code_sums(rows: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>, count: usize) -> Tensor<Self, 2> {
        plain::code_sums(rows, codes, count)
    }

    /// The selected rows, [M, D], of `rows` [N, D].
    fn select_rows(rows: Tensor<Self, 2>, selection: Selection<Self>) -> Tensor<Self, 2> {
        plain::select_rows(rows, selection)
    }

    /// Gradient of the rows [N, D] in [`Ops::select_rows`], from that of its result, [M, D].
    fn select_rows_backward(grad: Tensor<Self, 2>, selection: Selection<Self>) -> Tensor<Self, 2> {
        plain::select_rows_backward(grad, selection)
    }

    /// Cross-entropy of `logits` [N, K] against one code per row, [N, 1], averaged over rows: [1].
    fn cross_entropy_rows(logits: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>) -> Tensor<Self, 1> {
        plain::cross_entropy_rows(logits, codes)
    }

    /// Gradient of `logits` [N, K] in [`Ops::cross_entropy_rows`], from that of its result, [1].
    fn cross_entropy_rows_backward(
        logits: Tensor<Self, 2>,
        codes: Tensor<Self, 2, Int>,
        grad: Tensor<Self, 1>,
    ) -> Tensor<Self, 2> {
        plain::cross_entropy_rows_backward(logits, codes, grad)
    }

    /// Layer normalization of each of `rows` [N, D], with scale and shift [D].
    fn norm_rows(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        plain::norm_rows(rows, scale, shift, epsilon)
    }

    /// Gradients of [`Ops::norm_rows`], from that of its result, [N, D].
    fn norm_rows_backward(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        grad: Tensor<Self, 2>,
        epsilon: f64,
    ) -> NormGrads<Self> {
        plain::norm_rows_backward(rows, scale, grad, epsilon)
    }

    /// Two linear layers with an exact (erf) GELU between them, on `rows` [N, D].
    fn mlp_rows(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> Tensor<Self, 2> {
        Self::mlp_rows_with_hidden(rows, mlp).0
    }

    /// [`Ops::mlp_rows`] and the input of its GELU, [N, M].
    fn mlp_rows_with_hidden(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        plain::mlp_rows_with_hidden(rows, mlp)
    }

    /// Gradients of [`Ops::mlp_rows`], from the input of its GELU, [N, M], and the gradient of its
    /// result, [N, D].
    fn mlp_rows_backward(
        rows: Tensor<Self, 2>,
        mlp: MlpTensors<Self>,
        hidden: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, MlpTensors<Self>) {
        plain::mlp_rows_backward(rows, mlp, hidden, grad)
    }

    /// A pre-norm transformer block on `rows` [B * T, D]: rows plus attention of their norm, then
    /// plus the MLP of the norm of that. With gradients it keeps only the rows.
    fn block_rows(rows: Tensor<Self, 2>, block: BlockTensors<Self>, sizes: BlockSizes) -> Tensor<Self, 2> {
        block_chain(rows, &block, sizes)
    }

    /// One AdamW update of a flattened parameter, all tensors of one length.
    fn adamw_step(state: AdamWState<Self>, grad: Tensor<Self, 1>, factors: &AdamWFactors) -> AdamWState<Self> {
        plain::adamw_step(state, grad, factors)
    }

    /// A new tensor of the shape of `values`, in the memory of an NVIDIA device, that something
    /// outside of the backend fills: `fill` gets the addresses of both when nothing works with them,
    /// and returns when the new one is whole. The values themselves where they are elsewhere. No
    /// gradient.
    fn filled_on_device<const D: usize>(values: Tensor<Self, D>, _fill: &dyn Fn(Buffers)) -> Filled<Self, D> {
        Err(values)
    }
}

/// [`Ops::block_rows`] as a chain of the other operations.
pub(super) fn block_chain<B: Ops>(rows: Tensor<B, 2>, block: &BlockTensors<B>, sizes: BlockSizes) -> Tensor<B, 2> {
    let mixed = block_attention(rows.clone(), block, sizes).mixed;
    let (stream, normed) = block_stream(rows, mixed, block, sizes.epsilon);
    stream + B::mlp_rows(normed, block.mlp.clone())
}

/// What a block's attention computes.
pub(super) struct BlockAttention<B: Ops> {
    /// Result of the first norm, [B * T, D].
    pub(super) normed: Tensor<B, 2>,
    /// Queries, keys and values, [B, T, 3D].
    pub(super) qkv: Tensor<B, 3>,
    /// Result of the attention, [B * T, D].
    pub(super) mixed: Tensor<B, 2>,
}

pub(super) fn block_attention<B: Ops>(
    rows: Tensor<B, 2>,
    block: &BlockTensors<B>,
    sizes: BlockSizes,
) -> BlockAttention<B> {
    let [count, dim] = rows.dims();
    let [scale, shift] = block.norm1.clone();
    let normed = B::norm_rows(rows, scale, shift, sizes.epsilon);
    let (weight, bias) = block.qkv.clone();
    let qkv = B::linear_rows(normed.clone(), weight, bias);
    let qkv = qkv.reshape([count / sizes.tokens, sizes.tokens, 3 * dim]);
    let mixed = B::self_attention(qkv.clone(), sizes.heads).reshape([count, dim]);
    BlockAttention { normed, qkv, mixed }
}

/// The residual stream after a block's attention, and its norm.
pub(super) fn block_stream<B: Ops>(
    rows: Tensor<B, 2>,
    mixed: Tensor<B, 2>,
    block: &BlockTensors<B>,
    epsilon: f64,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let (weight, bias) = block.proj.clone();
    let stream = rows + B::linear_rows(mixed, weight, bias);
    let [scale, shift] = block.norm2.clone();
    (stream.clone(), B::norm_rows(stream, scale, shift, epsilon))
}
