//! One codebook: nearest codes, k-means start, moving averages, restart of unused codes.

use crate::init::Init;
use crate::over_ranks;
use bridle_backends::Ops;
use bridle_backends::kernel::sum_over_ranks;
use bridle_values::check::{Checked, at_least_one, not_negative, require, share};
use bridle_values::choices;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

choices! {
    /// Where the first code vectors come from.
    "codebook start" Start {
        /// k-means on the first batch
        Kmeans = "kmeans",
        /// uniform random vectors
        Uniform = "uniform",
    }
}

choices! {
    /// Which codes are chosen when there are several per level. The authors' top-k takes the
    /// farthest.
    "soft pick" SoftPick {
        /// the farthest codes
        Farthest = "farthest",
        /// the nearest codes
        Nearest = "nearest",
    }
}

/// How codebooks learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learning {
    /// Moving average towards the unit mean of the assigned vectors (audio, image).
    #[default]
    Ema,
    /// Moving averages of sums and counts with Laplace smoothing (the authors' video quantizer).
    SmoothedEma,
    /// Gradient of the codebook loss.
    Gradient,
}

/// Labels are stored in 16 bits.
pub const MOST_CODES: usize = 1 << 16;

/// Checks number and length of a codebook's vectors.
pub fn check_codes(codes: usize, dim: usize) -> Checked {
    require((2..=MOST_CODES).contains(&codes), "quantizer.codes", || {
        format!("{codes} is not between 2 and {MOST_CODES}")
    })?;
    at_least_one("quantizer.code_dim", dim)
}

/// Checks the values of codebooks that learn.
pub fn check_learning(decay: f64, commitment: f64, kmeans_iterations: usize) -> Checked {
    at_least_one("quantizer.kmeans_iterations", kmeans_iterations)?;
    share("quantizer.decay", decay)?;
    not_negative("quantizer.commitment", commitment)
}

/// The random picks of a quantizer. Tests replace drawn picks by recorded ones.
pub trait Picks {
    /// Rows of the `samples` vectors taken as the initial means of `codes` codes at `level`.
    fn initial_means(&mut self, level: usize, samples: usize, codes: usize) -> Vec<usize>;
    /// For each of `codes` codes the row that replaces it at `level` if this batch did not use it.
    fn restart(&mut self, level: usize, samples: usize, codes: usize) -> Vec<usize>;
}

#[derive(Clone, Debug)]
pub struct SeededPicks(pub bridle_seed::Seed);

impl Picks for SeededPicks {
    fn initial_means(&mut self, level: usize, samples: usize, codes: usize) -> Vec<usize> {
        let mut stream = self.0.child("k-means").indexed(level as u64).stream();
        if samples >= codes {
            let mut rows = stream.permutation(samples);
            rows.truncate(codes);
            return rows;
        }
        (0..codes).map(|_| stream.below(samples)).collect()
    }

    fn restart(&mut self, level: usize, samples: usize, codes: usize) -> Vec<usize> {
        let mut stream = self.0.child("restart").indexed(level as u64).stream();
        (0..codes).map(|_| stream.below(samples)).collect()
    }
}

/// K code vectors with their usage average.
#[derive(Module, Debug)]
pub struct Codebook<B: Backend> {
    /// Code vectors [K, d].
    pub vectors: Param<Tensor<B, 2>>,
    /// Moving average of how many vectors each code gets per batch, [K]. A statistic, except in the
    /// smoothed form.
    pub usage: Param<Tensor<B, 1>>,
    /// Moving average of the sum of each code's vectors [K, d]; only the smoothed form has one.
    pub sums: Option<Param<Tensor<B, 2>>>,
}

impl<B: Backend> Codebook<B> {
    /// A codebook of `codes` vectors, row-major [K, d].
    pub fn new(codes: usize, vectors: Vec<f32>, learning: Learning, init: &Init<B>) -> Self {
        let dim = vectors.len() / codes;
        let smoothed = learning == Learning::SmoothedEma;
        let parameter = init.param([codes, dim], vectors.clone());
        Self {
            vectors: parameter.set_require_grad(learning == Learning::Gradient),
            usage: init.frozen([codes], vec![if smoothed { 1.0 } else { 0.0 }; codes]),
            sums: smoothed.then(|| init.frozen([codes, dim], vectors)),
        }
    }

    /// Replaces the vectors. Identity and gradient requirement stay.
    pub fn set_vectors(&mut self, vectors: Tensor<B, 2>) {
        let tracked = self.vectors.is_require_grad();
        let vectors = vectors.detach();
        self.vectors = self.vectors.clone().map(|_| vectors.set_require_grad(tracked));
    }

