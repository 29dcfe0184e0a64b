//! Residual quantization: Q levels, each quantizes what the levels before left over (paper section 3; authors' code).
//!
//! At each level the residual is normalised for the look-up and the codebook's average, while the code is subtracted
//! from the residual as it is, and the loss compares the two as they are. In training the codes are chosen with the
//! old codebook, then the codebook moves, then the vectors are read from the new one.

use super::{Mode, Quantized, Quantizer, QuantizerInfo, mse};
use crate::codebook::{Codebook, Picks, Similarity, index_rows, kmeans, unit};
use crate::config::{Learning, QuantizerConfig, Restart, Start};
use crate::init::Init;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// The registry's entry.
pub const INFO: QuantizerInfo =
    QuantizerInfo { name: "rq", summary: "residual quantization, Q codebooks of K codes", several_levels: true };

/// Q codebooks in a chain.
#[derive(Module, Debug)]
pub struct ResidualQuantizer<B: Backend> {
    /// One codebook per level.
    pub levels: Vec<Codebook<B>>,
    started: bool,
    #[module(skip)]
    config: QuantizerConfig,
}

impl<B: Backend> ResidualQuantizer<B> {
    /// Codebooks uniform in [0, 1), as the authors' (k-means replaces them where it is asked for).
    pub fn new(config: &QuantizerConfig, init: &Init<B>) -> Self {
        let book = |level: usize| {
            let values = init.indexed(level).uniform_values("codebook", config.codes * config.dim);
            Codebook::new(config, values, init)
        };
        Self { levels: (0..config.levels).map(book).collect(), started: false, config: *config }
    }

    /// One level: codes [M, S] and vectors [M, d] of the residual [M, d] entering it.
    fn level(
        &mut self,
        level: usize,
        residual: &Tensor<B, 2>,
        mode: Mode,
        picks: &mut dyn Picks,
    ) -> (Tensor<B, 2, Int>, Tensor<B, 2>) {
        let config = self.config;
        let (first, device) = (!self.started, residual.device());
        let book = &mut self.levels[level];
        let rows = unit(residual.clone().detach());
        let [samples, _] = rows.dims();
        if first && config.start == Start::Kmeans {
            let means = picks.initial_means(level, samples, config.codes);
            let (means, bins) = kmeans(rows.clone(), &means, config.kmeans_iterations, Similarity::Cosine);
            book.set_vectors(means);
            book.set_usage(bins);
        }
        let codes = book.assign(rows.clone(), config.soft_codes, config.soft_pick);
        let (counts, sums) = book.batch_statistics(rows.clone(), codes.clone());
        if config.learning != Learning::Gradient {
            book.track_usage(counts.clone(), config.decay);
        }
        if mode == Mode::Train {
            match config.learning {
                Learning::Ema => book.average(counts.clone(), sums, config.decay),
                Learning::SmoothedEma => book.average_smoothed(sums, config.decay),
                Learning::Gradient => {}
            }
        }
        if first && config.restart == Restart::FirstForward {
            let candidates = index_rows(&picks.restart(level, samples, config.codes), &device);
            book.restart_unused(counts, rows.select(0, candidates));
        }
        let vectors = book.lookup(codes.clone());
        (codes, vectors)
    }
}

impl<B: Backend> Quantizer<B> for ResidualQuantizer<B> {
    fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B> {
        let [batch, tokens, dim] = latents.dims();
        let z = latents.reshape([batch * tokens, dim]);
        let mut residual = z.clone();
        let mut sum = z.zeros_like();
        let (mut codes, mut losses) = (Vec::new(), Vec::new());
        for level in 0..self.levels.len() {
            let (code, vectors) = self.level(level, &residual, mode, picks);
            losses.push(
                mse(residual.clone().detach(), vectors.clone())
                    + mse(residual.clone(), vectors.clone().detach()).mul_scalar(self.config.commitment),
            );
            residual = residual - vectors.clone();
            sum = sum + vectors;
            codes.push(code);
        }
        self.started = true;
        let values = z.clone() + (sum - z).detach();
        let codes = Tensor::cat(codes, 1); // [M, Q * S]
        let [_, width] = codes.dims();
        Quantized {
            codes: codes.reshape([batch, tokens, width]),
            values: values.reshape([batch, tokens, dim]),
            loss: Tensor::cat(losses, 0).mean(),
        }
    }

    fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3> {
        let [batch, tokens, width] = codes.dims();
        let picks = width / self.levels.len();
        let codes = codes.reshape([batch * tokens, width]);
        let vectors = self.levels.iter().enumerate().map(|(level, book)| {
            book.lookup(codes.clone().narrow(1, level * picks, picks))
        });
        let sum = vectors.reduce(|sum, vectors| sum + vectors).expect("a quantizer has at least one level");
        let [_, dim] = sum.dims();
        sum.reshape([batch, tokens, dim])
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
