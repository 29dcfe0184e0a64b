//! Features brought to mean 0 and deviation 1, as measured on the training samples.

use super::features::Features;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Mean and reciprocal deviation of every feature, [D].
#[derive(Clone, Debug)]
pub struct Scale {
    mean: Vec<f32>,
    factor: Vec<f32>,
}

impl Scale {
    /// As measured on these samples; without `standardise` features stay as they are.
    pub fn of(features: &Features, standardise: bool) -> Self {
        let (dim, n) = (features.dim, features.len() as f64);
        if !standardise {
            return Self {
                mean: vec![0.0; dim],
                factor: vec![1.0; dim],
            };
        }
        let rows = || features.values.chunks_exact(dim);
        let mean = |feature: usize| rows().map(|row| f64::from(row[feature])).sum::<f64>() / n;
        let means: Vec<f64> = (0..dim).map(mean).collect();
        let variance = |feature: usize| {
            rows()
                .map(|row| (f64::from(row[feature]) - means[feature]).powi(2))
                .sum::<f64>()
                / n
        };
        // a feature that never changes says nothing and stays at 0
        let factor = |feature: usize| variance(feature).sqrt().max(1e-8).recip() as f32;
        Self {
            factor: (0..dim).map(factor).collect(),
            mean: means.iter().map(|&mean| mean as f32).collect(),
        }
    }

    /// The scaled features of one sample, [D].
    pub fn scaled<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let values = row.iter().zip(&self.mean).zip(&self.factor);
        values.map(|((x, mean), factor)| (x - mean) * factor)
    }

    /// The scaled features on the device, [n, D].
    pub fn apply<B: Backend>(&self, features: &Features, device: &B::Device) -> Tensor<B, 2> {
        let rows = features.values.chunks_exact(features.dim);
        let values: Vec<f32> = rows.flat_map(|row| self.scaled(row)).collect();
        Tensor::from_data(TensorData::new(values, [features.len(), features.dim]), device)
    }
}
