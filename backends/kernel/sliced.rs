//! The fused operations on backends whose tensors can be read as slices of f32: from tensors to slices and back.
//!
//! Matrix products are the `gemm` crate's there, which on processors with AVX-512 is ahead of LibTorch's own.

use super::attention::{self, Sizes};
use super::rows::{self, Linear, Mlp};
use super::team::Team;
use super::{AdamWFactors, AdamWState, LinearGrads, MlpTensors, NormGrads, Ops, precision};
use burn::tensor::{Int, Tensor, TensorData};

/// A backend on the processor.
pub(super) trait Sliced: Ops {
    /// Elements one after another.
    type Values;
    /// The threads that it computes with.
    const TEAM: Team;

    /// Whether the slices' form applies: f32 on the processor, not empty, and not told otherwise.
    fn applies<const D: usize>(tensor: &Tensor<Self, D>) -> bool;
    /// The elements of a tensor; copied only where they do not lie one after another.
    fn read<const D: usize>(tensor: Tensor<Self, D>) -> Self::Values;
    /// The same to be written to: copied where somebody else holds them too.
    fn own<const D: usize>(tensor: Tensor<Self, D>) -> Self::Values;
    /// So many elements, to be written to before they are read.
    fn room(count: usize) -> Self::Values;
    /// The elements.
    fn slice(values: &Self::Values) -> &[f32];
    /// The elements of what `own` or `room` gave.
    fn slice_mut(values: &mut Self::Values) -> &mut [f32];
    /// Back to a tensor.
    fn tensor<const D: usize>(values: Self::Values, shape: [usize; D]) -> Tensor<Self, D>;
    /// Layer normalisation where slices do not apply.
    fn norm_otherwise(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2>;
}

/// A short vector as a tensor.
fn vector<B: Sliced>(values: &[f32]) -> Tensor<B, 1> {
    let mut room = B::room(values.len());
    B::slice_mut(&mut room).copy_from_slice(values);
    B::tensor(room, [values.len()])
}

fn sizes<B: Sliced>(qkv: &Tensor<B, 3>, heads: usize) -> Sizes {
    let [_, tokens, width3] = qkv.dims();
    Sizes {
        tokens,
        width: width3 / 3,
        heads,
        precision: precision(),
    }
}

pub(super) fn self_attention<B: Sliced>(qkv: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let ([batch, ..], sizes) = (qkv.dims(), sizes(&qkv, heads));
    let shape = [batch, sizes.tokens, sizes.width];
    let (qkv, mut out) = (B::read(qkv), B::room(shape.iter().product()));
    attention::forward(B::TEAM, B::slice_mut(&mut out), B::slice(&qkv), sizes);
    B::tensor(out, shape)
}

pub(super) fn self_attention_backward<B: Sliced>(qkv: Tensor<B, 3>, grad: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let (shape, sizes) = (qkv.dims(), sizes(&qkv, heads));
    let (qkv, grad, mut out) = (B::read(qkv), B::read(grad), B::room(shape.iter().product()));
    attention::backward(B::TEAM, B::slice_mut(&mut out), B::slice(&qkv), B::slice(&grad), sizes);
    B::tensor(out, shape)
}

pub(super) fn linear_rows<B: Sliced>(rows: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Tensor<B, 1>) -> Tensor<B, 2> {
    let ([count, inputs], [_, outputs]) = (rows.dims(), weight.dims());
    let (rows, weight, bias) = (B::read(rows), B::read(weight), B::read(bias));
    let layer = Linear {
        inputs,
        outputs,
        weight: B::slice(&weight),
        bias: Some(B::slice(&bias)),
        precision: precision(),
    };
    let mut out = B::room(count * outputs);
    layer.forward(B::TEAM, B::slice_mut(&mut out), B::slice(&rows));
    B::tensor(out, [count, outputs])
}

pub(super) fn linear_rows_backward<B: Sliced>(
    rows: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    grad: Tensor<B, 2>,
    wants_rows: bool,
) -> LinearGrads<B> {
    let ([count, inputs], [_, outputs]) = (rows.dims(), weight.dims());
    let (rows, weight, grad) = (B::read(rows), B::read(weight), B::read(grad));
    let (rows, grad) = (B::slice(&rows), B::slice(&grad));
    let layer = Linear {
        inputs,
        outputs,
        weight: B::slice(&weight),
        bias: None,
        precision: precision(),
    };
    let mut weight_grad = B::room(inputs * outputs);
    let into = B::slice_mut(&mut weight_grad);
    rows::weight_grad(B::TEAM, precision(), into, rows, inputs, grad, outputs);
    LinearGrads {
        rows: wants_rows.then(|| {
            let mut out = B::room(count * inputs);
            layer.backward(B::TEAM, B::slice_mut(&mut out), grad);
            B::tensor(out, [count, inputs])
        }),
        weight: B::tensor(weight_grad, [inputs, outputs]),
        bias: vector(&rows::sum_rows(B::TEAM, grad, outputs)),
    }
}

pub(super) fn nearest_codes<B: Sliced>(rows: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 2, Int> {
    let ([count, width], device) = (rows.dims(), rows.device());
    let (rows, vectors) = (B::read(rows), B::read(vectors));
    let mut codes = vec![0; count];
    rows::nearest(B::TEAM, &mut codes, B::slice(&rows), B::slice(&vectors), width);
    Tensor::from_data(TensorData::new(codes, [count, 1]), &device)
}

pub(super) fn residual_codes<B: Sliced>(
    rows: Tensor<B, 2>,
    books: Vec<Tensor<B, 2>>,
    unit_lookup: bool,
) -> Tensor<B, 2, Int> {
    let ([count, width], device) = (rows.dims(), rows.device());
    let rows = B::read(rows);
    let books: Vec<B::Values> = books.into_iter().map(B::read).collect();
    let books: Vec<&[f32]> = books.iter().map(B::slice).collect();
    let mut codes = vec![0; count * books.len()];
    rows::residual(B::TEAM, &mut codes, B::slice(&rows), &books, width, unit_lookup);
    Tensor::from_data(TensorData::new(codes, [count, books.len()]), &device)
}

/// Codes [N, 1] as numbers: whole numbers are few, and always on the processor here.
fn numbers<B: Sliced>(codes: Tensor<B, 2, Int>) -> Vec<i64> {
    codes.into_data().iter().collect()
}

pub(super) fn cross_entropy_rows<B: Sliced>(logits: Tensor<B, 2>, codes: Tensor<B, 2, Int>) -> Tensor<B, 1> {
    let (logits, codes) = (B::read(logits), numbers(codes));
    vector(&[rows::cross_entropy(B::TEAM, B::slice(&logits), &codes)])
}

pub(super) fn cross_entropy_rows_backward<B: Sliced>(
    logits: Tensor<B, 2>,
    codes: Tensor<B, 2, Int>,
    grad: Tensor<B, 1>,
) -> Tensor<B, 2> {
    let (shape, codes, grad) = (logits.dims(), numbers(codes), B::read(grad));
    let (logits, mut out) = (B::read(logits), B::room(shape.iter().product()));
    let (given, into) = (B::slice(&logits), B::slice_mut(&mut out));
    rows::cross_entropy_backward(B::TEAM, into, given, &codes, B::slice(&grad)[0]);
    B::tensor(out, shape)
}

pub(super) fn norm_rows<B: Sliced>(
    rows: Tensor<B, 2>,
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let shape = rows.dims();
    let (rows, scale, shift) = (B::read(rows), B::read(scale), B::read(shift));
    let mut out = B::room(shape.iter().product());
    let (scale, shift) = (B::slice(&scale), B::slice(&shift));
    rows::norm(
        B::TEAM,
        B::slice_mut(&mut out),
        B::slice(&rows),
        scale,
        shift,
        epsilon as f32,
    );
    B::tensor(out, shape)
}

pub(super) fn norm_rows_backward<B: Sliced>(
    rows: Tensor<B, 2>,
    scale: Tensor<B, 1>,
    grad: Tensor<B, 2>,
    epsilon: f64,
) -> NormGrads<B> {
    let shape = rows.dims();
    let (rows, scale, grad) = (B::read(rows), B::read(scale), B::read(grad));
    let mut out = B::room(shape.iter().product());
    let (given, into) = (
        (B::slice(&rows), B::slice(&scale), B::slice(&grad)),
        B::slice_mut(&mut out),
    );
    let [scale, shift] = rows::norm_backward(B::TEAM, into, given.0, given.1, given.2, epsilon as f32);
    NormGrads {
        rows: B::tensor(out, shape),
        scale: vector(&scale),
        shift: vector(&shift),
    }
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

    fn get(&self) -> Mlp<'_> {
        let [weight1, bias1, weight2, bias2] = self.values.each_ref().map(B::slice);
        let layer = |inputs, outputs, weight, bias| Linear {
            inputs,
            outputs,
            weight,
            bias: Some(bias),
            precision: precision(),
        };
        Mlp(
            layer(self.width, self.hidden, weight1, bias1),
            layer(self.hidden, self.width, weight2, bias2),
        )
    }
}

pub(super) fn mlp_rows<B: Sliced>(rows: Tensor<B, 2>, mlp: MlpTensors<B>) -> Tensor<B, 2> {
    let shape = rows.dims();
    let (rows, mlp, mut out) = (B::read(rows), MlpValues::new(mlp), B::room(shape.iter().product()));
    mlp.get().forward(B::TEAM, B::slice_mut(&mut out), B::slice(&rows));
    B::tensor(out, shape)
}

pub(super) fn mlp_rows_with_hidden<B: Sliced>(rows: Tensor<B, 2>, mlp: MlpTensors<B>) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let (shape, mlp) = (rows.dims(), MlpValues::new(mlp));
    let [count, width] = shape;
    let (rows, mut out, mut hidden) = (B::read(rows), B::room(count * width), B::room(count * mlp.hidden));
    let (into, kept) = (B::slice_mut(&mut out), B::slice_mut(&mut hidden));
    mlp.get().forward_with_hidden(B::TEAM, into, kept, B::slice(&rows));
    (B::tensor(out, shape), B::tensor(hidden, [count, mlp.hidden]))
}

