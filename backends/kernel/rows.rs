//! Row-wise operations on slices: linear layer, norm, MLP, nearest codes and the AdamW update, in blocks of rows that
//! stay in a core's cache.
//!
//! Blocks have a fixed size and sums over blocks are taken in their order, so results do not depend on threads.

use super::Precision;
use super::lanes;
use super::plain::SHORTEST;
use super::product::{Matrix, Right};
use super::team::Team;

/// Rows of one block.
const BLOCK: usize = 128;

/// About so many rows are multiplied by a layer's weight at a time: more, and what goes between the two layers of an MLP
/// leaves a core's cache; fewer, and packing the weight for each block is felt.
const WIDE_BLOCK: usize = 160;

/// About so many rows of a weight's gradient are computed together.
const STRIP: usize = 192;

/// Elements of one block of a flat array.
const FLAT_BLOCK: usize = 1 << 14;

/// Cuts so many rows into an even number of about equal parts, no fewer than `fewest`, so that threads end together: the
/// rows of a part. It depends on nothing else.
const fn part(rows: usize, about: usize, fewest: usize) -> usize {
    let even = 2 * ((rows + about) / (2 * about));
    let rows = rows.div_ceil(if even < fewest { fewest } else { even });
    if rows == 0 { 1 } else { rows }
}

/// The rows of a block.
const fn block_of(rows: usize) -> usize {
    part(rows, WIDE_BLOCK, 4)
}

/// Layer normalisation of `rows` [N, D] into `out`.
pub(super) fn norm(team: Team, out: &mut [f32], rows: &[f32], scale: &[f32], shift: &[f32], epsilon: f32) {
    let block = BLOCK * scale.len();
    let items = out.chunks_mut(block).zip(rows.chunks(block)).collect();
    team.share(items, |(out, rows)| lanes::norm_rows(out, rows, scale, shift, epsilon));
}

/// Gradients of [`norm`]: of rows into `out` [N, D]; of scale [D] and shift [D] returned.
pub(super) fn norm_backward(
    team: Team,
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
    team.share(results.zip(given).collect(), |((out, sums), (rows, grad))| {
        let [scale_grad, shift_grad] = sums;
        lanes::norm_rows_backward(out, scale_grad, shift_grad, rows, scale, grad, epsilon);
    });
    let mut sums = [vec![0.0; width], vec![0.0; width]];
    for part in &partial {
        for (sum, part) in sums.iter_mut().zip(part) {
            lanes::add_rows(sum, part);
        }
    }
    sums
}

/// Cross-entropy of `logits` [N, K] against `codes` [N], averaged over rows.
pub(super) fn cross_entropy(team: Team, logits: &[f32], codes: &[i64]) -> f32 {
    let columns = logits.len() / codes.len();
    let mut losses = vec![0.0; codes.len()];
    let given = logits.chunks(BLOCK * columns).zip(codes.chunks(BLOCK));
    team.share(
        losses.chunks_mut(BLOCK).zip(given).collect(),
        |(losses, (logits, codes))| {
            lanes::cross_entropy_rows(losses, logits, codes, columns);
        },
    );
    (losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / codes.len() as f64) as f32
}

/// Gradient of [`cross_entropy`] times `grad`, into `out` [N, K].
pub(super) fn cross_entropy_backward(team: Team, out: &mut [f32], logits: &[f32], codes: &[i64], grad: f32) {
    let (columns, factor) = (logits.len() / codes.len(), grad / codes.len() as f32);
    let given = logits.chunks(BLOCK * columns).zip(codes.chunks(BLOCK));
    team.share(
        out.chunks_mut(BLOCK * columns).zip(given).collect(),
        |(out, (logits, codes))| {
            lanes::cross_entropy_rows_backward(out, logits, codes, columns, factor);
        },
    );
}

/// Sum of the rows of [N, `width`].
pub(super) fn sum_rows(team: Team, rows: &[f32], width: usize) -> Vec<f32> {
    let mut partial = vec![vec![0.0; width]; rows.len().div_ceil(BLOCK * width)];
    let items = partial.iter_mut().zip(rows.chunks(BLOCK * width)).collect();
    team.share(items, |(sums, rows)| lanes::add_rows(sums, rows));
    let mut sums = vec![0.0; width];
    partial.iter().for_each(|part| lanes::add_rows(&mut sums, part));
    sums
}

/// A linear layer: the weight [K, M] and, where there is one, the bias [M].
#[derive(Clone, Copy)]
pub(super) struct Linear<'a> {
    /// Width K of what goes in.
    pub(super) inputs: usize,
    /// Width M of what comes out.
    pub(super) outputs: usize,
    /// [K, M].
    pub(super) weight: &'a [f32],
    /// [M].
    pub(super) bias: Option<&'a [f32]>,
    /// Number type of the products.
    pub(super) precision: Precision,
}

