//! Every fused operation equals its plain form: values on the backend itself, gradients through the
//! graph.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use bridle_backends::kernel::{
    AdamWFactors, AdamWState, BlockSizes, BlockTensors, MlpTensors, Ops, Selection, plain, plainly,
};
use bridle_seed::Seed;
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Largest difference allowed, relative to the largest value.
const TOLERANCE: f32 = 1e-5;

/// Batch, tokens, width, heads.
const ATTENTIONS: [[usize; 4]; 6] = [
    [2, 1, 8, 1],
    [1, 7, 12, 3],
    [3, 52, 32, 4],
    [2, 257, 128, 4],
    [5, 33, 10, 2],
    [1, 300, 6, 1],
];

/// Rows, width.
const ROWS: [[usize; 2]; 5] = [[1, 1], [1, 9], [300, 7], [129, 128], [513, 33]];

const EPSILON: f64 = 1e-6;

fn normal<B: Backend, const D: usize>(name: &str, shape: [usize; D], spread: f32) -> Tensor<B, D> {
    let mut stream = Seed::root(5).child(name).stream();
    let values = (0..shape.iter().product()).map(|_| spread * stream.normal()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

/// The same values, not contiguous.
fn strided<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    let transposed = tensor.swap_dims(D - 1, D - 2);
    let shape = transposed.dims();
    let transposed: Tensor<B, D> = Tensor::from_data(transposed.into_data(), &Default::default());
    assert_eq!(transposed.dims(), shape);
    transposed.swap_dims(D - 1, D - 2)
}

#[track_caller]
fn assert_close<B: Backend, const D: usize>(found: Tensor<B, D>, expected: Tensor<B, D>, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (
        found.into_data().to_vec::<f32>().unwrap(),
        expected.into_data().to_vec::<f32>().unwrap(),
    );
    let largest = expected
        .iter()
        .fold(1e-3_f32, |largest, value| largest.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let difference = (found - expected).abs() / largest;
        assert!(
            difference <= TOLERANCE,
            "{what}, element {index}: {found} instead of {expected}"
        );
    }
}

/// Compares `fast` with `plain`: values, and the gradient of every input for a fixed weighting of the
/// result.
fn compare<B: Backend, const D: usize, const N: usize>(
    inputs: [Tensor<B, D>; N],
    fast: impl Fn([Tensor<Autodiff<B>, D>; N]) -> Tensor<Autodiff<B>, D>,
    plain: impl Fn([Tensor<Autodiff<B>, D>; N]) -> Tensor<Autodiff<B>, D>,
    what: &str,
) {
    let run = |form: &dyn Fn([Tensor<Autodiff<B>, D>; N]) -> Tensor<Autodiff<B>, D>| {
        let inputs = inputs.clone().map(|input| Tensor::from_inner(input).require_grad());
        let output = form(inputs.clone());
        let grads = (output.clone() * Tensor::from_inner(normal("weighting", output.dims(), 1.0)))
            .sum()
            .backward();
        (output.inner(), inputs.map(|input| input.grad(&grads).unwrap()))
    };
    let ((found, found_grads), (expected, expected_grads)) = (run(&fast), run(&plain));
    assert_close(found, expected, what);
    for (index, (found, expected)) in found_grads.into_iter().zip(expected_grads).enumerate() {
        assert_close(found, expected, &format!("{what}, gradient of input {index}"));
    }
}

fn attention<B: Ops>() {
    for [batch, tokens, width, heads] in ATTENTIONS {
        let what = format!("attention {batch} {tokens} {width} {heads}");
        let qkv = normal::<B, 3>("qkv", [batch, tokens, 3 * width], 1.5);
        for qkv in [qkv.clone(), strided(qkv)] {
            assert_close(
                B::self_attention(qkv.clone(), heads),
                plain::self_attention(qkv.clone(), heads),
                &what,
            );
            compare(
                [qkv],
                |[qkv]| Ops::self_attention(qkv, heads),
                |[qkv]| plain::self_attention(qkv, heads),
                &what,
            );
        }
    }
}

/// Biases of each shape, with and without a gradient of their own.
fn biased_attention<B: Ops>() {
    type Gradients<B> = (Tensor<B, 3>, Tensor<B, 3>, Option<Tensor<B, 4>>);
    type Form<B> = fn(Tensor<Autodiff<B>, 3>, Tensor<Autodiff<B>, 4>, usize) -> Tensor<Autodiff<B>, 3>;
    for [batch, tokens, width, heads] in ATTENTIONS {
        let qkv = normal::<B, 3>("qkv", [batch, tokens, 3 * width], 1.5);
        for shape in [
            [1, heads, tokens, tokens],
            [batch, 1, 1, tokens],
            [batch, heads, tokens, tokens],
        ] {
            let bias = normal::<B, 4>("bias", shape, 2.0);
            let weighting = normal::<B, 3>("weighting", [batch, tokens, width], 1.0);
            for (qkv, bias) in [(qkv.clone(), bias.clone()), (strided(qkv.clone()), strided(bias))] {
                let run = |form: Form<B>, tracked: bool| -> Gradients<B> {
                    let qkv = Tensor::from_inner(qkv.clone()).require_grad();
                    let bias = Tensor::<Autodiff<B>, 4>::from_inner(bias.clone());
                    let bias = if tracked { bias.require_grad() } else { bias };
                    let out = form(qkv.clone(), bias.clone(), heads);
                    let grads = (out.clone() * Tensor::from_inner(weighting.clone())).sum().backward();
                    (out.inner(), qkv.grad(&grads).unwrap(), bias.grad(&grads))
                };
                for tracked in [true, false] {
                    let what = format!("attention {batch} {tokens} {width} {heads}, bias {shape:?}, {tracked}");
                    let (found, found_qkv, found_bias) = run(Ops::biased_attention, tracked);
                    let (expected, expected_qkv, expected_bias) = run(plain::biased_attention, tracked);
                    assert_close(found, expected, &what);
                    assert_close(found_qkv, expected_qkv, &format!("{what}, gradient of qkv"));
                    assert_eq!((found_bias.is_some(), expected_bias.is_some()), (tracked, tracked));
                    for (found, expected) in found_bias.into_iter().zip(expected_bias) {
                        assert_close(found, expected, &format!("{what}, gradient of the bias"));
                    }
                }
            }
        }
    }
}

fn gelu<B: Ops>() {
    for [count, width] in ROWS {
        let rows = normal::<B, 2>("rows", [count, width], 3.0);
        for rows in [rows.clone(), strided(rows)] {
            compare(
                [rows],
                |[rows]| Ops::gelu_rows(rows),
                |[rows]| plain::gelu_rows(rows),
                &format!("gelu {count} {width}"),
            );
        }
    }
}

/// 1-D inputs are passed as one row, so that all inputs of an operation have one rank.
fn flat<B: Backend>(row: Tensor<B, 2>) -> Tensor<B, 1> {
    row.squeeze_dim(0)
}

fn norm<B: Ops>() {
    for [count, width] in ROWS {
        let what = format!("norm {count} {width}");
        let rows = normal::<B, 2>("rows", [count, width], 3.0).add_scalar(1.0);
        let (scale, shift) = (normal("scale", [1, width], 1.0), normal("shift", [1, width], 1.0));
        for rows in [rows.clone(), strided(rows)] {
            compare(
                [rows, scale.clone(), shift.clone()],
                |[rows, scale, shift]| Ops::norm_rows(rows, flat(scale), flat(shift), EPSILON),
                |[rows, scale, shift]| plain::norm_rows(rows, flat(scale), flat(shift), EPSILON),
                &what,
            );
        }
    }
}

fn cross_entropy<B: Ops>() {
    for [count, width] in ROWS {
        let what = format!("cross-entropy {count} {width}");
        let logits = normal::<B, 2>("logits", [count, width], 4.0);
        let mut stream = Seed::root(5).child("codes").stream();
        let codes: Vec<i64> = (0..count).map(|_| stream.below(width) as i64).collect();
        let codes: Tensor<B, 2, Int> = Tensor::from_data(TensorData::new(codes, [count, 1]), &Default::default());
        for logits in [logits.clone(), strided(logits)] {
            let codes = || Tensor::from_inner(codes.clone());
            compare(
                [logits],
                |[logits]| Ops::cross_entropy_rows(logits, codes()).unsqueeze(),
                |[logits]| plain::cross_entropy_rows(logits, codes()).unsqueeze(),
                &what,
            );
        }
    }
}

/// Every third row from the end, and all rows in reverse.
fn selection<B: Ops>() {
    for [count, width] in ROWS {
        let some: Vec<usize> = (0..count).rev().step_by(3).collect();
        let reversed: Vec<usize> = (0..count).rev().collect();
        for chosen in [some, reversed] {
            let what = format!("{} of {count} rows of {width}", chosen.len());
            let rows = normal::<B, 2>("rows", [count, width], 1.0);
            compare(
                [rows.clone()],
                |[rows]| Ops::select_rows(rows, Selection::new(&chosen, count, &Default::default())),
                |[rows]| plain::select_rows(rows, Selection::new(&chosen, count, &Default::default())),
                &what,
            );
            let selection = Selection::new(&chosen, count, &Default::default());
            let found = B::select_rows(rows.clone(), selection).into_data();
            let rows = rows.into_data().to_vec::<f32>().unwrap();
            let expected = chosen.iter().flat_map(|row| &rows[row * width..][..width]);
            assert!(found.iter::<f32>().eq(expected.copied()), "{what}");
        }
    }
}

fn counts<B: Ops>() {
    let codes: Vec<i64> = vec![3, 0, 3, 3, 6, 0];
    let codes: Tensor<B, 1, Int> = Tensor::from_data(TensorData::from(&codes[..]), &Default::default());
    let found = B::code_counts(codes, 8).into_data();
    assert_eq!(found.to_vec::<f32>().unwrap(), [2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0]);
}

/// Sums by code equal those of the plain form, and are the same to the bit for the same rows in the same order.
fn sums<B: Ops>() {
    let cases: [([usize; 2], usize, usize); 4] = [
        ([1, 1], 1, 1),
        ([300, 7], 1, 70),
        ([129, 128], 2, 33),
        ([513, 33], 3, 256),
    ];
    for ([count, width], picks, codes) in cases {
        let what = format!("{count} rows of {width}, {picks} of {codes} codes");
        let mut stream = Seed::root(5).child("codes").stream();
        let drawn = (0..count * picks).map(|_| stream.below(codes.div_ceil(2)) as i64);
        let given = TensorData::new(drawn.collect::<Vec<_>>(), [count, picks]);
        let given: Tensor<B, 2, Int> = Tensor::from_data(given, &Default::default());
        let rows = normal::<B, 2>("rows", [count, width], 1.0);
        let found = B::code_sums(rows.clone(), given.clone(), codes);
        let again = B::code_sums(strided(rows.clone()), given.clone(), codes);
        found.clone().into_data().assert_eq(&again.into_data(), true);
        assert_close(found, plain::code_sums(rows, given, codes), &what);
    }
}

#[test]
#[should_panic(expected = "row 1 is selected twice")]
fn a_row_is_selected_once() {
    Selection::<burn_flex::Flex>::new(&[1, 0, 1], 3, &Default::default());
}

fn linear<B: Ops>() {
    for [count, width] in ROWS {
        let what = format!("linear {count} {width}");
        let wide = 2 * width + 1;
        let rows = normal::<B, 2>("rows", [count, width], 1.0);
        let (weight, bias) = (normal("weight", [width, wide], 1.0), normal("bias", [1, wide], 1.0));
        for rows in [rows.clone(), strided(rows)] {
            for weight in [weight.clone(), strided(weight.clone())] {
                compare(
                    [rows.clone(), weight, bias.clone()],
                    |[rows, weight, bias]| Ops::linear_rows(rows, weight, flat(bias)),
                    |[rows, weight, bias]| plain::linear_rows(rows, weight, flat(bias)),
                    &what,
                );
            }
        }
    }
}

/// Untracked rows get no gradient, and the other inputs the same as otherwise.
fn untracked_rows<B: Ops>() {
    let rows = normal::<Autodiff<B>, 2>("rows", [9, 6], 1.0);
    let (weight, bias) = (normal("weight", [6, 5], 1.0), normal::<_, 1>("bias", [5], 1.0));
    let (weight, bias): (Tensor<Autodiff<B>, 2>, Tensor<Autodiff<B>, 1>) = (weight.require_grad(), bias.require_grad());
    let grads = Ops::linear_rows(rows.clone(), weight.clone(), bias.clone())
        .powi_scalar(2)
        .sum()
        .backward();
    let expected = plain::linear_rows(rows.clone(), weight.clone(), bias.clone())
        .powi_scalar(2)
        .sum()
        .backward();
    assert!(rows.grad(&grads).is_none());
    assert_close(weight.grad(&grads).unwrap(), weight.grad(&expected).unwrap(), "weight");
    assert_close(bias.grad(&grads).unwrap(), bias.grad(&expected).unwrap(), "bias");
}

/// Vectors, codes, width.
const NEAREST: [[usize; 3]; 5] = [[1, 1, 1], [300, 7, 5], [129, 256, 64], [513, 33, 16], [40, 1030, 8]];

fn nearest<B: Ops>() {
    for [count, codes, width] in NEAREST {
        let rows = normal::<B, 2>("rows", [count, width], 1.0);
        let vectors = normal::<B, 2>("vectors", [codes, width], 1.0);
        let host = |tensor: &Tensor<B, 2>| tensor.to_data().to_vec::<f32>().unwrap();
        let (row_values, vector_values) = (host(&rows), host(&vectors));
        for rows in [rows.clone(), strided(rows)] {
            let found: Vec<i64> = B::nearest_codes(rows, vectors.clone()).into_data().iter().collect();
            assert_eq!(found.len(), count);
            for (row, &code) in row_values.chunks(width).zip(&found) {
                let distance = |code: usize| -> f64 {
                    let vector = &vector_values[code * width..][..width];
                    row.iter().zip(vector).map(|(a, b)| f64::from(a - b).powi(2)).sum()
                };
                let least = (0..codes).map(distance).fold(f64::INFINITY, f64::min);
                let excess = distance(code as usize) - least;
                assert!(excess <= 1e-5 * (1.0 + least), "code {code} is farther by {excess}");
            }
        }
    }
}

/// Each code is, but for rounding, the nearest to the residual of the codes before it.
fn residual<B: Ops>() {
    for [count, codes, width] in NEAREST {
        let rows = normal::<B, 2>("rows", [count, width], 1.0);
        let book = |name: &str| normal::<B, 2>(name, [codes, width], 0.5);
        let books = vec![book("first"), book("second"), book("third")];
        let host = |tensor: &Tensor<B, 2>| tensor.to_data().to_vec::<f32>().unwrap();
        let values: Vec<Vec<f32>> = books.iter().map(host).collect();
        for unit_lookup in [true, false] {
            for rows in [rows.clone(), strided(rows.clone())] {
                let found: Vec<i64> = B::residual_codes(rows.clone(), books.clone(), unit_lookup)
                    .into_data()
                    .iter()
                    .collect();
                assert_eq!(found.len(), count * 3);
                for (row, found) in host(&rows).chunks(width).zip(found.chunks(3)) {
                    let mut left = row.to_vec();
                    for (book, &code) in values.iter().zip(found) {
                        let length = left.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                        let scale = if unit_lookup { 1.0 / length.max(1e-12) } else { 1.0 };
                        let vector = |code: usize| &book[code * width..][..width];
                        let distance = |code: usize| -> f64 {
                            let pairs = left.iter().zip(vector(code));
                            pairs
                                .map(|(a, b)| (f64::from(*a) * scale - f64::from(*b)).powi(2))
                                .sum()
                        };
                        let least = (0..codes).map(distance).fold(f64::INFINITY, f64::min);
                        let excess = distance(code as usize) - least;
                        assert!(excess <= 1e-5 * (1.0 + least), "code {code} is farther by {excess}");
                        let vector = vector(code as usize);
                        left.iter_mut().zip(vector).for_each(|(left, value)| *left -= value);
                    }
                }
            }
        }
    }
}

/// What a search for codes finds: all codes, and the bits of scores.
type Found = (Vec<Vec<i64>>, Vec<u32>);

/// Every search for the codes of rows.
fn searches<B: Ops>(rows: &Tensor<B, 2>, vectors: &Tensor<B, 2>) -> Found {
    let (rows, vectors) = (|| rows.clone(), || vectors.clone());
    let found = [
        B::nearest_codes(rows(), vectors()),
        B::most_similar_codes(rows(), vectors()),
        B::residual_codes(rows(), vec![vectors(), vectors()], true),
        B::residual_codes(rows(), vec![vectors(), vectors()], false),
    ];
    let scores = B::dot_products(rows(), vectors()).into_data().to_vec::<f32>().unwrap();
    (
        found.map(|codes| codes.into_data().iter().collect()).to_vec(),
        scores.into_iter().map(f32::to_bits).collect(),
    )
}

/// Of codes with equal vectors the first is chosen, and what a row gets does not depend on the other rows, whatever
/// the sizes.
fn ties<B: Ops>() {
    let mut stream = Seed::root(7).child("sizes").stream();
    let counts = [1, 2, 3, 7, 63, 64, 65, 127, 128, 129, 130, 257, 385];
    let widths = [1, 2, 3, 5, 8, 16, 17, 64, 129, 256, 257, 512, 513, 600, 1100];
    for _ in 0..60 {
        let count = counts[stream.below(counts.len())];
        let distinct = [1, 2, 3, 8, 15, 33, 64, 130][stream.below(8)];
        let width = widths[stream.below(widths.len())];
        let copies = 1 + stream.below(3);
        let what = format!("{count} rows, {copies} x {distinct} codes of {width}");
        let rows = normal::<B, 2>("rows", [count, width], 1.0);
        let once = normal::<B, 2>("vectors", [distinct, width], 1.0);
        // the copies are shuffled: equal vectors stand in any two places
        let mut order: Vec<usize> = (0..copies * distinct).map(|place| place % distinct).collect();
        stream.shuffle(&mut order);
        let places: Vec<i64> = order.iter().map(|&vector| vector as i64).collect();
        let places: Tensor<B, 1, Int> = Tensor::from_data(TensorData::from(&places[..]), &Default::default());
        let vectors = once.select(0, places);
        let (codes, scores) = searches(&rows, &vectors);
        let first = |code: usize| order.iter().position(|vector| *vector == order[code]).unwrap();
        for &code in codes.iter().flatten() {
            assert_eq!(code as usize, first(code as usize), "{what}");
        }
        for row in scores.chunks_exact(order.len()) {
            assert!((0..row.len()).all(|code| row[code] == row[first(code)]), "{what}");
        }
        let start = stream.below(count);
        for length in [1, 1 + stream.below(count - start)] {
            let (part, part_scores) = searches(&rows.clone().narrow(0, start, length), &vectors);
            for (part, codes) in part.iter().zip(&codes) {
                let levels = codes.len() / count;
                assert_eq!(
                    part[..],
                    codes[start * levels..][..length * levels],
                    "{what}, rows {start} and on"
                );
            }
            assert_eq!(
                part_scores[..],
                scores[start * order.len()..][..length * order.len()],
                "{what}"
            );
        }
    }
}

fn dots<B: Ops>() {
    for [count, codes, width] in NEAREST {
        let (rows, vectors) = (
            normal("rows", [count, width], 1.0),
            normal("vectors", [codes, width], 1.0),
        );
        for rows in [rows.clone(), strided(rows)] {
            let found = B::dot_products(rows.clone(), vectors.clone());
            assert_close(
                found,
                plain::dot_products(rows.clone(), vectors.clone()),
                "dot products",
            );
            let best: Vec<i64> = B::most_similar_codes(rows.clone(), vectors.clone())
                .into_data()
                .iter()
                .collect();
            let scores = plain::dot_products(rows, vectors.clone())
                .into_data()
                .to_vec::<f32>()
                .unwrap();
            for (row, code) in scores.chunks_exact(codes).zip(best) {
                let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert!(
                    row[code as usize] >= most - 1e-5 * (1.0 + most.abs()),
                    "code {code} is less similar"
                );
            }
        }
    }
}

/// No operation takes its fast form, with gradients or without.
fn plainly_is_plain<B: Ops>() {
    let rows = normal::<B, 2>("rows", [130, 48], 1.0);
    let (weight, bias) = (normal("weight", [48, 96], 1.0), normal("bias", [96], 1.0));
    let bits = |tensor: Tensor<B, 2>| tensor.into_data().to_vec::<f32>().unwrap();
    let expected = bits(plain::linear_rows(rows.clone(), weight.clone(), bias.clone()));
    let inner = plainly(|| B::linear_rows(rows.clone(), weight.clone(), bias.clone()));
    let tracked = |tensor: Tensor<B, 2>| Tensor::<Autodiff<B>, 2>::from_inner(tensor).require_grad();
    let outer = plainly(|| Ops::linear_rows(tracked(rows), tracked(weight), Tensor::from_inner(bias)));
    assert_eq!((bits(inner), bits(outer.inner())), (expected.clone(), expected));
}

fn mlp_tensors<B: Backend>(
    weight1: Tensor<B, 2>,
    bias1: Tensor<B, 2>,
    weight2: Tensor<B, 2>,
    bias2: Tensor<B, 2>,
) -> MlpTensors<B> {
    MlpTensors {
        weight1,
        bias1: flat(bias1),
        weight2,
        bias2: flat(bias2),
    }
}

fn mlp<B: Ops>() {
    for [count, width] in ROWS {
        let what = format!("mlp {count} {width}");
        let wide = 4 * width - 1;
        let inputs = |rows| {
            [
                rows,
                normal::<B, 2>("weight1", [width, wide], 1.0),
                normal("bias1", [1, wide], 1.0),
                normal("weight2", [wide, width], 1.0),
                normal("bias2", [1, width], 1.0),
            ]
        };
        let rows = normal("rows", [count, width], 1.0);
        for rows in [rows.clone(), strided(rows)] {
            let [_, weight1, bias1, weight2, bias2] = inputs(rows.clone());
            let tensors = mlp_tensors(weight1, bias1, weight2, bias2);
            let (expected, expected_hidden) = plain::mlp_rows_with_hidden(rows.clone(), tensors.clone());
            let (found, hidden) = B::mlp_rows_with_hidden(rows.clone(), tensors.clone());
            assert_close(found, expected.clone(), &what);
            assert_close(hidden, expected_hidden, &what);
            assert_close(B::mlp_rows(rows.clone(), tensors), expected, &what);
            compare(
                inputs(rows),
                |[rows, w1, b1, w2, b2]| Ops::mlp_rows(rows, mlp_tensors(w1, b1, w2, b2)),
                |[rows, w1, b1, w2, b2]| plain::mlp_rows_with_hidden(rows, mlp_tensors(w1, b1, w2, b2)).0,
                &what,
            );
        }
    }
}

/// A block that keeps only its input has the gradients of one that keeps everything.
fn block<B: Ops>() {
    for [batch, tokens, width, heads] in [[2, 5, 8, 2], [3, 129, 24, 3]] {
        let leaf = |name, shape: [usize; 2]| {
            let fan = (shape[0] as f32).sqrt().recip();
            normal::<Autodiff<B>, 2>(name, shape, fan).require_grad()
        };
        let row = |name, length| normal::<Autodiff<B>, 1>(name, [length], 0.5).require_grad();
        let rows = leaf("rows", [batch * tokens, width]);
        let tensors = BlockTensors {
            norm1: [row("scale1", width), row("shift1", width)],
            qkv: (leaf("qkv", [width, 3 * width]), row("qkv bias", 3 * width)),
            proj: (leaf("proj", [width, width]), row("proj bias", width)),
            norm2: [row("scale2", width), row("shift2", width)],
            mlp: MlpTensors {
                weight1: leaf("weight1", [width, 4 * width]),
                bias1: row("bias1", 4 * width),
                weight2: leaf("weight2", [4 * width, width]),
                bias2: row("bias2", width),
            },
        };
        let sizes = BlockSizes {
            tokens,
            heads,
            epsilon: EPSILON,
        };
        let pass = || {
            let out = Ops::block_rows(rows.clone(), tensors.clone(), sizes);
            let grads = (out.clone() * normal("weighting", [batch * tokens, width], 1.0))
                .sum()
                .backward();
            let BlockTensors {
                norm1,
                qkv,
                proj,
                norm2,
                mlp,
            } = &tensors;
            let wide = [&rows, &qkv.0, &proj.0, &mlp.weight1, &mlp.weight2].map(|leaf| leaf.grad(&grads).unwrap());
            let flat = [
                &norm1[0], &norm1[1], &qkv.1, &proj.1, &norm2[0], &norm2[1], &mlp.bias1, &mlp.bias2,
            ];
            (out.inner(), wide, flat.map(|leaf| leaf.grad(&grads).unwrap()))
        };
        let ((out, wide, flat), (plain_out, plain_wide, plain_flat)) = (pass(), plainly(pass));
        assert_close(out, plain_out, "block");
        for (index, (found, expected)) in wide.into_iter().zip(plain_wide).enumerate() {
            assert_close(found, expected, &format!("block, gradient of matrix {index}"));
        }
        for (index, (found, expected)) in flat.into_iter().zip(plain_flat).enumerate() {
            assert_close(found, expected, &format!("block, gradient of vector {index}"));
        }
    }
}

/// The backward forms of the backend equal the default ones.
fn default_gradients<B: Ops>() {
    let (qkv, grad) = (normal::<B, 3>("qkv", [2, 7, 18], 1.5), normal("grad", [2, 7, 6], 1.5));
    let expected = plain::self_attention_backward(qkv.clone(), grad.clone(), 3);
    assert_close(B::self_attention_backward(qkv, grad, 3), expected, "attention");

    let bias = normal::<B, 4>("bias", [1, 3, 7, 7], 1.0);
    let (qkv, grad) = (normal::<B, 3>("qkv", [2, 7, 18], 1.5), normal("grad", [2, 7, 6], 1.5));
    let expected = plain::biased_attention_backward(qkv.clone(), bias.clone(), grad.clone(), 3, true);
    let found = B::biased_attention_backward(qkv, bias, grad, 3, true);
    assert_close(found.0, expected.0, "biased attention");
    assert_close(found.1.unwrap(), expected.1.unwrap(), "bias of attention");

    let (rows, grad) = (normal::<B, 2>("rows", [9, 6], 3.0), normal::<B, 2>("grad", [9, 6], 1.0));
    let expected = plain::gelu_rows_backward(rows.clone(), grad.clone());
    assert_close(B::gelu_rows_backward(rows.clone(), grad.clone()), expected, "gelu");
    let scale = normal("scale", [6], 1.0);
    let expected = plain::norm_rows_backward(rows.clone(), scale.clone(), grad.clone(), EPSILON);
    let found = B::norm_rows_backward(rows.clone(), scale, grad.clone(), EPSILON);
    assert_close(found.rows, expected.rows, "norm rows");
    assert_close(found.scale, expected.scale, "norm scale");
    assert_close(found.shift, expected.shift, "norm shift");

    let codes = || Tensor::<B, 2, Int>::from_data([[3], [0], [5], [5], [1], [2], [0], [4], [3]], &Default::default());
    let weight = || normal::<B, 1>("grad", [1], 1.0);
    let expected = plain::cross_entropy_rows_backward(rows.clone(), codes(), weight());
    assert_close(
        B::cross_entropy_rows_backward(rows.clone(), codes(), weight()),
        expected,
        "cross-entropy",
    );

    let mlp = MlpTensors {
        weight1: normal("weight1", [6, 5], 1.0),
        bias1: normal("bias1", [5], 1.0),
        weight2: normal("weight2", [5, 6], 1.0),
        bias2: normal("bias2", [6], 1.0),
    };
    let hidden = plain::mlp_rows_with_hidden(rows.clone(), mlp.clone()).1;
    let (expected, expected_mlp) = plain::mlp_rows_backward(rows.clone(), mlp.clone(), hidden.clone(), grad.clone());
    let (found, found_mlp) = B::mlp_rows_backward(rows, mlp, hidden, grad);
    assert_close(found, expected, "mlp rows");
    assert_close(found_mlp.weight1, expected_mlp.weight1, "mlp weight1");
    assert_close(found_mlp.bias1, expected_mlp.bias1, "mlp bias1");
    assert_close(found_mlp.weight2, expected_mlp.weight2, "mlp weight2");
    assert_close(found_mlp.bias2, expected_mlp.bias2, "mlp bias2");
}

/// Bits of the results and gradients of one pass through every fused operation.
fn flex_bits() -> Vec<u32> {
    type Graph = Autodiff<burn_flex::Flex>;
    let leaf = |name, shape| normal::<Graph, 2>(name, shape, 0.3).require_grad();
    let (rows, fused) = (leaf("rows", [4 * 77, 48]), leaf("fused", [48, 144]));
    let (weight1, weight2) = (leaf("weight1", [48, 192]), leaf("weight2", [192, 48]));
    let vector = |name, length| normal::<Graph, 1>(name, [length], 0.3);
    let normed = Ops::norm_rows(rows.clone(), vector("scale", 48), vector("shift", 48), EPSILON);
    let mixed = Ops::self_attention(normed.matmul(fused.clone()).reshape([4, 77, 144]), 4).reshape([4 * 77, 48]);
    let (bias1, bias2) = (vector("bias1", 192), vector("bias2", 48));
    let mlp = MlpTensors {
        weight1: weight1.clone(),
        bias1,
        weight2: weight2.clone(),
        bias2,
    };
    let output = Ops::mlp_rows(mixed, mlp);
    let grads = output.clone().powi_scalar(2).sum().backward();
    let grads = [rows, fused, weight1, weight2].map(|leaf| leaf.grad(&grads).unwrap());
    let bits = |tensor: Tensor<burn_flex::Flex, 2>| {
        tensor
            .into_data()
            .to_vec::<f32>()
            .unwrap()
            .into_iter()
            .map(f32::to_bits)
    };
    std::iter::once(output.inner()).chain(grads).flat_map(bits).collect()
}

#[test]
fn flex_repeats_bit_for_bit_whatever_the_threads() {
    let with = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(flex_bits)
    };
    let one = with(1);
    for threads in [1, 2, 3, 3, 5] {
        assert!(with(threads) == one, "{threads} threads give other bits than one");
    }
}

