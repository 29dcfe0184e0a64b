//! Operations on rows of slices: linear layer, norm, MLP, cross-entropy and the AdamW update, in
//! blocks that stay in a core's cache.
//!
//! Block sizes depend only on the number of rows, and sums over blocks are in order, so results do
//! not depend on threads.

use super::matmul::RightOperand;
use super::matrix::Matrix;
use super::simd;
use super::threads::Threads;
use crate::kernel::mode::Precision;

/// Rows of a block.
pub(super) const BLOCK: usize = 128;

/// About so many rows are multiplied by a layer's weight at a time. With more, the hidden rows of
/// an MLP leave a core's cache; with fewer, packing the weight for each block takes noticeable
/// time.
const WIDE_BLOCK: usize = 160;

/// A weight of so many numbers leaves a core's cache itself: packing it costs more than hidden rows that do.
const LARGE_WEIGHT: usize = 1 << 19;

/// About so many rows are multiplied by a large weight at a time.
const LARGE_BLOCK: usize = 480;

/// About so many rows of a weight's gradient are computed at a time.
const STRIP: usize = 192;

/// Elements of a block of a flat array.
const FLAT_BLOCK: usize = 1 << 14;

/// The rows of a part, if `rows` are divided into an even number of about equal parts, at least
/// `fewest`, so that threads finish together.
const fn part(rows: usize, about: usize, fewest: usize) -> usize {
    let even = 2 * ((rows + about) / (2 * about));
    let rows = rows.div_ceil(if even < fewest { fewest } else { even });
    if rows == 0 { 1 } else { rows }
}

/// The rows of a block that is multiplied by a weight of so many numbers.
const fn block_of(rows: usize, weight: usize) -> usize {
    let about = if weight < LARGE_WEIGHT { WIDE_BLOCK } else { LARGE_BLOCK };
    part(rows, about, 4)
}

/// Layer normalization of `rows` [N, D] into `out`.
pub(super) fn norm(threads: Threads, out: &mut [f32], rows: &[f32], scale: &[f32], shift: &[f32], epsilon: f32) {
    let block = BLOCK * scale.len();
    let items = out.chunks_mut(block).zip(rows.chunks(block)).collect();
    threads.for_each(items, |(out, rows)| simd::norm_rows(out, rows, scale, shift, epsilon));
}

/// Gradients of [`norm`]: of the rows into `out` [N, D]; returns those of scale [D] and shift [D].
pub(super) fn norm_backward(
    threads: Threads,
    out: &mut [f32],
    rows: &[f32],
    scale: &[f32],
    grad: &[f32],
    epsilon: f32,
) -> [Vec<f32>; 2] {
    let width = scale.len();
    let block = BLOCK * width;
    let mut partial = vec![[vec![0.0; width], vec![0.0; width]]; rows.len().div_ceil(block)];
    let given = rows.chunks(block).zip(grad.chunks(block));
    let results = out.chunks_mut(block).zip(&mut partial);
    threads.for_each(results.zip(given).collect(), |((out, sums), (rows, grad))| {
        let [scale_grad, shift_grad] = sums;
        simd::norm_rows_backward(out, scale_grad, shift_grad, rows, scale, grad, epsilon);
    });
    let mut sums = [vec![0.0; width], vec![0.0; width]];
    for part in &partial {
        for (sum, part) in sums.iter_mut().zip(part) {
            simd::add_rows(sum, part);
        }
    }
    sums
}

/// Cross-entropy of `logits` [N, K] against `codes` [N], averaged over rows.
pub(super) fn cross_entropy(threads: Threads, logits: &[f32], codes: &[i64]) -> f32 {
    let columns = logits.len() / codes.len();
    let mut losses = vec![0.0; codes.len()];
    let given = logits.chunks(BLOCK * columns).zip(codes.chunks(BLOCK));
    threads.for_each(
        losses.chunks_mut(BLOCK).zip(given).collect(),
        |(losses, (logits, codes))| {
            simd::cross_entropy_rows(losses, logits, codes, columns);
        },
    );
    (losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / codes.len() as f64) as f32
}

/// Gradient of [`cross_entropy`] times `grad`, into `out` [N, K].
pub(super) fn cross_entropy_backward(threads: Threads, out: &mut [f32], logits: &[f32], codes: &[i64], grad: f32) {
    let (columns, factor) = (logits.len() / codes.len(), grad / codes.len() as f32);
    let given = logits.chunks(BLOCK * columns).zip(codes.chunks(BLOCK));
    threads.for_each(
        out.chunks_mut(BLOCK * columns).zip(given).collect(),
        |(out, (logits, codes))| {
            simd::cross_entropy_rows_backward(out, logits, codes, columns, factor);
        },
    );
}

