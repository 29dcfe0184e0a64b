//! Self-attention on slices, one head at a time, so that its scores stay in a core's cache.

use super::matmul::RightOperand;
use super::matrix::Matrix;
use super::simd;
use super::threads::Threads;
use crate::kernel::mode::Precision;

#[derive(Clone, Copy)]
pub(super) struct AttentionSizes {
    /// Per item.
    pub(super) tokens: usize,
    /// Width D of the result; that of fused queries, keys and values is 3D.
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) precision: Precision,
}

impl AttentionSizes {
    const fn head(self) -> usize {
        self.width / self.heads
    }

    fn factor(self) -> f32 {
        (self.head() as f64).powf(-0.5) as f32
    }

    /// Queries (part 0), keys (1) or values (2) of one head in the fused rows of one item.
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

    fn product(self, out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>, factor: f32) {
        RightOperand::new(self.precision, rhs).product(out, out_stride, lhs, factor, false);
    }

    /// Attention weights, [T, T], into `mix`.
    fn weights(self, mix: &mut [f32], qkv: &[f32], head: usize) {
        let (q, k) = (self.part(qkv, 0, head), self.part(qkv, 1, head));
        self.product(mix, self.tokens, q, k.transpose(), self.factor());
        simd::softmax_rows(mix, self.tokens);
    }
}

/// Attention of `qkv` [B, T, 3D] into `out` [B, T, D].
pub(super) fn forward(threads: Threads, out: &mut [f32], qkv: &[f32], sizes: AttentionSizes) {
    let AttentionSizes {
        tokens, width, heads, ..
    } = sizes;
    let items = out.chunks_mut(tokens * width).zip(qkv.chunks(tokens * width * 3));
    threads.for_each(items.collect(), |(out, qkv)| {
        let mut mix = vec![0.0; tokens * tokens];
        for head in 0..heads {
            sizes.weights(&mut mix, qkv, head);
            let out = &mut out[head * sizes.head()..];
            let (mix, values) = (Matrix::dense(&mix, tokens), sizes.part(qkv, 2, head));
            sizes.product(out, width, mix, values, 1.0);
        }
    });
}

/// The gradient of `qkv` into `out` [B, T, 3D], from that of the result.
pub(super) fn backward(threads: Threads, out: &mut [f32], qkv: &[f32], grad: &[f32], sizes: AttentionSizes) {
    let AttentionSizes {
        tokens, width, heads, ..
    } = sizes;
    let given = qkv.chunks(tokens * width * 3).zip(grad.chunks(tokens * width));
    let items = out.chunks_mut(tokens * width * 3).zip(given).collect();
    threads.for_each(items, |(out, (qkv, grad))| {
        let (mut mix, mut scores) = (vec![0.0; tokens * tokens], vec![0.0; tokens * tokens]);
        for head in 0..heads {
            head_backward(out, qkv, grad, sizes, head, &mut mix, &mut scores);
        }
    });
}

/// One head of one item; `mix` and `scores` are scratch of [T, T] each.
fn head_backward(
    out: &mut [f32],
    qkv: &[f32],
    grad: &[f32],
    sizes: AttentionSizes,
    head: usize,
    mix: &mut [f32],
    scores: &mut [f32],
) {
    let AttentionSizes { tokens, width, .. } = sizes;
    let grad = Matrix::new(&grad[head * sizes.head()..], tokens, sizes.head(), width);
    sizes.weights(mix, qkv, head);
    sizes.product(scores, tokens, grad, sizes.part(qkv, 2, head).transpose(), 1.0);
    simd::softmax_rows_backward(scores, mix, tokens, sizes.factor());
    let (mix, scores) = (Matrix::dense(mix, tokens), Matrix::dense(scores, tokens));
    let (q, k) = (sizes.part(qkv, 0, head), sizes.part(qkv, 1, head));
    for (part, lhs, rhs) in [(0, scores, k), (1, scores.transpose(), q), (2, mix.transpose(), grad)] {
        sizes.product(&mut out[sizes.column(part, head)..], 3 * width, lhs, rhs, 1.0);
    }
}
