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
    fn weights(self, mix: &mut [f32], qkv: &[f32], bias: Option<ScoreBias<'_>>, [item, head]: [usize; 2]) {
        let (q, k) = (self.part(qkv, 0, head), self.part(qkv, 1, head));
        self.product(mix, self.tokens, q, k.transpose(), self.factor());
        if let Some(bias) = bias {
            for (query, row) in mix.chunks_exact_mut(self.tokens).enumerate() {
                simd::add_rows(row, bias.row(item, head, query));
            }
        }
        simd::softmax_rows(mix, self.tokens);
    }
}

/// What is added to scores: [B, H, T, T], or 1 along any of the first three axes.
#[derive(Clone, Copy)]
pub(super) struct ScoreBias<'a> {
    values: &'a [f32],
    /// From one item, head and query to the next; 0 along an axis of 1.
    strides: [usize; 3],
    tokens: usize,
}

impl<'a> ScoreBias<'a> {
    pub(super) fn new(values: &'a [f32], [items, heads, queries, tokens]: [usize; 4]) -> Self {
        let stride = |size: usize, stride: usize| if size == 1 { 0 } else { stride };
        let strides = [
            stride(items, heads * queries * tokens),
            stride(heads, queries * tokens),
            stride(queries, tokens),
        ];
        Self {
            values,
            strides,
            tokens,
        }
    }

    /// Of the scores of one query, [T].
    fn row(self, item: usize, head: usize, query: usize) -> &'a [f32] {
        let [items, heads, queries] = self.strides;
        &self.values[item * items + head * heads + query * queries..][..self.tokens]
    }
}

/// Attention of `qkv` [B, T, 3D] into `out` [B, T, D].
pub(super) fn forward(
    threads: Threads,
    out: &mut [f32],
    qkv: &[f32],
    bias: Option<ScoreBias<'_>>,
    sizes: AttentionSizes,
) {
    let AttentionSizes {
        tokens, width, heads, ..
    } = sizes;
    let items = out.chunks_mut(tokens * width).zip(qkv.chunks(tokens * width * 3));
    threads.for_each(items.enumerate().collect(), |(item, (out, qkv))| {
        let mut mix = vec![0.0; tokens * tokens];
        for head in 0..heads {
            sizes.weights(&mut mix, qkv, bias, [item, head]);
            let out = &mut out[head * sizes.head()..];
            let (mix, values) = (Matrix::dense(&mix, tokens), sizes.part(qkv, 2, head));
            sizes.product(out, width, mix, values, 1.0);
        }
    });
}

/// The gradient of `qkv` into `out` [B, T, 3D], from that of the result; and that of a bias into
/// `bias_grad` [B, H, T, T], unless that is empty.
pub(super) fn backward(
    threads: Threads,
    [out, bias_grad]: [&mut [f32]; 2],
    qkv: &[f32],
    bias: Option<ScoreBias<'_>>,
    grad: &[f32],
    sizes: AttentionSizes,
) {
    let AttentionSizes {
        tokens, width, heads, ..
    } = sizes;
    let mut bias_grads = bias_grad.chunks_mut(heads * tokens * tokens);
    let bias_grads: Vec<_> = out
        .chunks(tokens * width * 3)
        .map(|_| bias_grads.next().unwrap_or_default())
        .collect();
    let given = qkv.chunks(tokens * width * 3).zip(grad.chunks(tokens * width));
    let items = out.chunks_mut(tokens * width * 3).zip(bias_grads).zip(given);
    threads.for_each(
        items.enumerate().collect(),
        |(item, ((out, bias_grad), (qkv, grad)))| {
            let (mut mix, mut scores) = (vec![0.0; tokens * tokens], vec![0.0; tokens * tokens]);
            for head in 0..heads {
                sizes.weights(&mut mix, qkv, bias, [item, head]);
                let grad = Matrix::new(&grad[head * sizes.head()..], tokens, sizes.head(), width);
                sizes.product(&mut scores, tokens, grad, sizes.part(qkv, 2, head).transpose(), 1.0);
                simd::softmax_rows_backward(&mut scores, &mix, tokens, sizes.factor());
                if let Some(bias_grad) = bias_grad.chunks_exact_mut(tokens * tokens).nth(head) {
                    // scores have their factor, which the bias has not
                    let whole = sizes.factor().recip();
                    let pairs = bias_grad.iter_mut().zip(&scores);
                    pairs.for_each(|(grad, score)| *grad = score * whole);
                }
                let (mix, scores) = (Matrix::dense(&mix, tokens), Matrix::dense(&scores, tokens));
                let (q, k) = (sizes.part(qkv, 0, head), sizes.part(qkv, 1, head));
                for (part, lhs, rhs) in [(0, scores, k), (1, scores.transpose(), q), (2, mix.transpose(), grad)] {
                    sizes.product(&mut out[sizes.column(part, head)..], 3 * width, lhs, rhs, 1.0);
                }
            }
        },
    );
}
