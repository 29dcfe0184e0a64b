//! The readable form of every fused operation and of its gradient, with the names and arguments of
//! [`Ops`](crate::Ops): the default, and the reference for fast forms.

use super::mode::{Precision, precision};
use super::tensors::{AdamWFactors, AdamWState, LinearGrads, MlpTensors, NormGrads, Selection};
use burn::tensor::activation::{gelu, log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor, TensorPrimitive};

/// A matrix product in the number type of this thread, from f32 to f32.
fn product<B: Backend, const D: usize>(lhs: Tensor<B, D>, rhs: Tensor<B, D>) -> Tensor<B, D> {
    match precision() {
        Precision::F32 => lhs.matmul(rhs),
        Precision::Bf16 => lhs.cast(DType::BF16).matmul(rhs.cast(DType::BF16)).cast(DType::F32),
    }
}

/// Queries, keys and values [B, H, T, D/H] of `qkv` [B, T, 3D].
fn split<B: Backend>(qkv: Tensor<B, 3>, heads: usize) -> [Tensor<B, 4>; 3] {
    let [batch, tokens, width3] = qkv.dims();
    let head = width3 / 3 / heads;
    // [B, T, 3, H, D/H] -> [3, B, H, T, D/H]
    let qkv = qkv.reshape([batch, tokens, 3, heads, head]).permute([2, 0, 3, 1, 4]);
    [0, 1, 2].map(|index| qkv.clone().narrow(0, index, 1).reshape([batch, heads, tokens, head]))
}

/// [B, H, T, D/H] to [B, T, D].
fn join<B: Backend>(heads: Tensor<B, 4>) -> Tensor<B, 3> {
    let [batch, count, tokens, head] = heads.dims();
    heads.swap_dims(1, 2).reshape([batch, tokens, count * head])
}

/// Attention weights, [B, H, T, T], and the factor on the scores, to which a bias may be added.
fn weights<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>, bias: Option<Tensor<B, 4>>) -> (Tensor<B, 4>, f64) {
    let [.., head] = q.dims();
    let factor = (head as f64).powf(-0.5);
    let scores = product(q.mul_scalar(factor), k.swap_dims(2, 3));
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    (softmax(scores, 3), factor)
}

pub fn self_attention<B: Backend>(qkv: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let [q, k, v] = split(qkv, heads);
    join(product(weights(q, k, None).0, v))
}

pub fn self_attention_backward<B: Backend>(qkv: Tensor<B, 3>, grad: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    attention_backward(qkv, None, grad, heads).0
}

pub fn biased_attention<B: Backend>(qkv: Tensor<B, 3>, bias: Tensor<B, 4>, heads: usize) -> Tensor<B, 3> {
    let [q, k, v] = split(qkv, heads);
    join(product(weights(q, k, Some(bias)).0, v))
}

pub fn biased_attention_backward<B: Backend>(
    qkv: Tensor<B, 3>,
    bias: Tensor<B, 4>,
    grad: Tensor<B, 3>,
    heads: usize,
    wants_bias: bool,
) -> (Tensor<B, 3>, Option<Tensor<B, 4>>) {
    let shape = bias.dims();
    let (qkv, grad_scores) = attention_backward(qkv, Some(bias), grad, heads);
    (qkv, wants_bias.then(|| sum_to(grad_scores, shape)))
}

/// The gradient of `qkv` [B, T, 3D], and that of scores with their factor, [B, H, T, T].
fn attention_backward<B: Backend>(
    qkv: Tensor<B, 3>,
    bias: Option<Tensor<B, 4>>,
    grad: Tensor<B, 3>,
    heads: usize,
) -> (Tensor<B, 3>, Tensor<B, 4>) {
    let [batch, tokens, width] = grad.dims();
    let [q, k, v] = split(qkv, heads);
    let (mix, factor) = weights(q.clone(), k.clone(), bias);
    let grad = grad.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2); // [B, H, T, D/H]
    let grad_v = product(mix.clone().swap_dims(2, 3), grad.clone());
    let grad_mix = product(grad, v.swap_dims(2, 3)); // [B, H, T, T]
    let mean = (mix.clone() * grad_mix.clone()).sum_dim(3); // [B, H, T, 1]
    let grad_biased = mix * (grad_mix - mean);
    let grad_scores = grad_biased.clone().mul_scalar(factor);
    let grad_q = product(grad_scores.clone(), k);
    let grad_k = product(grad_scores.swap_dims(2, 3), q);
    (
        Tensor::cat(vec![join(grad_q), join(grad_k), join(grad_v)], 2),
        grad_biased,
    )
}

