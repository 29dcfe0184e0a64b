//! Operations that backends may compute better than a chain of small ones.
//!
//! [`Ops`] has the plain form as default body, forward and backward. A backend overrides what it can do faster; tests
//! hold every override to the plain form, values and gradients. With gradients, each operation is one node of the
//! graph that keeps its inputs and computes its gradients through the same trait.

mod attention;
mod autodiff;
mod checkpoint;
#[cfg(feature = "cube")]
mod cube;
mod flex;
mod lanes;
#[cfg(feature = "tch")]
mod libtorch;
pub mod plain;
mod product;
mod rows;
mod sliced;
mod team;

pub use product::bf16_is_fast;

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use std::cell::Cell;
use std::thread::LocalKey;

thread_local! {
    static PLAIN: Cell<bool> = const { Cell::new(false) };
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
    static CHECKPOINTS: Cell<bool> = const { Cell::new(false) };
}

/// Puts a cell's former value back when dropped, after a panic too.
struct Before<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);

impl<T: Copy> Before<T> {
    fn set(cell: &'static LocalKey<Cell<T>>, value: T) -> Self {
        Self(cell, cell.replace(value))
    }
}

impl<T: Copy> Drop for Before<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// Number type of the matrix products in linear layers and attention. All else is f32 whatever it says: weights, norms, losses,
/// sums, quantizers and optimizers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point; on GPUs whose products are of TF32 ([`Facts::tf32`](crate::Facts::tf32)), these.
    #[default]
    F32,
    /// Operands are rounded to bfloat16; so are results on GPUs, but for those of attention.
    Bf16,
}

/// Does `work`, gradients included, with the products of this thread's linear layers and attention in `precision`.
pub fn with_precision<T>(precision: Precision, work: impl FnOnce() -> T) -> T {
    let _before = Before::set(&PRECISION, precision);
    work()
}

/// Does `work` with transformer blocks of this thread that keep their input alone for the backward pass, and compute all else
/// once more there: less memory, more time, the same gradients.
pub fn with_checkpoints<T>(wanted: bool, work: impl FnOnce() -> T) -> T {
    let _before = Before::set(&CHECKPOINTS, wanted);
    work()
}

/// Whether a block is to be a checkpoint: [`Ops::block_rows`].
pub fn checkpoints() -> bool {
    CHECKPOINTS.get() && !is_plain()
}

/// The precision in force.
fn precision() -> Precision {
    PRECISION.get()
}

/// Does `work` with every operation of this thread in its plain form, and gradients by the plain chain: what a whole
/// computation with the fast forms is held to.
pub fn plainly<T>(work: impl FnOnce() -> T) -> T {
    let _before = Before::set(&PLAIN, true);
    work()
}

/// Whether [`plainly`] is in force.
fn is_plain() -> bool {
    PLAIN.get()
}

/// The fused operations of the method. N rows, B batch, T tokens, D width, M hidden width.
pub trait Ops: Backend {
    /// Multi-head self-attention from fused queries, keys and values: softmax(q kᵀ / sqrt(D/heads)) v.
    ///
    /// `qkv` is [B, T, 3D], each third split into heads contiguously; the result is [B, T, D].
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        plain::self_attention(qkv, heads)
    }

    /// Gradient of [`Ops::self_attention`] at `qkv` [B, T, 3D], given that of its result, [B, T, D].
    fn self_attention_backward(qkv: Tensor<Self, 3>, grad: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        plain::self_attention_backward(qkv, grad, heads)
    }

    /// A linear layer on `rows` [N, K], with weight [K, M] and bias [M].
    fn linear_rows(rows: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Tensor<Self, 1>) -> Tensor<Self, 2> {
        plain::linear_rows(rows, weight, bias)
    }

    /// Gradients of [`Ops::linear_rows`], given that of its result, [N, M]; that of the rows only if it is wanted.
    fn linear_rows_backward(
        rows: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
        wants_rows: bool,
    ) -> LinearGrads<Self> {
        plain::linear_rows_backward(rows, weight, grad, wants_rows)
    }

    /// For each of `rows` [N, d] the nearest of `vectors` [K, d], the lowest on ties: [N, 1]. It has no gradient.
    fn nearest_codes(rows: Tensor<Self, 2>, vectors: Tensor<Self, 2>) -> Tensor<Self, 2, Int> {
        plain::nearest_codes(rows, vectors)
    }

    /// Codes of a chain of Q books [K, d], each of which quantizes what the books before left of `rows` [N, d]: [N, Q]. What
    /// is left is looked up at unit length if asked for, and carried on as it is. It has no gradient.
    fn residual_codes(rows: Tensor<Self, 2>, books: Vec<Tensor<Self, 2>>, unit_lookup: bool) -> Tensor<Self, 2, Int> {
        plain::residual_codes(rows, books, unit_lookup)
    }

    /// How often each code below `count` is among `codes` [N]: [count]. Exact, and without a gradient.
    fn code_counts(codes: Tensor<Self, 1, Int>, count: usize) -> Tensor<Self, 1> {
        plain::code_counts(codes, count)
    }

    /// The selected of `rows` [N, D]: [M, D].
    fn select_rows(rows: Tensor<Self, 2>, selection: Selection<Self>) -> Tensor<Self, 2> {
        plain::select_rows(rows, selection)
    }

    /// Gradient of [`Ops::select_rows`] at the rows [N, D], given that of its result, [M, D].
    fn select_rows_backward(grad: Tensor<Self, 2>, selection: Selection<Self>) -> Tensor<Self, 2> {
        plain::select_rows_backward(grad, selection)
    }

    /// Cross-entropy of `logits` [N, K] against one code each, [N, 1], averaged over rows: [1].
    fn cross_entropy_rows(logits: Tensor<Self, 2>, codes: Tensor<Self, 2, Int>) -> Tensor<Self, 1> {
        plain::cross_entropy_rows(logits, codes)
    }

    /// Gradient of [`Ops::cross_entropy_rows`] at `logits` [N, K], given that of its result, [1].
    fn cross_entropy_rows_backward(
        logits: Tensor<Self, 2>,
        codes: Tensor<Self, 2, Int>,
        grad: Tensor<Self, 1>,
    ) -> Tensor<Self, 2> {
        plain::cross_entropy_rows_backward(logits, codes, grad)
    }

    /// Layer normalisation over the last axis of `rows` [N, D] with scale and shift [D].
    fn norm_rows(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        plain::norm_rows(rows, scale, shift, epsilon)
    }

    /// Gradients of [`Ops::norm_rows`], given that of its result, [N, D].
    fn norm_rows_backward(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        grad: Tensor<Self, 2>,
        epsilon: f64,
    ) -> NormGrads<Self> {
        plain::norm_rows_backward(rows, scale, grad, epsilon)
    }

    /// Two linear layers with an exact (erf) GELU between, on `rows` [N, D].
    fn mlp_rows(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> Tensor<Self, 2> {
        Self::mlp_rows_with_hidden(rows, mlp).0
    }

    /// [`Ops::mlp_rows`], and what goes into the GELU, [N, M].
    fn mlp_rows_with_hidden(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        plain::mlp_rows_with_hidden(rows, mlp)
    }

    /// Gradients of [`Ops::mlp_rows`], given what went into the GELU, [N, M], and the result's gradient, [N, D].
    fn mlp_rows_backward(
        rows: Tensor<Self, 2>,
        mlp: MlpTensors<Self>,
        hidden: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, MlpTensors<Self>) {
        plain::mlp_rows_backward(rows, mlp, hidden, grad)
    }

    /// A pre-norm transformer block on `rows` [B * T, D]: rows plus attention of their norm, then plus MLP of the norm of that.
    /// With gradients it keeps the rows alone.
    fn block_rows(rows: Tensor<Self, 2>, block: BlockTensors<Self>, sizes: BlockSizes) -> Tensor<Self, 2> {
        checkpoint::block_rows(rows, &block, sizes)
    }

    /// One AdamW update of a flattened parameter, all tensors of one length.
    fn adamw_step(state: AdamWState<Self>, grad: Tensor<Self, 1>, factors: &AdamWFactors) -> AdamWState<Self> {
        plain::adamw_step(state, grad, factors)
    }
}

