//! Matrix products over strided slices in the calling thread: in f32 by the `gemm` crate, which
//! burn-flex uses too; in bf16 by our own code where the processor multiplies such numbers faster,
//! elsewhere by `gemm` from rounded operands.

use super::bf16;
use super::matrix::{Contiguous, Matrix, elements};
use super::threads::Threads;
use crate::kernel::mode::Precision;

/// The right operand of products, prepared once for all of them.
pub(super) struct RightOperand<'a>(Operand<'a>);

enum Operand<'a> {
    F32(Matrix<'a>),
    /// A copy with contiguous rows, and their length.
    F32Transposed(Vec<f32>, usize),
    Bf16(bf16::Packed),
    /// A copy rounded to bf16 with contiguous rows, and their length.
    Rounded(Vec<f32>, usize),
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
        Self(match precision {
            Precision::F32 => match matrix.contiguous() {
                Contiguous::Rows(_) => Operand::F32(matrix),
                Contiguous::Columns(_) => Operand::F32Transposed(transposed(threads, matrix), matrix.columns),
            },
            Precision::Bf16 => match bf16::Product::of_this_processor() {
                bf16::Product::Avx512 => Operand::Bf16(bf16::Packed::new(threads, matrix)),
                bf16::Product::Rounded => Operand::Rounded(rounded(threads, matrix), matrix.columns),
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
            Operand::Bf16(packed) => packed.product(out, out_stride, lhs, factor, add),
            Operand::Rounded(data, columns) => {
                let rhs = Matrix::dense(data, *columns);
                match lhs.contiguous() {
                    Contiguous::Rows(_) => {
                        let copy = rounded(None, lhs);
                        product(out, out_stride, Matrix::dense(&copy, lhs.columns), rhs, factor, add);
                    }
                    Contiguous::Columns(_) => {
                        let copy = rounded(None, lhs.transpose());
                        let lhs = Matrix::dense(&copy, lhs.rows).transpose();
                        product(out, out_stride, lhs, rhs, factor, add);
                    }
                }
            }
        }
    }
}

/// Rows of a rounded copy that a thread makes at a time.
const ROUNDED_ROWS: usize = 64;

/// Copies a matrix, rounded to bf16, into contiguous rows.
fn rounded(threads: Option<Threads>, matrix: Matrix<'_>) -> Vec<f32> {
    let columns = matrix.columns;
    match matrix.contiguous() {
        Contiguous::Columns(_) => {
            let mut out = transposed(threads, matrix);
            let parts = out.chunks_mut(ROUNDED_ROWS * columns);
            match threads {
                Some(threads) => threads.for_each(parts.collect(), bf16::round_in_place),
                None => parts.for_each(bf16::round_in_place),
            }
            out
        }
        Contiguous::Rows(stride) => {
            let mut out = vec![0.0; matrix.rows * columns];
            let parts = out.chunks_mut(ROUNDED_ROWS * columns).enumerate();
            let copy = |(number, part): (usize, &mut [f32])| {
                let lines = matrix.data[number * ROUNDED_ROWS * stride..].chunks(stride);
                for (out, line) in part.chunks_exact_mut(columns).zip(lines) {
                    bf16::round_to(out, &line[..columns]);
                }
            };
            match threads {
                Some(threads) => threads.for_each(parts.collect(), copy),
                None => parts.for_each(copy),
            }
            out
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
