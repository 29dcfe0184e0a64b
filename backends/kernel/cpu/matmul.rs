//! Matrix products over strided slices in the calling thread: in f32 by the `gemm` crate, which
//! burn-flex uses too; in bf16 by our own code where the processor multiplies such numbers faster,
//! elsewhere by `gemm` from rounded operands.

use super::bf16;
use super::matrix::{Contiguous, Matrix, elements};
use super::product::Product;
use super::threads::Threads;
use super::tiles::{self, Engine};
use crate::kernel::mode::Precision;
use std::borrow::Cow;
use std::cell::Cell;

/// The right operand of products, prepared once for all of them.
pub(super) struct RightOperand<'a>(Operand<'a>);

enum Operand<'a> {
    F32(Matrix<'a>),
    /// A copy with contiguous rows, and their length.
    F32Transposed(Vec<f32>, usize),
    Pairs(bf16::Packed),
    Tiles(tiles::Packed),
    /// Numbers rounded to bf16 in contiguous rows, and the length of these.
    Rounded(Cow<'a, [f32]>, usize),
}

impl<'a> RightOperand<'a> {
    /// Prepares it in the calling thread.
    pub(super) fn new(precision: Precision, matrix: Matrix<'a>) -> Self {
        Self::prepare(precision, None, matrix)
    }

    /// Prepares it on `threads`.
    pub(super) fn on_threads(precision: Precision, threads: Threads, matrix: Matrix<'a>) -> Self {
        Self::prepare(precision, Some(threads), matrix)
    }

    /// The same of rows that [`round_operand`] has been at.
    pub(super) fn of_rounded(precision: Precision, threads: Threads, rows: &'a [f32], columns: usize) -> Self {
        if rounds_operands(precision) {
            Self(Operand::Rounded(Cow::Borrowed(rows), columns))
        } else {
            Self::on_threads(precision, threads, Matrix::dense(rows, columns))
        }
    }

    fn prepare(precision: Precision, threads: Option<Threads>, matrix: Matrix<'a>) -> Self {
        Self(match precision {
            Precision::F32 => match matrix.contiguous() {
                Contiguous::Rows(_) => Operand::F32(matrix),
                Contiguous::Columns(_) => Operand::F32Transposed(transposed(threads, matrix), matrix.columns),
            },
            Precision::Bf16 => match (Product::of_this_processor(), Engine::of_this_processor()) {
                (Product::Tiles, Some(engine)) => Operand::Tiles(tiles::Packed::new(engine, threads, matrix)),
                (Product::Pairs, _) => Operand::Pairs(bf16::Packed::new(threads, matrix)),
                _ => Operand::Rounded(Cow::Owned(rounded(threads, matrix)), matrix.columns),
            },
        })
    }

    /// `out` = `factor` * `lhs` * this, added to `out` if `add`. Rows of `out` start `out_stride`
    /// apart.
    pub(super) fn product(&self, out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, factor: f32, add: bool) {
        match &self.0 {
            Operand::F32(matrix) => product(out, out_stride, lhs, *matrix, factor, add),
            Operand::F32Transposed(data, columns) => {
                product(out, out_stride, lhs, Matrix::dense(data, *columns), factor, add);
            }
            Operand::Pairs(packed) => packed.product(out, out_stride, lhs, factor, add),
            Operand::Tiles(packed) => packed.product(out, out_stride, lhs, factor, add),
            Operand::Rounded(data, columns) => {
                rounded_product(out, out_stride, lhs, Matrix::dense(data, *columns), factor, add);
            }
        }
    }

    /// The same with a left operand that [`round_left`] or [`round_operand`] has rounded.
    pub(super) fn product_of_rounded(
        &self,
        out: &mut [f32],
        out_stride: usize,
        lhs: Matrix<'_>,
        factor: f32,
        add: bool,
    ) {
        match &self.0 {
            Operand::Rounded(data, columns) => {
                product(out, out_stride, lhs, Matrix::dense(data, *columns), factor, add);
            }
            _ => self.product(out, out_stride, lhs, factor, add),
        }
    }
}

/// Whether products in `precision` are f32 ones of rounded operands.
pub(super) fn rounds_operands(precision: Precision) -> bool {
    precision == Precision::Bf16 && Product::of_this_processor() == Product::Rounded
}

/// Rounds numbers that will only be left operands, in place, if products in `precision` are f32 ones of
/// rounded operands.
pub(super) fn round_left(precision: Precision, values: &mut [f32]) {
    if rounds_operands(precision) {
        bf16::round_in_place(values);
    }
}

/// Rounds numbers that will only be operands, on either side, if [`rounds_operands`] says so. Rounded where they
/// lie, they need no copy for each product.
pub(super) fn round_operand(threads: Threads, values: &mut [f32]) {
    threads.for_each(values.chunks_mut(ROUNDED_PART).collect(), bf16::round_in_place);
}

thread_local! {
    /// Where left operands are rounded: new memory for each product would take as long as the rounding.
    static ROUNDED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// About so many numbers of a left operand are rounded at a time: more of them leave a core's cache, and for fewer
/// `gemm` packs the right side too often.
const ROUNDED_PART: usize = 1 << 16;
/// Rows that are rounded at a time at least, and those of a right operand.
const ROUNDED_ROWS: usize = 64;
/// Lines along the inner dimension that are rounded at a time, each part of which adds to the whole result.
const ROUNDED_INNER: usize = 512;

/// [`product`] with a left operand that is still to be rounded to bf16.
fn rounded_product(out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>, factor: f32, add: bool) {
    let mut copy = ROUNDED.take();
    match lhs.contiguous() {
        Contiguous::Rows(_) => {
            let part = ROUNDED_ROWS.max(ROUNDED_PART / lhs.columns);
            for first in (0..lhs.rows).step_by(part) {
                let rows = part.min(lhs.rows - first);
                let rounded = round_lines(&mut copy, lhs, first, rows);
                product(&mut out[first * out_stride..], out_stride, rounded, rhs, factor, add);
            }
        }
        Contiguous::Columns(_) => {
            for first in (0..lhs.columns).step_by(ROUNDED_INNER) {
                let inner = ROUNDED_INNER.min(lhs.columns - first);
                let rounded = round_lines(&mut copy, lhs.transpose(), first, inner).transpose();
                let rhs = Matrix::dense(&rhs.data[first * rhs.columns..][..inner * rhs.columns], rhs.columns);
                product(out, out_stride, rounded, rhs, factor, add || first > 0);
            }
        }
    }
    ROUNDED.set(copy);
}

/// Rounds `rows` rows of a matrix with contiguous ones, from `first` on, into packed ones.
fn round_lines<'a>(copy: &'a mut Vec<f32>, matrix: Matrix<'_>, first: usize, rows: usize) -> Matrix<'a> {
    let count = rows * matrix.columns;
    if copy.len() < count {
        copy.resize(count, 0.0);
    }
    round_rows(&mut copy[..count], matrix, first);
    Matrix::dense(&copy[..count], matrix.columns)
}

/// Rounds rows of a matrix with contiguous ones, from row `first` on, into packed ones.
fn round_rows(out: &mut [f32], matrix: Matrix<'_>, first: usize) {
    for (row, out) in out.chunks_exact_mut(matrix.columns).enumerate() {
        let start = (first + row) * matrix.row_stride;
        bf16::round_to(out, &matrix.data[start..][..matrix.columns]);
    }
}

/// Copies a matrix, rounded to bf16, into contiguous rows.
fn rounded(threads: Option<Threads>, matrix: Matrix<'_>) -> Vec<f32> {
    let part = ROUNDED_ROWS * matrix.columns;
    let mut out = match matrix.contiguous() {
        Contiguous::Columns(_) => transposed(threads, matrix),
        Contiguous::Rows(_) => vec![0.0; matrix.rows * matrix.columns],
    };
    let round = |(number, out): (usize, &mut [f32])| match matrix.contiguous() {
        Contiguous::Columns(_) => bf16::round_in_place(out),
        Contiguous::Rows(_) => round_rows(out, matrix, number * ROUNDED_ROWS),
    };
    let parts = out.chunks_mut(part).enumerate();
    match threads {
        Some(threads) => threads.for_each(parts.collect(), round),
        None => parts.for_each(round),
    }
    out
}

/// Side of a square that is transposed within the first-level cache.
const SQUARE: usize = 16;

/// Copies a matrix with contiguous columns into contiguous rows.
pub(super) fn transposed(threads: Option<Threads>, matrix: Matrix<'_>) -> Vec<f32> {
    let mut out = vec![0.0; matrix.rows * matrix.columns];
    let strips = out.chunks_mut(SQUARE * matrix.columns).enumerate();
    let transpose = |(number, strip): (usize, &mut [f32])| transpose_strip(strip, matrix, number * SQUARE);
    match threads {
        Some(threads) => threads.for_each(strips.collect(), transpose),
        None => strips.for_each(transpose),
    }
    out
}

/// Up to [`SQUARE`] rows of the copy, from `first` on.
fn transpose_strip(strip: &mut [f32], matrix: Matrix<'_>, first: usize) {
    let Matrix {
        data,
        columns,
        column_stride,
        ..
    } = matrix;
    let height = strip.len() / columns;
    let mut square = [[0.0; SQUARE]; SQUARE];
    for start in (0..columns).step_by(SQUARE) {
        let width = SQUARE.min(columns - start);
        for (column, square) in square[..width].iter_mut().enumerate() {
            square[..height].copy_from_slice(&data[(start + column) * column_stride + first..][..height]);
        }
        for (row, out) in strip.chunks_exact_mut(columns).enumerate() {
            let out = &mut out[start..start + width];
            out.iter_mut().zip(&square).for_each(|(out, square)| *out = square[row]);
        }
    }
}

/// In f32: `out` = `factor` * `lhs` * `rhs`, added to `out` if `add`. Rows of `out` start
/// `out_stride` apart.
pub(super) fn product(out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>, factor: f32, add: bool) {
    let (m, n, k) = (lhs.rows, rhs.columns, lhs.columns);
    assert_eq!(k, rhs.rows, "inner widths of the product differ");
    assert!(
        n <= out_stride && elements(m, n, out_stride) <= out.len(),
        "the product ends after its slice"
    );
    // SAFETY: the assertions here and in `Matrix::new` keep every index inside the three slices.
    // `out` is borrowed mutably, so it overlaps neither operand. A slice is shorter than
    // isize::MAX, so no stride wraps.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            add,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::testing::{drawn, side};
    use super::*;

    /// On every processor, and whether the left side was rounded before or not.
    #[test]
    fn products_of_rounded_operands_equal_sums_in_f64() {
        let sizes = [[1, 1, 1], [7, 17, 3], [65, 9, 1030], [600, 33, 130], [70, 40, 1100]];
        for ([m, n, k], flags) in sizes
            .into_iter()
            .flat_map(|sizes| (0..8).map(move |flags| (sizes, flags)))
        {
            let [left_turned, right_turned, add] = [0, 1, 2].map(|place| flags >> place & 1 == 1);
            let (a, b, before) = (drawn("a", m * k), drawn("b", k * n), drawn("out", m * (n + 3)));
            let (lhs, rhs) = (side(&a, m, k, left_turned), side(&b, k, n, right_turned));
            let right = RightOperand(Operand::Rounded(Cow::Owned(rounded(None, rhs)), n));
            let (mut out, mut low, mut again) = (before.clone(), a.clone(), before.clone());
            right.product(&mut out, n + 3, lhs, 0.5, add);
            bf16::round_in_place(&mut low);
            right.product_of_rounded(&mut again, n + 3, side(&low, m, k, left_turned), 0.5, add);
            let mut low_right = b.clone();
            bf16::round_in_place(&mut low_right);
            let low_right = side(&low_right, k, n, right_turned);
            let at = |side: Matrix<'_>, i, j| f64::from(side.data[i * side.row_stride + j * side.column_stride]);
            for (index, &start) in before.iter().enumerate() {
                let (i, j) = (index / (n + 3), index % (n + 3));
                let expected = if j < n {
                    let low = side(&low, m, k, left_turned);
                    let sum: f64 = (0..k).map(|p| at(low, i, p) * at(low_right, p, j)).sum();
                    0.5 * sum + if add { f64::from(start) } else { 0.0 }
                } else {
                    f64::from(start) // beyond the result
                };
                for found in [out[index], again[index]] {
                    let difference = (f64::from(found) - expected).abs();
                    assert!(
                        difference < 1e-5 * (1.0 + k as f64).sqrt(),
                        "{m} {n} {k} {flags} at {i} {j}: {difference}"
                    );
                }
            }
        }
    }
}