/// The sum of rows of `width`.
pub(super) fn sum_rows(threads: Threads, rows: &[f32], width: usize) -> Vec<f32> {
    let mut partial = vec![vec![0.0; width]; rows.len().div_ceil(BLOCK * width)];
    let items = partial.iter_mut().zip(rows.chunks(BLOCK * width)).collect();
    threads.for_each(items, |(sums, rows)| simd::add_rows(sums, rows));
    let mut sums = vec![0.0; width];
    partial.iter().for_each(|part| simd::add_rows(&mut sums, part));
    sums
}

/// A linear layer.
#[derive(Clone, Copy)]
pub(super) struct LinearLayer<'a> {
    /// K.
    pub(super) inputs: usize,
    /// M.
    pub(super) outputs: usize,
    /// [K, M].
    pub(super) weight: &'a [f32],
    /// [M].
    pub(super) bias: Option<&'a [f32]>,
    pub(super) precision: Precision,
}

impl<'a> LinearLayer<'a> {
    const fn matrix(&self) -> Matrix<'a> {
        Matrix::dense(self.weight, self.outputs)
    }

    /// The weight, prepared for [`LinearLayer::block`].
    fn prepared(&self, threads: Threads) -> RightOperand<'a> {
        RightOperand::on_threads(self.precision, threads, self.matrix())
    }

    /// Its transpose, prepared for [`LinearLayer::block_backward`].
    fn prepared_transpose(&self, threads: Threads) -> RightOperand<'a> {
        RightOperand::on_threads(self.precision, threads, self.matrix().transpose())
    }

    /// Writes the bias, if there is one, to each row of `out`.
    fn start(&self, out: &mut [f32]) {
        if let Some(bias) = self.bias {
            for row in out.chunks_exact_mut(self.outputs) {
                row.copy_from_slice(bias);
            }
        }
    }

    /// One block: `rows` [n, K] times the weight plus the bias, into `out` [n, M].
    fn block(&self, weight: &RightOperand<'_>, out: &mut [f32], rows: &[f32]) {
        self.start(out);
        let rows = Matrix::dense(rows, self.inputs);
        weight.product(out, self.outputs, rows, 1.0, self.bias.is_some());
    }

    /// One block: `grad` [n, M] times the weight's transpose, into `out` [n, K].
    fn block_backward(&self, transpose: &RightOperand<'_>, out: &mut [f32], grad: &[f32]) {
        transpose.product(out, self.inputs, Matrix::dense(grad, self.outputs), 1.0, false);
    }

    /// Of `rows` [N, K] into `out` [N, M].
    pub(super) fn forward(&self, threads: Threads, out: &mut [f32], rows: &[f32]) {
        let weight = self.prepared(threads);
        let block = block_of(rows.len() / self.inputs, self.weight.len());
        let blocks = out.chunks_mut(block * self.outputs);
        let items = blocks.zip(rows.chunks(block * self.inputs)).collect();
        threads.for_each(items, |(out, rows)| self.block(&weight, out, rows));
    }

    /// The gradient of the rows into `out` [N, K], from that of the result, [N, M].
    pub(super) fn backward(&self, threads: Threads, out: &mut [f32], grad: &[f32]) {
        let transpose = self.prepared_transpose(threads);
        let block = block_of(grad.len() / self.outputs, self.weight.len());
        let blocks = out.chunks_mut(block * self.inputs);
        let items = blocks.zip(grad.chunks(block * self.outputs)).collect();
        threads.for_each(items, |(out, grad)| self.block_backward(&transpose, out, grad));
    }
}

/// The gradient of a linear layer's weight into `out` [K, M], from its `rows` [N, K] and the
/// gradient of its result, [N, M].
pub(super) fn weight_grad(
    threads: Threads,
    precision: Precision,
    out: &mut [f32],
    rows: &[f32],
    inputs: usize,
    grad: &[f32],
    outputs: usize,
) {
    let grad = RightOperand::on_threads(precision, threads, Matrix::dense(grad, outputs));
    let strip = part(inputs, STRIP, 2);
    let items = out.chunks_mut(strip * outputs).enumerate().collect();
    threads.for_each(items, |(number, out)| {
        let (first, count) = (number * strip, out.len() / outputs);
        let rows = Matrix::new(&rows[first..], rows.len() / inputs, count, inputs).transpose();
        grad.product(out, outputs, rows, 1.0, false);
    });
}

/// Two linear layers with a GELU between them.
#[derive(Clone, Copy)]
pub(super) struct MlpLayers<'a>(pub(super) LinearLayer<'a>, pub(super) LinearLayer<'a>);

