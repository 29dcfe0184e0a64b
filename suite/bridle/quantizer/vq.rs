//! The single-codebook baseline, in the form of BEATs (arXiv 2212.09058): unit latents, unit codes, moving average.
//!
//! In training the vectors are read from the codebook before it moves, and the straight-through gradient passes
//! through the normalisation of the latents.

use super::{Mode, Quantized, Quantizer, QuantizerInfo, mse};
use crate::codebook::{Codebook, Picks, Similarity, kmeans, unit};
use crate::config::{Learning, QuantizerConfig, Start};
use crate::init::Init;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// The registry's entry.
pub const INFO: QuantizerInfo =
    QuantizerInfo { name: "vq", summary: "one codebook of K unit-norm codes (the BEATs form)", several_levels: false, learns: true };

/// One codebook on the unit sphere.
#[derive(Module, Debug)]
pub struct VectorQuantizer<B: Backend> {
    /// The codebook, as a chain of one.
    pub levels: Vec<Codebook<B>>,
    started: bool,
    #[module(skip)]
    config: QuantizerConfig,
}

impl<B: Backend> VectorQuantizer<B> {
    /// Random unit vectors.
    pub fn new(config: &QuantizerConfig, init: &Init<B>) -> Self {
        let values = init.unit_rows("codebook", config.codes, config.dim);
        Self { levels: vec![Codebook::new(config, values, init)], started: false, config: *config }
    }
}

impl<B: Ops> Quantizer<B> for VectorQuantizer<B> {
    fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B> {
        let config = self.config;
        let [batch, tokens, dim] = latents.dims();
        let z = unit(latents.reshape([batch * tokens, dim]));
        let rows = z.clone().detach();
        let book = &mut self.levels[0];
        if !self.started && config.start == Start::Kmeans {
            let means = picks.initial_means(0, batch * tokens, config.codes);
            book.set_vectors(kmeans(rows.clone(), &means, config.kmeans_iterations, Similarity::Cosine).0);
        }
        self.started = true;
        let codes = book.assign(rows.clone(), 1, config.soft_pick);
        let vectors = book.lookup(codes.clone());
        if config.learning != Learning::Gradient {
            let counts = book.counts(codes.clone());
            book.track_usage(counts.clone(), config.decay);
            if mode.trains() {
                let sums = book.sums(rows.clone(), codes.clone());
                book.average(counts, sums, config.decay);
                let moved = unit(book.vectors.val().detach());
                book.set_vectors(moved);
            }
        }
        let loss = mse(vectors.clone(), rows.clone())
            + mse(vectors.clone().detach(), z.clone()).mul_scalar(config.commitment);
        let values = z + (vectors - rows).detach();
        Quantized {
            codes: codes.reshape([batch, tokens, 1]),
            values: values.reshape([batch, tokens, dim]),
            loss,
        }
    }

    fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3> {
        let [batch, tokens, _] = codes.dims();
        let vectors = self.levels[0].lookup(codes.reshape([batch * tokens, 1]));
        let [_, dim] = vectors.dims();
        vectors.reshape([batch, tokens, dim])
    }

    fn codebooks(&self) -> &[Codebook<B>] {
        &self.levels
    }

    fn is_started(&self) -> bool {
        self.started
    }

    fn set_started(&mut self, started: bool) {
        self.started = started;
    }
}
