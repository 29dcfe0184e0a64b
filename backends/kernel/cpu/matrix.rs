//! A matrix inside a slice, by its strides.

/// Element (i, j) is at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` elements that start `row_stride` apart.
    pub(super) const fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            elements(rows, columns, row_stride) <= data.len(),
            "the matrix ends after its slice"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// All of `data`, in contiguous rows of `columns` elements.
    pub(super) const fn dense(data: &'a [f32], columns: usize) -> Self {
        Self::new(data, data.len() / columns, columns, columns)
    }

    /// The transpose, without copying.
    pub(super) const fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Whether its rows or its columns are contiguous.
    pub(super) const fn contiguous(&self) -> Contiguous {
        if self.column_stride == 1 {
            Contiguous::Rows(self.row_stride)
        } else {
            Contiguous::Columns(self.column_stride)
        }
    }
}

/// The contiguous lines of a matrix, with the distance between their starts.
pub(super) enum Contiguous {
    Rows(usize),
    Columns(usize),
}

/// Elements from the first to the last of a matrix with contiguous rows.
pub(super) const fn elements(rows: usize, columns: usize, row_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * row_stride + columns
    }
}

/// Operands for tests of products.
#[cfg(test)]
pub(super) mod testing {
    use super::Matrix;
    use bridle_seed::Seed;

    /// Normal numbers of a stream of this name.
    pub(in super::super) fn drawn(name: &str, count: usize) -> Vec<f32> {
        let mut stream = Seed::root(4).child(name).stream();
        (0..count).map(|_| stream.normal()).collect()
    }

    /// A matrix of this shape, whose columns are contiguous if it is turned.
    pub(in super::super) fn side(data: &[f32], rows: usize, columns: usize, turned: bool) -> Matrix<'_> {
        if turned {
            Matrix::dense(data, rows).transpose()
        } else {
            Matrix::dense(data, columns)
        }
    }
}