#[test]
fn flex_finds_the_same_codes_whatever_the_threads() {
    type Flex = burn_flex::Flex;
    let (rows, vectors) = (
        normal::<Flex, 2>("rows", [700, 24], 1.0),
        normal("vectors", [90, 24], 1.0),
    );
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| searches(&rows, &vectors))
    };
    let one = with(1);
    assert!([2, 3, 5].into_iter().all(|threads| with(threads) == one));
}

#[cfg(feature = "tch")]
#[test]
fn libtorch_finds_the_codes_of_flex_whatever_the_threads() {
    fn of<B: Ops>() -> Found {
        searches::<B>(&normal("rows", [700, 24], 1.0), &normal("vectors", [90, 24], 1.0))
    }
    let flex = of::<burn_flex::Flex>();
    for threads in [1, 2, 5] {
        ::tch::set_num_threads(threads);
        assert!(of::<burn_tch::LibTorch>() == flex, "{threads} threads");
    }
}

fn adamw<B: Ops>() {
    let factors = AdamWFactors {
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        keep: 0.99,
        rate: 0.1,
        root: 0.7,
    };
    for length in [1, 7, 40_000] {
        let start = AdamWState {
            weights: normal::<B, 1>("weights", [length], 1.0),
            first: normal("first", [length], 1.0),
            second: normal("second", [length], 1.0).abs(),
        };
        let (mut found, mut expected) = (start.clone(), start.clone());
        for step in ["one", "two"] {
            let grad = normal(step, [length], 1.0);
            found = B::adamw_step(found, grad.clone(), &factors);
            expected = plain::adamw_step(expected, grad, &factors);
        }
        assert_close(found.weights, expected.weights, "weights");
        assert_close(found.first, expected.first, "first moments");
        assert_close(found.second, expected.second, "second moments");
        assert_close(start.weights, normal("weights", [length], 1.0), "the shared weights");
    }
}

