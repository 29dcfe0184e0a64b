//! Residual quantization: Q levels, each quantizes what the levels before left over (paper section
//! 3; authors' code).
//!
//! In the authors' space, each level normalises the residual for the look-up and the codebook's
//! average, but subtracts the code from the residual as it is, and the loss compares the two as
//! they are. In training the codes are chosen with the old codebook, then the codebook moves, then
//! the vectors are read from the new one. In the raw space, latents are standardised before the
//! first level, and nothing is normalised after that.

use crate::codebook::{
    Codebook, Learning, Picks, Similarity, SoftPick, Start, check_codes, check_learning, kmeans, unit,
};
use crate::init::Init;
use crate::loss::mse;
use crate::over_ranks;
use crate::quantizer::{Mode, Quantized, Quantizer, QuantizerInfo, QuantizerValues};
use bridle_backends::Ops;
use bridle_values::check::{Checked, at_least_one, require, share};
use bridle_values::choices;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

choices! {
    /// When unused codes take new vectors. The authors' code does so in the first forward.
    "restart" Restart {
        /// never
        Off = "off",
        /// in the first forward only, judged on that batch
        FirstForward = "first-forward",
        /// every `restart_every` steps, codes whose average usage is below a tenth of the even share
        ByUsage = "by-usage",
    }
}

choices! {
    /// The space in which residuals are quantized.
    "quantizer space" Space {
        /// unit length for lookup and EMA, raw residual carried on
        UnitLookup = "unit-lookup",
        /// one space for lookup, EMA, residual and loss; latents are standardised once
        Raw = "raw",
    }
}

/// The values of a residual quantizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RqConfig {
    /// Levels Q.
    #[serde(rename = "levels")]
    pub codebooks: usize,
    /// Codes per level K.
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
    /// Codes taken per level.
    pub soft_codes: usize,
    /// Which codes are taken, when a level takes several.
    pub soft_pick: SoftPick,
    /// When unused codes take new vectors.
    pub restart: Restart,
    /// The space of lookup, average, residual and loss.
    pub space: Space,
    /// Steps between two restarts by usage. Plans omit 100.
    #[serde(default = "RqConfig::usual_steps", skip_serializing_if = "RqConfig::are_usual_steps")]
    pub restart_every: usize,
    /// Decay of the average of usage. Plans omit that of the other averages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_decay: Option<f64>,
    /// No value of plans, which always have the default.
    #[serde(skip)]
    pub learning: Learning,
}

impl Default for RqConfig {
    /// The authors' values.
    fn default() -> Self {
        Self {
            codebooks: 4,
            codebook_size: 256,
            code_dim: 256,
            decay: 0.99,
            commitment: 0.25,
            start: Start::Kmeans,
            kmeans_iterations: 10,
            soft_codes: 1,
            soft_pick: SoftPick::Farthest,
            restart: Restart::FirstForward,
            space: Space::UnitLookup,
            restart_every: Self::usual_steps(),
            usage_decay: None,
            learning: Learning::Ema,
        }
    }
}

impl RqConfig {
    const fn usual_steps() -> usize {
        100
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
    const fn are_usual_steps(steps: &usize) -> bool {
        *steps == Self::usual_steps()
    }

    /// Decay of the average of usage, of which the smoothed form makes its vectors.
    fn usage_decay(&self) -> f64 {
        let own = self.usage_decay.filter(|_| self.learning != Learning::SmoothedEma);
        own.unwrap_or(self.decay)
    }
}

/// The registry's entry.
pub const INFO: QuantizerInfo = QuantizerInfo {
    name: "rq",
    summary: "residual quantization, Q codebooks of K codes",
    several_codebooks: true,
    unwritten: &[("restart_every", "100"), ("usage_decay", "quantizer.decay")],
};

impl QuantizerValues for RqConfig {
    fn info(&self) -> &'static QuantizerInfo {
        &INFO
    }