impl<'a> Linear<'a> {
    const fn matrix(&self) -> Matrix<'a> {
        Matrix::dense(self.weight, self.outputs)
    }

    /// The weight, ready for [`Linear::block`].
    fn ready(&self, team: Team) -> Right<'a> {
        Right::shared(self.precision, team, self.matrix())
    }

    /// Its transpose, ready for [`Linear::block_backward`].
    fn turned(&self, team: Team) -> Right<'a> {
        Right::shared(self.precision, team, self.matrix().transpose())
    }

    /// One block: `rows` [n, K] times the weight, plus the bias, into `out` [n, M].
    fn block(&self, weight: &Right<'_>, out: &mut [f32], rows: &[f32]) {
        if let Some(bias) = self.bias {
            for row in out.chunks_exact_mut(self.outputs) {
                row.copy_from_slice(bias);
            }
        }
        let rows = Matrix::dense(rows, self.inputs);
        weight.product(out, self.outputs, rows, 1.0, self.bias.is_some());
    }

    /// One block: `grad` [n, M] times the weight's transpose, into `out` [n, K].
    fn block_backward(&self, turned: &Right<'_>, out: &mut [f32], grad: &[f32]) {
        turned.product(out, self.inputs, Matrix::dense(grad, self.outputs), 1.0, false);
    }

    /// The result of `rows` [N, K] into `out` [N, M].
    pub(super) fn forward(&self, team: Team, out: &mut [f32], rows: &[f32]) {
        let weight = self.ready(team);
        let block = block_of(rows.len() / self.inputs);
        let blocks = out.chunks_mut(block * self.outputs);
        let items = blocks.zip(rows.chunks(block * self.inputs)).collect();
        team.share(items, |(out, rows)| self.block(&weight, out, rows));
    }

    /// The gradient of the rows into `out` [N, K], given that of the result, [N, M].
    pub(super) fn backward(&self, team: Team, out: &mut [f32], grad: &[f32]) {
        let turned = self.turned(team);
        let block = block_of(grad.len() / self.outputs);
        let blocks = out.chunks_mut(block * self.inputs);
        let items = blocks.zip(grad.chunks(block * self.outputs)).collect();
        team.share(items, |(out, grad)| self.block_backward(&turned, out, grad));
    }
}

/// The gradient of a linear layer's weight into `out` [K, M], from its `rows` [N, K] and its result's gradient [N, M].
pub(super) fn weight_grad(
    team: Team,
    precision: Precision,
    out: &mut [f32],
    rows: &[f32],
    inputs: usize,
    grad: &[f32],
    outputs: usize,
) {
    let grad = Right::shared(precision, team, Matrix::dense(grad, outputs));
    let strip = part(inputs, STRIP, 2);
    let items = out.chunks_mut(strip * outputs).enumerate().collect();
    team.share(items, |(number, out)| {
        let (first, count) = (number * strip, out.len() / outputs);
        let rows = Matrix::new(&rows[first..], rows.len() / inputs, count, inputs).transpose();
        grad.product(out, outputs, rows, 1.0, false);
    });
}

/// An MLP: two linear layers.
#[derive(Clone, Copy)]
pub(super) struct Mlp<'a>(pub(super) Linear<'a>, pub(super) Linear<'a>);

impl Mlp<'_> {
    /// The bias of the first layer, which goes in with the GELU.
    fn first_bias(&self) -> &[f32] {
        self.0.bias.expect("an MLP's layers have a bias")
    }

    /// The first layer without its bias.
    fn first(&self) -> Linear<'_> {
        Linear { bias: None, ..self.0 }
    }

    /// The result of `rows` [N, D] into `out` [N, D].
    pub(super) fn forward(&self, team: Team, out: &mut [f32], rows: &[f32]) {
        let Self(Linear { inputs, outputs, .. }, second) = *self;
        let block = block_of(rows.len() / inputs);
        let items = out
            .chunks_mut(block * inputs)
            .zip(rows.chunks(block * inputs))
            .collect();
        let weights = [self.0.ready(team), second.ready(team)];
        team.share(items, |(out, rows)| {
            let mut hidden = vec![0.0; rows.len() / inputs * outputs];
            self.first().block(&weights[0], &mut hidden, rows);
            lanes::bias_gelu_in_place(&mut hidden, self.first_bias());
            second.block(&weights[1], out, &hidden);
        });
    }

    /// The same, and what goes into the GELU into `hidden` [N, M].
    pub(super) fn forward_with_hidden(&self, team: Team, out: &mut [f32], hidden: &mut [f32], rows: &[f32]) {
        let Self(Linear { inputs, outputs, .. }, second) = *self;
        let weights = [self.0.ready(team), second.ready(team)];
        let block = block_of(rows.len() / inputs);
        let results = out.chunks_mut(block * inputs).zip(hidden.chunks_mut(block * outputs));
        team.share(
            results.zip(rows.chunks(block * inputs)).collect(),
            |((out, hidden), rows)| {
                let mut activated = vec![0.0; hidden.len()];
                self.first().block(&weights[0], hidden, rows);
                lanes::bias_gelu(&mut activated, hidden, self.first_bias());
                second.block(&weights[1], out, &activated);
            },
        );
    }

    /// The gradient of the rows into `out` [N, D]; what the second layer got into `activated` and the gradient of what
    /// went into the GELU into `hidden_grad`, both [N, M].
    pub(super) fn backward(
        &self,
        team: Team,
        [out, activated, hidden_grad]: [&mut [f32]; 3],
        hidden: &[f32],
        grad: &[f32],
    ) {
        let Self(first, second) = *self;
        let block = block_of(grad.len() / first.inputs);
        let (width, wide) = (block * first.inputs, block * first.outputs);
        let turned = [first.turned(team), second.turned(team)];
        let results = activated.chunks_mut(wide).zip(hidden_grad.chunks_mut(wide));
        let given = hidden.chunks(wide).zip(grad.chunks(width));
        let items = out.chunks_mut(width).zip(results).zip(given).collect();
        team.share(items, |((out, (activated, hidden_grad)), (hidden, grad))| {
            second.block_backward(&turned[1], hidden_grad, grad);
            lanes::gelu_backward(activated, hidden_grad, hidden);
            first.block_backward(&turned[0], out, hidden_grad);
        });
    }
}

