//! First weights, drawn on the host from named streams, so that every backend starts from the same
//! numbers.

use bridle_seed::Seed;
use bridle_values::choices;
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

choices! {
    /// First weights of the patch embedding, which the authors make as a convolution.
    "start of the patch embedding" PatchInit {
        /// what PyTorch draws for a convolution, which the authors' code replaces by Glorot's form in the weights only, and for video not at all
        Pytorch = "pytorch",
        /// Glorot weights and a zero bias, as of any linear layer
        Glorot = "glorot",
    }
}

/// Draws the parameters of one place in the model; [`Init::child`] is the place one name deeper.
///
/// A weight depends only on the seed and on its own name, so a new part of the model changes no
/// other part's weights.
#[derive(Clone, Debug)]
pub struct Init<B: Backend> {
    seed: Seed,
    /// How patch embeddings start.
    pub patch: PatchInit,
    pub device: B::Device,
}

impl<B: Backend> Init<B> {
    /// The root of a model whose patch embeddings start as other linear layers.
    pub fn new(seed: Seed, device: &B::Device) -> Self {
        Self {
            seed,
            patch: PatchInit::Glorot,
            device: device.clone(),
        }
    }

    /// The same place, with patch embeddings that start in this way.
    pub fn with_patch(self, patch: PatchInit) -> Self {
        Self { patch, ..self }
    }

    /// The place called `name` below this one.
    pub fn child(&self, name: &str) -> Self {
        Self {
            seed: self.seed.child(name),
            ..self.clone()
        }
    }

    /// The place numbered `index` below this one.
    pub fn indexed(&self, index: usize) -> Self {
        Self {
            seed: self.seed.indexed(index as u64),
            ..self.clone()
        }
    }

    /// A trained parameter with these values.
    pub fn param<const D: usize>(&self, shape: [usize; D], values: Vec<f32>) -> Param<Tensor<B, D>> {
        Param::from_data(TensorData::new(values, shape), &self.device)
    }

    /// A parameter that is saved but not trained.
    pub fn frozen<const D: usize>(&self, shape: [usize; D], values: Vec<f32>) -> Param<Tensor<B, D>> {
        self.param(shape, values).set_require_grad(false)
    }

    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<B, D>> {
        self.param(shape, vec![value; shape.iter().product()])
    }

    /// Normal with mean 0.
    pub fn normal<const D: usize>(&self, name: &str, shape: [usize; D], deviation: f32) -> Param<Tensor<B, D>> {
        let mut stream = self.seed.child(name).stream();
        self.param(
            shape,
            (0..shape.iter().product())
                .map(|_| deviation * stream.normal())
                .collect(),
        )
    }

    /// Uniform in [-bound, bound).
    pub fn uniform<const D: usize>(&self, name: &str, shape: [usize; D], bound: f32) -> Param<Tensor<B, D>> {
        let mut stream = self.seed.child(name).stream();
        self.param(
            shape,
            (0..shape.iter().product())
                .map(|_| bound * (2.0 * stream.uniform() - 1.0))
                .collect(),
        )
    }

    /// A linear layer [inputs, outputs] with Glorot's uniform weights (as in MAE) and, if asked, a
    /// zero bias.
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Linear<B> {
        let bound = (6.0 / (inputs + outputs) as f32).sqrt();
        Linear {
            weight: self.uniform(name, [inputs, outputs], bound),
            bias: bias.then(|| self.constant([outputs], 0.0)),
        }
    }

    /// Host values for a codebook: uniform in [0, 1), row-major [codes, dim].
    pub fn uniform_values(&self, name: &str, count: usize) -> Vec<f32> {
        let mut stream = self.seed.child(name).stream();
        (0..count).map(|_| stream.uniform()).collect()
    }

    /// Host values for a codebook: `rows` random unit vectors, row-major [rows, dim].
    pub fn unit_rows(&self, name: &str, rows: usize, dim: usize) -> Vec<f32> {
        let mut stream = self.seed.child(name).stream();
        let mut values = Vec::with_capacity(rows * dim);
        for _ in 0..rows {
            let row: Vec<f32> = (0..dim).map(|_| stream.normal()).collect();
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            values.extend(row.iter().map(|x| x / norm));
        }
        values
    }

    /// A tensor that is not a parameter.
    pub fn table<const D: usize>(&self, shape: [usize; D], values: Vec<f32>) -> Tensor<B, D> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}
