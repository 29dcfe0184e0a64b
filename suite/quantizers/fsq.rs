//! Finite scalar quantization (Mentzer et al. 2023, arXiv 2309.15505): each of a latent's d numbers
//! is bounded and rounded to one of a few levels by itself. No codebook is learnt or started, and
//! there is no loss of its own.
//!
//! With L levels, z is bounded to tanh(z + s) h - o, where h = (L - 1)(1 - 0.001) / 2, o is 0 for
//! odd L and 1/2 for even L, and s = tan(o / h). Rounding yields the integers from -floor(L/2) on;
//! divided by floor(L/2) they are the quantized number. The code of a latent is the mixed-radix
//! number of its d integers, the first one fastest.

use bridle::codebook::{Codebook, MOST_CODES, Picks};
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantized, Quantizer, QuantizerInfo, QuantizerValues};
use bridle_backends::Ops;
use bridle_values::check::{Checked, require};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// How far the bound stays away from the outermost rounding edges.
const MARGIN: f64 = 1e-3;

/// The registry's entry.
pub const INFO: QuantizerInfo = QuantizerInfo {
    name: "fsq",
    summary: "finite scalar quantization: each number rounded to a few levels, no codebook",
    several_codebooks: false,
    unwritten: &[],
};

/// The values of finite scalar quantization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsqConfig {
    /// Levels of each of the latent's numbers.
    pub sizes: Vec<usize>,
}

impl Default for FsqConfig {
    /// The paper's choice for about 1000 codes.
    fn default() -> Self {
        Self {
            sizes: vec![8, 5, 5, 5],
        }
    }
}

impl QuantizerValues for FsqConfig {
    fn info(&self) -> &'static QuantizerInfo {
        &INFO
    }

    fn check(&self) -> Checked {
        let key = "quantizer.sizes";
        require(self.sizes.iter().all(|&size| size >= 2), key, || {
            "each size must be at least 2".to_owned()
        })?;
        let product = self
            .sizes
            .iter()
            .try_fold(1, |product: usize, &size| product.checked_mul(size));
        require(
            product.is_some_and(|codes| (2..=MOST_CODES).contains(&codes)),
            key,
            || format!("their product is the number of codes, which is between 2 and {MOST_CODES}"),
        )
    }

    fn codebooks(&self) -> usize {
        1
    }

    fn codebook_size(&self) -> usize {
        self.sizes.iter().product()
    }

    fn code_dim(&self) -> usize {
        self.sizes.len()
    }
}

/// The tables of the formula, none of them trained.
#[derive(Module, Debug)]
pub struct FiniteScalarQuantizer<B: Backend> {
    /// s, h and o of each number, [1, d].
    shift: Tensor<B, 2>,
    half: Tensor<B, 2>,
    offset: Tensor<B, 2>,
    /// floor(L/2), [1, d].
    radius: Tensor<B, 2>,
    /// What a number counts in the code, [1, d].
    place: Tensor<B, 2>,
    /// The vector of every code, [K, d].
    vectors: Tensor<B, 2>,
}

impl<B: Ops> Quantizer<B> for FiniteScalarQuantizer<B> {
    type Config = FsqConfig;

    fn new(config: &FsqConfig, init: &Init<B>) -> Self {
        let (sizes, dim) = (&config.sizes, config.code_dim());
        let half = |size: usize| (size - 1) as f64 * (1.0 - MARGIN) / 2.0;
        let offset = |size: usize| if size.is_multiple_of(2) { 0.5 } else { 0.0 };
        let row = |of: &dyn Fn(usize) -> f64| init.table([1, dim], sizes.iter().map(|&size| of(size) as f32).collect());
        let places: Vec<usize> = (0..dim).map(|number| sizes[..number].iter().product()).collect();
        let vector = |code: usize| {
            let radius = |size: usize| (size / 2) as f32;
            let numbers = sizes.iter().zip(&places);
            numbers.map(move |(&size, place)| ((code / place % size) as f32 - radius(size)) / radius(size))
        };
        let codes = config.codebook_size();
        Self {
            shift: row(&|size| (offset(size) / half(size)).tan()),
            half: row(&half),
            offset: row(&offset),
            radius: row(&|size| (size / 2) as f64),
            place: init.table([1, dim], places.iter().map(|&place| place as f32).collect()),
            vectors: init.table([codes, dim], (0..codes).flat_map(vector).collect()),
        }
    }

    fn forward(&mut self, latents: Tensor<B, 3>, _mode: Mode, _picks: &mut dyn Picks) -> Quantized<B> {
        let [batch, tokens, dim] = latents.dims();
        let z = latents.reshape([batch * tokens, dim]);
        let bounded = (z + self.shift.clone()).tanh() * self.half.clone() - self.offset.clone();
        let fixed = bounded.clone().detach();
        let rounded = fixed.clone().round();
        // whole numbers below 2^24 are exact in any order of summation
        let places = (rounded.clone() + self.radius.clone()) * self.place.clone();
        // the straight-through gradient passes through the bound
        let values = (bounded + (rounded - fixed.clone())) / self.radius.clone();
        Quantized {
            codes: places.sum_dim(1).int().reshape([batch, tokens, 1]),
            values: values.reshape([batch, tokens, dim]),
            // nothing learns here, and the latents need not come near the codes
            loss: fixed.zeros_like().sum(),
        }
    }

    fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3> {
        let ([batch, tokens, _], [_, dim]) = (codes.dims(), self.vectors.dims());
        let vectors = self.vectors.clone().select(0, codes.reshape([batch * tokens]));
        vectors.reshape([batch, tokens, dim])
    }

    fn codebooks(&self) -> &[Codebook<B>] {
        &[]
    }

    fn sizes(&self) -> [usize; 2] {
        let [codes, _] = self.vectors.dims();
        [1, codes]
    }

    fn is_started(&self) -> bool {
        true
    }

    fn set_started(&mut self, _started: bool) {}
}
