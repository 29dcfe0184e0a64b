//! The tokenizer T: a ViT over all tokens, Linear-Tanh-Linear to the code dimension, a quantizer.
//! Before it was ever trained (cold start) a frozen bias-free linear map of patch embedding plus
//! position feeds the quantizer instead.

use crate::codebook::Picks;
use crate::config::{Geometry, StackConfig};
use crate::encoder::Vit;
use crate::init::Init;
use crate::quantizer::{Mode, Quantized, Quantizer, QuantizerValues};
use crate::transformer::{each_row, linear};
use bridle_backends::Ops;
use bridle_backends::kernel::Selection;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// Where labels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The untrained linear map of patch embedding and position.
    ColdStart,
    /// The same without the position.
    ColdStartContent,
    Network,
}

/// The tokenizer, with a quantizer of type Q.
#[derive(Module, Debug)]
pub struct Tokenizer<B: Backend, Q> {
    /// The network's body; its patch embedding also serves the cold start.
    pub vit: Vit<B>,
    /// [D, d], frozen in use.
    pub cold_start: Linear<B>,
    /// [D, D].
    pub project1: Linear<B>,
    /// [D, d].
    pub project2: Linear<B>,
    pub quantizer: Q,
}

impl<B: Ops, Q: Quantizer<B>> Tokenizer<B, Q> {
    pub fn new(geometry: &Geometry, stack: &StackConfig, quantizer: &Q::Config, init: &Init<B>) -> Self {
        let code_dim = quantizer.code_dim();
        Self {
            vit: Vit::new(geometry, stack, &init.child("vit")),
            cold_start: init.linear("cold_start", stack.dim, code_dim, false),
            project1: init.linear("project1", stack.dim, stack.dim, true),
            project2: init.linear("project2", stack.dim, code_dim, true),
            quantizer: Q::new(quantizer, &init.child("quantizer")),
        }
    }

    /// Latents of inputs [B, C, T, H, W]: [B, N, d], or [B, n, d] where `only` picks n rows per
    /// sample of the flattened tokens (the video model's tokenizer sees the removed tokens only).
    pub fn latents(&self, x: Tensor<B, 5>, source: Source, only: Option<Selection<B>>) -> Tensor<B, 3> {
        let [batch, ..] = x.dims();
        let tokens = match source {
            Source::ColdStartContent => self.vit.patch_embed.forward(x, self.vit.geometry()),
            _ => self.vit.tokens(x),
        };
        let tokens = match only {
            Some(selection) => self.vit.select(tokens, selection, batch),
            None => tokens,
        };
        match source {
            Source::ColdStart | Source::ColdStartContent => each_row(tokens, |rows| linear(&self.cold_start, rows)),
            Source::Network => {
                let y = self.vit.without_cls(self.vit.transform(tokens));
                each_row(y, |rows| linear(&self.project2, linear(&self.project1, rows).tanh()))
            }
        }
    }

    /// Quantizes the latents. In evaluation codebooks stay, except for a start that is still due.
    pub fn quantize(&mut self, x: Tensor<B, 5>, source: Source, mode: Mode, picks: &mut dyn Picks) -> Quantized<B> {
        let latents = self.latents(x, source, None);
        self.quantizer.forward(latents, mode, picks)
    }

    /// The codes of all tokens in evaluation, [B, N, Q].
    pub fn codes(&mut self, x: Tensor<B, 5>, source: Source, picks: &mut dyn Picks) -> Tensor<B, 3, Int> {
        let latents = self.latents(x, source, None);
        self.quantizer.codes(latents, picks)
    }
}