pub(super) fn mlp_rows_backward<B: Sliced>(
    rows: Tensor<B, 2>,
    mlp: MlpTensors<B>,
    hidden: Tensor<B, 2>,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, MlpTensors<B>) {
    let (shape, mlp) = (rows.dims(), MlpValues::new(mlp));
    let ([count, width], wide, team) = (shape, mlp.hidden, B::TEAM);
    let (rows, hidden, grad) = (B::read(rows), B::read(hidden), B::read(grad));
    let (rows, hidden, grad) = (B::slice(&rows), B::slice(&hidden), B::slice(&grad));
    let mut results = [count * width, count * wide, count * wide].map(B::room);
    mlp.get()
        .backward(team, results.each_mut().map(B::slice_mut), hidden, grad);
    let [out, activated, hidden_grad] = results;
    let (activated, hidden_grad) = (B::slice(&activated), B::slice(&hidden_grad));
    let mut weights = [width * wide, wide * width].map(B::room);
    let [weight1, weight2] = &mut weights;
    rows::weight_grad(team, precision(), B::slice_mut(weight1), rows, width, hidden_grad, wide);
    rows::weight_grad(team, precision(), B::slice_mut(weight2), activated, wide, grad, width);
    let [weight1, weight2] = weights;
    let grads = MlpTensors {
        weight1: B::tensor(weight1, [width, wide]),
        bias1: vector(&rows::sum_rows(team, hidden_grad, wide)),
        weight2: B::tensor(weight2, [wide, width]),
        bias2: vector(&rows::sum_rows(team, grad, width)),
    };
    (B::tensor(out, shape), grads)
}