    pub fn set_usage(&mut self, usage: Tensor<B, 1>) {
        let usage = usage.detach();
        self.usage = self.usage.clone().map(|_| usage);
    }

    /// Squared distances |n|² + |w|² - 2 n·w between rows [M, d] and all codes: [M, K]. The
    /// readable form.
    pub fn distances(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let dots = rows.clone().matmul(self.vectors.val().detach().swap_dims(0, 1));
        self.distances_of(rows, dots)
    }

    /// The same from the dot products n·w [M, K].
    fn distances_of(&self, rows: Tensor<B, 2>, dots: Tensor<B, 2>) -> Tensor<B, 2> {
        let vectors = self.vectors.val().detach();
        let row_norms = rows.powi_scalar(2).sum_dim(1); // [M, 1]
        let code_norms = vectors.powi_scalar(2).sum_dim(1).swap_dims(0, 1); // [1, K]
        row_norms + code_norms - dots.mul_scalar(2.0)
    }

    /// The vectors of codes [M, S], summed over S: [M, d].
    pub fn lookup(&self, codes: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let [rows, picks] = codes.dims();
        let vectors = self.vectors.val();
        let [_, dim] = vectors.dims();
        let picked = vectors.select(0, codes.reshape([rows * picks]));
        if picks == 1 {
            return picked;
        }
        picked.reshape([rows, picks, dim]).sum_dim(1).reshape([rows, dim])
    }

    /// Moves the usage average: decay * usage + (1 - decay) * counts.
    pub fn track_usage(&mut self, counts: Tensor<B, 1>, decay: f64) {
        let usage = self.usage.val().mul_scalar(decay) + counts.mul_scalar(1.0 - decay);
        self.set_usage(usage);
    }

    /// The mean of each code's rows, of unit length where asked for, or the code's own vector where
    /// it got none: [K, d].
    fn means(&self, counts: Tensor<B, 1>, sums: Tensor<B, 2>, of_unit_length: bool) -> Tensor<B, 2> {
        let vectors = self.vectors.val().detach();
        let empty = counts
            .clone()
            .equal_elem(0.0)
            .unsqueeze_dim::<2>(1)
            .expand(vectors.dims());
        let means = sums / counts.clamp_min(1.0).unsqueeze_dim(1);
        let means = if of_unit_length { unit(means) } else { means };
        means.mask_where(empty, vectors)
    }

    /// Moves each code towards the unit mean of its rows; the result is not renormalised.
    pub fn average(&mut self, counts: Tensor<B, 1>, sums: Tensor<B, 2>, decay: f64) {
        let means = self.means(counts, sums, true);
        self.move_towards(means, decay);
    }

    /// Moves each code towards the mean of its rows as they are.
    pub fn average_raw(&mut self, counts: Tensor<B, 1>, sums: Tensor<B, 2>, decay: f64) {
        let means = self.means(counts, sums, false);
        self.move_towards(means, decay);
    }

    fn move_towards(&mut self, means: Tensor<B, 2>, decay: f64) {
        let vectors = self.vectors.val().detach();
        self.set_vectors(vectors.mul_scalar(decay) + means.mul_scalar(1.0 - decay));
    }

    /// The video quantizer's form: averages of sums and counts, Laplace-smoothed; `usage` must be
    /// up to date.
    pub fn average_smoothed(&mut self, sums: Tensor<B, 2>, decay: f64) {
        const SMOOTHING: f64 = 1e-5;
        let Some(average) = &self.sums else { return };
        let average = average.val().mul_scalar(decay) + sums.mul_scalar(1.0 - decay);
        let usage = self.usage.val();
        let [codes] = usage.dims();
        let total = usage.clone().sum(); // [1]
        let smoothed = usage.add_scalar(SMOOTHING) / total.clone().add_scalar(codes as f64 * SMOOTHING) * total;
        self.set_vectors(average.clone() / smoothed.unsqueeze_dim(1));
        self.sums = self.sums.take().map(|sums| sums.map(|_| average.detach()));
    }

    /// Replaces every code that got no row in this batch by its row of `candidates` [K, d].
    pub fn restart_unused(&mut self, counts: Tensor<B, 1>, candidates: Tensor<B, 2>) {
        let vectors = self.vectors.val().detach();
        let unused = counts.equal_elem(0.0).unsqueeze_dim::<2>(1).expand(vectors.dims());
        self.set_vectors(vectors.mask_where(unused, candidates));
    }