/// Sums over the axes along which `shape` is 1.
pub(super) fn sum_to<B: Backend>(grad: Tensor<B, 4>, shape: [usize; 4]) -> Tensor<B, 4> {
    let found = grad.dims();
    let summed = (0..4).filter(|&axis| shape[axis] == 1 && found[axis] > 1);
    summed.fold(grad, |grad, axis| grad.sum_dim(axis))
}

pub fn gelu_rows<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    gelu(rows)
}

pub fn gelu_rows_backward<B: Backend>(rows: Tensor<B, 2>, grad: Tensor<B, 2>) -> Tensor<B, 2> {
    let float = |tensor: Tensor<B, 2>| tensor.into_primitive().tensor();
    Tensor::from_primitive(TensorPrimitive::Float(B::gelu_backward(float(rows), float(grad))))
}

pub fn linear_rows<B: Backend>(rows: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Tensor<B, 1>) -> Tensor<B, 2> {
    product(rows, weight) + bias.unsqueeze()
}

pub fn linear_rows_backward<B: Backend>(
    rows: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    grad: Tensor<B, 2>,
    wants_rows: bool,
) -> LinearGrads<B> {
    LinearGrads {
        rows: wants_rows.then(|| product(grad.clone(), weight.transpose())),
        weight: product(rows.transpose(), grad.clone()),
        bias: sum_rows(grad),
    }
}