/// Weights that are not shared are updated in place.
#[cfg(feature = "tch")]
#[test]
fn adamw_copies_only_shared_weights() {
    type Row = Tensor<burn_tch::LibTorch, 1>;
    let address = |row: &Row| row.clone().into_primitive().tensor().tensor.data_ptr() as usize;
    let factors = AdamWFactors {
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        keep: 0.99,
        rate: 0.1,
        root: 0.7,
    };
    let state = || AdamWState {
        weights: normal::<burn_tch::LibTorch, 1>("weights", [100], 1.0),
        first: normal("first", [100], 1.0),
        second: normal("second", [100], 1.0).abs(),
    };
    let (owned, shared) = (state(), state());
    let before = [&owned, &shared].map(|state| address(&state.weights));
    let held = shared.weights.clone();
    let after = [owned, shared].map(|state| Ops::adamw_step(state, normal("grad", [100], 1.0), &factors));
    assert_eq!(address(&after[0].weights), before[0]);
    assert_ne!(address(&after[1].weights), before[1]);
    assert_close(held, normal("weights", [100], 1.0), "the shared weights");
}

macro_rules! on {
    ($backend:ident: $type:ty) => {
        mod $backend {
            #[test]
            fn attention_equals_its_plain_form() {
                super::attention::<$type>();
            }
            #[test]
            fn biased_attention_equals_its_plain_form() {
                super::biased_attention::<$type>();
            }
            #[test]
            fn gelu_equals_its_plain_form() {
                super::gelu::<$type>();
            }
            #[test]
            fn norm_equals_its_plain_form() {
                super::norm::<$type>();
            }
            #[test]
            fn cross_entropy_equals_its_plain_form() {
                super::cross_entropy::<$type>();
            }
            #[test]
            fn selected_rows_equal_their_plain_form() {
                super::selection::<$type>();
            }
            #[test]
            fn codes_are_counted() {
                super::counts::<$type>();
            }
            #[test]
            fn sums_by_code_equal_their_plain_form() {
                super::sums::<$type>();
            }
            #[test]
            fn mlp_equals_its_plain_form() {
                super::mlp::<$type>();
            }
            #[test]
            fn a_checkpoint_has_the_gradients_of_the_chain() {
                super::block::<$type>();
            }
            #[test]
            fn linear_equals_its_plain_form() {
                super::linear::<$type>();
                super::untracked_rows::<$type>();
            }
            #[test]
            fn nearest_codes_are_the_nearest_and_the_first() {
                super::nearest::<$type>();
                super::ties::<$type>();
                super::residual::<$type>();
                super::dots::<$type>();
            }
            #[test]
            fn plain_means_plain() {
                super::plainly_is_plain::<$type>();
            }
            #[test]
            fn default_gradients_equal_the_backends_own() {
                super::default_gradients::<$type>();
            }
            #[test]
            fn adamw_equals_its_plain_form() {
                super::adamw::<$type>();
            }
        }
    };
}

on!(flex: burn_flex::Flex);
#[cfg(feature = "tch")]
on!(tch: burn_tch::LibTorch);
