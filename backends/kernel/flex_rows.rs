//! Row-wise operations on slices: norm, MLP and the AdamW update, in blocks of rows that stay in a core's cache.
//!
//! Blocks have a fixed size and sums over blocks are taken in their order, so results do not depend on threads.

use super::lanes;
use super::product::{Matrix, Threads, product};
use super::team::Team;
use rayon::prelude::*;

/// Rows of one block.
const BLOCK: usize = 128;

/// Elements of one block of a flat array.
const FLAT_BLOCK: usize = 1 << 14;

/// Layer normalisation of `rows` [N, D].
pub(super) fn norm(rows: &[f32], scale: &[f32], shift: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = vec![0.0; rows.len()];
    let block = BLOCK * scale.len();
    out.par_chunks_mut(block)
        .zip(rows.par_chunks(block))
        .for_each(|(out, rows)| lanes::norm_rows(out, rows, scale, shift, epsilon));
    out
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

/// Sum of the rows of [N, `width`].
fn sum_rows(rows: &[f32], width: usize) -> Vec<f32> {
    let add = |mut sums: Vec<f32>, rows: &[f32]| {
        lanes::add_rows(&mut sums, rows);
        sums
    };
    let partial: Vec<_> = rows
        .par_chunks(BLOCK * width)
        .map(|rows| add(vec![0.0; width], rows))
        .collect();
    partial.iter().fold(vec![0.0; width], |sums, part| add(sums, part))
}

/// Parameters of an MLP.
#[derive(Clone, Copy)]
pub(super) struct Mlp<'a> {
    /// [D, M].
    pub(super) weight1: &'a [f32],
    /// [M].
    pub(super) bias1: &'a [f32],
    /// [M, D].
    pub(super) weight2: &'a [f32],
    /// [D].
    pub(super) bias2: &'a [f32],
}

impl Mlp<'_> {
    const fn width(&self) -> usize {
        self.bias2.len()
    }

    const fn hidden(&self) -> usize {
        self.bias1.len()
    }

    /// `out` = `activated` times the second weight, plus the second bias.
    fn second_layer(&self, out: &mut [f32], activated: &[f32]) {
        for row in out.chunks_exact_mut(self.width()) {
            row.copy_from_slice(self.bias2);
        }
        let (activated, weight) = (
            Matrix::dense(activated, self.hidden()),
            Matrix::dense(self.weight2, self.width()),
        );
        product(out, self.width(), activated, weight, 1.0, true, Threads::One);
    }

    /// `hidden` = `rows` times the first weight, without bias.
    fn first_product(&self, hidden: &mut [f32], rows: &[f32]) {
        let (rows, weight) = (
            Matrix::dense(rows, self.width()),
            Matrix::dense(self.weight1, self.hidden()),
        );
        product(hidden, self.hidden(), rows, weight, 1.0, false, Threads::One);
    }

    /// The result [N, D] of `rows` [N, D].
    pub(super) fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; rows.len()];
        let block = BLOCK * self.width();
        out.par_chunks_mut(block).zip(rows.par_chunks(block)).for_each_init(
            || vec![0.0; BLOCK * self.hidden()],
            |hidden, (out, rows)| {
                let hidden = &mut hidden[..rows.len() / self.width() * self.hidden()];
                self.first_product(hidden, rows);
                lanes::bias_gelu_in_place(hidden, self.bias1);
                self.second_layer(out, hidden);
            },
        );
        out
    }

    /// The result [N, D] of `rows` [N, D], and what goes into the GELU [N, M].
    pub(super) fn forward_with_hidden(&self, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut out = vec![0.0; rows.len()];
        let mut hidden = vec![0.0; rows.len() / self.width() * self.hidden()];
        let block = BLOCK * self.width();
        let results = out
            .par_chunks_mut(block)
            .zip(hidden.par_chunks_mut(BLOCK * self.hidden()));
        results.zip(rows.par_chunks(block)).for_each_init(
            || vec![0.0; BLOCK * self.hidden()],
            |activated, ((out, hidden), rows)| {
                let activated = &mut activated[..hidden.len()];
                self.first_product(hidden, rows);
                lanes::bias_gelu(activated, hidden, self.bias1);
                self.second_layer(out, activated);
            },
        );
        (out, hidden)
    }

    /// Gradients of the rows [N, D], and of the two weights and biases in the order of this type.
    pub(super) fn backward(&self, rows: &[f32], hidden: &[f32], grad: &[f32]) -> (Vec<f32>, [Vec<f32>; 4]) {
        let (width, wide) = (self.width(), self.hidden());
        let mut out = vec![0.0; rows.len()];
        let (mut activated, mut hidden_grad) = (vec![0.0; hidden.len()], vec![0.0; hidden.len()]);
        let results = activated
            .par_chunks_mut(BLOCK * wide)
            .zip(hidden_grad.par_chunks_mut(BLOCK * wide));
        let given = hidden.par_chunks(BLOCK * wide).zip(grad.par_chunks(BLOCK * width));
        out.par_chunks_mut(BLOCK * width).zip(results).zip(given).for_each(
            |((out, (activated, hidden_grad)), (hidden, grad))| {
                let weight = Matrix::dense(self.weight2, width).transpose();
                product(
                    hidden_grad,
                    wide,
                    Matrix::dense(grad, width),
                    weight,
                    1.0,
                    false,
                    Threads::One,
                );
                lanes::gelu_backward(activated, hidden_grad, hidden);
                let weight = Matrix::dense(self.weight1, wide).transpose();
                product(
                    out,
                    width,
                    Matrix::dense(hidden_grad, wide),
                    weight,
                    1.0,
                    false,
                    Threads::One,
                );
            },
        );
        let weight1 = weight_grad(rows, width, &hidden_grad, wide);
        let weight2 = weight_grad(&activated, wide, grad, width);
        (
            out,
            [weight1, sum_rows(&hidden_grad, wide), weight2, sum_rows(grad, width)],
        )
    }
}

/// Gradient [K, M] of a linear layer's weight from its `rows` [N, K] and its result's gradient [N, M].
fn weight_grad(rows: &[f32], inputs: usize, grad: &[f32], outputs: usize) -> Vec<f32> {
    let mut out = vec![0.0; inputs * outputs];
    let rows = Matrix::dense(rows, inputs).transpose();
    product(
        &mut out,
        outputs,
        rows,
        Matrix::dense(grad, outputs),
        1.0,
        false,
        Threads::All,
    );
    out
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
