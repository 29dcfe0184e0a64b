//! One tile of a bf16 product, and its form for any processor.

use super::super::simd::wide;
use super::value;

/// Columns of one vector.
pub(super) const VECTOR: usize = 16;

/// Columns of one panel of a right operand; the last panel may have fewer vectors.
pub(super) const PANEL: usize = 4 * VECTOR;

/// Up to 12 rows of the result by the columns of one panel.
pub(super) struct Tile<'a> {
    /// From the first pair of the first row on.
    pub(super) left: &'a [u32],
    pub(super) row_stride: usize,
    pub(super) pair_stride: usize,
    pub(super) rows: usize,
    pub(super) panel: &'a [u32],
    /// Pairs along the inner dimension.
    pub(super) count: usize,
    pub(super) columns: usize,
    pub(super) factor: f32,
    pub(super) add: bool,
}

wide! {
    fn any_tile(out: &mut [f32], out_stride: usize, tile: &Tile<'_>) {
        let width = tile.panel.len() / tile.count;
        for row in 0..tile.rows {
            let mut sums = [0.0; PANEL];
            for (place, columns) in tile.panel.chunks_exact(width).enumerate() {
                let pair = tile.left[row * tile.row_stride + place * tile.pair_stride];
                let (low, high) = (value(pair), value(pair >> 16));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum += value(*column) * low + value(*column >> 16) * high;
                }
            }
            let out = &mut out[row * out_stride..][..tile.columns];
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum * tile.factor + if tile.add { *out } else { 0.0 };
            }
        }
    }
}
