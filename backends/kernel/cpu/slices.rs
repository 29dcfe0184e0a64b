//! The fused operations on backends whose tensors can be read as f32 slices: from tensors to slices
//! and back.

use super::attention::{self, AttentionSizes, ScoreBias};
use super::codes;
use super::rows::{self, LinearLayer, MlpLayers};
use super::threads::Threads;
use crate::kernel::mode::precision;
use crate::kernel::ops::{Filled, Ops};
use crate::kernel::plain;
use crate::kernel::tensors::{AdamWFactors, AdamWState, LinearGrads, MlpTensors, NormGrads};
use bridle_ranks::nccl::Buffers;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// A backend whose tensors can be read as slices.
pub(super) trait Sliced: Backend {
    /// Contiguous elements.
    type Values;
    const THREADS: Threads;

    /// Whether the form on slices applies: f32 on the processor, not empty, and no plain form
    /// requested.
    fn applies<const D: usize>(tensor: &Tensor<Self, D>) -> bool;
    /// The elements of a tensor, copied only if they are not contiguous.
    fn read<const D: usize>(tensor: Tensor<Self, D>) -> Self::Values;
    /// The same to write to: copied if the tensor is shared.
    fn own<const D: usize>(tensor: Tensor<Self, D>) -> Self::Values;
    /// New elements, to be written before they are read.
    fn allocate(count: usize) -> Self::Values;
    fn slice(values: &Self::Values) -> &[f32];
    /// Of what `own` or `allocate` returned.
    fn slice_mut(values: &mut Self::Values) -> &mut [f32];
    fn tensor<const D: usize>(values: Self::Values, shape: [usize; D]) -> Tensor<Self, D>;
    /// Layer normalization if the form on slices does not apply.
    fn other_norm_rows(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2>;
    /// [`Ops::filled_on_device`], for tensors that are not on the processor.
    fn fill_elsewhere<const D: usize>(values: Tensor<Self, D>, _fill: &dyn Fn(Buffers)) -> Filled<Self, D> {
        Err(values)
    }
}

fn vector<B: Sliced>(values: &[f32]) -> Tensor<B, 1> {
    let mut copy = B::allocate(values.len());
    B::slice_mut(&mut copy).copy_from_slice(values);
    B::tensor(copy, [values.len()])
}

/// The sum of rows of `width`.
fn sum_rows<B: Sliced>(rows: &[f32], width: usize) -> Tensor<B, 1> {
    vector(&rows::sum_rows(B::THREADS, rows, width))
}

fn sizes<B: Sliced>(qkv: &Tensor<B, 3>, heads: usize) -> AttentionSizes {
    let [_, tokens, width3] = qkv.dims();
    AttentionSizes {
        tokens,
        width: width3 / 3,
        heads,
        precision: precision(),
    }
}

/// Codes [N, 1] as integers.
fn integers<B: Sliced>(codes: Tensor<B, 2, Int>) -> Vec<i64> {
    codes.into_data().iter().collect()
}

/// An MLP's parameters as slices.
struct MlpValues<B: Sliced> {
    width: usize,
    hidden: usize,
    values: [B::Values; 4],
}

impl<B: Sliced> MlpValues<B> {
    fn new(mlp: MlpTensors<B>) -> Self {
        let [width, hidden] = mlp.weight1.dims();
        let values = [
            B::read(mlp.weight1),
            B::read(mlp.bias1),
            B::read(mlp.weight2),
            B::read(mlp.bias2),
        ];
        Self { width, hidden, values }
    }

    fn get(&self) -> MlpLayers<'_> {
        let [weight1, bias1, weight2, bias2] = self.values.each_ref().map(B::slice);
        let layer = |inputs, outputs, weight, bias| LinearLayer {
            inputs,
            outputs,
            weight,
            bias: Some(bias),
            precision: precision(),
        };
        MlpLayers(
            layer(self.width, self.hidden, weight1, bias1),
            layer(self.hidden, self.width, weight2, bias2),
        )
    }
}

