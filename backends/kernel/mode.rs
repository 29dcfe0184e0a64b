//! How operations compute in this thread: number type, checkpoints, plain forms.
//!
//! These are state of the thread, not arguments: every layer would pass them on, and a field of a
//! burn module would become part of the model. Whoever runs a whole computation sets them once.

use std::cell::Cell;
use std::thread::LocalKey;

thread_local! {
    static PLAIN: Cell<bool> = const { Cell::new(false) };
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
    static CHECKPOINTS: Cell<bool> = const { Cell::new(false) };
}

/// Restores the value of a cell when dropped, after a panic too.
struct Restore<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);

impl<T: Copy> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

fn with<V: Copy, T>(cell: &'static LocalKey<Cell<V>>, value: V, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(cell, cell.replace(value));
    work()
}

/// Number type of matrix products in linear layers and attention. Weights, norms, losses, sums,
/// quantizers and optimizers are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point; TF32 where [`Facts::tf32`](crate::Facts::tf32) says so.
    #[default]
    F32,
    /// Operands are rounded to bfloat16, on processors where that is faster; on GPUs results are too, except
    /// those of attention.
    Bf16,
}

/// Runs `work` with products of linear layers and attention in `precision`, gradients included.
pub fn with_precision<T>(precision: Precision, work: impl FnOnce() -> T) -> T {
    with(&PRECISION, precision, work)
}

/// Runs `work` with transformer blocks that keep only their input for the backward pass and compute
/// the rest again there: less memory, more time, the same gradients.
pub fn with_checkpoints<T>(wanted: bool, work: impl FnOnce() -> T) -> T {
    with(&CHECKPOINTS, wanted, work)
}

/// Runs `work` with the plain form of every operation, gradients included: the reference for the
/// fast forms.
pub fn plainly<T>(work: impl FnOnce() -> T) -> T {
    with(&PLAIN, true, work)
}

/// Whether a transformer block should call [`Ops::block_rows`](crate::Ops::block_rows).
pub fn checkpoints() -> bool {
    CHECKPOINTS.get() && !is_plain()
}

pub(super) fn precision() -> Precision {
    PRECISION.get()
}

pub(super) fn is_plain() -> bool {
    PLAIN.get()
}