pub(super) fn adamw_step<B: Sliced>(state: AdamWState<B>, grad: Tensor<B, 1>, factors: &AdamWFactors) -> AdamWState<B> {
    let ([length], grad) = (grad.dims(), B::read(grad));
    let mut values = [state.weights, state.first, state.second].map(B::own);
    let [weights, first, second] = values.each_mut().map(B::slice_mut);
    rows::adamw(B::TEAM, weights, first, second, B::slice(&grad), factors.in_order());
    let [weights, first, second] = values.map(|values| B::tensor(values, [length]));
    AdamWState { weights, first, second }
}

/// Takes every fused operation to its form on slices where that applies, else to its plain form.
macro_rules! ops_on_slices {
    ($backend:ty) => {
        ops_on_slices!($backend;
            fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3>;
            fn self_attention_backward(qkv: Tensor<Self, 3>, grad: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3>;
            fn linear_rows(rows: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2>;
            fn linear_rows_backward(
                rows: Tensor<Self, 2>, weight: Tensor<Self, 2>, grad: Tensor<Self, 2>, wants_rows: bool,
            ) -> LinearGrads<Self>;
            fn nearest_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int>;
            fn residual_codes(
                rows: Tensor<Self, 2>, books: Vec<Tensor<Self, 2>>, unit_lookup: bool,
            ) -> Tensor<Self, 2, Int>;
            fn cross_entropy_rows(logits: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>) -> Tensor<Self, 1>;
            fn cross_entropy_rows_backward(
                logits: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>, grad: Tensor<Self, 1>,
            ) -> Tensor<Self, 2>;
            fn norm_rows_backward(
                rows: Tensor<Self, 2>, scale: Tensor<Self, 1>, grad: Tensor<Self, 2>, epsilon: f64,
            ) -> NormGrads<Self>;
            fn mlp_rows(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> Tensor<Self, 2>;
            fn mlp_rows_with_hidden(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> (Tensor<Self, 2>, Tensor<Self, 2>);
            fn mlp_rows_backward(
                rows: Tensor<Self, 2>, mlp: MlpTensors<Self>, hidden: Tensor<Self, 2>, grad: Tensor<Self, 2>,
            ) -> (Tensor<Self, 2>, MlpTensors<Self>);
        );
    };
    ($backend:ty; $(fn $name:ident($first:ident: $of:ty $(, $more:ident: $kind:ty)* $(,)?) -> $result:ty;)+) => {
        impl Ops for $backend {
            $(fn $name($first: $of, $($more: $kind),*) -> $result {
                if <Self as Sliced>::applies(&$first) {
                    sliced::$name($first, $($more),*)
                } else {
                    plain::$name($first, $($more),*)
                }
            })+

            fn norm_rows(
                rows: Tensor<Self, 2>,
                scale: Tensor<Self, 1>,
                shift: Tensor<Self, 1>,
                epsilon: f64,
            ) -> Tensor<Self, 2> {
                if <Self as Sliced>::applies(&rows) {
                    sliced::norm_rows(rows, scale, shift, epsilon)
                } else {
                    Self::norm_otherwise(rows, scale, shift, epsilon)
                }
            }

            fn adamw_step(state: AdamWState<Self>, grad: Tensor<Self, 1>, factors: &AdamWFactors) -> AdamWState<Self> {
                if <Self as Sliced>::applies(&grad) {
                    sliced::adamw_step(state, grad, factors)
                } else {
                    plain::adamw_step(state, grad, factors)
                }
            }
        }
    };
}
pub(super) use ops_on_slices;