/// For each of `rows` [N, d] the nearest of `vectors` [K, d] into `codes` [N], the lowest on ties; distances are nowhere
/// kept.
pub(super) fn nearest(team: Team, codes: &mut [i64], rows: &[f32], vectors: &[f32], width: usize) {
    let half_norms: Vec<f32> = vectors
        .chunks_exact(width)
        .map(|vector| -0.5 * lanes::square_sum(vector))
        .collect();
    let turned = Right::shared(Precision::F32, team, Matrix::dense(vectors, width).transpose());
    // |n|² is the same for every code, so that n·w - |w|²/2 is left
    let items = codes.chunks_mut(BLOCK).zip(rows.chunks(BLOCK * width)).collect();
    team.share(items, |(codes, rows)| {
        let mut scores = half_norms.repeat(codes.len());
        turned.product(&mut scores, half_norms.len(), Matrix::dense(rows, width), 1.0, true);
        lanes::first_of_the_largest(codes, &scores, half_norms.len());
    });
}

/// Codes [N, Q] of a chain of `books` [K, d]: see [`Ops::residual_codes`](super::Ops::residual_codes). What is left of a
/// block of rows stays in a core's cache through all levels.
pub(super) fn residual(team: Team, codes: &mut [i64], rows: &[f32], books: &[&[f32]], width: usize, unit_lookup: bool) {
    let half_norms = |book: &&[f32]| -> Vec<f32> {
        let vectors = book.chunks_exact(width);
        vectors.map(|vector| -0.5 * lanes::square_sum(vector)).collect()
    };
    let half_norms: Vec<Vec<f32>> = books.iter().map(half_norms).collect();
    let turned: Vec<Right<'_>> = books
        .iter()
        .map(|book| Right::shared(Precision::F32, team, Matrix::dense(book, width).transpose()))
        .collect();
    let levels = books.len();
    let items = codes
        .chunks_mut(BLOCK * levels)
        .zip(rows.chunks(BLOCK * width))
        .collect();
    team.share(items, |(codes, rows): (&mut [i64], &[f32])| {
        let (mut left, mut found) = (rows.to_vec(), vec![0; codes.len() / levels]);
        let mut scores = Vec::new();
        for (level, (book, half_norms)) in books.iter().zip(&half_norms).enumerate() {
            // a row's length times its scores at unit length: the largest is the same
            scores.clear();
            for row in left.chunks_exact(width) {
                let length = match unit_lookup {
                    true => lanes::square_sum(row).sqrt().max(SHORTEST),
                    false => 1.0,
                };
                scores.extend(half_norms.iter().map(|half| half * length));
            }
            let rows = Matrix::dense(&left, width);
            turned[level].product(&mut scores, half_norms.len(), rows, 1.0, true);
            lanes::first_of_the_largest(&mut found, &scores, half_norms.len());
            for ((row, codes), &code) in left
                .chunks_exact_mut(width)
                .zip(codes.chunks_exact_mut(levels))
                .zip(&found)
            {
                codes[level] = code;
                let vector = &book[code as usize * width..][..width];
                row.iter_mut().zip(vector).for_each(|(left, value)| *left -= value);
            }
        }
    });
}

/// One AdamW update in place; the order of `factors` is that of [`lanes::adamw`].
pub(super) fn adamw(
    team: Team,
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    grad: &[f32],
    factors: [f32; 8],
) {
    let moments = first.chunks_mut(FLAT_BLOCK).zip(second.chunks_mut(FLAT_BLOCK));
    let items = weights.chunks_mut(FLAT_BLOCK).zip(moments).zip(grad.chunks(FLAT_BLOCK));
    team.share(items.collect(), |((weights, (first, second)), grad)| {
        lanes::adamw(weights, first, second, grad, factors);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_in_number_and_in_size() {
        for (rows, expected) in [(0, 1), (1, 1), (8, 2), (416, 104), (2056, 172), (8192, 158)] {
            assert_eq!(block_of(rows), expected, "{rows}");
        }
        for rows in [192, 256, 384, 768, 1024, 1536] {
            let strip = part(rows, STRIP, 2);
            let strips = rows.div_ceil(strip);
            assert!(strips.is_multiple_of(2) && strips * strip - rows < strips, "{rows}");
        }
    }
}
