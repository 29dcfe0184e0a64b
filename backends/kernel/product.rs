//! Matrix products over strided slices in the calling thread, on the `gemm` crate that burn-flex itself uses.

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
}

/// One past the last element's index (0 for an empty matrix).
const fn last_index(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * row_stride + (columns - 1) * column_stride + 1
    }
}

/// `out` = `factor` * `lhs` * `rhs`, plus what `out` held if `add`. Rows of `out` start `out_stride` apart.
pub(super) fn product(out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, rhs: Matrix<'_>, factor: f32, add: bool) {
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
