//! Random-projection quantization (BEST-RQ, arXiv 2202.01855): projections and codebooks that are
//! drawn once and never learn.
//!
//! [`RandomProjectionQuantizer`] quantizes the tokenizer's latents in place of BRIDLE's residual
//! quantizer: every level sees the same latents through its own projection, and their vectors are
//! averaged. [`RandomQuantizer`] labels the input frames themselves, for the methods without a
//! tokenizer ([`crate::best_rq`], [`crate::birq`], [`crate::distilled`]). A frame's label is argmin
//! over n of || unit(C_n) - unit(x A) ||; frames are standardized before, because otherwise most
//! codes are never used.

use bridle::codebook::{Codebook, Learning, Picks, SoftPick, check_codes, unit};
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantized, Quantizer, QuantizerInfo, QuantizerValues};
use bridle::standardizer::Standardizer;
use bridle_backends::Ops;
use bridle_values::check::{Checked, at_least_one};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use serde::{Deserialize, Serialize};

/// The values of a random quantizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomConfig {
    /// Projections, each with its own codebook, Q.
    #[serde(rename = "levels")]
    pub codebooks: usize,
    /// Codes per codebook K.
    #[serde(rename = "codes")]
    pub codebook_size: usize,
    /// Length of a code vector d.
    pub code_dim: usize,
}

impl Default for RandomConfig {
    /// The values of BEST-RQ's paper.
    fn default() -> Self {
        Self {
            codebooks: 1,
            codebook_size: 8192,
            code_dim: 16,
        }
    }
}

/// The registry's entry.
pub const INFO: QuantizerInfo = QuantizerInfo {
    name: "random",
    summary: "Q fixed random projections with K random codes each (BEST-RQ's), which never learn",
    several_codebooks: true,
    unwritten: &[],
};

impl QuantizerValues for RandomConfig {
    fn info(&self) -> &'static QuantizerInfo {
        &INFO
    }

    fn check(&self) -> Checked {
        at_least_one("quantizer.levels", self.codebooks)?;
        check_codes(self.codebook_size, self.code_dim)
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
}

/// Q books with a projection each.
#[derive(Module, Debug)]
pub struct RandomProjectionQuantizer<B: Backend> {
    /// Random unit vectors [K, d].
    pub levels: Vec<Codebook<B>>,
    /// [d, d] each, Xavier's uniform.
    pub projections: Vec<Param<Tensor<B, 2>>>,
}

impl<B: Backend> RandomProjectionQuantizer<B> {
    /// The mean over levels of the vectors of codes [M, Q]: [M, d].
    fn vectors(&self, codes: &Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let of_level = |(level, book): (usize, &Codebook<B>)| book.lookup(codes.clone().narrow(1, level, 1));
        let mut vectors = self.levels.iter().enumerate().map(of_level);
        let first = vectors.next().expect("at least one level");
        vectors
            .fold(first, |sum, vectors| sum + vectors)
            .div_scalar(self.levels.len() as f64)
    }
}

impl<B: Ops> Quantizer<B> for RandomProjectionQuantizer<B> {
    type Config = RandomConfig;

    fn new(config: &RandomConfig, init: &Init<B>) -> Self {
        let (codes, dim) = (config.codebook_size, config.code_dim);
        let book = |level: usize| {
            let values = init.indexed(level).unit_rows("codebook", codes, dim);
            Codebook::new(codes, values, Learning::Ema, init)
        };
        let bound = (3.0 / dim as f32).sqrt();
        let projection = |level: usize| {
            let drawn = init.indexed(level).uniform("projection", [dim, dim], bound);
            drawn.set_require_grad(false)
        };
        Self {
            levels: (0..config.codebooks).map(book).collect(),
            projections: (0..config.codebooks).map(projection).collect(),
        }
    }

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

/// A random projection A and a codebook C, both frozen.
#[derive(Module, Debug)]
pub struct RandomBook<B: Backend> {
    /// A [F, d].
    pub projection: Param<Tensor<B, 2>>,
    /// C, of unit rows [K, d].
    pub codes: Param<Tensor<B, 2>>,
}

impl<B: Ops> RandomBook<B> {
    /// A by Xavier's uniform, C standard normal before its rows are brought to unit length.
    pub fn new(inputs: usize, codes: usize, dim: usize, init: &Init<B>) -> Self {
        let bound = (6.0 / (inputs + dim) as f32).sqrt();
        Self {
            projection: init.uniform("projection", [inputs, dim], bound).set_require_grad(false),
            codes: init.frozen([codes, dim], init.unit_rows("codes", codes, dim)),
        }
    }

