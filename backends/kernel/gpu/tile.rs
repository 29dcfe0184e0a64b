//! Tiles of matrices in the shared memory of a cube, and their products: on tensor cores if
//! operands are in half precision, by multiply-adds of each unit otherwise.

use burn_cubecl::cubecl;
use cubecl::cmma;
use cubecl::prelude::*;

/// Units of a cube, unless tensor cores require another number.
pub(super) const UNITS: usize = 256;
/// Units of a plane, which share a tensor core's fragment.
pub(super) const PLANE: usize = 32;
/// Units along each side of a product by multiply-adds.
const SIDE: usize = 16;
/// Rows, columns and depth of a tensor core's fragment.
pub(super) const FRAGMENT: usize = 16;
/// Unused bytes after each row of a tile: a column's elements are in different banks, fragments
/// stay aligned.
const GAP: usize = 16;
/// Of fragments, in bytes.
const ALIGNMENT: usize = 32;

/// Elements of `bytes` from one row of a tile of `columns` to the next.
pub(super) const fn stride(columns: usize, bytes: usize) -> usize {
    columns + GAP / bytes
}

/// Elements of a tile, with the unused ones.
pub(super) const fn area(rows: usize, columns: usize, bytes: usize) -> usize {
    rows * stride(columns, bytes)
}

/// Shared memory for a tile of elements of `bytes`.
#[cube]
pub(super) fn allocate<E: Float>(
    #[comptime] rows: usize,
    #[comptime] columns: usize,
    #[comptime] bytes: usize,
) -> SharedMemory<E> {
    SharedMemory::<E>::new_aligned(comptime!(area(rows, columns, bytes)), ALIGNMENT)
}

/// The form of a product of tiles C = A B, [M, K] by [K, N], when its kernel is compiled. Sides are
/// multiples of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProductForm {
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// B is stored as [N, K].
    pub transposed: bool,
    /// The product is added to C.
    pub add: bool,
    /// Bytes of an element of A and B. With 2 bytes tensor cores multiply: each plane computes 16
    /// rows of C.
    pub bytes: usize,
}

impl ProductForm {
    const fn stride_a(self) -> usize {
        stride(self.k, self.bytes)
    }

    const fn stride_b(self) -> usize {
        stride(if self.transposed { self.k } else { self.n }, self.bytes)
    }

    const fn stride_c(self) -> usize {
        stride(self.n, size_of::<f32>())
    }
}

/// Whether tensor cores multiply operands of `bytes`.
pub(super) const fn on_tensor_cores(bytes: usize) -> bool {
    bytes == 2
}

/// Synchronizes the units that share rows of a product: on tensor cores those of a plane.
#[cube]
pub(super) fn sync_rows(#[comptime] bytes: usize) {
    if comptime!(on_tensor_cores(bytes)) {
        sync_plane();
    } else {
        sync_cube();
    }
}

/// C = A B, or C += A B. The caller synchronizes rows before and after.
#[cube]
pub(super) fn product<E: Float>(
    a: &SharedMemory<E>,
    b: &SharedMemory<E>,
    c: &mut SharedMemory<f32>,
    #[comptime] form: ProductForm,
) {
    if comptime!(on_tensor_cores(form.bytes)) {
        by_fragments::<E>(a, b, c, form);
    } else {
        by_units::<E>(a, b, c, form);
    }
}

