//! Sums over ranks as a balanced tree: 0+1, 2+3, then 01+23, and so on.
//!
//! An MPI library's own sum adds in an order that depends on the library, its version, the length
//! and the layout of machines. This one depends on the number of ranks alone. Where each machine
//! holds a power of two of consecutive ranks, adding within machines first and then over machines
//! is the same tree, so that layout changes no bit either.

use bytemuck::Pod;

/// What can be summed.
pub trait Number: Pod {
    fn plus(self, other: Self) -> Self;
}

impl Number for f32 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Number for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Number for u64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

/// Adds the `ranks` rows [ranks, n] of `rows` into the first.
pub fn add_rows<T: Number>(rows: &mut [T], ranks: usize) {
    let each = rows.len() / ranks.max(1);
    let mut stride = 1;
    while stride < ranks {
        for first in (0..ranks - stride).step_by(2 * stride) {
            let (left, right) = rows.split_at_mut((first + stride) * each);
            let left = &mut left[first * each..(first + 1) * each];
            for (sum, value) in left.iter_mut().zip(right) {
                *sum = sum.plus(*value);
            }
        }
        stride *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f32]) -> f32 {
        let mut values = values.to_vec();
        let ranks = values.len();
        add_rows(&mut values, ranks);
        values[0]
    }

    proptest! {
        #[test]
        fn machines_of_a_power_of_two_ranks_change_no_bit(
            values in prop::collection::vec(-1e3f32..1e3, 1..65),
            power in 0u32..4,
        ) {
            let within: Vec<f32> = values.chunks(1 << power).map(sum).collect();
            prop_assert_eq!(sum(&within).to_bits(), sum(&values).to_bits());
        }

        #[test]
        fn every_rank_is_added_once(ranks in 1usize..70, each in 0usize..4) {
            let mut rows: Vec<u64> = (0..ranks * each).map(|place| 1 << (place / each.max(1) % 64)).collect();
            let expected = (0..ranks).fold(0u64, |sum, rank| sum.wrapping_add(1 << (rank % 64)));
            add_rows(&mut rows, ranks);
            prop_assert!(rows[..each].iter().all(|&sum| sum == expected));
        }
    }

    #[test]
    fn pairs_are_added_first() {
        let values = [1e8f32, -1e8, 1.0, 1.0, 0.5];
        assert_eq!(sum(&values), ((1e8 - 1e8) + (1.0 + 1.0)) + 0.5);
    }
}
