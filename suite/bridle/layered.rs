//! Encoders of sequences, layer by layer: what the ViT over patches and the Conformer over frames
//! have in common.

use crate::frames::Frames;
use crate::transformer::{each_row, linear};
use bridle_backends::Ops;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use std::ops::Range;

/// An encoder of sequences, layer by layer. F numbers of a frame, D width.
pub trait LayeredEncoder<B: Backend>: Module<B> {
    /// Number of layers.
    fn layers(&self) -> usize;

    /// The input of the first layer: [B, T, F] to [B, T, D].
    fn enter(&self, frames: &Frames<B>) -> Tensor<B, 3>;

    /// Applies these layers to the output of `enter` or of earlier layers. The last layer's output
    /// is the encoder's.
    fn pass(&self, hidden: Tensor<B, 3>, layers: Range<usize>, frames: &Frames<B>) -> Tensor<B, 3>;

    /// Drops tokens that belong to no frame from the output of `enter` or `pass`: [B, T, D].
    fn of_frames(&self, hidden: Tensor<B, 3>) -> Tensor<B, 3> {
        hidden
    }

    /// The whole encoder, [B, T, F] to [B, T, D].
    fn encode(&self, frames: &Frames<B>) -> Tensor<B, 3> {
        self.of_frames(self.pass(self.enter(frames), 0..self.layers(), frames))
    }
}

/// Features of the first `layers` layers, of frames given by their rows of [B * T]: [M, D].
pub fn layer_features<B: Backend, E: LayeredEncoder<B>>(
    encoder: &E,
    layers: usize,
    frames: &Frames<B>,
    rows: Tensor<B, 1, Int>,
) -> Tensor<B, 2> {
    let hidden = encoder.of_frames(encoder.pass(encoder.enter(frames), 0..layers, frames));
    frames.with(hidden).rows(rows)
}

/// A linear map of frames [B, T, F] to [B, T, D], padding included.
pub fn frame_linear<B: Ops>(layer: &Linear<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    each_row(x, |rows| linear(layer, rows))
}
