//! The fused operations on backends whose tensors can be read as f32 slices: from tensors to slices
//! and back.

use super::attention::{self, AttentionSizes};
use super::rows::{self, LinearLayer, MlpLayers};
use super::threads::Threads;
use crate::kernel::mode::precision;
use crate::kernel::ops::Ops;
use crate::kernel::plain;
use crate::kernel::tensors::{AdamWFactors, AdamWState, LinearGrads, MlpTensors, NormGrads};
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
}

fn vector<B: Sliced>(values: &[f32]) -> Tensor<B, 1> {
    let mut copy = B::allocate(values.len());
    B::slice_mut(&mut copy).copy_from_slice(values);
    B::tensor(copy, [values.len()])
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
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        if !Self::applies(&qkv) {
            return plain::self_attention(qkv, heads);
        }
        let ([batch, ..], sizes) = (qkv.dims(), sizes(&qkv, heads));
        let shape = [batch, sizes.tokens, sizes.width];
        let (qkv, mut out) = (Self::read(qkv), Self::allocate(shape.iter().product()));
        attention::forward(Self::THREADS, Self::slice_mut(&mut out), Self::slice(&qkv), sizes);
        Self::tensor(out, shape)
    }

    fn self_attention_backward(qkv: Tensor<Self, 3>, grad: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        if !Self::applies(&qkv) {
            return plain::self_attention_backward(qkv, grad, heads);
        }
        let (shape, sizes) = (qkv.dims(), sizes(&qkv, heads));
        let (qkv, grad, mut out) = (
            Self::read(qkv),
            Self::read(grad),
            Self::allocate(shape.iter().product()),
        );
        attention::backward(
            Self::THREADS,
            Self::slice_mut(&mut out),
            Self::slice(&qkv),
            Self::slice(&grad),
            sizes,
        );
        Self::tensor(out, shape)
    }

    fn linear_rows(rows: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        if !Self::applies(&rows) {
            return plain::linear_rows(rows, weight, bias);
        }
        let ([count, inputs], [_, outputs]) = (rows.dims(), weight.dims());
        let (rows, weight, bias) = (Self::read(rows), Self::read(weight), Self::read(bias));
        let layer = LinearLayer {
            inputs,
            outputs,
            weight: Self::slice(&weight),
            bias: Some(Self::slice(&bias)),
            precision: precision(),
        };
        let mut out = Self::allocate(count * outputs);
        layer.forward(Self::THREADS, Self::slice_mut(&mut out), Self::slice(&rows));
        Self::tensor(out, [count, outputs])
    }

    fn linear_rows_backward(
        rows: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
        wants_rows: bool,
    ) -> LinearGrads<Self> {
        if !Self::applies(&rows) {
            return plain::linear_rows_backward(rows, weight, grad, wants_rows);
        }
        let ([count, inputs], [_, outputs]) = (rows.dims(), weight.dims());
        let (rows, weight, grad) = (Self::read(rows), Self::read(weight), Self::read(grad));
        let (rows, grad) = (Self::slice(&rows), Self::slice(&grad));
        let layer = LinearLayer {
            inputs,
            outputs,
            weight: Self::slice(&weight),
            bias: None,
            precision: precision(),
        };
        let mut weight_grad = Self::allocate(inputs * outputs);
        let into = Self::slice_mut(&mut weight_grad);
        rows::weight_grad(Self::THREADS, precision(), into, rows, inputs, grad, outputs);
        LinearGrads {
            rows: wants_rows.then(|| {
                let mut out = Self::allocate(count * inputs);
                layer.backward(Self::THREADS, Self::slice_mut(&mut out), grad);
                Self::tensor(out, [count, inputs])
            }),
            weight: Self::tensor(weight_grad, [inputs, outputs]),
            bias: vector(&rows::sum_rows(Self::THREADS, grad, outputs)),
        }
    }

    fn nearest_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int> {
        if !Self::applies(&rows) {
            return plain::nearest_codes(rows, vectors);
        }
        let ([count, width], device) = (rows.dims(), rows.device());
        let (rows, vectors) = (Self::read(rows), Self::read(vectors));
        let mut codes = vec![0; count];
        rows::nearest(
            Self::THREADS,
            &mut codes,
            Self::slice(&rows),
            Self::slice(&vectors),
            width,
        );
        Tensor::from_data(TensorData::new(codes, [count, 1]), &device)
    }

    fn residual_codes(rows: Tensor<Self, 2>, books: Vec<Tensor<Self, 2>>, unit_lookup: bool) -> Tensor<Self, 2, Int> {
        if !Self::applies(&rows) {
            return plain::residual_codes(rows, books, unit_lookup);
        }
        let ([count, width], device) = (rows.dims(), rows.device());
        let rows = Self::read(rows);
        let books: Vec<_> = books.into_iter().map(Self::read).collect();
        let books: Vec<&[f32]> = books.iter().map(Self::slice).collect();
        let mut codes = vec![0; count * books.len()];
        rows::residual(
            Self::THREADS,
            &mut codes,
            Self::slice(&rows),
            &books,
            width,
            unit_lookup,
        );
        Tensor::from_data(TensorData::new(codes, [count, books.len()]), &device)
    }

    fn cross_entropy_rows(logits: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>) -> Tensor<Self, 1> {
        if !Self::applies(&logits) {
            return plain::cross_entropy_rows(logits, codes);
        }
        let (logits, codes) = (Self::read(logits), integers(codes));
        vector(&[rows::cross_entropy(Self::THREADS, Self::slice(&logits), &codes)])
    }

    fn cross_entropy_rows_backward(
        logits: Tensor<Self, 2>,
        codes: Tensor<Self, 2, Int>,
        grad: Tensor<Self, 1>,
    ) -> Tensor<Self, 2> {
        if !Self::applies(&logits) {
            return plain::cross_entropy_rows_backward(logits, codes, grad);
        }
        let (shape, codes, grad) = (logits.dims(), integers(codes), Self::read(grad));
        let (logits, mut out) = (Self::read(logits), Self::allocate(shape.iter().product()));
        let (given, into) = (Self::slice(&logits), Self::slice_mut(&mut out));
        rows::cross_entropy_backward(Self::THREADS, into, given, &codes, Self::slice(&grad)[0]);
        Self::tensor(out, shape)
    }

    fn norm_rows(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        if !Self::applies(&rows) {
            return Self::other_norm_rows(rows, scale, shift, epsilon);
        }
        let shape = rows.dims();
        let (rows, scale, shift) = (Self::read(rows), Self::read(scale), Self::read(shift));
        let mut out = Self::allocate(shape.iter().product());
        let (scale, shift) = (Self::slice(&scale), Self::slice(&shift));
        rows::norm(
            Self::THREADS,
            Self::slice_mut(&mut out),
            Self::slice(&rows),
            scale,
            shift,
            epsilon as f32,
        );
        Self::tensor(out, shape)
    }

    fn norm_rows_backward(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        grad: Tensor<Self, 2>,
        epsilon: f64,
    ) -> NormGrads<Self> {
        if !Self::applies(&rows) {
            return plain::norm_rows_backward(rows, scale, grad, epsilon);
        }
        let shape = rows.dims();
        let (rows, scale, grad) = (Self::read(rows), Self::read(scale), Self::read(grad));
        let mut out = Self::allocate(shape.iter().product());
        let (given, into) = (
            (Self::slice(&rows), Self::slice(&scale), Self::slice(&grad)),
            Self::slice_mut(&mut out),
        );
        let [scale, shift] = rows::norm_backward(Self::THREADS, into, given.0, given.1, given.2, epsilon as f32);
        NormGrads {
            rows: Self::tensor(out, shape),
            scale: vector(&scale),
            shift: vector(&shift),
        }
    }

    fn mlp_rows(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> Tensor<Self, 2> {
        if !Self::applies(&rows) {
            return plain::mlp_rows(rows, mlp);
        }
        let shape = rows.dims();
        let (rows, mlp, mut out) = (
            Self::read(rows),
            MlpValues::new(mlp),
            Self::allocate(shape.iter().product()),
        );
        mlp.get()
            .forward(Self::THREADS, Self::slice_mut(&mut out), Self::slice(&rows));
        Self::tensor(out, shape)
    }

    fn mlp_rows_with_hidden(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        if !Self::applies(&rows) {
            return plain::mlp_rows_with_hidden(rows, mlp);
        }
        let (shape, mlp) = (rows.dims(), MlpValues::new(mlp));
        let [count, width] = shape;
        let (rows, mut out, mut hidden) = (
            Self::read(rows),
            Self::allocate(count * width),
            Self::allocate(count * mlp.hidden),
        );
        let (into, kept) = (Self::slice_mut(&mut out), Self::slice_mut(&mut hidden));
        mlp.get()
            .forward_with_hidden(Self::THREADS, into, kept, Self::slice(&rows));
        (Self::tensor(out, shape), Self::tensor(hidden, [count, mlp.hidden]))
    }

    fn mlp_rows_backward(
        rows: Tensor<Self, 2>,
        mlp: MlpTensors<Self>,
        hidden: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, MlpTensors<Self>) {
        if !Self::applies(&rows) {
            return plain::mlp_rows_backward(rows, mlp, hidden, grad);
        }
        let (shape, mlp) = (rows.dims(), MlpValues::new(mlp));
        let ([count, width], wide, threads) = (shape, mlp.hidden, Self::THREADS);
        let (rows, hidden, grad) = (Self::read(rows), Self::read(hidden), Self::read(grad));
        let (rows, hidden, grad) = (Self::slice(&rows), Self::slice(&hidden), Self::slice(&grad));
        let mut results = [count * width, count * wide, count * wide].map(Self::allocate);
        mlp.get()
            .backward(threads, results.each_mut().map(Self::slice_mut), hidden, grad);
        let [out, activated, hidden_grad] = results;
        let (activated, hidden_grad) = (Self::slice(&activated), Self::slice(&hidden_grad));
        let mut weights = [width * wide, wide * width].map(Self::allocate);
        let [weight1, weight2] = &mut weights;
        rows::weight_grad(
            threads,
            precision(),
            Self::slice_mut(weight1),
            rows,
            width,
            hidden_grad,
            wide,
        );
        rows::weight_grad(
            threads,
            precision(),
            Self::slice_mut(weight2),
            activated,
            wide,
            grad,
            width,
        );
        let [weight1, weight2] = weights;
        let grads = MlpTensors {
            weight1: Self::tensor(weight1, [width, wide]),
            bias1: vector(&rows::sum_rows(threads, hidden_grad, wide)),
            weight2: Self::tensor(weight2, [wide, width]),
            bias2: vector(&rows::sum_rows(threads, grad, width)),
        };
        (Self::tensor(out, shape), grads)
    }

    fn adamw_step(state: AdamWState<Self>, grad: Tensor<Self, 1>, factors: &AdamWFactors) -> AdamWState<Self> {
        if !Self::applies(&grad) {
            return plain::adamw_step(state, grad, factors);
        }
        let ([length], grad) = (grad.dims(), Self::read(grad));
        let mut values = [state.weights, state.first, state.second].map(Self::own);
        let [weights, first, second] = values.each_mut().map(Self::slice_mut);
        rows::adamw(
            Self::THREADS,
            weights,
            first,
            second,
            Self::slice(&grad),
            factors.in_order(),
        );
        let [weights, first, second] = values.map(|values| Self::tensor(values, [length]));
        AdamWState { weights, first, second }
    }
}
