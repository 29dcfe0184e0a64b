//! Matrix products of bf16 numbers with sums in f32, in the calling thread.
//!
//! Operands are rounded and packed in pairs along the inner dimension, as the dot products of
//! AVX-512 BF16 take them. [`super::product`] says where that pays.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod tile;

use super::matrix::{Contiguous, Matrix};
use super::simd::wide;
use super::threads::Threads;
use tile::{PANEL, Tile, VECTOR, any_tile};

/// A left operand: elements 2p and 2p + 1 of row i are at `i * row_stride + p * pair_stride`, the
/// first in the low half.
struct PackedLeft {
    pairs: Vec<u32>,
    row_stride: usize,
    pair_stride: usize,
    rows: usize,
    inner: usize,
}

/// A right operand: one panel of columns after another. A panel holds its pairs row by row.
pub(super) struct Packed {
    pairs: Vec<u32>,
    columns: usize,
    inner: usize,
}

impl PackedLeft {
    fn new(matrix: Matrix<'_>) -> Self {
        let Matrix {
            data,
            rows,
            columns: inner,
            ..
        } = matrix;
        let count = inner.div_ceil(2);
        let mut pairs = vec![0; rows * count];
        let (row_stride, pair_stride) = match matrix.contiguous() {
            Contiguous::Rows(stride) => {
                for (row, pairs) in pairs.chunks_exact_mut(count).enumerate() {
                    pair_up(pairs, &data[row * stride..][..inner]);
                }
                (count, 1)
            }
            Contiguous::Columns(stride) => {
                for (place, pairs) in pairs.chunks_exact_mut(rows).enumerate() {
                    let high = inner_line(data, 2 * place + 1, inner, stride, 0..rows);
                    interleave(pairs, &data[2 * place * stride..][..rows], high);
                }
                (1, rows)
            }
        };
        Self {
            pairs,
            row_stride,
            pair_stride,
            rows,
            inner,
        }
    }
}

/// Columns of inner row `place`; empty one row past the end, which an odd inner dimension asks for.
fn inner_line(data: &[f32], place: usize, inner: usize, stride: usize, columns: std::ops::Range<usize>) -> &[f32] {
    if place < inner {
        &data[place * stride..][columns]
    } else {
        &[]
    }
}

impl Packed {
    /// Packs a matrix, on `threads` if there are any.
    pub(super) fn new(threads: Option<Threads>, matrix: Matrix<'_>) -> Self {
        let Matrix {
            rows: inner, columns, ..
        } = matrix;
        let count = inner.div_ceil(2);
        let mut pairs = vec![0; count * columns.next_multiple_of(VECTOR)];
        let panels = pairs.chunks_mut(count * PANEL).enumerate();
        let pack = |(number, panel): (usize, &mut [u32])| pack(panel, matrix, number * PANEL);
        match threads {
            Some(threads) => threads.for_each(panels.collect(), pack),
            None => panels.for_each(pack),
        }
        Self { pairs, columns, inner }
    }

    /// `out` = `factor` * `lhs` * this, added to `out` if `add`. Rows of `out` start `out_stride`
    /// apart.
    pub(super) fn product(&self, out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, factor: f32, add: bool) {
        self.product_by(fast_tile(), out, out_stride, lhs, factor, add);
    }

    fn product_by(
        &self,
        compute: Compute,
        out: &mut [f32],
        out_stride: usize,
        lhs: Matrix<'_>,
        factor: f32,
        add: bool,
    ) {
        let left = PackedLeft::new(lhs);
        assert_eq!(left.inner, self.inner, "inner dimensions of the product differ");
        let count = self.inner.div_ceil(2);
        for (number, panel) in self.pairs.chunks(count * PANEL).enumerate() {
            let first = number * PANEL;
            let columns = PANEL.min(self.columns - first);
            let height = match columns.div_ceil(VECTOR) {
                4 => 6,
                3 => 8,
                _ => 12,
            };
            for row in (0..left.rows).step_by(height) {
                let tile = Tile {
                    left: &left.pairs[row * left.row_stride..],
                    row_stride: left.row_stride,
                    pair_stride: left.pair_stride,
                    rows: height.min(left.rows - row),
                    panel,
                    count,
                    columns,
                    factor,
                    add,
                };
                compute(&mut out[row * out_stride + first..], out_stride, &tile);
            }
        }
    }
}