impl<B: Sliced> Ops for B {
    fn self_attention(qkv: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
        if !B::applies(&qkv) {
            return plain::self_attention(qkv, heads);
        }
        let ([batch, ..], sizes) = (qkv.dims(), sizes(&qkv, heads));
        let shape = [batch, sizes.tokens, sizes.width];
        let (qkv, mut out) = (B::read(qkv), B::allocate(shape.iter().product()));
        attention::forward(B::THREADS, B::slice_mut(&mut out), B::slice(&qkv), None, sizes);
        B::tensor(out, shape)
    }

    fn self_attention_backward(qkv: Tensor<B, 3>, grad: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
        if !B::applies(&qkv) {
            return plain::self_attention_backward(qkv, grad, heads);
        }
        let (shape, sizes) = (qkv.dims(), sizes(&qkv, heads));
        let (qkv, grad, mut out) = (B::read(qkv), B::read(grad), B::allocate(shape.iter().product()));
        attention::backward(
            B::THREADS,
            [B::slice_mut(&mut out), &mut []],
            B::slice(&qkv),
            None,
            B::slice(&grad),
            sizes,
        );
        B::tensor(out, shape)
    }

    fn biased_attention(qkv: Tensor<B, 3>, bias: Tensor<B, 4>, heads: usize) -> Tensor<B, 3> {
        if !B::applies(&qkv) {
            return plain::biased_attention(qkv, bias, heads);
        }
        let ([batch, ..], sizes, bias_shape) = (qkv.dims(), sizes(&qkv, heads), bias.dims());
        let shape = [batch, sizes.tokens, sizes.width];
        let (qkv, bias, mut out) = (B::read(qkv), B::read(bias), B::allocate(shape.iter().product()));
        let bias = ScoreBias::new(B::slice(&bias), bias_shape);
        attention::forward(B::THREADS, B::slice_mut(&mut out), B::slice(&qkv), Some(bias), sizes);
        B::tensor(out, shape)
    }

    fn biased_attention_backward(
        qkv: Tensor<B, 3>,
        bias: Tensor<B, 4>,
        grad: Tensor<B, 3>,
        heads: usize,
        wants_bias: bool,
    ) -> (Tensor<B, 3>, Option<Tensor<B, 4>>) {
        if !B::applies(&qkv) {
            return plain::biased_attention_backward(qkv, bias, grad, heads, wants_bias);
        }
        let (shape, sizes, bias_shape) = (qkv.dims(), sizes(&qkv, heads), bias.dims());
        let scores = [shape[0], heads, sizes.tokens, sizes.tokens];
        let (qkv, bias, grad) = (B::read(qkv), B::read(bias), B::read(grad));
        let mut out = B::allocate(shape.iter().product());
        let mut bias_grad = wants_bias.then(|| B::allocate(scores.iter().product()));
        attention::backward(
            B::THREADS,
            [
                B::slice_mut(&mut out),
                bias_grad.as_mut().map(B::slice_mut).unwrap_or_default(),
            ],
            B::slice(&qkv),
            Some(ScoreBias::new(B::slice(&bias), bias_shape)),
            B::slice(&grad),
            sizes,
        );
        let bias_grad = bias_grad.map(|grad| plain::sum_to(B::tensor(grad, scores), bias_shape));
        (B::tensor(out, shape), bias_grad)
    }

    fn gelu_rows(rows: Tensor<B, 2>) -> Tensor<B, 2> {
        if !B::applies(&rows) {
            return plain::gelu_rows(rows);
        }
        let (shape, rows) = (rows.dims(), B::read(rows));
        let mut out = B::allocate(shape.iter().product());
        rows::gelu(B::THREADS, B::slice_mut(&mut out), B::slice(&rows));
        B::tensor(out, shape)
    }