impl MlpLayers<'_> {
    /// The bias of the first layer, which is added together with the GELU.
    fn first_bias(&self) -> &[f32] {
        self.0.bias.expect("an MLP's layers have a bias")
    }

    /// The first layer without its bias.
    fn first(&self) -> LinearLayer<'_> {
        LinearLayer { bias: None, ..self.0 }
    }

    /// Of `rows` [N, D] into `out` [N, D].
    pub(super) fn forward(&self, threads: Threads, out: &mut [f32], rows: &[f32]) {
        let Self(LinearLayer { inputs, outputs, .. }, second) = *self;
        let block = block_of(rows.len() / inputs, self.0.weight.len());
        let items = out
            .chunks_mut(block * inputs)
            .zip(rows.chunks(block * inputs))
            .collect();
        let weights = [self.0.prepared(threads), second.prepared(threads)];
        threads.for_each(items, |(out, rows)| {
            let mut hidden = vec![0.0; rows.len() / inputs * outputs];
            self.first().block(&weights[0], &mut hidden, rows);
            simd::bias_gelu_in_place(&mut hidden, self.first_bias());
            second.block(&weights[1], out, &hidden);
        });
    }

    /// The same, with the input of the GELU into `hidden` [N, M].
    pub(super) fn forward_with_hidden(&self, threads: Threads, out: &mut [f32], hidden: &mut [f32], rows: &[f32]) {
        let Self(LinearLayer { inputs, outputs, .. }, second) = *self;
        let weights = [self.0.prepared(threads), second.prepared(threads)];
        let block = block_of(rows.len() / inputs, self.0.weight.len());
        let results = out.chunks_mut(block * inputs).zip(hidden.chunks_mut(block * outputs));
        threads.for_each(
            results.zip(rows.chunks(block * inputs)).collect(),
            |((out, hidden), rows)| {
                let mut activated = vec![0.0; hidden.len()];
                self.first().block(&weights[0], hidden, rows);
                simd::bias_gelu(&mut activated, hidden, self.first_bias());
                second.block(&weights[1], out, &activated);
            },
        );
    }

    /// The gradient of the rows into `out` [N, D], from that of the result. The result of the GELU into
    /// `activated`, and the gradient of its input into `hidden_grad`, both [N, M].
    pub(super) fn backward(
        &self,
        threads: Threads,
        [out, activated, hidden_grad]: [&mut [f32]; 3],
        hidden: &[f32],
        grad: &[f32],
    ) {
        let Self(first, second) = *self;
        let block = block_of(grad.len() / first.inputs, first.weight.len());
        let (width, wide) = (block * first.inputs, block * first.outputs);
        let transposes = [first, second].map(|layer| layer.prepared_transpose(threads));
        let results = activated.chunks_mut(wide).zip(hidden_grad.chunks_mut(wide));
        let given = hidden.chunks(wide).zip(grad.chunks(width));
        let items = out.chunks_mut(width).zip(results).zip(given).collect();
        threads.for_each(items, |((out, (activated, hidden_grad)), (hidden, grad))| {
            second.block_backward(&transposes[1], hidden_grad, grad);
            simd::gelu_backward(activated, hidden_grad, hidden);
            first.block_backward(&transposes[0], out, hidden_grad);
        });
    }
}

/// The exact GELU of `values` into `out`.
pub(super) fn gelu(threads: Threads, out: &mut [f32], values: &[f32]) {
    let items = out.chunks_mut(FLAT_BLOCK).zip(values.chunks(FLAT_BLOCK));
    threads.for_each(items.collect(), |(out, values)| simd::gelu(out, values));
}

/// The gradient of `values` into `out`, from that of their exact GELU.
pub(super) fn gelu_backward(threads: Threads, out: &mut [f32], values: &[f32], grad: &[f32]) {
    let given = values.chunks(FLAT_BLOCK).zip(grad.chunks(FLAT_BLOCK));
    let items = out.chunks_mut(FLAT_BLOCK).zip(given);
    threads.for_each(items.collect(), |(out, (values, grad))| {
        simd::gelu_grad(out, values, grad);
    });
}

/// One AdamW update in place; see [`simd::adamw`] for `factors`.
pub(super) fn adamw(
    threads: Threads,
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    grad: &[f32],
    factors: [f32; 8],
) {
    let moments = first.chunks_mut(FLAT_BLOCK).zip(second.chunks_mut(FLAT_BLOCK));
    let items = weights.chunks_mut(FLAT_BLOCK).zip(moments).zip(grad.chunks(FLAT_BLOCK));
    threads.for_each(items.collect(), |((weights, (first, second)), grad)| {
        simd::adamw(weights, first, second, grad, factors);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_in_number_and_about_equal() {
        for (rows, expected) in [(0, 1), (1, 1), (8, 2), (416, 104), (2056, 172), (8192, 158)] {
            assert_eq!(block_of(rows, 1), expected, "{rows}");
        }
        for rows in [192, 256, 384, 768, 1024, 1536] {
            let strip = part(rows, STRIP, 2);
            let strips = rows.div_ceil(strip);
            assert!(strips.is_multiple_of(2) && strips * strip - rows < strips, "{rows}");
        }
    }
}
