//! Self-attention on slices, one head at a time: scores never leave a core's cache.

use super::Precision;
use super::lanes;
use super::product::{Matrix, Right};
use super::team::Team;

/// Sizes of an attention.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Tokens of one item.
    pub(super) tokens: usize,
    /// Width of the result; queries, keys and values together are three times as wide.
    pub(super) width: usize,
    /// Heads that share the width.
    pub(super) heads: usize,
    /// Number type of the products.
    pub(super) precision: Precision,
}

impl Sizes {
    const fn head(self) -> usize {
        self.width / self.heads
    }

    fn factor(self) -> f32 {
        (self.head() as f64).powf(-0.5) as f32
    }

    /// Part (0 queries, 1 keys, 2 values) of one head within one item's fused rows.
    fn part(self, qkv: &[f32], part: usize, head: usize) -> Matrix<'_> {
        Matrix::new(
            &qkv[self.column(part, head)..],
            self.tokens,
            self.head(),
            3 * self.width,
        )
    }

    const fn column(self, part: usize, head: usize) -> usize {
        part * self.width + head * self.head()
    }

    /// `out` = `factor` * `lhs` * `rhs`. Rows of `out` start `out_stride` apart.
    fn product(self, out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>, factor: f32) {
        Right::new(self.precision, rhs).product(out, out_stride, lhs, factor, false);
    }

    /// The weights with which queries mix values, into `mix`.
    fn mixing(self, mix: &mut [f32], qkv: &[f32], head: usize) {
        let (q, k) = (self.part(qkv, 0, head), self.part(qkv, 1, head));
        self.product(mix, self.tokens, q, k.transpose(), self.factor());
        lanes::softmax_rows(mix, self.tokens);
    }
}

/// The attention's result into `out` [B, T, D], from `qkv` [B, T, 3D].
pub(super) fn forward(team: Team, out: &mut [f32], qkv: &[f32], sizes: Sizes) {
    let Sizes {
        tokens, width, heads, ..
    } = sizes;
    let items = out.chunks_mut(tokens * width).zip(qkv.chunks(tokens * width * 3));
    team.share(items.collect(), |(out, qkv)| {
        let mut mix = vec![0.0; tokens * tokens];
        for head in 0..heads {
            sizes.mixing(&mut mix, qkv, head);
            let out = &mut out[head * sizes.head()..];
            let (mix, values) = (Matrix::dense(&mix, tokens), sizes.part(qkv, 2, head));
            sizes.product(out, width, mix, values, 1.0);
        }
    });
}

/// The gradient of `qkv` into `out` [B, T, 3D], given that of the result.
pub(super) fn backward(team: Team, out: &mut [f32], qkv: &[f32], grad: &[f32], sizes: Sizes) {
    let Sizes {
        tokens, width, heads, ..
    } = sizes;
    let given = qkv.chunks(tokens * width * 3).zip(grad.chunks(tokens * width));
    let items = out.chunks_mut(tokens * width * 3).zip(given).collect();
    team.share(items, |(out, (qkv, grad))| {
        let (mut mix, mut scores) = (vec![0.0; tokens * tokens], vec![0.0; tokens * tokens]);
        for head in 0..heads {
            head_backward(out, qkv, grad, sizes, head, &mut mix, &mut scores);
        }
    });
}

/// One head of one item; `mix` and `scores` are room for [T, T] each.
fn head_backward(
    out: &mut [f32],
    qkv: &[f32],
    grad: &[f32],
    sizes: Sizes,
    head: usize,
    mix: &mut [f32],
    scores: &mut [f32],
) {
    let Sizes { tokens, width, .. } = sizes;
    let grad = Matrix::new(&grad[head * sizes.head()..], tokens, sizes.head(), width);
    sizes.mixing(mix, qkv, head);
    sizes.product(scores, tokens, grad, sizes.part(qkv, 2, head).transpose(), 1.0);
    lanes::softmax_rows_backward(scores, mix, tokens, sizes.factor());
    let (mix, scores) = (Matrix::dense(mix, tokens), Matrix::dense(scores, tokens));
    let (q, k) = (sizes.part(qkv, 0, head), sizes.part(qkv, 1, head));
    for (part, lhs, rhs) in [(0, scores, k), (1, scores.transpose(), q), (2, mix.transpose(), grad)] {
        sizes.product(&mut out[sizes.column(part, head)..], 3 * width, lhs, rhs, 1.0);
    }
}