    fn check(&self) -> Checked {
        at_least_one("quantizer.levels", self.codebooks)?;
        check_codes(self.codebook_size, self.code_dim)?;
        check_learning(self.decay, self.commitment, self.kmeans_iterations)?;
        share("quantizer.usage_decay", self.usage_decay())?;
        at_least_one("quantizer.restart_every", self.restart_every)?;
        let (soft, codes) = (self.soft_codes, self.codebook_size);
        require((1..=codes).contains(&soft), "quantizer.soft_codes", || {
            format!("{soft} is not between 1 and quantizer.codes, {codes}")
        })
    }

    fn codebooks(&self) -> usize {
        self.codebooks
    }

    fn codebook_size(&self) -> usize {
        self.codebook_size
    }

    fn code_dim(&self) -> usize {
        self.code_dim
    }

    fn label_codes(&self) -> usize {
        self.codebooks * self.soft_codes
    }
}

/// A code used less than this share of the even usage is restarted (by-usage).
const RARE: f64 = 0.1;

/// Rows [M, d] with mean 0 and deviation 1 each.
fn standardised<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let centred = rows.clone() - rows.mean_dim(1);
    let variance = centred.clone().powi_scalar(2).mean_dim(1);
    centred / variance.add_scalar(1e-6).sqrt()
}

/// Q codebooks in a chain.
#[derive(Module, Debug)]
pub struct ResidualQuantizer<B: Backend> {
    /// One codebook per level.
    pub levels: Vec<Codebook<B>>,
    started: bool,
    #[module(skip)]
    config: RqConfig,
}

impl<B: Ops> ResidualQuantizer<B> {
    /// One level: codes [M, S] and vectors [M, d] of the residual [M, d] entering it.
    fn level(
        &mut self,
        level: usize,
        residual: &Tensor<B, 2>,
        mode: Mode,
        picks: &mut dyn Picks,
    ) -> (Tensor<B, 2, Int>, Tensor<B, 2>) {
        let config = self.config;
        let first = !self.started;
        let book = &mut self.levels[level];
        let raw = config.space == Space::Raw;
        let rows = if raw {
            residual.clone().detach()
        } else {
            unit(residual.clone().detach())
        };
        let [own, _] = rows.dims();
        if first && config.start == Start::Kmeans {
            let means = picks.initial_means(level, over_ranks::count(own), config.codebook_size);
            let similarity = if raw { Similarity::Euclidean } else { Similarity::Cosine };
            let (means, bins) = kmeans(rows.clone(), &means, config.kmeans_iterations, similarity);
            book.set_vectors(means);
            book.set_usage(bins);
        }
        let codes = book.assign(rows.clone(), config.soft_codes, config.soft_pick);
        let counts = book.counts(codes.clone());
        if config.learning != Learning::Gradient {
            book.track_usage(counts.clone(), config.usage_decay());
        }
        if mode.trains() && config.learning != Learning::Gradient {
            let sums = book.sums(rows.clone(), codes.clone());
            match config.learning {
                Learning::Ema if raw => book.average_raw(counts.clone(), sums, config.decay),
                Learning::Ema => book.average(counts.clone(), sums, config.decay),
                Learning::SmoothedEma => book.average_smoothed(sums, config.decay),
                Learning::Gradient => {}
            }
        }
        let mut candidates = || {
            let samples = over_ranks::count(own);
            let picked = picks.restart(level, samples, config.codebook_size);
            (samples, over_ranks::select(rows.clone(), &picked))
        };
        match config.restart {
            Restart::FirstForward if first => book.restart_unused(counts, candidates().1),
            Restart::ByUsage if mode == Mode::Restart => {
                let (samples, candidates) = candidates();
                book.restart_rare(RARE, samples, candidates);
            }
            _ => {}
        }
        let vectors = book.lookup(codes.clone());
        (codes, vectors)
    }
}

impl<B: Backend> ResidualQuantizer<B> {
    /// Latents [B, N, d] as the rows [M, d] that enter the first level.
    fn rows(&self, latents: Tensor<B, 3>) -> Tensor<B, 2> {
        let [batch, tokens, dim] = latents.dims();
        let z = latents.reshape([batch * tokens, dim]);
        if self.config.space == Space::Raw {
            standardised(z)
        } else {
            z
        }
    }