/// Packs the columns of a right operand from `first` on into their panel.
fn pack(panel: &mut [u32], matrix: Matrix<'_>, first: usize) {
    let Matrix { data, rows: inner, .. } = matrix;
    let count = inner.div_ceil(2);
    let width = panel.len() / count;
    let columns = width.min(matrix.columns - first);
    match matrix.contiguous() {
        Contiguous::Rows(stride) => {
            for (place, pairs) in panel.chunks_exact_mut(width).enumerate() {
                let line = |place| inner_line(data, place, inner, stride, first..first + columns);
                interleave(&mut pairs[..columns], line(2 * place), line(2 * place + 1));
            }
        }
        Contiguous::Columns(stride) => {
            let mut lines = vec![0; VECTOR * count];
            for start in (0..columns).step_by(VECTOR) {
                let used = VECTOR.min(columns - start);
                for (column, line) in lines.chunks_exact_mut(count).take(used).enumerate() {
                    pair_up(line, &data[(first + start + column) * stride..][..inner]);
                }
                lines[used * count..].fill(0);
                transpose(&mut panel[start..], width, &lines, count);
            }
        }
    }
}

/// The nearest bf16, to even on ties; NaN stays NaN.
#[inline(always)]
pub(super) fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let quiet = bits | 0x0040_0000;
    (if value.is_nan() { quiet } else { rounded }) >> 16
}

/// The f32 value of the bf16 number in the low half.
#[inline(always)]
pub(super) fn value(bf16: u32) -> f32 {
    f32::from_bits(bf16 << 16)
}

/// Pairs of neighbours.
fn pair_up(pairs: &mut [u32], values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    let done = avx512::pair_up(pairs, values);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    any_pair_up(&mut pairs[done..], &values[2 * done..]);
}

/// Pairs of an element of `low` and one of `high`, or zero if `high` is empty.
fn interleave(pairs: &mut [u32], low: &[f32], high: &[f32]) {
    if high.is_empty() {
        return any_interleave(pairs, low, high);
    }
    #[cfg(target_arch = "x86_64")]
    let done = avx512::interleave(pairs, low, high);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    any_interleave(&mut pairs[done..], &low[done..], &high[done..]);
}

wide! {
    /// [`pair_up`] on any processor.
    fn any_pair_up(pairs: &mut [u32], values: &[f32]) {
        let (both, last) = values.as_chunks::<2>();
        for (pair, [low, high]) in pairs.iter_mut().zip(both) {
            *pair = round(*low) | (round(*high) << 16);
        }
        for (pair, low) in pairs.iter_mut().skip(both.len()).zip(last) {
            *pair = round(*low);
        }
    }
}

wide! {
    /// [`interleave`] on any processor.
    fn any_interleave(pairs: &mut [u32], low: &[f32], high: &[f32]) {
        for (pair, low) in pairs.iter_mut().zip(low) {
            *pair = round(*low);
        }
        for (pair, high) in pairs.iter_mut().zip(high) {
            *pair |= round(*high) << 16;
        }
    }
}

wide! {
    /// Transposes a vector's `lines` of `count` pairs into columns of a panel with rows of `width`.
    fn transpose(panel: &mut [u32], width: usize, lines: &[u32], count: usize) {
        let lines: [&[u32]; VECTOR] = std::array::from_fn(|line| &lines[line * count..][..count]);
        for (place, out) in panel.chunks_mut(width).take(count).enumerate() {
            for (value, line) in out[..VECTOR].iter_mut().zip(&lines) {
                *value = line[place];
            }
        }
    }
}

