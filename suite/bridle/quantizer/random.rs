//! Random projection quantization (BEST-RQ, arXiv 2202.01855): at each level a projection and a codebook that are drawn
//! once and never learn. Levels see the same latents, each in its own way; their vectors are averaged.

use super::{Mode, Quantized, Quantizer, QuantizerInfo};
use crate::codebook::{Codebook, Picks, unit};
use crate::config::{QuantizerConfig, SoftPick};
use crate::init::Init;
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// The registry's entry.
pub const INFO: QuantizerInfo = QuantizerInfo {
    name: "random",
    summary: "Q fixed random projections with K random codes each (BEST-RQ's), which never learn",
    several_levels: true,
    learns: false,
};

/// Q books with a projection each.
#[derive(Module, Debug)]
pub struct RandomProjectionQuantizer<B: Backend> {
    /// Random unit vectors [K, d].
    pub levels: Vec<Codebook<B>>,
    /// [d, d] each, Xavier's uniform.
    pub projections: Vec<Param<Tensor<B, 2>>>,
}

impl<B: Backend> RandomProjectionQuantizer<B> {
    /// Draws everything.
    pub fn new(config: &QuantizerConfig, init: &Init<B>) -> Self {
        let dim = config.dim;
        let book = |level: usize| {
            let values = init.indexed(level).unit_rows("codebook", config.codes, dim);
            Codebook::new(config, values, init)
        };
        let bound = (3.0 / dim as f32).sqrt();
        let projection = |level: usize| {
            let drawn = init.indexed(level).uniform("projection", [dim, dim], bound);
            drawn.set_require_grad(false)
        };
        Self {
            levels: (0..config.levels).map(book).collect(),
            projections: (0..config.levels).map(projection).collect(),
        }
    }

    /// The mean over levels of the vectors of codes [M, Q]: [M, d].
    fn vectors(&self, codes: &Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let of_level = |(level, book): (usize, &Codebook<B>)| book.lookup(codes.clone().narrow(1, level, 1));
        let mut vectors = self.levels.iter().enumerate().map(of_level);
        let first = vectors.next().expect("at least one level");
        vectors.fold(first, |sum, vectors| sum + vectors).div_scalar(self.levels.len() as f64)
    }
}

impl<B: Ops> Quantizer<B> for RandomProjectionQuantizer<B> {
    fn forward(&mut self, latents: Tensor<B, 3>, _mode: Mode, _picks: &mut dyn Picks) -> Quantized<B> {
        let [batch, tokens, dim] = latents.dims();
        let z = latents.reshape([batch * tokens, dim]);
        let rows = z.clone().detach();
        let code = |(book, projection): (&Codebook<B>, &Param<Tensor<B, 2>>)| {
            book.assign(unit(rows.clone().matmul(projection.val())), 1, SoftPick::Nearest)
        };
        let codes = Tensor::cat(self.levels.iter().zip(&self.projections).map(code).collect(), 1); // [M, Q]
        let values = z.clone() + (self.vectors(&codes) - z.clone()).detach();
        Quantized {
            codes: codes.reshape([batch, tokens, self.levels.len()]),
            values: values.reshape([batch, tokens, dim]),
            // nothing learns here, and the latents need not come near the codes
            loss: z.zeros_like().sum(),
        }
    }

    fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3> {
        let [batch, tokens, levels] = codes.dims();
        let vectors = self.vectors(&codes.reshape([batch * tokens, levels]));
        let [_, dim] = vectors.dims();
        vectors.reshape([batch, tokens, dim])
    }

    fn codebooks(&self) -> &[Codebook<B>] {
        &self.levels
    }

    fn is_started(&self) -> bool {
        true
    }

    fn set_started(&mut self, _started: bool) {}
}
