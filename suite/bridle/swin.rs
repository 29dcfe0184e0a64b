//! The local-attention decoder block: Swin v2's shifted windows with cosine attention and a
//! continuous position bias (arXiv 2111.09883), residual-post-norm: x + norm(attention x), then x +
//! norm(MLP x). Epsilon is 1e-5 here.
//!
//! The window is 4 x 4 tokens; odd blocks shift by (2, 0). Only the bias MLP has dropout.

use crate::config::StackConfig;
use crate::init::Init;
use crate::transformer::{Mlp, Norm, each_row};
use bridle_backends::Ops;
use bridle_seed::Stream;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Side of a window in tokens.
pub const WINDOW: usize = 4;
/// Tokens in a window.
const AREA: usize = WINDOW * WINDOW;
/// Hidden width of the bias MLP.
pub const META_HIDDEN: usize = 384;
/// Dropout of the bias MLP's hidden layer.
pub const META_DROPOUT: f32 = 0.1;
const EPSILON: f64 = 1e-5;

/// The dropout of the bias MLPs in one forward pass.
#[derive(Clone, Debug)]
pub enum Dropout {
    /// Evaluation.
    Off,
    /// Training: drawn from a stream, block after block.
    Draw(Box<Stream>),
    /// Given factors per block, each [AREA², META_HIDDEN] of 0 or 1 / (1 - rate).
    Given(Vec<Vec<f32>>),
}

impl Dropout {
    fn factors(&mut self, block: usize) -> Option<Vec<f32>> {
        match self {
            Self::Off => None,
            Self::Draw(stream) => {
                let kept = 1.0 / (1.0 - META_DROPOUT);
                let mut draw = || if stream.uniform() < META_DROPOUT { 0.0 } else { kept };
                Some((0..AREA * AREA * META_HIDDEN).map(|_| draw()).collect())
            }
            Self::Given(factors) => Some(factors[block].clone()),
        }
    }
}

/// A block with attention in shifted windows.
#[derive(Module, Debug)]
pub struct LocalBlock<B: Backend> {
    /// [D, 3D].
    pub qkv: Linear<B>,
    /// [D, D].
    pub proj: Linear<B>,
    /// Temperature per head, [heads].
    pub tau: Param<Tensor<B, 1>>,
    /// Bias MLP, [2, 384].
    pub meta1: Linear<B>,
    /// Bias MLP, [384, heads].
    pub meta2: Linear<B>,
    /// After attention.
    pub norm1: Norm<B>,
    /// The MLP.
    pub mlp: Mlp<B>,
    /// After the MLP.
    pub norm2: Norm<B>,
    /// Log-spaced relative coordinates [AREA², 2], not trained.
    coordinates: Tensor<B, 2>,
    /// 0 or -100 between tokens that were no neighbours before the shift, [windows, 1, AREA, AREA].
    separation: Option<Tensor<B, 4>>,
    heads: usize,
    grid: [usize; 2],
    shift: usize,
}

/// sign(r) ln(1 + |r|) of r = query - key in (row, column), row-major [AREA², 2], the query slow.
pub fn relative_coordinates() -> Vec<f32> {
    let place = |index: usize| [(index / WINDOW) as f64, (index % WINDOW) as f64];
    let log = |r: f64| (r.signum() * r.abs().ln_1p()) as f32;
    let pair = |query: usize, key: usize| {
        let ([qr, qc], [kr, kc]) = (place(query), place(key));
        [log(qr - kr), log(qc - kc)]
    };
    (0..AREA)
        .flat_map(|query| (0..AREA).flat_map(move |key| pair(query, key)))
        .collect()
}

/// The mask of blocks shifted by `shift` rows: -100 where query and key lay on different sides of
/// the wrap-around, row-major [windows, AREA, AREA].
pub fn separation(grid: [usize; 2], shift: usize) -> Vec<f32> {
    let [rows, columns] = grid;
    let mut mask = Vec::with_capacity(rows * columns * AREA);
    for window in 0..rows / WINDOW * (columns / WINDOW) {
        let top = window / (columns / WINDOW) * WINDOW;
        let wrapped = |index: usize| top + index / WINDOW >= rows - shift;
        for query in 0..AREA {
            mask.extend((0..AREA).map(|key| if wrapped(query) == wrapped(key) { 0.0 } else { -100.0 }));
        }
    }
    mask
}

