//! Random labels that follow the data: a projection from the principal components of the frames,
//! codes moved to the centroids of their frames (arXiv 2606.30671).

use super::masked::measure;
use crate::data::TrainingData;
use bridle::frames::Frames;
use bridle_backends::Ops;
use bridle_baselines::random::RandomQuantizer;
use bridle_seed::Seed;
use bridle_tasks::DataError;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Rounds of orthogonal iteration: components that matter are far apart, and any basis of the
/// others serves as well.
const ROUNDS: usize = 100;

/// Standardised frames of the first training samples, [n, F], batch by batch.
fn standardised<B: Ops, D: TrainingData>(
    quantizer: &RandomQuantizer<B>,
    data: &D,
    train: &[usize],
    device: &B::Device,
) -> Result<Vec<Tensor<B, 2>>, DataError> {
    measure(data, train, device, |frames: &Frames<B>, rows| {
        quantizer.standard.apply(frames.rows(rows))
    })
}

/// Makes the next principal components of the frames each book's projection.
///
/// # Errors
/// If a sample cannot be read any more.
pub fn project_by_components<B: Ops, D: TrainingData>(
    quantizer: &mut RandomQuantizer<B>,
    data: &D,
    train: &[usize],
    device: &B::Device,
) -> Result<(), DataError> {
    let [width] = quantizer.standard.mean.dims();
    let (mut products, mut sums, mut count) = (vec![0f64; width * width], vec![0f64; width], 0);
    for rows in standardised(quantizer, data, train, device)? {
        count += rows.dims()[0];
        add(&mut products, rows.clone().transpose().matmul(rows.clone()));
        add(&mut sums, rows.sum_dim(0));
    }
    let n = count.max(1) as f64;
    let covariance = |place: usize| products[place] / n - sums[place / width] * sums[place % width] / (n * n);
    let covariance: Vec<f64> = (0..width * width).map(covariance).collect();
    let dims: Vec<usize> = quantizer.books.iter().map(|book| book.projection.dims()[1]).collect();
    let components = principal_components(&covariance, width, dims.iter().sum());
    let mut first = 0;
    for (book, dim) in quantizer.books.iter_mut().zip(dims) {
        let values = (0..width).flat_map(|input| {
            let of = |component: usize| {
                components
                    .get(component)
                    .map_or(0.0, |component| component[input] as f32)
            };
            (first..first + dim).map(of).collect::<Vec<_>>()
        });
        let values: Vec<f32> = values.collect();
        book.set_projection(Tensor::from_data(TensorData::new(values, [width, dim]), device));
        first += dim;
    }
    Ok(())
}

fn add<B: Backend>(sums: &mut [f64], values: Tensor<B, 2>) {
    let values = values.into_data();
    let values = values.iter::<f32>();
    sums.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += f64::from(value));
}

/// The leading eigenvectors of a symmetric matrix [n, n], `count` of them or n, of unit length, the
/// greatest eigenvalue first: orthogonal iteration from fixed vectors.
fn principal_components(matrix: &[f64], n: usize, count: usize) -> Vec<Vec<f64>> {
    let mut stream = Seed::root(0).child("components").stream();
    let count = count.min(n);
    let mut vectors: Vec<Vec<f64>> = (0..count)
        .map(|_| (0..n).map(|_| f64::from(stream.normal())).collect())
        .collect();
    orthonormalise(&mut vectors);
    for _ in 0..ROUNDS {
        for vector in &mut vectors {
            let row = |row: &[f64]| row.iter().zip(&*vector).map(|(a, b)| a * b).sum::<f64>();
            *vector = matrix.chunks_exact(n).map(row).collect();
        }
        orthonormalise(&mut vectors);
    }
    vectors
}

/// Gram and Schmidt's, twice, since once loses what is small.
fn orthonormalise(vectors: &mut [Vec<f64>]) {
    for place in 0..vectors.len() {
        let (before, after) = vectors.split_at_mut(place);
        let vector = &mut after[0];
        for _ in 0..2 {
            for other in &*before {
                let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-300);
        vector.iter_mut().for_each(|x| *x /= length);
    }
}

/// Moves the codes of every book to the centroids of their frames.
///
/// # Errors
/// If a sample cannot be read any more.
pub fn move_to_centroids<B: Ops, D: TrainingData>(
    quantizer: &mut RandomQuantizer<B>,
    data: &D,
    train: &[usize],
    device: &B::Device,
) -> Result<(), DataError> {
    let rows = Tensor::cat(standardised(quantizer, data, train, device)?, 0);
    for book in &mut quantizer.books {
        book.move_to_centroids(rows.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_the_axes_of_greatest_variance() {
        // variances 9, 4, 1 along turned axes
        let (c, s) = (0.6, 0.8);
        let axes = [[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]];
        let entry = |place: usize| {
            let (row, column) = (place / 3, place % 3);
            let along = axes.iter().zip([9.0, 1.0, 4.0]);
            along
                .map(|(axis, variance)| variance * axis[row] * axis[column])
                .sum::<f64>()
        };
        let matrix: Vec<f64> = (0..9).map(entry).collect();
        let found = principal_components(&matrix, 3, 2);
        for (found, axis) in found.iter().zip([axes[0], axes[2]]) {
            let along: f64 = found.iter().zip(axis).map(|(a, b)| a * b).sum();
            assert!((along.abs() - 1.0).abs() < 1e-9, "{found:?} is not along {axis:?}");
        }
        assert_eq!(principal_components(&matrix, 3, 7).len(), 3);
    }
}