    /// A level's loss: the codebook's towards the residual, and the residual's towards the
    /// codebook.
    fn loss(&self, residual: Tensor<B, 2>, vectors: Tensor<B, 2>) -> Tensor<B, 1> {
        let commitment = mse(residual.clone(), vectors.clone().detach());
        let codebook = if self.config.learning == Learning::Gradient {
            mse(residual.detach(), vectors)
        } else {
            // the same number, and no gradient to the codebook
            commitment.clone().detach()
        };
        codebook + commitment.mul_scalar(self.config.commitment)
    }
}

/// Codes of all levels, each [M, S], as [B, N, Q * S].
fn joined<B: Backend>(codes: Vec<Tensor<B, 2, Int>>, batch: usize, tokens: usize) -> Tensor<B, 3, Int> {
    let codes = Tensor::cat(codes, 1);
    let [_, width] = codes.dims();
    codes.reshape([batch, tokens, width])
}

impl<B: Ops> Quantizer<B> for ResidualQuantizer<B> {
    type Config = RqConfig;

    /// Codebooks uniform in [0, 1), as the authors' (k-means replaces them where it is asked for).
    fn new(config: &RqConfig, init: &Init<B>) -> Self {
        let book = |level: usize| {
            let values = init
                .indexed(level)
                .uniform_values("codebook", config.codebook_size * config.code_dim);
            Codebook::new(config.codebook_size, values, config.learning, init)
        };
        Self {
            levels: (0..config.codebooks).map(book).collect(),
            started: false,
            config: *config,
        }
    }

    fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B> {
        let [batch, tokens, dim] = latents.dims();
        let z = self.rows(latents);
        let mut residual = z.clone();
        let mut sum = z.zeros_like();
        let (mut codes, mut losses) = (Vec::new(), Vec::new());
        for level in 0..self.levels.len() {
            let (code, vectors) = self.level(level, &residual, mode, picks);
            losses.push(self.loss(residual.clone(), vectors.clone()));
            residual = residual - vectors.clone();
            sum = sum + vectors;
            codes.push(code);
        }
        self.started = true;
        let values = z.clone() + (sum - z).detach();
        Quantized {
            codes: joined(codes, batch, tokens),
            values: values.reshape([batch, tokens, dim]),
            loss: Tensor::cat(losses, 0).mean(),
        }
    }

    fn codes(&mut self, latents: Tensor<B, 3>, picks: &mut dyn Picks) -> Tensor<B, 3, Int> {
        let [batch, tokens, _] = latents.dims();
        let mut residual = self.rows(latents);
        if self.started && self.config.soft_codes == 1 {
            let books = self.levels.iter().map(|book| book.vectors.val().detach()).collect();
            let unit_lookup = self.config.space != Space::Raw;
            let codes = B::residual_codes(residual.detach(), books, unit_lookup);
            if self.config.learning != Learning::Gradient {
                for (level, book) in self.levels.iter_mut().enumerate() {
                    // a statistic, which the authors' code follows in evaluation too
                    let counts = book.counts(codes.clone().narrow(1, level, 1));
                    book.track_usage(counts, self.config.usage_decay());
                }
            }
            return joined(vec![codes], batch, tokens);
        }
        let mut codes = Vec::new();
        for level in 0..self.levels.len() {
            let (code, vectors) = self.level(level, &residual, Mode::Eval, picks);
            residual = residual - vectors;
            codes.push(code);
        }
        self.started = true;
        joined(codes, batch, tokens)
    }

    fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3> {
        let [batch, tokens, width] = codes.dims();
        let picks = width / self.levels.len();
        let codes = codes.reshape([batch * tokens, width]);
        let vectors = self
            .levels
            .iter()
            .enumerate()
            .map(|(level, book)| book.lookup(codes.clone().narrow(1, level * picks, picks)));
        let sum = vectors
            .reduce(|sum, vectors| sum + vectors)
            .expect("a quantizer has at least one level");
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
