//! Matrix products over strided slices, on the `gemm` crate that burn-flex itself uses.

use rayon::prelude::*;

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
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
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
    pub(super) fn dense(data: &'a [f32], columns: usize) -> Self {
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
}

/// One past the last element's index (0 for an empty matrix).
const fn last_index(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * row_stride + (columns - 1) * column_stride + 1
    }
}

/// Who computes a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// The calling thread.
    One,
    /// Every thread, if the product is large enough to gain from it.
    All,
}

/// Multiplications from which a product gains from more than one thread.
const WORTH_SHARING: usize = 1 << 20;

/// Rows or columns of `out` that one thread takes are a multiple of this: whole tiles of the widest processors.
const TILE: usize = 48;

/// `out` = `factor` * `lhs` * `rhs`, plus what `out` held if `add`. Rows of `out` start `out_stride` apart.
///
/// Threads share out rows or columns, whichever are more, and each does a product of its own: the crate's own sharing
/// loses up to a third where the inner width is large and the result small, as in gradients of weights.
pub(super) fn product(
    out: &mut [f32],
    out_stride: usize,
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
    factor: f32,
    add: bool,
    threads: Threads,
) {
    let (m, n, k) = (lhs.rows, rhs.columns, lhs.columns);
    assert_eq!(k, rhs.rows, "inner widths of the product differ");
    assert!(
        n <= out_stride && last_index(m, n, out_stride, 1) <= out.len(),
        "the product ends after its slice"
    );
    let out = Target(out.as_mut_ptr());
    let shared = threads == Threads::All && m.saturating_mul(n).saturating_mul(k) >= WORTH_SHARING;
    let by_rows = m >= n;
    let whole = if by_rows { m } else { n };
    let part = match shared {
        true => whole.div_ceil(rayon::current_num_threads()).next_multiple_of(TILE),
        false => whole,
    };
    let one = |start: usize| {
        let size = part.min(whole - start);
        let (rows, columns) = if by_rows { (size, n) } else { (m, size) };
        let (down, across) = if by_rows { (start, 0) } else { (0, start) };
        // SAFETY: the assertions above and in `Matrix::new` keep every index inside the three slices; `out` is borrowed
        // mutably for this call, so it overlaps neither operand, and parts have no element in common. A slice's length
        // is below isize::MAX, so no stride wraps.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                k,
                out.at(down * out_stride + across),
                1,
                out_stride as isize,
                add,
                lhs.data.as_ptr().add(down * lhs.row_stride),
                lhs.column_stride as isize,
                lhs.row_stride as isize,
                rhs.data.as_ptr().add(across * rhs.column_stride),
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
    };
    if part >= whole {
        if whole > 0 {
            one(0);
        }
    } else {
        (0..whole.div_ceil(part))
            .into_par_iter()
            .for_each(|number| one(number * part));
    }
}

/// Where a product goes; threads write to parts of it that have no element in common.
struct Target(*mut f32);

// SAFETY: see where it is written to
unsafe impl Sync for Target {}

impl Target {
    /// The address of element `index`, which lies inside the slice.
    unsafe fn at(&self, index: usize) -> *mut f32 {
        // SAFETY: promised by the caller
        unsafe { self.0.add(index) }
    }
}
