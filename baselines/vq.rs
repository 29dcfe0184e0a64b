//! The single-codebook baseline in the form of BEATs (arXiv 2212.09058): unit latents, unit codes,
//! moving average.
//!
//! In training the vectors are read from the codebook before it moves, and the straight-through
//! gradient passes through the normalisation of the latents.

use bridle::codebook::{
    Codebook, Learning, Picks, Similarity, SoftPick, Start, check_codes, check_learning, kmeans, unit,
};
use bridle::init::Init;
use bridle::loss::mse;
use bridle::over_ranks;
use bridle::quantizer::{Mode, Quantized, Quantizer, QuantizerInfo, QuantizerValues};
use bridle_backends::Ops;
use bridle_values::check::{Checked, require};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// The values of a single codebook.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VqConfig {
    /// Always 1.
    #[serde(rename = "levels")]
    pub codebooks: usize,
    /// Codes K.
    #[serde(rename = "codes")]
    pub codebook_size: usize,
    /// Length of a code vector d.
    pub code_dim: usize,
    /// Decay of the moving averages.
    pub decay: f64,
    /// Weight of the commitment loss.
    pub commitment: f64,
    pub start: Start,
    /// Iterations of k-means.
    pub kmeans_iterations: usize,
    /// No value of plans, which always have the default.
    #[serde(skip)]
    pub learning: Learning,
}

impl Default for VqConfig {
    fn default() -> Self {
        Self {
            codebooks: 1,
            codebook_size: 256,
            code_dim: 256,
            decay: 0.99,
            commitment: 0.25,
            start: Start::Kmeans,
            kmeans_iterations: 10,
            learning: Learning::Ema,
        }
    }
}

/// The registry's entry.
pub const INFO: QuantizerInfo = QuantizerInfo {
    name: "vq",
    summary: "one codebook of K unit-norm codes (the BEATs form)",
    several_codebooks: false,
    unwritten: &[],
};

impl QuantizerValues for VqConfig {
    fn info(&self) -> &'static QuantizerInfo {
        &INFO
    }

    fn check(&self) -> Checked {
        require(self.codebooks == 1, "quantizer.levels", || {
            format!("vq has one codebook, not {}", self.codebooks)
        })?;
        check_codes(self.codebook_size, self.code_dim)?;
        check_learning(self.decay, self.commitment, self.kmeans_iterations)
    }

    fn codebooks(&self) -> usize {
        1
    }

    fn codebook_size(&self) -> usize {
        self.codebook_size
    }

    fn code_dim(&self) -> usize {
        self.code_dim
    }
}

/// One codebook on the unit sphere.
#[derive(Module, Debug)]
pub struct VectorQuantizer<B: Backend> {
    /// The codebook, as a chain of one.
    pub levels: Vec<Codebook<B>>,
    started: bool,
    #[module(skip)]
    config: VqConfig,
}

impl<B: Ops> Quantizer<B> for VectorQuantizer<B> {
    type Config = VqConfig;

    /// Random unit vectors.
    fn new(config: &VqConfig, init: &Init<B>) -> Self {
        let values = init.unit_rows("codebook", config.codebook_size, config.code_dim);
        let book = Codebook::new(config.codebook_size, values, config.learning, init);
        Self {
            levels: vec![book],
            started: false,
            config: *config,
        }
    }

    fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B> {
        let config = self.config;
        let [batch, tokens, dim] = latents.dims();
        let z = unit(latents.reshape([batch * tokens, dim]));
        let rows = z.clone().detach();
        let book = &mut self.levels[0];
        if !self.started && config.start == Start::Kmeans {
            let means = picks.initial_means(0, over_ranks::count(batch * tokens), config.codebook_size);
            book.set_vectors(kmeans(rows.clone(), &means, config.kmeans_iterations, Similarity::Cosine).0);
        }
        self.started = true;
        let codes = book.assign(rows.clone(), 1, SoftPick::Nearest);
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
        let loss =
            mse(vectors.clone(), rows.clone()) + mse(vectors.clone().detach(), z.clone()).mul_scalar(config.commitment);
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
