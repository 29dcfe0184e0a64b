//! Matrix products of bf16 numbers with sums in f32 on the tiles of AMX, in the calling thread.
//!
//! A tile has 16 lines of 32 numbers along the inner dimension. One instruction multiplies two of them
//! and adds the 16 x 16 sums, 16 times as fast as multiply-adds of f32 vectors. So most of the time goes
//! into rounding operands and laying them out, and into sums that leave the tiles.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(test)]
mod plain;

use super::matrix::Matrix;
use super::simd::wide;
use super::threads::Threads;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Lines of a tile, and pairs of numbers in each.
const SIDE: usize = 16;

/// Numbers along the inner dimension of a tile.
const DEPTH: usize = 2 * SIDE;

/// Tiles along the inner dimension that are multiplied at a time: more of them leave a core's cache.
const DEEP: usize = 16;

/// Rows of a left operand that are packed at a time.
const ROWS: usize = 16 * SIDE;

/// 16 lines of 16 pairs of bf16 numbers, the first of a pair in the low half.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Tile([[u32; SIDE]; SIDE]);

/// Whether pairs of a tile stand along a line, as in left operands, or below each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Along {
    Inner,
    Across,
}

/// Up to 16 lines by 32 inner numbers of a matrix [lines, inner].
struct Piece<'a> {
    matrix: Matrix<'a>,
    line: usize,
    inner: usize,
}

impl Piece<'_> {
    fn lines(&self) -> usize {
        SIDE.min(self.matrix.rows.saturating_sub(self.line))
    }

    fn depth(&self) -> usize {
        DEPTH.min(self.matrix.columns - self.inner)
    }
}

/// 32 lines of both operands, two tiles after another along the inner dimension.
struct Block<'a> {
    left: &'a [[Tile; 2]],
    right: &'a [[Tile; 2]],
    /// Tiles that have rows and columns of the result: 1 or 2 each.
    size: [usize; 2],
}

/// Where the sums of a block go: rows of 16 numbers for each column of tiles.
struct Sums<'a> {
    out: &'a mut [f32],
    stride: usize,
    /// Whether they are added to what is there.
    add: bool,
}

