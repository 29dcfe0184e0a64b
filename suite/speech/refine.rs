//! Labels made better than random ones: a projection from the principal components of the frames, codes moved to the
//! centroids of their frames (arXiv 2606.30671), and clusters of an encoder's own features (HuBERT's second iteration).

use super::batches::Stacked;
use super::labels::padded;
use crate::plan::{Plan, Relabel};
use bridle::codebook::{Similarity, kmeans};
use bridle::frames::Frames;
use bridle::layered::{LayeredEncoder, layer_features};
use bridle_backends::Ops;
use bridle_baselines::random::RandomQuantizer;
use bridle_seed::Seed;
use bridle_tasks::{DataError, SpeechSet};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Training utterances whose frames are looked at, the first ones.
const MEASURED: usize = 512;
/// Utterances at a time.
const BATCH: usize = 16;
/// Rounds of orthogonal iteration: components that matter are far apart, and any basis of the others serves as well.
const ROUNDS: usize = 100;

/// What `of` makes of the frames of the first training utterances, [n, D], batch by batch.
fn measured<B: Ops>(
    set: &SpeechSet,
    plan: &Plan,
    train: &[usize],
    device: &B::Device,
    of: impl Fn(&Frames<B>, Tensor<B, 1, Int>) -> Tensor<B, 2>,
) -> Result<Vec<Tensor<B, 2>>, DataError> {
    let batches = train[..train.len().min(MEASURED)].chunks(BATCH);
    batches
        .map(|batch| {
            let (frames, rows) = padded(&Stacked::read(set, batch.to_vec())?, plan, device);
            Ok(of(&frames, rows))
        })
        .collect()
}

/// Gives each book the next principal components of the frames as its projection.
///
/// # Errors
/// If an utterance cannot be read any more.
pub fn project_by_components<B: Ops>(
    quantizer: &mut RandomQuantizer<B>,
    set: &SpeechSet,
    plan: &Plan,
    train: &[usize],
    device: &B::Device,
) -> Result<(), DataError> {
    let standard = quantizer.standard.clone();
    let batches = measured(set, plan, train, device, |frames: &Frames<B>, rows| {
        standard.apply(frames.rows(rows))
    })?;
    let (width, mut count) = (plan.width(), 0);
    let (mut products, mut sums) = (vec![0f64; width * width], vec![0f64; width]);
    for rows in batches {
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

/// The leading eigenvectors of a symmetric matrix [n, n], `count` of them or n, of unit length, the greatest eigenvalue
/// first: orthogonal iteration from fixed vectors.
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
/// If an utterance cannot be read any more.
pub fn move_to_centroids<B: Ops>(
    quantizer: &mut RandomQuantizer<B>,
    set: &SpeechSet,
    plan: &Plan,
    train: &[usize],
    device: &B::Device,
) -> Result<(), DataError> {
    let standard = quantizer.standard.clone();
    let rows = measured(set, plan, train, device, |frames: &Frames<B>, rows| {
        standard.apply(frames.rows(rows))
    })?;
    let rows = Tensor::cat(rows, 0);
    for book in &mut quantizer.books {
        book.move_to_centroids(rows.clone());
    }
    Ok(())
}

/// Means [K, D] of the features of a layer of this encoder, by k-means from frames that `seed` draws.
///
/// # Errors
/// If an utterance cannot be read any more.
pub fn clusters<B: Ops, E: LayeredEncoder<B>>(
    encoder: &E,
    values: &Relabel,
    set: &SpeechSet,
    plan: &Plan,
    train: &[usize],
    seed: &Seed,
    device: &B::Device,
) -> Result<Tensor<B, 2>, DataError> {
    let features = measured(set, plan, train, device, |frames: &Frames<B>, rows| {
        layer_features(encoder, values.layer, frames, rows)
    })?;
    let features = Tensor::cat(features, 0);
    let [count, _] = features.dims();
    let mut places: Vec<usize> = (0..count).collect();
    seed.stream().shuffle(&mut places);
    places.truncate(values.clusters);
    Ok(kmeans(features, &places, values.iterations, Similarity::Euclidean).0)
}

/// The nearest mean of each row [M, D]: [M, 1].
pub fn nearest_mean<B: Ops>(rows: Tensor<B, 2>, means: Tensor<B, 2>) -> Tensor<B, 2, Int> {
    B::nearest_codes(rows, means)
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
