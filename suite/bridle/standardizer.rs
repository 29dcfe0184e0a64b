//! Standardizes frames with means and deviations measured over the data.

use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Brings each of a frame's F numbers to mean 0 and deviation 1.
#[derive(Module, Debug)]
pub struct Standardizer<B: Backend> {
    /// [F].
    pub mean: Param<Tensor<B, 1>>,
    /// One over the deviation, [F].
    pub factor: Param<Tensor<B, 1>>,
}

impl<B: Backend> Standardizer<B> {
    /// For frames that are standardized already.
    pub fn none(width: usize, init: &Init<B>) -> Self {
        Self::new(&vec![0.0; width], &vec![1.0; width], init)
    }

    /// By measured means and deviations. A number that never varies is only centred.
    pub fn new(mean: &[f32], deviation: &[f32], init: &Init<B>) -> Self {
        let factor = |deviation: &f32| if *deviation > 0.0 { 1.0 / deviation } else { 1.0 };
        Self {
            mean: init.frozen([mean.len()], mean.to_vec()),
            factor: init.frozen([mean.len()], deviation.iter().map(factor).collect()),
        }
    }

    /// [N, F] to [N, F].
    pub fn apply(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        (rows - self.mean.val().unsqueeze()) * self.factor.val().unsqueeze()
    }

    /// The inverse of [`Self::apply`].
    pub fn undo(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        rows / self.factor.val().unsqueeze() + self.mean.val().unsqueeze()
    }
}