impl<B: Backend> LocalBlock<B> {
    /// First weights of block number `index` on a grid of [rows, columns] tokens.
    pub fn new(config: &StackConfig, grid: [usize; 2], index: usize, init: &Init<B>) -> Self {
        let (dim, heads) = (config.dim, config.heads);
        let shift = if index.is_multiple_of(2) { 0 } else { WINDOW / 2 };
        let windows = grid[0] / WINDOW * (grid[1] / WINDOW);
        Self {
            qkv: init.linear("qkv", dim, 3 * dim, true),
            proj: init.linear("proj", dim, dim, true),
            tau: init.constant([heads], 1.0),
            meta1: init.linear("meta1", 2, META_HIDDEN, true),
            meta2: init.linear("meta2", META_HIDDEN, heads, true),
            norm1: Norm::new(dim, EPSILON, init),
            mlp: Mlp::new(dim, config.mlp_ratio * dim, &init.child("mlp")),
            norm2: Norm::new(dim, EPSILON, init),
            coordinates: init.table([AREA * AREA, 2], relative_coordinates()),
            separation: (shift > 0).then(|| init.table([windows, 1, AREA, AREA], separation(grid, shift))),
            heads,
            grid,
            shift,
        }
    }
}

impl<B: Ops> LocalBlock<B> {
    /// [B, N, D] to [B, N, D]; `index` is the block's number, for its dropout.
    pub fn forward(&self, x: Tensor<B, 3>, index: usize, dropout: &mut Dropout) -> Tensor<B, 3> {
        let x = x.clone() + self.norm1.forward(self.attend(x, index, dropout));
        x.clone() + each_row(x, |rows| self.norm2.rows(self.mlp.rows(rows)))
    }

    /// The position bias of every head, [heads, AREA, AREA].
    pub fn bias(&self, index: usize, dropout: &mut Dropout) -> Tensor<B, 3> {
        let hidden = relu(self.meta1.forward(self.coordinates.clone())); // [AREA², 384]
        let hidden = match dropout.factors(index) {
            Some(factors) => {
                let device = hidden.device();
                hidden * Tensor::from_data(TensorData::new(factors, [AREA * AREA, META_HIDDEN]), &device)
            }
            None => hidden,
        };
        self.meta2
            .forward(hidden)
            .swap_dims(0, 1)
            .reshape([self.heads, AREA, AREA])
    }

    fn attend(&self, x: Tensor<B, 3>, index: usize, dropout: &mut Dropout) -> Tensor<B, 3> {
        let [batch, tokens, dim] = x.dims();
        let ([rows, columns], heads) = (self.grid, self.heads);
        let windows = rows / WINDOW * (columns / WINDOW);
        let head = dim / heads;
        let x = roll(x, self.shift * columns);
        // [B, rows/4, 4, columns/4, 4, D] -> [B * windows * AREA, D]
        let x = x
            .reshape([batch, rows / WINDOW, WINDOW, columns / WINDOW, WINDOW, dim])
            .swap_dims(2, 3)
            .reshape([batch * windows * AREA, dim]);
        let qkv = self
            .qkv
            .forward(x)
            .reshape([batch * windows, AREA, 3, heads, head])
            .permute([2, 0, 3, 1, 4]);
        let part = |part: usize| {
            qkv.clone()
                .narrow(0, part, 1)
                .reshape([batch * windows, heads, AREA, head])
        };
        let (q, k, v) = (part(0), part(1), part(2));
        let norm = |x: &Tensor<B, 4>| x.clone().powi_scalar(2).sum_dim(3).sqrt(); // [B * windows, heads, AREA, 1]
        let norms = norm(&q).matmul(norm(&k).swap_dims(2, 3)).clamp_min(1e-6);
        let tau = self.tau.val().clamp_min(0.01).reshape([1, heads, 1, 1]);
        let scores = q.matmul(k.swap_dims(2, 3)) / norms / tau + self.bias(index, dropout).unsqueeze();
        let scores = match &self.separation {
            Some(separation) => {
                let by_window = scores.reshape([batch, windows, heads, AREA * AREA]);
                let mask = separation.clone().reshape([1, windows, 1, AREA * AREA]);
                (by_window + mask).reshape([batch * windows, heads, AREA, AREA])
            }
            None => scores,
        };
        let mixed = softmax(scores, 3)
            .matmul(v)
            .swap_dims(1, 2)
            .reshape([batch * windows * AREA, dim]);
        let y = self
            .proj
            .forward(mixed)
            .reshape([batch, rows / WINDOW, columns / WINDOW, WINDOW, WINDOW, dim])
            .swap_dims(2, 3)
            .reshape([batch, tokens, dim]);
        roll(y, tokens - self.shift * columns)
    }
}

/// Moves the sequence forward by `by` tokens, the first ones wrapping to the end: [B, N, D].
fn roll<B: Backend>(x: Tensor<B, 3>, by: usize) -> Tensor<B, 3> {
    let [_, tokens, _] = x.dims();
    if by.is_multiple_of(tokens) {
        return x;
    }
    Tensor::cat(vec![x.clone().narrow(1, by, tokens - by), x.narrow(1, 0, by)], 1)
}
