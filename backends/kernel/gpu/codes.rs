//! The codes of residual quantization in one kernel.
//!
//! A cube takes a tile of rows through all codebooks and keeps only the best of each tile of
//! scores, so no matrix of distances is stored.

use super::tile::UNITS;
use crate::kernel::plain::SHORTEST;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Rows of a cube.
pub(super) const ROWS: usize = 64;
/// Codes of a tile.
const CODES: usize = 64;
/// Dimensions of a tile of rows or codes.
const DEPTH: usize = 16;
/// Units along each side of a tile; each takes every 16th row and code.
const SIDE: usize = 16;
/// Rows, and codes, of one unit.
const EACH: usize = ROWS / SIDE;
/// Elements from one row of a tile to the next: one extra, so that a column's elements are in
/// different banks.
const STRIDE: usize = DEPTH + 1;

/// Sizes of a search, known when its kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CodeSearch {
    /// d.
    pub width: usize,
    /// Codes K of a codebook.
    pub codes: usize,
    /// Codebooks Q.
    pub books: usize,
    /// Residuals are scaled to unit length for the lookup.
    pub unit_lookup: bool,
}

/// Codes [N, Q] of `rows` [N, d] in `books` [Q, K, d], whose vectors have half squared lengths
/// `halves` [Q, K].
///
/// `left` [N, d] holds the residuals; those of the last book are not computed. The nearest code has
/// the largest inner product minus its half. At unit length, the halves are multiplied by a row's
/// length instead of dividing the row.
#[cube(launch_unchecked)]
pub(super) fn residual_codes(
    rows: &Array<f32>,
    books: &Array<f32>,
    halves: &Array<f32>,
    left: &mut Array<f32>,
    found: &mut Array<i32>,
    count: u32,
    #[comptime] search: CodeSearch,
) {
    let unit = UNIT_POS as usize;
    let (down, across) = (unit / SIDE, unit % SIDE);
    let first = CUBE_POS_X as usize * ROWS;
    let count = count as usize;

    let mut of_rows = SharedMemory::<f32>::new(comptime!(ROWS * STRIDE));
    let mut of_codes = SharedMemory::<f32>::new(comptime!(CODES * STRIDE));
    let mut lengths = SharedMemory::<f32>::new(ROWS);
    let mut parts = SharedMemory::<f32>::new(comptime!(ROWS * SIDE));
    let mut places = SharedMemory::<u32>::new(comptime!(ROWS * SIDE));

    // 4 units share a row
    let (row_shared, share) = (unit / EACH, unit % EACH);
    let mut index = unit;
    while index < ROWS * search.width {
        if first + index / search.width < count {
            left[first * search.width + index] = rows[first * search.width + index];
        }
        index += UNITS;
    }

    for book in 0..search.books {
        sync_storage();
        sync_cube();
        if comptime!(search.unit_lookup) {
            let mut square = 0.0f32;
            if first + row_shared < count {
                let mut column = share;
                while column < search.width {
                    let value = left[(first + row_shared) * search.width + column];
                    square += value * value;
                    column += EACH;
                }
            }
            parts[unit] = square;
            sync_cube();
            if share == 0 {
                let square = parts[unit] + parts[unit + 1] + parts[unit + 2] + parts[unit + 3];
                lengths[row_shared] = f32::max(square.sqrt(), SHORTEST);
            }
        } else {
            if share == 0 {
                lengths[row_shared] = 1.0f32;
            }
        }
        sync_cube();

        let mut best = Array::<f32>::new(EACH);
        let mut place = Array::<u32>::new(EACH);
        #[unroll]
        for i in 0..EACH {
            best[i] = f32::min_value();
            place[i] = 0u32;
        }
        for tile in 0..comptime!(search.codes.div_ceil(CODES)) {
            let start = tile * CODES;
            let mut sums = Array::<f32>::new(comptime!(EACH * EACH));
            #[unroll]
            for i in 0..comptime!(EACH * EACH) {
                sums[i] = 0.0f32;
            }
            for part in 0..comptime!(search.width.div_ceil(DEPTH)) {
                sync_cube(); // the previous tile has been read
                #[unroll]
                for turn in 0..comptime!(ROWS * DEPTH / UNITS) {
                    let index = turn * UNITS + unit;
                    let (row, step) = (index / DEPTH, index % DEPTH);
                    let column = part * DEPTH + step;
                    let mut value = 0.0f32;
                    if column < search.width && first + row < count {
                        value = left[(first + row) * search.width + column];
                    }
                    of_rows[row * STRIDE + step] = value;
                    let mut value = 0.0f32;
                    if column < search.width && start + row < search.codes {
                        value = books[(book * search.codes + start + row) * search.width + column];
                    }
                    of_codes[row * STRIDE + step] = value;
                }
                sync_cube();
                #[unroll]
                for step in 0..DEPTH {
                    let mut values = Array::<f32>::new(EACH);
                    #[unroll]
                    for i in 0..EACH {
                        values[i] = of_rows[(i * SIDE + down) * STRIDE + step];
                    }
                    #[unroll]
                    for j in 0..EACH {
                        let value = of_codes[(j * SIDE + across) * STRIDE + step];
                        #[unroll]
                        for i in 0..EACH {
                            sums[i * EACH + j] += values[i] * value;
                        }
                    }
                }
            }
            #[unroll]
            for j in 0..EACH {
                let code = start + j * SIDE + across;
                if code < search.codes {
                    let half = halves[book * search.codes + code];
                    #[unroll]
                    for i in 0..EACH {
                        let score = sums[i * EACH + j] - half * lengths[i * SIDE + down];
                        if score > best[i] {
                            best[i] = score;
                            place[i] = code as u32;
                        }
                    }
                }
            }
        }
        #[unroll]
        for i in 0..EACH {
            parts[(i * SIDE + down) * SIDE + across] = best[i];
            places[(i * SIDE + down) * SIDE + across] = place[i];
        }
        sync_cube();
        // the best of each row, the lowest code on ties
        if unit < ROWS {
            let mut highest = parts[unit * SIDE];
            let mut code = places[unit * SIDE];
            for other in 1..SIDE {
                let score = parts[unit * SIDE + other];
                let its = places[unit * SIDE + other];
                if score > highest || (score == highest && its < code) {
                    highest = score;
                    code = its;
                }
            }
            places[unit * SIDE] = code;
            if first + unit < count {
                found[(first + unit) * search.books + book] = code as i32;
            }
        }
        sync_cube();
        if book + 1 < search.books {
            let mut index = unit;
            while index < ROWS * search.width {
                let row = index / search.width;
                if first + row < count {
                    let code = places[row * SIDE] as usize;
                    left[first * search.width + index] -=
                        books[(book * search.codes + code) * search.width + index % search.width];
                }
                index += UNITS;
            }
        }
    }
}