/// Computes one tile into `out`, whose rows start `out_stride` apart.
type Compute = fn(out: &mut [f32], out_stride: usize, tile: &Tile<'_>);

/// The fastest on this processor.
fn fast_tile() -> Compute {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_available() {
        return avx512::tile;
    }
    any_tile
}

/// Whether dot products of pairs are faster than f32 products. On Intel's processors a pair takes as long as
/// two f32 numbers, and is packed besides.
pub(super) fn pairs_are_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_available() {
        let name = std::arch::x86_64::__cpuid(0);
        return [name.ebx, name.edx, name.ecx].map(u32::to_le_bytes).concat() != b"GenuineIntel";
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::matrix::testing::{drawn, side};
    use super::*;

    /// Compares a product with sums in f64 over rounded operands.
    fn check(compute: Compute, [m, n, k]: [usize; 3], [left_transposed, right_transposed]: [bool; 2], add: bool) {
        let (a, b, before) = (drawn("a", m * k), drawn("b", k * n), drawn("out", m * (n + 3)));
        let (lhs, rhs) = (side(&a, m, k, left_transposed), side(&b, k, n, right_transposed));
        let mut out = before.clone();
        Packed::new(None, rhs).product_by(compute, &mut out, n + 3, lhs, 0.5, add);
        let at =
            |side: Matrix<'_>, i, j| f64::from(value(round(side.data[i * side.row_stride + j * side.column_stride])));
        for (index, (&out, &before)) in out.iter().zip(&before).enumerate() {
            let (i, j) = (index / (n + 3), index % (n + 3));
            if j >= n {
                assert_eq!(out, before, "{m} {n} {k}: written outside the result");
                continue;
            }
            let sum: f64 = (0..k).map(|p| at(lhs, i, p) * at(rhs, p, j)).sum();
            let expected = 0.5 * sum + if add { f64::from(before) } else { 0.0 };
            let difference = (f64::from(out) - expected).abs();
            assert!(
                difference < 1e-5 * (1.0 + k as f64).sqrt(),
                "{m} {n} {k} at {i} {j}: {difference}"
            );
        }
    }

    #[test]
    fn products_equal_those_of_rounded_operands() {
        for compute in [any_tile as Compute, fast_tile()] {
            for shape in [
                [1, 1, 1],
                [7, 17, 3],
                [13, 64, 16],
                [30, 50, 33],
                [25, 129, 70],
                [6, 100, 257],
            ] {
                for transposed in [[false, false], [false, true], [true, false], [true, true]] {
                    check(compute, shape, transposed, false);
                    check(compute, shape, transposed, true);
                }
            }
        }
    }

    #[test]
    fn every_processor_packs_the_same() {
        for length in [1, 2, 31, 32, 33, 100] {
            let (a, b) = (drawn("a", length), drawn("b", length));
            let mut found = [vec![0; length.div_ceil(2)], vec![0; length], vec![0; length]];
            let mut expected = found.clone();
            pair_up(&mut found[0], &a);
            any_pair_up(&mut expected[0], &a);
            interleave(&mut found[1], &a, &b);
            any_interleave(&mut expected[1], &a, &b);
            interleave(&mut found[2], &a, &[]);
            any_interleave(&mut expected[2], &a, &[]);
            assert_eq!(found, expected, "{length}");
        }
    }

    #[test]
    fn rounding_is_to_nearest_even() {
        let cases = [
            (1.0, 1.0),
            (1.0 + 0.00390625, 1.0), // halfway to the next, 1 + 2^-7
            (1.0 + 3.0 * 0.00390625, 1.015625),
            (-std::f32::consts::PI, -3.140625),
            (f32::INFINITY, f32::INFINITY),
            (3.4e38, f32::INFINITY),
            (0.0, 0.0),
        ];
        for (given, expected) in cases {
            assert_eq!(value(round(given)), expected, "{given}");
        }
        assert!(value(round(f32::from_bits(0x7f80_0001))).is_nan());
    }
}
