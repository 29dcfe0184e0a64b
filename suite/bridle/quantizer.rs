//! What makes the labels: a quantizer maps each latent to its codes, to the vectors they stand for,
//! and to a loss.
//!
//! BRIDLE's own is [`crate::rq`]. Tokenizers are generic over the quantizer, so that others live
//! outside this crate. A quantizer's file holds its values as the plan has them (with their
//! defaults and checks), its entry in the registry, and the module itself.

use crate::codebook::{Codebook, Picks};
use crate::init::Init;
use bridle_values::check::Checked;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use std::fmt::Debug;

/// The result of quantizing latents.
#[derive(Clone, Debug)]
pub struct Quantized<B: Backend> {
    /// Codes [B, N, Q]; with S codes per level [B, N, Q * S], level by level.
    pub codes: Tensor<B, 3, Int>,
    /// Quantized vectors [B, N, d], with the straight-through gradient.
    pub values: Tensor<B, 3>,
    /// Codebook plus commitment loss, mean over levels, [1].
    pub loss: Tensor<B, 1>,
}

/// Whether codebooks learn in a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Codebooks move.
    Train,
    /// Codebooks move, and a quantizer that restarts by usage gives rarely used codes new vectors
    /// from the batch.
    Restart,
    /// Codebooks stay, except for a start that is still due.
    Eval,
}

impl Mode {
    /// Whether codebooks move.
    pub fn trains(self) -> bool {
        self != Self::Eval
    }
}

/// A quantizer's entry in the registry.
#[derive(Clone, Copy, Debug)]
pub struct QuantizerInfo {
    /// The name on the command line.
    pub name: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    /// Whether it takes several codebooks, so that presets may ask for them.
    pub several_codebooks: bool,
    /// Values that plans do not write while they are as here, in JSON, or as the plan's value of this
    /// name: so plans from before they existed keep their form and hashes.
    pub unwritten: &'static [(&'static str, &'static str)],
}

/// A quantizer's values: the section `quantizer` of plans with this quantizer.
pub trait QuantizerValues: Clone + Debug + PartialEq {
    fn info(&self) -> &'static QuantizerInfo;

    /// Fails with the name of the first value that is impossible, and what it must satisfy.
    fn check(&self) -> Checked;

    /// Codebooks Q.
    fn codebooks(&self) -> usize;

    /// Values that a code can have, K.
    fn codebook_size(&self) -> usize;

    /// Length of a latent, d.
    fn code_dim(&self) -> usize;

    /// Codes of a token's label: one of each codebook, unless several are taken.
    fn label_codes(&self) -> usize {
        self.codebooks()
    }
}

/// The contract of every quantizer.
pub trait Quantizer<B: Backend>: Module<B> {
    /// What the quantizer is built from.
    type Config: QuantizerValues;

    /// Draws the first codebooks.
    fn new(config: &Self::Config, init: &Init<B>) -> Self;

    /// Quantizes latents [B, N, d]. The first call may also start the codebooks from this batch.
    fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B>;

    /// Only the codes, as `forward` in evaluation returns them. Labels are made of them.
    fn codes(&mut self, latents: Tensor<B, 3>, picks: &mut dyn Picks) -> Tensor<B, 3, Int> {
        self.forward(latents, Mode::Eval, picks).codes
    }

    /// The vectors of codes [B, N, Q]: [B, N, d], equal to what `forward` in evaluation returned
    /// with these codes.
    fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3>;

    /// The codebooks, level by level; empty where codes are computed without any.
    fn codebooks(&self) -> &[Codebook<B>];

    /// Number of codebooks Q and codes of each K.
    fn sizes(&self) -> [usize; 2] {
        let books = self.codebooks();
        [books.len(), books[0].usage.dims()[0]]
    }

    /// Whether the codebooks have started (from data, or from saved ones).
    fn is_started(&self) -> bool;

    /// Marks the codebooks as saved ones, so that the next forward does not start them anew.
    fn set_started(&mut self, started: bool);
}