pub fn nearest_codes<B: Backend>(rows: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 2, Int> {
    // |n|² is the same for every code and is omitted
    let half_norms = vectors.clone().powi_scalar(2).sum_dim(1).transpose().div_scalar(2.0); // [1, K]
    (rows.matmul(vectors.transpose()) - half_norms).argmax(1)
}

pub fn most_similar_codes<B: Backend>(rows: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 2, Int> {
    dot_products(rows, vectors).argmax(1)
}

pub fn dot_products<B: Backend>(rows: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 2> {
    rows.matmul(vectors.transpose())
}

pub fn residual_codes<B: Backend>(
    rows: Tensor<B, 2>,
    books: Vec<Tensor<B, 2>>,
    unit_lookup: bool,
) -> Tensor<B, 2, Int> {
    let (mut left, mut codes) = (rows, Vec::with_capacity(books.len()));
    for book in books {
        let looked_up = if unit_lookup {
            let lengths = left.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(SHORTEST);
            left.clone() / lengths
        } else {
            left.clone()
        };
        let found = nearest_codes(looked_up, book.clone()); // [N, 1]
        left = left - book.select(0, found.clone().flatten(0, 1));
        codes.push(found);
    }
    Tensor::cat(codes, 1)
}

pub fn code_counts<B: Backend>(codes: Tensor<B, 1, Int>, count: usize) -> Tensor<B, 1> {
    let device = codes.device();
    let ones = Tensor::ones(codes.dims(), &device);
    Tensor::zeros([count], &device).scatter(0, codes, ones, IndexingUpdateOp::Add)
}

/// A matrix product with the membership of codes, not a scatter: the order of summation is then fixed on
/// every backend.
pub fn code_sums<B: Backend>(rows: Tensor<B, 2>, codes: Tensor<B, 2, Int>, count: usize) -> Tensor<B, 2> {
    let [all, picks] = codes.dims();
    let every = Tensor::<B, 1, Int>::arange(0..count as i64, &codes.device()).reshape([1, 1, count]);
    let members = codes
        .reshape([all, picks, 1])
        .equal(every.expand([all, picks, count]))
        .float();
    let members = if picks == 1 { members } else { members.sum_dim(1) };
    members.reshape([all, count]).swap_dims(0, 1).matmul(rows)
}

pub fn select_rows<B: Backend>(rows: Tensor<B, 2>, selection: Selection<B>) -> Tensor<B, 2> {
    rows.select(0, selection.rows)
}

pub fn select_rows_backward<B: Backend>(grad: Tensor<B, 2>, selection: Selection<B>) -> Tensor<B, 2> {
    let [selected, width] = grad.dims();
    if selection.places.dims() == [selected] {
        return grad.select(0, selection.places);
    }
    // the position of rows that were not selected
    let none = Tensor::zeros([1, width], &grad.device());
    Tensor::cat(vec![grad, none], 0).select(0, selection.places)
}

pub fn cross_entropy_rows<B: Backend>(logits: Tensor<B, 2>, codes: Tensor<B, 2, Int>) -> Tensor<B, 1> {
    log_softmax(logits, 1).gather(1, codes).mean().neg()
}

pub fn cross_entropy_rows_backward<B: Backend>(
    logits: Tensor<B, 2>,
    codes: Tensor<B, 2, Int>,
    grad: Tensor<B, 1>,
) -> Tensor<B, 2> {
    let ([rows, _], device) = (logits.dims(), logits.device());
    let less_one = Tensor::full([rows, 1], -1.0, &device);
    softmax(logits, 1).scatter(1, codes, less_one, IndexingUpdateOp::Add) * grad.div_scalar(rows as f64).unsqueeze()
}

/// A row shorter than this is divided by this instead of its length.
pub(super) const SHORTEST: f32 = 1e-12;

/// Rows with mean 0 and variance 1, [N, D], and the factors that scaled them, [N, 1].
fn standardize<B: Backend>(rows: Tensor<B, 2>, epsilon: f64) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let centred = rows.clone() - rows.mean_dim(1);
    let variance = centred.clone().powi_scalar(2).mean_dim(1);
    let factor = variance.add_scalar(epsilon).sqrt().recip();
    (centred * factor.clone(), factor)
}

pub fn norm_rows<B: Backend>(
    rows: Tensor<B, 2>,
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 2> {
    standardize(rows, epsilon).0 * scale.unsqueeze() + shift.unsqueeze()
}

pub fn norm_rows_backward<B: Backend>(
    rows: Tensor<B, 2>,
    scale: Tensor<B, 1>,
    grad: Tensor<B, 2>,
    epsilon: f64,
) -> NormGrads<B> {
    let (standard, factor) = standardize(rows, epsilon);
    let inner = grad.clone() * scale.unsqueeze();
    let along = standard.clone() * (inner.clone() * standard.clone()).mean_dim(1);
    let rows = (inner.clone() - inner.mean_dim(1) - along) * factor;
    NormGrads {
        rows,
        scale: sum_rows(grad.clone() * standard),
        shift: sum_rows(grad),
    }
}

/// [N, D] to [D].
fn sum_rows<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 1> {
    rows.sum_dim(0).squeeze_dim(0)
}

pub fn mlp_rows<B: Backend>(rows: Tensor<B, 2>, mlp: MlpTensors<B>) -> Tensor<B, 2> {
    mlp_rows_with_hidden(rows, mlp).0
}

pub fn mlp_rows_with_hidden<B: Backend>(rows: Tensor<B, 2>, mlp: MlpTensors<B>) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let hidden = product(rows, mlp.weight1) + mlp.bias1.unsqueeze();
    (
        product(gelu(hidden.clone()), mlp.weight2) + mlp.bias2.unsqueeze(),
        hidden,
    )
}

pub fn mlp_rows_backward<B: Backend>(
    rows: Tensor<B, 2>,
    mlp: MlpTensors<B>,
    hidden: Tensor<B, 2>,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, MlpTensors<B>) {
    let weight2 = product(gelu(hidden.clone()).transpose(), grad.clone());
    let bias2 = sum_rows(grad.clone());
    let grad_activated = product(grad, mlp.weight2.transpose()); // [N, M]
    let grad_hidden = gelu_rows_backward(hidden, grad_activated);
    let weight1 = product(rows.transpose(), grad_hidden.clone());
    let bias1 = sum_rows(grad_hidden.clone());
    (
        product(grad_hidden, mlp.weight1.transpose()),
        MlpTensors {
            weight1,
            bias1,
            weight2,
            bias2,
        },
    )
}

pub fn adamw_step<B: Backend>(state: AdamWState<B>, grad: Tensor<B, 1>, factors: &AdamWFactors) -> AdamWState<B> {
    let AdamWFactors {
        beta1,
        beta2,
        epsilon,
        keep,
        rate,
        root,
    } = *factors;
    let first = state.first.mul_scalar(beta1) + grad.clone().mul_scalar(1.0 - beta1);
    let second = state.second.mul_scalar(beta2) + grad.square().mul_scalar(1.0 - beta2);
    let scale = second.clone().sqrt().div_scalar(root).add_scalar(epsilon);
    let weights = state.weights.mul_scalar(keep) - (first.clone() / scale).mul_scalar(rate);
    AdamWState { weights, first, second }
}
