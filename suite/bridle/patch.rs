//! Spectrogram, image and video patches to tokens: a convolution whose stride is its kernel,
//! written as one product.

use crate::config::Geometry;
use crate::init::{Init, PatchInit};
use crate::transformer::linear;
use bridle_backends::Ops;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A linear map of each patch.
#[derive(Module, Debug)]
pub struct PatchEmbed<B: Backend> {
    /// [C * pt * ph * pw, D]; the rows in the order channel, time, row, column.
    pub proj: Linear<B>,
}

impl<B: Backend> PatchEmbed<B> {
    /// First weights as `init.patch` says. PyTorch's default of a convolution is uniform within
    /// 1 / sqrt(fan in), weights and bias alike (`torch.nn.modules.conv`, `reset_parameters`).
    pub fn new(geometry: &Geometry, dim: usize, init: &Init<B>) -> Self {
        let inputs = geometry.patch_len();
        let mut proj = init.linear("proj", inputs, dim, true);
        if init.patch == PatchInit::Pytorch {
            let bound = (inputs as f32).sqrt().recip();
            proj.bias = Some(init.uniform("proj_bias", [dim], bound));
            if geometry.is_video() {
                proj.weight = init.uniform("proj", [inputs, dim], bound);
            }
        }
        Self { proj }
    }
}

impl<B: Ops> PatchEmbed<B> {
    /// [B, C, T, H, W] to patch tokens [B, N, D], token order time, row, column.
    pub fn forward(&self, x: Tensor<B, 5>, geometry: &Geometry) -> Tensor<B, 3> {
        let patches = patches(x, geometry); // [B * N, C * patch]
        let batch = patches.dims()[0] / geometry.tokens();
        let tokens = linear(&self.proj, patches);
        let [_, dim] = tokens.dims();
        tokens.reshape([batch, geometry.tokens(), dim])
    }
}

/// Cuts [B, C, T, H, W] into rows of patches, [B * N, C * pt * ph * pw].
pub fn patches<B: Backend>(x: Tensor<B, 5>, geometry: &Geometry) -> Tensor<B, 2> {
    let [batch, channels, ..] = x.dims();
    let ([t, h, w], [pt, ph, pw]) = (geometry.grid(), geometry.patch());
    x.reshape([batch, channels, t, pt, h, ph, w, pw])
        .permute([0, 2, 4, 6, 1, 3, 5, 7]) // [B, t, h, w, C, pt, ph, pw]
        .reshape([batch * t * h * w, channels * pt * ph * pw])
}
