//! Bias of attention by the distance of key and query, sorted into buckets (T5, arXiv 1910.10683,
//! section 2.1), and WavLM's gates on it (arXiv 2110.13900, section 3.1).

use super::config::BucketsConfig;
use super::names::Names;
use crate::layers::Linear;
use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// The bias of every bucket, one table for all blocks.
#[derive(Module, Debug)]
pub struct Buckets<B: Backend> {
    /// [2n, heads].
    pub table: Param<Tensor<B, 2>>,
    largest: usize,
}

/// How strongly a head of a block heeds the bias at each query.
#[derive(Module, Debug)]
pub struct Gate<B: Backend> {
    /// [D/H, 8].
    pub map: Linear<B>,
    /// [H].
    pub constant: Param<Tensor<B, 1>>,
}

impl<B: Backend> Buckets<B> {
    /// # Errors
    /// If the table is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        names: Names,
        config: &BucketsConfig,
        heads: usize,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let name = names.block(0).buckets;
        Ok(Self {
            table: Param::from_tensor(taker.tensor(&name, [config.count, heads], device)?),
            largest: config.largest,
        })
    }

    /// [1, H, T, T], by query and key.
    pub fn bias(&self, times: usize) -> Tensor<B, 4> {
        let table = self.table.val();
        let ([count, heads], device) = (table.dims(), table.device());
        let places = 0..times as i64;
        let pair = |query: i64| places.clone().map(move |key| key - query);
        let indices: Vec<i64> = places
            .clone()
            .flat_map(pair)
            .map(|distance| bucket(distance, count, self.largest) as i64)
            .collect();
        let indices = Tensor::from_data(TensorData::new(indices, [times * times]), &device);
        let bias = table.select(0, indices).reshape([1, times, times, heads]);
        bias.permute([0, 3, 1, 2])
    }
}

/// The bucket of a key `distance` frames after the query, of `count`: the first half for those at
/// or before it. Each half gives every small distance a bucket, and larger ones a share of the
/// logarithm up to `largest`.
fn bucket(distance: i64, count: usize, largest: usize) -> usize {
    let half = count / 2;
    let side = if distance > 0 { half } else { 0 };
    let (exact, away) = (half / 2, distance.unsigned_abs() as usize);
    if away < exact {
        return side + away;
    }
    // in 32-bit numbers as the authors do, since rounding decides which bucket a distance is in
    let share = (away as f32 / exact as f32).ln() / (largest as f64 / exact as f64).ln() as f32;
    let beyond = (share * (half - exact) as f32) as usize;
    side + (exact + beyond).min(half - 1)
}

impl<B: Backend> Gate<B> {
    /// Takes the map and the constants under these two names.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        [map, constant]: [&str; 2],
        [heads, head]: [usize; 2],
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let constants = taker.values(constant, &[1, heads, 1, 1])?;
        Ok(Self {
            map: Linear::take(taker, map, [head, 8], true, device)?,
            constant: Param::from_tensor(Tensor::from_floats(&constants[..], device)),
        })
    }
}

impl<B: Ops> Gate<B> {
    /// Factors on the bias, [B, H, T, 1], from the input of the attention, [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 4> {
        let ([batch, times, dim], [heads]) = (x.dims(), self.constant.dims());
        let x = x.reshape([batch, times * heads, dim / heads]);
        let eight = self.map.forward(x).reshape([batch * times * heads, 2, 4]);
        let two = sigmoid(eight.sum_dim(2)).reshape([batch, times, heads, 2]);
        let (a, b) = (two.clone().narrow(3, 0, 1), two.narrow(3, 1, 1));
        let constant = self.constant.val().reshape([1, 1, heads, 1]);
        let gate = a * (b * constant).sub_scalar(1.0) + 2.0;
        gate.swap_dims(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_have_buckets_of_their_own_and_far_ones_share() {
        // 8 buckets on each side, 4 of them exact, up to a distance of 16
        let buckets = |distances: &[i64]| distances.iter().map(|&d| bucket(d, 16, 16)).collect::<Vec<_>>();
        assert_eq!(buckets(&[0, -1, -2, -3, -4]), [0, 1, 2, 3, 4]);
        assert_eq!(buckets(&[1, 2, 3, 4]), [9, 10, 11, 12]);
        assert_eq!(buckets(&[-5, -6, -8, -11, -12, -15, -16, -1000]), [4, 5, 6, 6, 7, 7, 7, 7]);
    }
}