    fn gelu_rows_backward(rows: Tensor<B, 2>, grad: Tensor<B, 2>) -> Tensor<B, 2> {
        if !B::applies(&rows) {
            return plain::gelu_rows_backward(rows, grad);
        }
        let (shape, rows, grad) = (rows.dims(), B::read(rows), B::read(grad));
        let mut out = B::allocate(shape.iter().product());
        rows::gelu_backward(B::THREADS, B::slice_mut(&mut out), B::slice(&rows), B::slice(&grad));
        B::tensor(out, shape)
    }

    fn linear_rows(rows: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Tensor<B, 1>) -> Tensor<B, 2> {
        if !B::applies(&rows) {
            return plain::linear_rows(rows, weight, bias);
        }
        let ([count, inputs], [_, outputs]) = (rows.dims(), weight.dims());
        let (rows, weight, bias) = (B::read(rows), B::read(weight), B::read(bias));
        let layer = LinearLayer {
            inputs,
            outputs,
            weight: B::slice(&weight),
            bias: Some(B::slice(&bias)),
            precision: precision(),
        };
        let mut out = B::allocate(count * outputs);
        layer.forward(B::THREADS, B::slice_mut(&mut out), B::slice(&rows));
        B::tensor(out, [count, outputs])
    }

    fn linear_rows_backward(
        rows: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        grad: Tensor<B, 2>,
        wants_rows: bool,
    ) -> LinearGrads<B> {
        if !B::applies(&rows) {
            return plain::linear_rows_backward(rows, weight, grad, wants_rows);
        }
        let ([count, inputs], [_, outputs]) = (rows.dims(), weight.dims());
        let (rows, weight, grad) = (B::read(rows), B::read(weight), B::read(grad));
        let (rows, grad) = (B::slice(&rows), B::slice(&grad));
        let layer = LinearLayer {
            inputs,
            outputs,
            weight: B::slice(&weight),
            bias: None,
            precision: precision(),
        };
        let mut weight_grad = B::allocate(inputs * outputs);
        let into = B::slice_mut(&mut weight_grad);
        rows::weight_grad(B::THREADS, precision(), into, rows, inputs, grad, outputs);
        LinearGrads {
            rows: wants_rows.then(|| {
                let mut out = B::allocate(count * inputs);
                layer.backward(B::THREADS, B::slice_mut(&mut out), grad);
                B::tensor(out, [count, inputs])
            }),
            weight: B::tensor(weight_grad, [inputs, outputs]),
            bias: sum_rows(grad, outputs),
        }
    }

    fn nearest_codes(rows: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        if !B::applies(&rows) {
            return plain::nearest_codes(rows, vectors);
        }
        let ([count, width], device) = (rows.dims(), rows.device());
        let (rows, vectors) = (B::read(rows), B::read(vectors));
        let mut found = vec![0; count];
        codes::nearest(B::THREADS, &mut found, B::slice(&rows), B::slice(&vectors), width);
        Tensor::from_data(TensorData::new(found, [count, 1]), &device)
    }

    fn most_similar_codes(rows: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        if !B::applies(&rows) {
            return plain::most_similar_codes(rows, vectors);
        }
        let ([count, width], device) = (rows.dims(), rows.device());
        let (rows, vectors) = (B::read(rows), B::read(vectors));
        let mut found = vec![0; count];
        codes::most_similar(B::THREADS, &mut found, B::slice(&rows), B::slice(&vectors), width);
        Tensor::from_data(TensorData::new(found, [count, 1]), &device)
    }