/// M of N rows in some order, none of them twice.
///
/// A selection knows its inverse, so that its gradient is a selection too: each row of it is read from one place, where adding
/// into rows by number, the gradient of any selection, goes row after row on GPUs.
#[derive(Clone, Debug)]
pub struct Selection<B: Backend> {
    /// The numbers of the selected rows, [M].
    pub rows: Tensor<B, 1, Int>,
    /// For each of the N rows its place among the selected, or M where it is not among them: [N].
    pub places: Tensor<B, 1, Int>,
}

impl<B: Backend> Selection<B> {
    /// These of `count` rows.
    ///
    /// # Panics
    /// If a row is named twice, or is not among them.
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
    /// The same for the backend without gradients.
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
    /// Of the rows [N, K], if wanted.
    pub rows: Option<Tensor<B, 2>>,
    /// Of the weight [K, M].
    pub weight: Tensor<B, 2>,
    /// Of the bias [M].
    pub bias: Tensor<B, 1>,
}

/// Gradients of [`Ops::norm_rows`].
#[derive(Clone, Debug)]
pub struct NormGrads<B: Backend> {
    /// Of the rows [N, D].
    pub rows: Tensor<B, 2>,
    /// Of the scale [D].
    pub scale: Tensor<B, 1>,
    /// Of the shift [D].
    pub shift: Tensor<B, 1>,
}

/// The parameters of an MLP, or their gradients.
#[derive(Clone, Debug)]
pub struct MlpTensors<B: Backend> {
    /// Weight of the first layer [D, M].
    pub weight1: Tensor<B, 2>,
    /// Bias of the first layer [M].
    pub bias1: Tensor<B, 1>,
    /// Weight of the second layer [M, D].
    pub weight2: Tensor<B, 2>,
    /// Bias of the second layer [D].
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
    /// The MLP.
    pub mlp: MlpTensors<B>,
}

/// What a transformer block's parameters do not tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockSizes {
    /// Tokens T of one item.
    pub tokens: usize,
    /// Attention heads.
    pub heads: usize,
    /// Epsilon of both norms.
    pub epsilon: f64,
}

/// A flattened parameter and its moments.
#[derive(Clone, Debug)]
pub struct AdamWState<B: Backend> {
    /// The parameter.
    pub weights: Tensor<B, 1>,
    /// Running mean of the gradient.
    pub first: Tensor<B, 1>,
    /// Running mean of the squared gradient.
    pub second: Tensor<B, 1>,
}

/// The numbers of one AdamW update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWFactors {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// What decay leaves of the weights: 1 - rate * weight decay.
    pub keep: f64,
    /// Rate over the first moment's bias correction.
    pub rate: f64,
    /// Root of the second moment's bias correction.
    pub root: f64,
}

impl AdamWFactors {
    /// beta1, 1 - beta1, beta2, 1 - beta2, epsilon, keep, rate, root: what the loop over slices takes.
    fn in_order(&self) -> [f32; 8] {
        let rests = [1.0 - self.beta1, 1.0 - self.beta2];
        [
            self.beta1,
            rests[0],
            self.beta2,
            rests[1],
            self.epsilon,
            self.keep,
            self.rate,
            self.root,
        ]
        .map(|factor| factor as f32)
    }
}