    /// Replaces every code whose usage average is below `share` of the even one by its row of
    /// `candidates` [K, d]. Its average becomes the even share, so that it has time to find vectors
    /// before it is judged again.
    pub fn restart_rare(&mut self, share: f64, samples: usize, candidates: Tensor<B, 2>) {
        let (vectors, usage) = (self.vectors.val().detach(), self.usage.val().detach());
        let [codes] = usage.dims();
        let even = samples as f64 / codes as f64;
        let rare = usage.clone().lower_elem(share * even);
        self.set_usage(usage.mask_fill(rare.clone(), even));
        let rare = rare.unsqueeze_dim::<2>(1).expand(vectors.dims());
        self.set_vectors(vectors.mask_where(rare, candidates));
    }
}

impl<B: Ops> Codebook<B> {
    /// How many rows each code got in the codes [M, S] of all ranks: [K]. A sum of ones is exact in
    /// any order.
    pub fn counts(&self, codes: Tensor<B, 2, Int>) -> Tensor<B, 1> {
        let [count] = self.usage.val().dims();
        sum_over_ranks(B::code_counts(codes.flatten(0, 1), count))
    }

    /// The sum of each code's rows over all ranks, [K, d].
    pub fn sums(&self, rows: Tensor<B, 2>, codes: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let [count] = self.usage.val().dims();
        sum_over_ranks(B::code_sums(rows, codes, count))
    }

    /// The codes of rows [M, d]: [M, S] for S codes per level. One code is the nearest. The lowest
    /// index comes first on ties.
    pub fn assign(&self, rows: Tensor<B, 2>, soft_codes: usize, pick: SoftPick) -> Tensor<B, 2, Int> {
        if soft_codes == 1 {
            return B::nearest_codes(rows, self.vectors.val().detach());
        }
        let dots = B::dot_products(rows.clone(), self.vectors.val().detach());
        let distances = self.distances_of(rows, dots);
        let mut left = match pick {
            SoftPick::Farthest => distances,
            SoftPick::Nearest => distances.neg(),
        };
        let mut picked = vec![left.clone().argmax(1)]; // [M, 1] each
        while picked.len() < soft_codes {
            let last = picked[picked.len() - 1].clone();
            let gone = Tensor::full(last.dims(), f32::NEG_INFINITY, &last.device());
            left = left.scatter(1, last, gone, IndexingUpdateOp::Add);
            picked.push(left.clone().argmax(1));
        }
        Tensor::cat(picked, 1)
    }
}

/// How k-means compares vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// Largest dot product; means are normalised.
    Cosine,
    /// Smallest distance; means are plain.
    Euclidean,
}

/// k-means over the samples of all ranks, of which this one has [M, d], that starts from those
/// numbered `first`: assigns each to its best mean (the lowest index on ties), then averages. A mean
/// without samples stays. Returns the means [K, d] and how many samples each had in the last
/// assignment [K].
pub fn kmeans<B: Ops>(
    samples: Tensor<B, 2>,
    first: &[usize],
    iterations: usize,
    similarity: Similarity,
) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let device = samples.device();
    let ([_, dim], codes) = (samples.dims(), first.len());
    let mut means = over_ranks::select(samples.clone(), first);
    let mut bins = Tensor::zeros([codes], &device);
    for _ in 0..iterations {
        let best = match similarity {
            Similarity::Cosine => B::most_similar_codes(samples.clone(), means.clone()),
            Similarity::Euclidean => B::nearest_codes(samples.clone(), means.clone()),
        }; // [M, 1]
        bins = sum_over_ranks(B::code_counts(best.clone().flatten(0, 1), codes));
        let sums = sum_over_ranks(B::code_sums(samples.clone(), best, codes));
        let averages = sums / bins.clone().clamp_min(1.0).unsqueeze_dim(1);
        let averages = if similarity == Similarity::Cosine {
            unit(averages)
        } else {
            averages
        };
        let empty = bins.clone().equal_elem(0.0).unsqueeze_dim::<2>(1).expand([codes, dim]);
        means = averages.mask_where(empty, means);
    }
    (means, bins)
}

/// Rows divided by their length: x / max(|x|, 1e-12).
pub fn unit<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let norms = rows.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12);
    rows / norms
}

/// Row numbers as an index tensor.
pub fn index_rows<B: Backend>(rows: &[usize], device: &B::Device) -> Tensor<B, 1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}
