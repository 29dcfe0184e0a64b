//! Biases of the scores of attention, by the places of query and key.

use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Rows of a window's table: all differences of places, and three for the cls token.
pub fn window_rows(rows: usize, columns: usize) -> usize {
    (2 * rows - 1) * (2 * columns - 1) + 3
}

/// The row of a window's table for each query and key (BEiT, arXiv 2106.08254), [T, T] with T = 1 + rows * columns:
/// the cls token is in front.
pub fn window_index(rows: usize, columns: usize) -> Vec<i64> {
    let (places, table) = (rows * columns, window_rows(rows, columns));
    let row = |query: usize, key: usize| match (query.checked_sub(1), key.checked_sub(1)) {
        (None, None) => table - 1,
        (Some(_), None) => table - 2,
        (None, Some(_)) => table - 3,
        (Some(query), Some(key)) => {
            let down = query / columns + rows - 1 - key / columns;
            let right = query % columns + columns - 1 - key % columns;
            down * (2 * columns - 1) + right
        }
    };
    (0..=places)
        .flat_map(|query| (0..=places).map(move |key| row(query, key) as i64))
        .collect()
}

/// The table of a window under `name`, [rows, heads]. Its index, if the file holds that too, is held against this
/// program's own.
///
/// # Errors
/// If the table is missing, of another shape or not finite, or the index is another.
pub fn window_table(
    taker: &Taker,
    name: &str,
    [rows, columns]: [usize; 2],
    heads: usize,
) -> Result<Vec<f32>, EncoderError> {
    let index = name.replace("_bias_table", "_index");
    if taker.has(&index) {
        let tokens = 1 + rows * columns;
        let expected = window_index(rows, columns);
        let found = taker.values(&index, &[tokens, tokens])?;
        if taker.reads()
            && found
                .iter()
                .zip(&expected)
                .any(|(found, expected)| *found != *expected as f32)
        {
            let reason = "it is not the index of a window with a cls token in front".to_owned();
            return Err(EncoderError::Values {
                name: taker.full(&index),
                reason,
            });
        }
    }
    taker.values(name, &[window_rows(rows, columns), heads])
}

/// The bucket for each query and key of `tokens` (T5, arXiv 1910.10683, as BEATs and WavLM have it), [T, T]: `count`
/// buckets for distances up to `largest`, half of them for keys ahead.
pub fn bucket_index(tokens: usize, count: usize, largest: usize) -> Vec<i64> {
    let half = count / 2;
    let exact = half / 2;
    let bucket = |distance: usize| {
        if distance < exact {
            return distance;
        }
        // in 32-bit numbers: the floor hangs on the last digit
        let over = (distance as f32 / exact as f32).ln() / ((largest as f64 / exact as f64).ln() as f32);
        let over = over * (half - exact) as f32;
        (exact + over as usize).min(half - 1)
    };
    let buckets: Vec<usize> = (0..tokens).map(bucket).collect();
    let of = |query: usize, key: usize| (usize::from(key > query) * half + buckets[query.abs_diff(key)]) as i64;
    (0..tokens)
        .flat_map(|query| (0..tokens).map(move |key| (query, key)))
        .map(|(query, key)| of(query, key))
        .collect()
}

/// The bias of each head for each query and key, [heads, T, T], from a table [rows, heads].
pub fn looked_up<B: Backend>(table: Tensor<B, 2>, index: Vec<i64>, tokens: usize) -> Tensor<B, 3> {
    let ([_, heads], device) = (table.dims(), table.device());
    let count = index.len();
    let index = Tensor::<B, 1, Int>::from_data(TensorData::new(index, [count]), &device);
    table.select(0, index).transpose().reshape([heads, tokens, tokens])
}

/// How much of a bias each query of each head gets (WavLM, arXiv 2110.13900, section 3.2).
#[derive(Module, Debug)]
pub struct Gate<B: Backend> {
    /// From one head's numbers to two groups of four, [D/H, 8].
    pub weight: Param<Tensor<B, 2>>,
    /// [8].
    pub bias: Param<Tensor<B, 1>>,
    /// One number for each head, [H].
    pub heads: Param<Tensor<B, 1>>,
}

impl<B: Backend> Gate<B> {
    /// `linear` and `constant` are the names of the linear map and of the numbers of the heads.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        [linear, constant]: [&str; 2],
        [heads, head]: [usize; 2],
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let weight: Tensor<B, 2> = taker.tensor(&format!("{linear}.weight"), [8, head], device)?;
        let constant: Tensor<B, 4> = taker.tensor(constant, [1, heads, 1, 1], device)?;
        Ok(Self {
            weight: Param::from_tensor(weight.transpose()),
            bias: Param::from_tensor(taker.tensor(&format!("{linear}.bias"), [8], device)?),
            heads: Param::from_tensor(constant.reshape([heads])),
        })
    }
}

impl<B: Ops> Gate<B> {
    /// The bias [H, T, T] as each query has it, [B, H, T, T], by what decides: [B, H, T, D/H].
    pub fn forward(&self, deciding: Tensor<B, 4>, bias: Tensor<B, 3>) -> Tensor<B, 4> {
        let [batch, heads, tokens, head] = deciding.dims();
        let rows = deciding.reshape([batch * heads * tokens, head]);
        let rows = B::linear_rows(rows, self.weight.val(), self.bias.val());
        let groups = sigmoid(rows.reshape([batch, heads, tokens, 2, 4]).sum_dim(4));
        let groups = groups.reshape([batch, heads, tokens, 2]);
        let [a, b] = [0, 1].map(|group| groups.clone().narrow(3, group, 1)); // [B, H, T, 1]
        let heads = self.heads.val().reshape([1, heads, 1, 1]);
        (a * (b * heads - 1.0) + 2.0) * bias.unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_from_key_to_query() {
        // two rows of one column: cls, upper, lower
        assert_eq!(window_index(2, 1), [5, 3, 3, 4, 1, 0, 4, 2, 1]);
    }

    #[test]
    fn buckets_grow_with_distance_and_tell_sides_apart() {
        // n = 4 for each side, exact below 2, the rest by the logarithm up to 16
        let row: Vec<i64> = bucket_index(20, 8, 16)[..20].to_vec();
        assert_eq!(row[..4], [0, 5, 6, 6]);
        assert_eq!(row[19], 7);
        let last: Vec<i64> = bucket_index(20, 8, 16)[19 * 20..].to_vec();
        assert_eq!(last[0], 3);
        assert_eq!(last[19], 0);
    }
}