    fn dot_products(rows: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 2> {
        if !B::applies(&rows) {
            return plain::dot_products(rows, vectors);
        }
        let ([count, width], [columns, _]) = (rows.dims(), vectors.dims());
        let (rows, vectors, mut out) = (B::read(rows), B::read(vectors), B::allocate(count * columns));
        let (given, others) = (B::slice(&rows), B::slice(&vectors));
        codes::dot_products(B::THREADS, B::slice_mut(&mut out), given, others, width);
        B::tensor(out, [count, columns])
    }

    fn residual_codes(rows: Tensor<B, 2>, books: Vec<Tensor<B, 2>>, unit_lookup: bool) -> Tensor<B, 2, Int> {
        if !B::applies(&rows) {
            return plain::residual_codes(rows, books, unit_lookup);
        }
        let ([count, width], device) = (rows.dims(), rows.device());
        let rows = B::read(rows);
        let books: Vec<_> = books.into_iter().map(B::read).collect();
        let books: Vec<&[f32]> = books.iter().map(B::slice).collect();
        let mut found = vec![0; count * books.len()];
        codes::residual(B::THREADS, &mut found, B::slice(&rows), &books, width, unit_lookup);
        Tensor::from_data(TensorData::new(found, [count, books.len()]), &device)
    }

    fn code_sums(rows: Tensor<B, 2>, codes: Tensor<B, 2, Int>, count: usize) -> Tensor<B, 2> {
        if !B::applies(&rows) {
            return plain::code_sums(rows, codes, count);
        }
        let [_, width] = rows.dims();
        let (rows, codes, mut out) = (B::read(rows), integers(codes), B::allocate(count * width));
        codes::sums(B::THREADS, B::slice_mut(&mut out), B::slice(&rows), &codes, width);
        B::tensor(out, [count, width])
    }

    fn cross_entropy_rows(logits: Tensor<B, 2>, codes: Tensor<B, 2, Int>) -> Tensor<B, 1> {
        if !B::applies(&logits) {
            return plain::cross_entropy_rows(logits, codes);
        }
        let (logits, codes) = (B::read(logits), integers(codes));
        vector(&[rows::cross_entropy(B::THREADS, B::slice(&logits), &codes)])
    }

    fn cross_entropy_rows_backward(logits: Tensor<B, 2>, codes: Tensor<B, 2, Int>, grad: Tensor<B, 1>) -> Tensor<B, 2> {
        if !B::applies(&logits) {
            return plain::cross_entropy_rows_backward(logits, codes, grad);
        }
        let (shape, codes, grad) = (logits.dims(), integers(codes), B::read(grad));
        let (logits, mut out) = (B::read(logits), B::allocate(shape.iter().product()));
        let (given, into) = (B::slice(&logits), B::slice_mut(&mut out));
        rows::cross_entropy_backward(B::THREADS, into, given, &codes, B::slice(&grad)[0]);
        B::tensor(out, shape)
    }

    fn filled_on_device<const D: usize>(values: Tensor<B, D>, fill: &dyn Fn(Buffers)) -> Filled<B, D> {
        B::fill_elsewhere(values, fill)
    }

    fn norm_rows(rows: Tensor<B, 2>, scale: Tensor<B, 1>, shift: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
        if !B::applies(&rows) {
            return B::other_norm_rows(rows, scale, shift, epsilon);
        }
        let shape = rows.dims();
        let (rows, scale, shift) = (B::read(rows), B::read(scale), B::read(shift));
        let mut out = B::allocate(shape.iter().product());
        let (scale, shift) = (B::slice(&scale), B::slice(&shift));
        rows::norm(
            B::THREADS,
            B::slice_mut(&mut out),
            B::slice(&rows),
            scale,
            shift,
            epsilon as f32,
        );
        B::tensor(out, shape)
    }

    fn norm_rows_backward(rows: Tensor<B, 2>, scale: Tensor<B, 1>, grad: Tensor<B, 2>, epsilon: f64) -> NormGrads<B> {
        if !B::applies(&rows) {
            return plain::norm_rows_backward(rows, scale, grad, epsilon);
        }
        let shape = rows.dims();
        let (rows, scale, grad) = (B::read(rows), B::read(scale), B::read(grad));
        let mut out = B::allocate(shape.iter().product());
        let (given, into) = (
            (B::slice(&rows), B::slice(&scale), B::slice(&grad)),
            B::slice_mut(&mut out),
        );
        let [scale, shift] = rows::norm_backward(B::THREADS, into, given.0, given.1, given.2, epsilon as f32);
        NormGrads {
            rows: B::tensor(out, shape),
            scale: vector(&scale),
            shift: vector(&shift),
        }
    }

    fn mlp_rows(rows: Tensor<B, 2>, mlp: MlpTensors<B>) -> Tensor<B, 2> {
        if !B::applies(&rows) {
            return plain::mlp_rows(rows, mlp);
        }
        let shape = rows.dims();
        let (rows, mlp, mut out) = (B::read(rows), MlpValues::new(mlp), B::allocate(shape.iter().product()));
        mlp.get().forward(B::THREADS, B::slice_mut(&mut out), B::slice(&rows));
        B::tensor(out, shape)
    }

    fn mlp_rows_with_hidden(rows: Tensor<B, 2>, mlp: MlpTensors<B>) -> (Tensor<B, 2>, Tensor<B, 2>) {
        if !B::applies(&rows) {
            return plain::mlp_rows_with_hidden(rows, mlp);
        }
        let (shape, mlp) = (rows.dims(), MlpValues::new(mlp));
        let [count, width] = shape;
        let (rows, mut out, mut hidden) = (
            B::read(rows),
            B::allocate(count * width),
            B::allocate(count * mlp.hidden),
        );
        let (into, kept) = (B::slice_mut(&mut out), B::slice_mut(&mut hidden));
        mlp.get().forward_with_hidden(B::THREADS, into, kept, B::slice(&rows));
        (B::tensor(out, shape), B::tensor(hidden, [count, mlp.hidden]))
    }

    fn mlp_rows_backward(
        rows: Tensor<B, 2>,
        mlp: MlpTensors<B>,
        hidden: Tensor<B, 2>,
        grad: Tensor<B, 2>,
    ) -> (Tensor<B, 2>, MlpTensors<B>) {
        if !B::applies(&rows) {
            return plain::mlp_rows_backward(rows, mlp, hidden, grad);
        }
        let (shape, mlp) = (rows.dims(), MlpValues::new(mlp));
        let ([count, width], wide, threads) = (shape, mlp.hidden, B::THREADS);
        let (rows, hidden, grad) = (B::read(rows), B::read(hidden), B::read(grad));
        let (rows, hidden, grad) = (B::slice(&rows), B::slice(&hidden), B::slice(&grad));
        let mut results = [count * width, count * wide, count * wide].map(B::allocate);
        mlp.get()
            .backward(threads, results.each_mut().map(B::slice_mut), hidden, grad);
        let [out, activated, hidden_grad] = results;
        let mut weights = [width * wide, wide * width].map(B::allocate);
        let [weight1, weight2] = weights.each_mut().map(B::slice_mut);
        let (hidden_grad, activated) = (B::slice(&hidden_grad), B::slice(&activated));
        rows::weight_grad(threads, precision(), weight1, rows, width, hidden_grad, wide);
        rows::weight_grad(threads, precision(), weight2, activated, wide, grad, width);
        let [weight1, weight2] = weights;
        let grads = MlpTensors {
            weight1: B::tensor(weight1, [width, wide]),
            bias1: sum_rows(hidden_grad, wide),
            weight2: B::tensor(weight2, [wide, width]),
            bias2: sum_rows(grad, width),
        };
        (B::tensor(out, shape), grads)
    }

    fn adamw_step(state: AdamWState<B>, grad: Tensor<B, 1>, factors: &AdamWFactors) -> AdamWState<B> {
        if !B::applies(&grad) {
            return plain::adamw_step(state, grad, factors);
        }
        let ([length], grad) = (grad.dims(), B::read(grad));
        let mut values = [state.weights, state.first, state.second].map(B::own);
        let [weights, first, second] = values.each_mut().map(B::slice_mut);
        rows::adamw(B::THREADS, weights, first, second, B::slice(&grad), factors.in_order());
        let [weights, first, second] = values.map(|values| B::tensor(values, [length]));
        AdamWState { weights, first, second }
    }
}