/// How tiles are packed and multiplied.
#[derive(Clone, Copy)]
pub(super) struct Engine {
    /// Rounds a piece into a tile. Lines that the matrix does not have are zero.
    pack: fn(&mut MaybeUninit<Tile>, &Piece<'_>, Along),
    multiply: fn(Sums<'_>, &Block<'_>),
    begin: fn(),
    end: fn(),
}

impl Engine {
    /// That of AMX, if processor and system have it and `BRIDLE_AMX` is not 0.
    pub(super) fn of_this_processor() -> Option<Self> {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if amx::is_available() {
            return Some(amx::ENGINE);
        }
        None
    }
}

/// A right operand.
pub(super) struct Packed {
    engine: Engine,
    /// Those of a [`Block`] for each 32 columns.
    tiles: Vec<Tile>,
    columns: usize,
    inner: usize,
}

/// Packs 32 lines from `line` on.
fn pack(
    engine: Engine,
    tiles: &mut [MaybeUninit<Tile>],
    (matrix, along): (Matrix<'_>, Along),
    line: usize,
    depths: Range<usize>,
) {
    for (depth, tiles) in depths.zip(tiles.as_chunks_mut::<2>().0) {
        for (place, tile) in tiles.iter_mut().enumerate() {
            let (line, inner) = (line + place * SIDE, depth * DEPTH);
            (engine.pack)(tile, &Piece { matrix, line, inner }, along);
        }
    }
}

impl Packed {
    /// Packs a matrix, on `threads` if there are any.
    pub(super) fn new(engine: Engine, threads: Option<Threads>, matrix: Matrix<'_>) -> Self {
        let Matrix {
            rows: inner, columns, ..
        } = matrix;
        let deep = inner.div_ceil(DEPTH);
        let count = 2 * columns.div_ceil(2 * SIDE) * deep;
        let mut tiles = Vec::with_capacity(count);
        let blocks = tiles.spare_capacity_mut()[..count].chunks_mut(2 * deep).enumerate();
        let matrix = (matrix.transpose(), Along::Across);
        let work = |(number, tiles): (usize, &mut [MaybeUninit<Tile>])| {
            pack(engine, tiles, matrix, number * 2 * SIDE, 0..deep);
        };
        match threads {
            Some(threads) => threads.for_each(blocks.collect(), work),
            None => blocks.for_each(work),
        }
        // SAFETY: all tiles are packed above
        unsafe { tiles.set_len(count) };
        Self {
            engine,
            tiles,
            columns,
            inner,
        }
    }

    /// `out` = `factor` * `lhs` * this, added to `out` if `add`. Rows of `out` start `out_stride`
    /// apart.
    pub(super) fn product(&self, out: &mut [f32], out_stride: usize, lhs: Matrix<'_>, factor: f32, add: bool) {
        assert_eq!(lhs.columns, self.inner, "inner dimensions of the product differ");
        let mut left = LEFT.take();
        (self.engine.begin)();
        let all = self.inner.div_ceil(DEPTH);
        for depth in (0..all).step_by(DEEP) {
            let depths = depth..all.min(depth + DEEP);
            for first in (0..lhs.rows).step_by(ROWS) {
                let rows = ROWS.min(lhs.rows - first);
                let count = 2 * rows.div_ceil(2 * SIDE) * depths.len();
                left.clear();
                left.reserve(count);
                let blocks = left.spare_capacity_mut()[..count].chunks_mut(2 * depths.len());
                for (number, tiles) in blocks.enumerate() {
                    let line = first + number * 2 * SIDE;
                    pack(self.engine, tiles, (lhs, Along::Inner), line, depths.clone());
                }
                // SAFETY: all tiles are packed above
                unsafe { left.set_len(count) };
                let (out, add) = (&mut out[first * out_stride..], add || depth > 0);
                let left = (left.as_chunks().0, rows);
                self.multiply(out, out_stride, left, depths.clone(), factor, add);
            }
        }
        (self.engine.end)();
        LEFT.set(left);
    }

    /// A part of the inner dimension, with as many rows of a left operand.
    fn multiply(
        &self,
        out: &mut [f32],
        out_stride: usize,
        (left, rows): (&[[Tile; 2]], usize),
        depths: Range<usize>,
        factor: f32,
        add: bool,
    ) {
        let mut scratch = Scratch([[0.0; 2 * SIDE]; 2 * SIDE]);
        let right = self.tiles.as_chunks().0;
        for (number, right) in right.chunks_exact(self.inner.div_ceil(DEPTH)).enumerate() {
            let (column, right) = (number * 2 * SIDE, &right[depths.clone()]);
            for (number, left) in left.chunks_exact(depths.len()).enumerate() {
                let row = number * 2 * SIDE;
                let whole = [rows - row, self.columns - column].map(|count| count.min(2 * SIDE));
                let size = whole.map(|count| count.div_ceil(SIDE));
                let block = Block { left, right, size };
                let out = &mut out[row * out_stride + column..];
                if factor == 1.0 && size.map(|count| count * SIDE) == whole {
                    let stride = out_stride;
                    (self.engine.multiply)(Sums { out, stride, add }, &block);
                } else {
                    let sums = Sums {
                        out: scratch.0.as_flattened_mut(),
                        stride: 2 * SIDE,
                        add: false,
                    };
                    (self.engine.multiply)(sums, &block);
                    put(out, out_stride, &scratch, whole, factor, add);
                }
            }
        }
    }
}

thread_local! {
    /// Tiles of left operands: new memory for each product would take as long as packing.
    static LEFT: Cell<Vec<Tile>> = const { Cell::new(Vec::new()) };
}

/// Sums of a block on their way.
#[repr(C, align(64))]
pub(super) struct Scratch([[f32; 2 * SIDE]; 2 * SIDE]);

wide! {
    /// Sums of a block, scaled, into the rows of a result.
    fn put(out: &mut [f32], out_stride: usize, sums: &Scratch, size: [usize; 2], factor: f32, add: bool) {
        let [height, width] = size;
        for (row, sums) in sums.0[..height].iter().enumerate() {
            let out = &mut out[row * out_stride..][..width];
            match <&mut [f32; 2 * SIDE]>::try_from(&mut *out) {
                Ok(out) => put_row(out, sums, factor, add),
                Err(_) => put_row(out, sums, factor, add),
            }
        }
    }
}

#[inline(always)]
fn put_row(out: &mut [f32], sums: &[f32; 2 * SIDE], factor: f32, add: bool) {
    let pairs = out.iter_mut().zip(sums);
    if add {
        pairs.for_each(|(out, sum)| *out += sum * factor);
    } else {
        pairs.for_each(|(out, sum)| *out = sum * factor);
    }
}

#[cfg(test)]
mod tests {
    use super::super::bf16;
    use super::super::matrix::testing::{drawn, side};
    use super::*;

    /// The plain form, and that of this processor if it has one.
    fn engines() -> Vec<Engine> {
        let own = Engine::of_this_processor();
        if own.is_none() {
            println!("only the plain form: this processor has no AMX");
        }
        std::iter::once(plain::ENGINE).chain(own).collect()
    }

    /// The largest error of a product in units of the sum of its terms' sizes, against sums in f64 over rounded operands.
    fn error(engine: Engine, [m, n, k]: [usize; 3], flags: usize, factor: f32) -> f64 {
        let [left_turned, right_turned, add] = [0, 1, 2].map(|place| flags >> place & 1 == 1);
        let (a, b, before) = (drawn("a", m * k), drawn("b", k * n), drawn("out", m * (n + 3)));
        let (lhs, rhs) = (side(&a, m, k, left_turned), side(&b, k, n, right_turned));
        let mut out = before.clone();
        Packed::new(engine, None, rhs).product(&mut out, n + 3, lhs, factor, add);
        let at = |side: Matrix<'_>, i, j| {
            let number = side.data[i * side.row_stride + j * side.column_stride];
            f64::from(bf16::value(bf16::round(number)))
        };
        let mut worst = 0_f64;
        for (index, (&out, &before)) in out.iter().zip(&before).enumerate() {
            let (i, j) = (index / (n + 3), index % (n + 3));
            if j >= n {
                assert_eq!(out, before, "{m} {n} {k}: written outside the result");
                continue;
            }
            let before = if add { f64::from(before) } else { 0.0 };
            let terms = (0..k).map(|p| f64::from(factor) * at(lhs, i, p) * at(rhs, p, j));
            let (sum, size) = terms.fold((before, before.abs()), |(sum, size), term| {
                (sum + term, size + term.abs())
            });
            worst = worst.max((f64::from(out) - sum).abs() / size);
        }
        worst
    }

    #[test]
    fn products_equal_those_of_rounded_operands() {
        let sizes = [
            [1, 1, 1],
            [7, 17, 3],
            [16, 16, 32],
            [33, 40, 33],
            [65, 100, 257],
            [20, 64, 1100],
            [300, 50, 70],
        ];
        for (size, flags) in sizes
            .into_iter()
            .flat_map(|size| (0..8).map(move |flags| (size, flags)))
        {
            for (engine, factor) in engines().into_iter().flat_map(|engine| [(engine, 1.0), (engine, 0.3)]) {
                let error = error(engine, size, flags, factor);
                assert!(error < 3e-7, "{size:?} {flags} {factor}: {error:e}");
            }
        }
    }

    /// So a row's result does not depend on its batch.
    #[test]
    fn a_row_alone_is_the_same_as_among_others() {
        let (a, b) = (drawn("a", 70 * 90), drawn("b", 90 * 40));
        for engine in engines() {
            let packed = Packed::new(engine, None, Matrix::dense(&b, 40));
            let mut all = vec![0.0; 70 * 40];
            packed.product(&mut all, 40, Matrix::dense(&a, 90), 1.0, false);
            for (row, expected) in a.chunks_exact(90).zip(all.chunks_exact(40)) {
                let mut alone = vec![0.0; 40];
                packed.product(&mut alone, 40, Matrix::dense(row, 90), 1.0, false);
                assert_eq!(alone, expected);
            }
        }
    }

    #[test]
    fn this_processor_packs_as_any_does() {
        let data = drawn("a", 50 * 70);
        for engine in engines().into_iter().skip(1) {
            for (turned, along) in [false, true]
                .into_iter()
                .flat_map(|turned| [Along::Inner, Along::Across].map(|along| (turned, along)))
            {
                let matrix = side(&data, 50, 70, turned);
                for (line, inner) in [(0, 0), (16, 32), (48, 64), (32, 64), (48, 0), (64, 32)] {
                    let piece = Piece { matrix, line, inner };
                    let [found, expected] = [engine, plain::ENGINE].map(|engine| {
                        let mut tile = MaybeUninit::new(Tile([[1; SIDE]; SIDE]));
                        (engine.pack)(&mut tile, &piece, along);
                        // SAFETY: the tile is initialized
                        unsafe { tile.assume_init() }.0
                    });
                    assert_eq!(found, expected, "{turned} {line} {inner}");
                }
            }
        }
    }

    /// Whatever is not finite stays so, which is how runs notice that they diverge.
    #[test]
    fn what_is_not_finite_stays_so() {
        for (engine, number) in engines()
            .into_iter()
            .flat_map(|engine| [f32::INFINITY, f32::NEG_INFINITY, f32::NAN].map(|number| (engine, number)))
        {
            let (mut a, b) = (drawn("a", 20 * 40), drawn("b", 40 * 20));
            a[45] = number;
            let mut out = vec![0.0; 20 * 20];
            Packed::new(engine, None, Matrix::dense(&b, 20)).product(&mut out, 20, Matrix::dense(&a, 40), 1.0, false);
            for (row, out) in out.chunks(20).enumerate() {
                assert_eq!(
                    out.iter().all(|number: &f32| number.is_finite()),
                    row != 1,
                    "{number} {row}"
                );
            }
        }
    }
}
