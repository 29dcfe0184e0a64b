//! Matrix products over strided slices in the calling thread: of f32 on the `gemm` crate that burn-flex itself uses, of
//! operands rounded to bf16 in our own form.

mod half;

use super::Precision;
use super::team::Team;

/// A matrix inside a slice: element (i, j) is at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` elements that start `row_stride` apart.
    pub(super) const fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let matrix = Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        };
        assert!(
            last_index(rows, columns, row_stride, 1) <= data.len(),
            "the matrix ends after its slice"
        );
        matrix
    }

    /// Rows of `columns` elements, one after another, as many as there are.
    pub(super) const fn dense(data: &'a [f32], columns: usize) -> Self {
        Self::new(data, data.len() / columns, columns, columns)
    }

    /// The transpose, in place.
    pub(super) const fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Which of its lines lie in one piece.
    const fn lines(&self) -> Lines {
        if self.column_stride == 1 {
            Lines::Rows(self.row_stride)
        } else {
            Lines::Columns(self.column_stride)
        }
    }
}

/// Whether this processor multiplies bf16 numbers faster than f32.
pub fn bf16_is_fast() -> bool {
    half::is_fast()
}

/// Lines whose elements lie one after another, and how far apart they start.
enum Lines {
    Rows(usize),
    Columns(usize),
}

/// The right side of products, ready for their number type: whoever multiplies it several times makes it once.
pub(super) struct Right<'a>(Side<'a>);

enum Side<'a> {
    /// As it is.
    F32(Matrix<'a>),
    /// Copied so that its rows lie in one piece: this many columns.
    Turned(Vec<f32>, usize),
    /// Rounded and packed.
    Bf16(half::Right),
}

impl<'a> Right<'a> {
    /// Made in the calling thread.
    pub(super) fn new(precision: Precision, matrix: Matrix<'a>) -> Self {
        Self::made(precision, None, matrix)
    }

    /// Made by the threads of a team.
    pub(super) fn shared(precision: Precision, team: Team, matrix: Matrix<'a>) -> Self {
        Self::made(precision, Some(team), matrix)
    }

    fn made(precision: Precision, team: Option<Team>, matrix: Matrix<'a>) -> Self {
        Self(match precision {
            Precision::F32 => match matrix.lines() {
                Lines::Rows(_) => Side::F32(matrix),
                Lines::Columns(_) => Side::Turned(turned(team, matrix), matrix.columns),
            },
            Precision::Bf16 => Side::Bf16(half::Right::new(team, matrix)),
        })
    }

    /// `out` = `factor` * `lhs` * this, plus what `out` held if `add`. Rows of `out` start `out_stride` apart.
    pub(super) fn product(&self, out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, factor: f32, add: bool) {
        match &self.0 {
            Side::F32(matrix) => product(out, out_stride, lhs, *matrix, factor, add),
            Side::Turned(data, columns) => {
                product(out, out_stride, lhs, Matrix::dense(data, *columns), factor, add);
            }
            Side::Bf16(right) => right.product(out, out_stride, lhs, factor, add),
        }
    }
}

/// Rows and columns of a square that is turned in the nearest cache.
const SQUARE: usize = 16;

/// The elements, row by row, of a matrix that lies column by column.
fn turned(team: Option<Team>, matrix: Matrix<'_>) -> Vec<f32> {
    let mut turned = vec![0.0; matrix.rows * matrix.columns];
    let strips = turned.chunks_mut(SQUARE * matrix.columns).enumerate();
    match team {
        Some(team) => team.share(strips.collect(), |(number, strip)| {
            turn_strip(strip, matrix, number * SQUARE);
        }),
        None => strips.for_each(|(number, strip)| turn_strip(strip, matrix, number * SQUARE)),
    }
    turned
}

/// Up to [`SQUARE`] rows, from `first` on.
fn turn_strip(strip: &mut [f32], matrix: Matrix<'_>, first: usize) {
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

/// One past the last element's index (0 for an empty matrix).
const fn last_index(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * row_stride + (columns - 1) * column_stride + 1
    }
}

/// In f32: `out` = `factor` * `lhs` * `rhs`, plus what `out` held if `add`. Rows of `out` start `out_stride` apart.
fn product(out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>, factor: f32, add: bool) {
    let (m, n, k) = (lhs.rows, rhs.columns, lhs.columns);
    assert_eq!(k, rhs.rows, "inner widths of the product differ");
    assert!(
        n <= out_stride && last_index(m, n, out_stride, 1) <= out.len(),
        "the product ends after its slice"
    );
    // SAFETY: the assertions here and in `Matrix::new` keep every index inside the three slices; `out` is borrowed
    // mutably, so it overlaps neither operand. A slice's length is below isize::MAX, so no stride wraps.
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
