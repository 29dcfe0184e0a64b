//! Matrix products of bf16 numbers with sums in f32, in the calling thread. Operands are rounded and packed in pairs along
//! the inner width, as the dot products of AVX-512 BF16 take them; other processors compute the same in f32, more slowly.

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::super::lanes::wide;
use super::super::team::Team;
use super::{Lines, Matrix};

/// Columns of one vector.
const VECTOR: usize = 16;

/// Columns of one panel of a right side; the last panel may have fewer vectors.
const PANEL: usize = 4 * VECTOR;

/// A left side: inner places 2p and 2p + 1 of row i at `i * row_stride + p * pair_stride`, the first in the low half.
struct Left {
    pairs: Vec<u32>,
    row_stride: usize,
    pair_stride: usize,
    rows: usize,
    inner: usize,
}

/// A right side: one panel of columns after another, in each the pairs of one inner place after those of the one before.
pub(super) struct Right {
    pairs: Vec<u32>,
    columns: usize,
    inner: usize,
}

impl Left {
    fn new(matrix: Matrix<'_>) -> Self {
        let Matrix {
            data,
            rows,
            columns: inner,
            ..
        } = matrix;
        let count = inner.div_ceil(2);
        let mut pairs = vec![0; rows * count];
        let (row_stride, pair_stride) = match matrix.lines() {
            Lines::Rows(stride) => {
                for (row, pairs) in pairs.chunks_exact_mut(count).enumerate() {
                    pair_up(pairs, &data[row * stride..][..inner]);
                }
                (count, 1)
            }
            Lines::Columns(stride) => {
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

/// The columns of inner place `place`, none after an odd inner width's last.
fn inner_line(data: &[f32], place: usize, inner: usize, stride: usize, columns: std::ops::Range<usize>) -> &[f32] {
    if place < inner {
        &data[place * stride..][columns]
    } else {
        &[]
    }
}

impl Right {
    /// Packs a matrix; by the threads of a team, if one is given.
    pub(super) fn new(team: Option<Team>, matrix: Matrix<'_>) -> Self {
        let Matrix {
            rows: inner, columns, ..
        } = matrix;
        let count = inner.div_ceil(2);
        let mut pairs = vec![0; count * columns.next_multiple_of(VECTOR)];
        let panels = pairs.chunks_mut(count * PANEL).enumerate();
        match team {
            Some(team) => team.share(panels.collect(), |(number, panel)| {
                pack(panel, matrix, number * PANEL);
            }),
            None => panels.for_each(|(number, panel)| pack(panel, matrix, number * PANEL)),
        }
        Self { pairs, columns, inner }
    }

    /// As [`super::Right::product`].
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
        let left = Left::new(lhs);
        assert_eq!(left.inner, self.inner, "inner widths of the product differ");
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

/// Packs the columns of a right side from `first` on into their panel.
fn pack(panel: &mut [u32], matrix: Matrix<'_>, first: usize) {
    let Matrix { data, rows: inner, .. } = matrix;
    let count = inner.div_ceil(2);
    let width = panel.len() / count;
    let columns = width.min(matrix.columns - first);
    match matrix.lines() {
        Lines::Rows(stride) => {
            for (place, pairs) in panel.chunks_exact_mut(width).enumerate() {
                let line = |place| inner_line(data, place, inner, stride, first..first + columns);
                interleave(&mut pairs[..columns], line(2 * place), line(2 * place + 1));
            }
        }
        Lines::Columns(stride) => {
            let mut lines = vec![0; VECTOR * count];
            for start in (0..columns).step_by(VECTOR) {
                let there = VECTOR.min(columns - start);
                for (column, line) in lines.chunks_exact_mut(count).take(there).enumerate() {
                    pair_up(line, &data[(first + start + column) * stride..][..inner]);
                }
                lines[there * count..].fill(0);
                turn(&mut panel[start..], width, &lines, count);
            }
        }
    }
}

/// The upper half of the nearest bf16, the even one of two; what is no number stays none.
#[inline(always)]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let quiet = bits | 0x0040_0000;
    (if value.is_nan() { quiet } else { rounded }) >> 16
}

/// Neighbours in pairs.
fn pair_up(pairs: &mut [u32], values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    let done = avx512::pair_up(pairs, values);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    any_pair_up(&mut pairs[done..], &values[2 * done..]);
}

/// Pairs of two lines; of `low` with zeros where `high` is empty.
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
    /// A vector's `lines` of `count` pairs into columns of a panel whose rows are `width` long.
    fn turn(panel: &mut [u32], width: usize, lines: &[u32], count: usize) {
        let lines: [&[u32]; VECTOR] = std::array::from_fn(|line| &lines[line * count..][..count]);
        for (place, out) in panel.chunks_mut(width).take(count).enumerate() {
            for (value, line) in out[..VECTOR].iter_mut().zip(&lines) {
                *value = line[place];
            }
        }
    }
}

/// A part of the result: up to 12 rows by one panel's columns.
pub(super) struct Tile<'a> {
    /// From the first row's first pair on.
    left: &'a [u32],
    row_stride: usize,
    pair_stride: usize,
    rows: usize,
    panel: &'a [u32],
    /// Pairs along the inner width.
    count: usize,
    columns: usize,
    factor: f32,
    add: bool,
}

/// Computes one tile into `out`, whose rows start so far apart.
type Compute = fn(out: &mut [f32], out_stride: usize, tile: &Tile<'_>);

/// What is fastest on this processor.
fn fast_tile() -> Compute {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_there() {
        return avx512::tile;
    }
    any_tile
}

/// Whether this processor has instructions for it.
pub(super) fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return avx512::is_there();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A bf16 number from the upper half of its bits.
#[inline(always)]
fn value(upper: u32) -> f32 {
    f32::from_bits(upper << 16)
}

wide! {
    /// A tile on any processor.
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

#[cfg(test)]
mod tests {
    use super::*;
    use bridle_seed::Seed;

    fn drawn(name: &str, count: usize) -> Vec<f32> {
        let mut stream = Seed::root(3).child(name).stream();
        (0..count).map(|_| stream.normal()).collect()
    }

    /// Holds a product to sums in f64 over rounded operands.
    fn hold(compute: Compute, [m, n, k]: [usize; 3], [left_turned, right_turned]: [bool; 2], add: bool) {
        let (a, b, before) = (drawn("a", m * k), drawn("b", k * n), drawn("out", m * (n + 3)));
        let side = |data, rows, columns, turned| match turned {
            true => Matrix::dense(data, rows).transpose(),
            false => Matrix::dense(data, columns),
        };
        let (lhs, rhs) = (side(&a, m, k, left_turned), side(&b, k, n, right_turned));
        let mut out = before.clone();
        Right::new(None, rhs).product_by(compute, &mut out, n + 3, lhs, 0.5, add);
        let at =
            |side: Matrix<'_>, i, j| f64::from(value(round(side.data[i * side.row_stride + j * side.column_stride])));
        for (index, (&out, &before)) in out.iter().zip(&before).enumerate() {
            let (i, j) = (index / (n + 3), index % (n + 3));
            if j >= n {
                assert_eq!(out, before, "{m} {n} {k}: written beside the result");
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
    fn products_are_those_of_the_rounded_operands() {
        for compute in [any_tile as Compute, fast_tile()] {
            for shape in [
                [1, 1, 1],
                [7, 17, 3],
                [13, 64, 16],
                [30, 50, 33],
                [25, 129, 70],
                [6, 100, 257],
            ] {
                for turned in [[false, false], [false, true], [true, false], [true, true]] {
                    hold(compute, shape, turned, false);
                    hold(compute, shape, turned, true);
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
    fn rounding_goes_to_the_nearest_and_of_two_to_the_even_one() {
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
