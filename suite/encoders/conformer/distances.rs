//! Distances of keys and queries as the scores of a Conformer's attention know them.

use crate::conformer::config::Places;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// What all blocks read of T places.
#[derive(Clone, Debug)]
pub enum Distances<B: Backend> {
    /// Sines and cosines of query less key, by column: [2T - 1, D].
    Sines(Tensor<B, 2>),
    /// Rows of a table of distances, by column: [2T - 1].
    Rows(Tensor<B, 1, Int>),
    /// Cosines and sines by which each place turns a head's numbers, both [1, T, 1, D/H].
    Turns { cos: Tensor<B, 4>, sin: Tensor<B, 4> },
}

/// 1 / base^(2i / width), for each i below half the width.
pub fn speeds(width: usize, base: f64) -> Vec<f64> {
    let speed = |index: usize| base.powf(-2.0 * index as f64 / width as f64);
    (0..width / 2).map(speed).collect()
}

impl<B: Backend> Distances<B> {
    /// Of `times` places, in heads of `dim / heads` numbers.
    pub fn new(places: Places, times: usize, [dim, heads]: [usize; 2], device: &B::Device) -> Self {
        // column c holds the key c - (T - 1) frames after the query
        let distances = (0..2 * times - 1).map(|column| column as i64 - (times as i64 - 1));
        match places {
            Places::Sines { base, even } => {
                let of = |(key_after, &speed): (i64, &f64)| {
                    let (sin, cos) = (-key_after as f64 * speed).sin_cos();
                    [
                        if even {
                            (key_after.abs() as f64 * speed).sin()
                        } else {
                            sin
                        },
                        cos,
                    ]
                };
                let speeds = speeds(dim, base);
                let row = |distance: i64| speeds.iter().flat_map(move |speed| of((distance, speed)));
                let values: Vec<f32> = distances.flat_map(row).map(|value| value as f32).collect();
                Self::Sines(Tensor::from_data(TensorData::new(values, [2 * times - 1, dim]), device))
            }
            Places::Table { left, right } => {
                let row = |distance: i64| distance.clamp(-(left as i64), right as i64) + left as i64;
                let rows: Vec<i64> = distances.map(row).collect();
                Self::Rows(Tensor::from_data(TensorData::new(rows, [2 * times - 1]), device))
            }
            Places::Rotary { base } => {
                let head = dim / heads;
                let speeds = speeds(head, base);
                let table = |of: fn(f64) -> f64| {
                    // once for each half of a head
                    let row = |place: usize| {
                        let speeds = speeds.iter().chain(&speeds);
                        speeds.map(move |speed| of(place as f64 * speed) as f32)
                    };
                    let values: Vec<f32> = (0..times).flat_map(row).collect();
                    Tensor::from_data(TensorData::new(values, [1, times, 1, head]), device)
                };
                Self::Turns {
                    cos: table(f64::cos),
                    sin: table(f64::sin),
                }
            }
        }
    }
}

/// Scores by column of distance, [B, H, T, 2T - 1], to scores by key, [B, H, T, T]: key j of query i
/// is in column T - 1 - i + j.
pub fn by_key<B: Backend>(columns: Tensor<B, 4>) -> Tensor<B, 4> {
    let [batch, heads, times, wide] = columns.dims();
    let spare = Tensor::zeros([batch, heads, times, 1], &columns.device());
    // with one column more, each row starts one place earlier in rows of 2T - 1
    let flat = Tensor::cat(vec![columns, spare], 3).reshape([batch, heads, times * (wide + 1)]);
    let rows = flat
        .narrow(2, times - 1, times * wide)
        .reshape([batch, heads, times, wide]);
    rows.narrow(3, 0, times)
}

/// Numbers [B, T, D] turned head by head, by halves: (a, b) to (a cos - b sin, b cos + a sin).
pub fn turned<B: Backend>(x: Tensor<B, 3>, cos: &Tensor<B, 4>, sin: &Tensor<B, 4>) -> Tensor<B, 3> {
    let ([batch, times, dim], [.., head]) = (x.dims(), cos.dims());
    let x = x.reshape([batch, times, dim / head, head]);
    let half = head / 2;
    let swapped = Tensor::cat(
        vec![x.clone().narrow(3, half, half).neg(), x.clone().narrow(3, 0, half)],
        3,
    );
    (x * cos.clone() + swapped * sin.clone()).reshape([batch, times, dim])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    #[test]
    fn scores_by_distance_come_to_their_keys() {
        let device = Default::default();
        // the number in a column is its distance, key less query, plus 10 times the query
        let values: Vec<f32> = (0..3i32)
            .flat_map(|query| (-2..=2).map(move |distance| (10 * query + distance) as f32))
            .collect();
        let columns = Tensor::<Flex, 4>::from_data(TensorData::new(values, [1, 1, 3, 5]), &device);
        let scores = by_key(columns).into_data().to_vec::<f32>().expect("32-bit numbers");
        assert_eq!(scores, [0.0, 1.0, 2.0, 9.0, 10.0, 11.0, 18.0, 19.0, 20.0]);
    }

    #[test]
    fn products_of_turned_numbers_hang_on_the_distance_alone() {
        let device = Default::default();
        let places = Places::Rotary { base: 10_000.0 };
        let Distances::Turns { cos, sin } = Distances::<Flex>::new(places, 6, [8, 2], &device) else {
            unreachable!("rotary places are turns");
        };
        let row = [0.3, -1.2, 0.7, 2.0, -0.4, 0.9, 1.1, -0.6];
        let same: Vec<f32> = std::iter::repeat_n(row, 6).flatten().collect();
        let x = Tensor::<Flex, 3>::from_data(TensorData::new(same, [1, 6, 8]), &device);
        let x = turned(x, &cos, &sin);
        let products = x.clone().matmul(x.swap_dims(1, 2)).into_data();
        let products = products.to_vec::<f32>().expect("32-bit numbers");
        for (query, key) in (0..5).flat_map(|query| (0..5).map(move |key| (query, key))) {
            let (here, next) = (products[query * 6 + key], products[(query + 1) * 6 + key + 1]);
            assert!((here - next).abs() < 1e-5, "{here} and {next}");
        }
        assert!((products[0] - products[5]).abs() > 0.1, "places leave no trace");
    }
}