/// Each plane computes 16 rows of C. A fragment of A is loaded once for all columns.
#[cube]
fn by_fragments<E: Float>(
    a: &SharedMemory<E>,
    b: &SharedMemory<E>,
    c: &mut SharedMemory<f32>,
    #[comptime] form: ProductForm,
) {
    let row = UNIT_POS as usize / PLANE * FRAGMENT;
    let of_c = row * comptime!(form.stride_c());
    let across = comptime!(form.n / FRAGMENT);

    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for column in 0..across {
        let sum = cmma::Matrix::<f32>::from_value(
            cmma::MatrixIdent::Accumulator,
            FRAGMENT,
            FRAGMENT,
            FRAGMENT,
            cmma::MatrixLayout::Undefined,
            0.0,
        );
        if comptime!(form.add) {
            let at = of_c + column * FRAGMENT;
            cmma::load_with_layout(
                &sum,
                &c.slice(at, comptime!(form.m * form.stride_c())),
                comptime!(form.stride_c() as u32),
                cmma::MatrixLayout::RowMajor,
            );
        }
        sums.push(sum);
    }
    #[unroll]
    for step in 0..comptime!(form.k / FRAGMENT) {
        let left = cmma::Matrix::<E>::from_slice(
            cmma::MatrixIdent::A,
            FRAGMENT,
            FRAGMENT,
            FRAGMENT,
            cmma::MatrixLayout::RowMajor,
            &a.slice(
                row * comptime!(form.stride_a()) + step * FRAGMENT,
                comptime!(form.m * form.stride_a()),
            ),
            comptime!(form.stride_a() as u32),
        );
        #[unroll]
        for column in 0..across {
            let right = if comptime!(form.transposed) {
                let at = column * FRAGMENT * comptime!(form.stride_b()) + step * FRAGMENT;
                cmma::Matrix::<E>::from_slice(
                    cmma::MatrixIdent::B,
                    FRAGMENT,
                    FRAGMENT,
                    FRAGMENT,
                    cmma::MatrixLayout::ColMajor,
                    &b.slice(at, comptime!(form.n * form.stride_b())),
                    comptime!(form.stride_b() as u32),
                )
            } else {
                let at = step * FRAGMENT * comptime!(form.stride_b()) + column * FRAGMENT;
                cmma::Matrix::<E>::from_slice(
                    cmma::MatrixIdent::B,
                    FRAGMENT,
                    FRAGMENT,
                    FRAGMENT,
                    cmma::MatrixLayout::RowMajor,
                    &b.slice(at, comptime!(form.k * form.stride_b())),
                    comptime!(form.stride_b() as u32),
                )
            };
            let sum = sums.index(column);
            cmma::execute::<E, E, f32, f32>(&left, &right, sum, sum);
        }
    }
    #[unroll]
    for column in 0..across {
        cmma::store(
            &mut c.slice_mut(of_c + column * FRAGMENT, comptime!(form.m * form.stride_c())),
            sums.index(column),
            comptime!(form.stride_c() as u32),
            cmma::MatrixLayout::RowMajor,
        );
    }
}

/// 16 x 16 units; each takes every 16th row and column of C, with sums in registers.
#[cube]
fn by_units<E: Float>(
    a: &SharedMemory<E>,
    b: &SharedMemory<E>,
    c: &mut SharedMemory<f32>,
    #[comptime] form: ProductForm,
) {
    let (down, across) = (UNIT_POS as usize / SIDE, UNIT_POS as usize % SIDE);
    let stride_a = comptime!(form.stride_a());
    let stride_b = comptime!(form.stride_b());
    let stride_c = comptime!(form.stride_c());
    let rows = comptime!(form.m / SIDE);
    let columns = comptime!(form.n / SIDE);

    let mut sums = Array::<f32>::new(comptime!(rows * columns));
    #[unroll]
    for index in 0..comptime!(rows * columns) {
        sums[index] = 0.0f32;
    }
    let mut left = Array::<f32>::new(rows);
    for depth in 0..form.k {
        #[unroll]
        for i in 0..rows {
            let row = i * SIDE + down;
            left[i] = f32::cast_from(a[row * stride_a + depth]);
        }
        #[unroll]
        for j in 0..columns {
            let column = j * SIDE + across;
            let right = if comptime!(form.transposed) {
                f32::cast_from(b[column * stride_b + depth])
            } else {
                f32::cast_from(b[depth * stride_b + column])
            };
            #[unroll]
            for i in 0..rows {
                sums[i * columns + j] += left[i] * right;
            }
        }
    }
    #[unroll]
    for i in 0..rows {
        #[unroll]
        for j in 0..columns {
            let at = (i * SIDE + down) * stride_c + j * SIDE + across;
            if comptime!(form.add) {
                c[at] += sums[i * columns + j];
            } else {
                c[at] = sums[i * columns + j];
            }
        }
    }
}