    /// Squared distances of projected rows [N, F] to the codes, both of unit length: [N, K].
    pub fn distances(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        unit_distances(rows.matmul(self.projection.val()), self.codes.val())
    }

    /// The labels of rows [N, F]: [N, 1]; the first of equally near codes.
    pub fn labels(&self, rows: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        nearest_unit_codes(rows.matmul(self.projection.val()), self.codes.val())
    }

    /// Replaces the drawn projection A [F, d].
    pub fn set_projection(&mut self, projection: Tensor<B, 2>) {
        self.projection = Param::initialized(self.projection.id, projection).set_require_grad(false);
    }

    /// Moves each code to the centroid of its rows among [N, F], all at unit length (arXiv
    /// 2606.30671). A code without rows stays.
    pub fn move_to_centroids(&mut self, rows: Tensor<B, 2>) {
        let projected = unit(rows.matmul(self.projection.val()));
        let codes = self.codes.val();
        let ([count, dim], [_, _]) = (codes.dims(), projected.dims());
        let labels = nearest_unit_codes(projected.clone(), codes.clone()); // [N, 1]
        let [n, _] = labels.dims();
        let sums = Tensor::zeros([count, dim], &codes.device());
        let sums = sums.select_assign(0, labels.reshape([n]), projected, IndexingUpdateOp::Add);
        let has_rows = sums
            .clone()
            .powi_scalar(2)
            .sum_dim(1)
            .greater_elem(0.0)
            .expand([count, dim]);
        let moved = codes.mask_where(has_rows, unit(sums));
        self.codes = Param::initialized(self.codes.id, moved).set_require_grad(false);
    }
}

/// || unit(row) - code ||² = 2 - 2 unit(row) · code, for codes of unit length: [N, d] and [K, d] to
/// [N, K].
pub(crate) fn unit_distances<B: Backend>(rows: Tensor<B, 2>, codes: Tensor<B, 2>) -> Tensor<B, 2> {
    distances_of(unit(rows).matmul(codes.transpose()))
}

/// 2 - 2 dot, which rounds alike what is nearly equal.
fn distances_of<B: Backend>(dots: Tensor<B, 2>) -> Tensor<B, 2> {
    dots.mul_scalar(-2.0).add_scalar(2.0)
}

/// The codes of least [`unit_distances`], the first on ties: [N, 1].
pub(crate) fn nearest_unit_codes<B: Ops>(rows: Tensor<B, 2>, codes: Tensor<B, 2>) -> Tensor<B, 2, Int> {
    distances_of(B::dot_products(unit(rows), codes)).argmin(1)
}

/// Several random codebooks, over which losses are averaged.
#[derive(Module, Debug)]
pub struct RandomQuantizer<B: Backend> {
    /// Before the projections.
    pub standard: Standardizer<B>,
    /// The books, Q of them, each with a projection of its own.
    pub books: Vec<RandomBook<B>>,
}

impl<B: Ops> RandomQuantizer<B> {
    /// `books` books of `codes` codes of `dim` numbers.
    pub fn new(standard: Standardizer<B>, books: usize, codes: usize, dim: usize, init: &Init<B>) -> Self {
        let [inputs] = standard.mean.dims();
        let book = |index| RandomBook::new(inputs, codes, dim, &init.indexed(index));
        Self {
            standard,
            books: (0..books).map(book).collect(),
        }
    }

    /// Rows [N, F] as the first book sees them: [N, d].
    pub fn projected(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        self.standard.apply(rows).matmul(self.books[0].projection.val())
    }

    /// The labels of rows [N, F]: [N, Q].
    pub fn labels(&self, rows: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        let rows = self.standard.apply(rows);
        Tensor::cat(self.books.iter().map(|book| book.labels(rows.clone())).collect(), 1)
    }
}
