//! Linear layers, MLPs and attention in bf16 equal those of operands rounded to bf16 where the processor
//! has products for them, and elsewhere those in f32; all else stays f32.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use bridle_backends::kernel::{MlpTensors, Ops, Precision, Product, plain, plainly, with_precision};
use bridle_seed::Seed;
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

/// Largest difference relative to the largest value, of sums in f32 over equal operands.
const SUMS: f32 = 1e-5;

/// The same if intermediate results are rounded too: a few differ by a unit in the last place, 2^-7.
const BETWEEN: f32 = 0.008;

/// Rows, width.
const ROWS: [[usize; 2]; 4] = [[1, 1], [300, 7], [129, 128], [513, 33]];

fn normal<B: Backend, const D: usize>(name: &str, shape: [usize; D]) -> Tensor<B, D> {
    let mut stream = Seed::root(6).child(name).stream();
    let values = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

/// Whether bf16 is bf16 here.
fn rounds() -> bool {
    Product::of_this_processor() != Product::F32
}

/// An operand as products in bf16 take it: the nearest numbers of 8 significant bits, to even on ties. (Not
/// every backend's cast does so.)
fn rounded<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Tensor<B, D> {
    if !rounds() {
        return tensor.clone();
    }
    let round = |value: f32| {
        let unit = 2_f64.powi(f64::from(value.abs()).log2().floor() as i32 - 7);
        ((f64::from(value) / unit).round_ties_even() * unit) as f32
    };
    let values: Vec<f32> = tensor.to_data().iter::<f32>().map(round).collect();
    Tensor::from_data(TensorData::new(values, tensor.dims()), &tensor.device())
}

fn in_bf16<T>(work: impl FnOnce() -> T) -> T {
    with_precision(Precision::Bf16, work)
}

/// The largest difference relative to the largest value.
fn apart<B: Backend, const D: usize>(found: Tensor<B, D>, expected: Tensor<B, D>) -> f32 {
    assert_eq!((found.dims(), found.dtype()), (expected.dims(), DType::F32));
    let largest = expected.clone().abs().max().into_data().to_vec::<f32>().unwrap()[0];
    let difference = (found - expected).abs().max().into_data().to_vec::<f32>().unwrap()[0];
    difference / largest.max(1e-3)
}

#[track_caller]
fn close<B: Backend, const D: usize>(found: Tensor<B, D>, expected: Tensor<B, D>, most: f32, what: &str) {
    let difference = apart(found, expected);
    assert!(difference <= most, "{what}: {difference}");
}

fn linear<B: Ops>() {
    for [count, width] in ROWS {
        let what = format!("linear {count} {width}");
        let wide = 2 * width + 1;
        let (rows, weight) = (normal::<B, 2>("rows", [count, width]), normal("weight", [width, wide]));
        let (bias, grad) = (normal("bias", [wide]), normal("grad", [count, wide]));
        let found = in_bf16(|| B::linear_rows(rows.clone(), weight.clone(), bias.clone()));
        let (low_rows, low_weight) = (rounded(&rows), rounded(&weight));
        let expected = plain::linear_rows(low_rows.clone(), low_weight.clone(), bias);
        close(found, expected, SUMS, &what);

        let found = in_bf16(|| B::linear_rows_backward(rows, weight, grad.clone(), true));
        let expected = plain::linear_rows_backward(low_rows, low_weight, rounded(&grad), true);
        close(found.rows.unwrap(), expected.rows.unwrap(), SUMS, &what);
        close(found.weight, expected.weight, SUMS, &what);
        // the bias's gradient is a sum, without rounding
        close(found.bias, grad.sum_dim(0).squeeze_dim(0), SUMS, &what);
    }
}

fn mlp<B: Ops>() {
    for [count, width] in ROWS {
        let what = format!("mlp {count} {width}");
        let wide = 4 * width - 1;
        let tensors = MlpTensors {
            weight1: normal::<B, 2>("weight1", [width, wide]),
            bias1: normal("bias1", [wide]),
            weight2: normal("weight2", [wide, width]),
            bias2: normal("bias2", [width]),
        };
        let (rows, grad) = (normal::<B, 2>("rows", [count, width]), normal("grad", [count, width]));
        let (out, hidden) = in_bf16(|| B::mlp_rows_with_hidden(rows.clone(), tensors.clone()));
        let low = MlpTensors {
            weight1: rounded(&tensors.weight1),
            weight2: rounded(&tensors.weight2),
            ..tensors.clone()
        };
        let (expected, expected_hidden) = plain::mlp_rows_with_hidden(rounded(&rows), low.clone());
        close(hidden.clone(), expected_hidden, SUMS, &what);
        close(out.clone(), expected, BETWEEN, &what);
        close(in_bf16(|| B::mlp_rows(rows.clone(), tensors.clone())), out, SUMS, &what);

        let (found, found_grads) =
            in_bf16(|| B::mlp_rows_backward(rows.clone(), tensors, hidden.clone(), grad.clone()));
        let (expected, grads) = plain::mlp_rows_backward(rounded(&rows), low, hidden, rounded(&grad));
        close(found, expected, BETWEEN, &what);
        close(found_grads.weight1, grads.weight1, BETWEEN, &what);
        close(found_grads.weight2, grads.weight2, BETWEEN, &what);
        close(found_grads.bias1, grads.bias1, BETWEEN, &what);
    }
}

fn attention<B: Ops>() {
    for [batch, tokens, width, heads] in [[2, 1, 8, 1], [1, 7, 12, 3], [2, 257, 128, 4], [5, 33, 10, 2]] {
        let what = format!("attention {batch} {tokens} {width} {heads}");
        let qkv = normal::<B, 3>("qkv", [batch, tokens, 3 * width]);
        let grad = normal("grad", [batch, tokens, width]);
        let found = in_bf16(|| B::self_attention(qkv.clone(), heads));
        close(found, plain::self_attention(rounded(&qkv), heads), BETWEEN, &what);
        let found = in_bf16(|| B::self_attention_backward(qkv.clone(), grad.clone(), heads));
        let expected = plain::self_attention_backward(rounded(&qkv), rounded(&grad), heads);
        close(found, expected, BETWEEN, &what);
    }
}

/// The plain form rounds the same operands, and its results too, forward and backward, on every processor.
fn graph<B: Ops>() {
    let tracked = |name, shape| normal::<Autodiff<B>, 2>(name, shape).require_grad();
    let (rows, weight) = (tracked("rows", [40, 48]), tracked("weight", [48, 30]));
    let bias = || normal::<Autodiff<B>, 1>("bias", [30]);
    let pass = || {
        let out = Ops::linear_rows(rows.clone(), weight.clone(), bias());
        let grads = out.clone().powi_scalar(2).sum().backward();
        [out.inner(), rows.grad(&grads).unwrap(), weight.grad(&grads).unwrap()]
    };
    let (single, half, plain) = (pass(), in_bf16(pass), in_bf16(|| plainly(pass)));
    for ((single, half), plain) in single.into_iter().zip(half).zip(plain) {
        let difference = apart(half.clone(), single);
        assert!(
            if rounds() { difference > 1e-4 } else { difference == 0.0 },
            "{difference}"
        );
        close(half, plain, BETWEEN, "a whole pass");
    }
}

fn others<B: Ops>() {
    let bits = |tensor: Tensor<B, 2>| tensor.into_data().to_vec::<f32>().unwrap();
    let norm = || {
        B::norm_rows(
            normal("rows", [40, 33]),
            normal("scale", [33]),
            normal("shift", [33]),
            1e-6,
        )
    };
    assert_eq!(bits(norm()), bits(in_bf16(norm)));
    let codes = || {
        let books = ["one", "two"].map(|name| normal(name, [50, 16])).to_vec();
        B::residual_codes(normal("rows", [200, 16]), books, true)
            .into_data()
            .iter::<i64>()
            .collect::<Vec<i64>>()
    };
    assert_eq!(codes(), in_bf16(codes));
}

macro_rules! on {
    ($backend:ident: $type:ty) => {
        mod $backend {
            #[test]
            fn linear_layers_equal_those_of_rounded_operands() {
                super::linear::<$type>();
            }
            #[test]
            fn mlps_equal_those_of_rounded_operands() {
                super::mlp::<$type>();
            }
            #[test]
            fn attention_equals_that_of_rounded_operands() {
                super::attention::<$type>();
            }
            #[test]
            fn gradients_are_rounded_too() {
                super::graph::<$type>();
            }
            #[test]
            fn norms_and_codes_stay_f32() {
                super::others::<$type>();
            }
        }
    };
}

on!(flex: burn_flex::Flex);
#[cfg(feature = "tch")]
on!(tch: burn_tch::LibTorch);
