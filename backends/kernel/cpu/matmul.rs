//! Matrix products over strided slices in the calling thread: in f32 by the `gemm` crate, which
//! burn-flex uses too; in bf16 by our own code, where the processor multiplies such numbers faster.

use super::bf16;
use super::matrix::{Contiguous, Matrix, elements};
use super::product::Product;
use super::threads::Threads;
use super::tiles::{self, Engine};
use crate::kernel::mode::Precision;

/// The right operand of products, prepared once for all of them.
pub(super) struct RightOperand<'a>(Operand<'a>);

enum Operand<'a> {
    F32(Matrix<'a>),
    /// A copy with contiguous rows, and their length.
    F32Transposed(Vec<f32>, usize),
    Pairs(bf16::Packed),
    Tiles(tiles::Packed),
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

    fn prepare(precision: Precision, threads: Option<Threads>, matrix: Matrix<'a>) -> Self {
        let product = match precision {
            Precision::F32 => Product::F32,
            Precision::Bf16 => Product::of_this_processor(),
        };
        Self(match (product, Engine::of_this_processor()) {
            (Product::Tiles, Some(engine)) => Operand::Tiles(tiles::Packed::new(engine, threads, matrix)),
            (Product::Pairs, _) => Operand::Pairs(bf16::Packed::new(threads, matrix)),
            _ => match matrix.contiguous() {
                Contiguous::Rows(_) => Operand::F32(matrix),
                Contiguous::Columns(_) => Operand::F32Transposed(transposed(threads, matrix), matrix.columns),
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
        }
    }
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
