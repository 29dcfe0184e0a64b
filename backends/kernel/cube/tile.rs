//! Tiles of matrices in the memory that the units of a cube share, and products of them: on tensor cores where operands are
//! of half precision, by each unit's own multiply-adds otherwise.

use burn_cubecl::cubecl;
use cubecl::cmma;
use cubecl::prelude::*;

/// Units of a cube, where tensor cores do not ask for another number.
pub(super) const UNITS: usize = 256;
/// Units of a plane: lanes that work on a tensor core's fragment together.
pub(super) const PLANE: usize = 32;
/// Units along each side of a product by multiply-adds.
const SIDE: usize = 16;
/// Rows, columns and depth of a tensor core's fragment.
pub(super) const FRAGMENT: usize = 16;
/// Bytes left empty after each row of a tile, so that a column's elements lie in different banks. Fragments stay aligned.
const GAP: usize = 16;
/// Where fragments start, in bytes.
const ALIGNMENT: usize = 32;

/// Elements, of so many bytes, from one row of a tile of `columns` to the next.
pub(super) const fn stride(columns: usize, bytes: usize) -> usize {
    columns + GAP / bytes
}

/// Elements of a tile.
pub(super) const fn area(rows: usize, columns: usize, bytes: usize) -> usize {
    rows * stride(columns, bytes)
}

/// Room for a tile of elements of so many bytes.
#[cube]
pub(super) fn room<E: Float>(
    #[comptime] rows: usize,
    #[comptime] columns: usize,
    #[comptime] bytes: usize,
) -> SharedMemory<E> {
    SharedMemory::<E>::new_aligned(comptime!(area(rows, columns, bytes)), ALIGNMENT)
}

/// What a product of tiles C = A B, [M, K] by [K, N], is known to be when its kernel is compiled. Sides are multiples of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// B is stored as [N, K].
    pub turned: bool,
    /// The product is added to what C holds.
    pub add: bool,
    /// Bytes of an element of A and B. Those of 2 bytes are multiplied on tensor cores: each plane makes 16 rows of C.
    pub bytes: usize,
}

impl Form {
    const fn stride_a(self) -> usize {
        stride(self.k, self.bytes)
    }

    const fn stride_b(self) -> usize {
        stride(if self.turned { self.k } else { self.n }, self.bytes)
    }

    const fn stride_c(self) -> usize {
        stride(self.n, size_of::<f32>())
    }
}

/// Whether operands of so many bytes go to tensor cores.
pub(super) const fn on_tensor_cores(bytes: usize) -> bool {
    bytes == 2
}

/// Units that share rows of a product see what the others wrote of them: on tensor cores those of a plane.
#[cube]
pub(super) fn sync_rows(#[comptime] bytes: usize) {
    if comptime!(on_tensor_cores(bytes)) {
        sync_plane();
    } else {
        sync_cube();
    }
}

/// C = A B, or C += A B. Rows are to be synchronized before and after.
#[cube]
pub(super) fn product<E: Float>(
    a: &SharedMemory<E>,
    b: &SharedMemory<E>,
    c: &mut SharedMemory<f32>,
    #[comptime] form: Form,
) {
    if comptime!(on_tensor_cores(form.bytes)) {
        by_fragments::<E>(a, b, c, form);
    } else {
        by_units::<E>(a, b, c, form);
    }
}

/// Each plane makes 16 rows of C. A fragment of A is loaded once for all columns.
#[cube]
fn by_fragments<E: Float>(a: &SharedMemory<E>, b: &SharedMemory<E>, c: &mut SharedMemory<f32>, #[comptime] form: Form) {
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
            let right = if comptime!(form.turned) {
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

/// Units stand in a square of 16 x 16; each takes every 16th row and column of C, sums in its registers.
#[cube]
fn by_units<E: Float>(a: &SharedMemory<E>, b: &SharedMemory<E>, c: &mut SharedMemory<f32>, #[comptime] form: Form) {
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
            let right = if comptime!(form.turned) {
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
