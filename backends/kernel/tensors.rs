//! Arguments and results of the fused operations: selections, gradients, parameters, optimizer
//! state.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};

/// M of N rows in some order, none of them twice.
///
/// It keeps its inverse, so that its gradient is a selection too. The usual gradient adds into rows
/// by index, which GPUs do one row after another.
#[derive(Clone, Debug)]
pub struct Selection<B: Backend> {
    /// Indices of the selected rows, [M].
    pub rows: Tensor<B, 1, Int>,
    /// Position of each of the N rows among the selected, or M if it is not selected: [N].
    pub places: Tensor<B, 1, Int>,
}

impl<B: Backend> Selection<B> {
    /// Selects `rows` out of `count`.
    ///
    /// # Panics
    /// If a row is selected twice or is not below `count`.
    pub fn new(rows: &[usize], count: usize, device: &B::Device) -> Self {
        let mut places = vec![rows.len() as i64; count];
        for (place, &row) in rows.iter().enumerate() {
            assert_eq!(places[row], rows.len() as i64, "row {row} is selected twice");
            places[row] = place as i64;
        }
        let numbers = rows.iter().map(|&row| row as i64).collect();
        let upload = |numbers: Vec<i64>| Tensor::from_data(TensorData::from(&numbers[..]), device);
        Self {
            rows: upload(numbers),
            places: upload(places),
        }
    }
}

impl<B: AutodiffBackend> Selection<B> {
    /// The same on the backend without gradients.
    pub fn inner(self) -> Selection<B::InnerBackend> {
        Selection {
            rows: self.rows.inner(),
            places: self.places.inner(),
        }
    }
}

/// Gradients of [`Ops::linear_rows`].
#[derive(Clone, Debug)]
pub struct LinearGrads<B: Backend> {
    /// [N, K], if wanted.
    pub rows: Option<Tensor<B, 2>>,
    /// [K, M].
    pub weight: Tensor<B, 2>,
    /// [M].
    pub bias: Tensor<B, 1>,
}

/// Gradients of [`Ops::norm_rows`].
#[derive(Clone, Debug)]
pub struct NormGrads<B: Backend> {
    /// [N, D].
    pub rows: Tensor<B, 2>,
    /// [D].
    pub scale: Tensor<B, 1>,
    /// [D].
    pub shift: Tensor<B, 1>,
}

/// The parameters of an MLP, or their gradients.
#[derive(Clone, Debug)]
pub struct MlpTensors<B: Backend> {
    /// [D, M].
    pub weight1: Tensor<B, 2>,
    /// [M].
    pub bias1: Tensor<B, 1>,
    /// [M, D].
    pub weight2: Tensor<B, 2>,
    /// [D].
    pub bias2: Tensor<B, 1>,
}

/// The parameters of a transformer block, or their gradients.
#[derive(Clone, Debug)]
pub struct BlockTensors<B: Backend> {
    /// Scale and shift of the norm before attention, [D] each.
    pub norm1: [Tensor<B, 1>; 2],
    /// Weight and bias of queries, keys and values, [D, 3D] and [3D].
    pub qkv: (Tensor<B, 2>, Tensor<B, 1>),
    /// Weight and bias after attention, [D, D] and [D].
    pub proj: (Tensor<B, 2>, Tensor<B, 1>),
    /// Scale and shift of the norm before the MLP, [D] each.
    pub norm2: [Tensor<B, 1>; 2],
    pub mlp: MlpTensors<B>,
}

/// The sizes of a transformer block that its parameters do not determine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockSizes {
    /// Tokens T per item.
    pub tokens: usize,
    pub heads: usize,
    /// Of both norms.
    pub epsilon: f64,
}

/// A flattened parameter and its moments.
#[derive(Clone, Debug)]
pub struct AdamWState<B: Backend> {
    pub weights: Tensor<B, 1>,
    /// Running mean of the gradient.
    pub first: Tensor<B, 1>,
    /// Running mean of the squared gradient.
    pub second: Tensor<B, 1>,
}

/// The factors of one AdamW update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWFactors {
    pub beta1: f64,
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Share of the weights that decay keeps: 1 - rate * weight decay.
    pub keep: f64,
    /// Learning rate / bias correction of the first moment.
    pub rate: f64,
    /// Square root of the second moment's bias correction.
    pub root: f64,
}

impl AdamWFactors {
    /// beta1, 1 - beta1, beta2, 1 - beta2, epsilon, keep, rate, root.
    pub(super) fn in_order(&self) -> [f32; 8] {
        let Self {
            beta1,
            beta2,
            epsilon,
            keep,
            rate,
            root,
        } = *self;
        [beta1, 1.0 - beta1, beta2, 1.0 - beta2, epsilon, keep, rate, root].map(|factor| factor as f32)
    }
}
