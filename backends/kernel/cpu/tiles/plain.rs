//! Tiles on any processor: the reference in tests.

use super::super::bf16::{round, value};
use super::{Along, Block, Engine, Piece, SIDE, Sums, Tile};
use std::mem::MaybeUninit;

pub(super) const ENGINE: Engine = Engine {
    pack,
    multiply,
    begin: || {},
    end: || {},
};

fn pack(tile: &mut MaybeUninit<Tile>, piece: &Piece<'_>, along: Along) {
    let (tile, matrix) = (tile.write(Tile([[0; SIDE]; SIDE])), &piece.matrix);
    for (line, place) in (0..piece.lines()).flat_map(|line| (0..piece.depth()).map(move |place| (line, place))) {
        let index = (piece.line + line) * matrix.row_stride + (piece.inner + place) * matrix.column_stride;
        let pair = match along {
            Along::Inner => &mut tile.0[line][place / 2],
            Along::Across => &mut tile.0[place / 2][line],
        };
        *pair |= round(matrix.data[index]) << (16 * (place % 2));
    }
}

fn multiply(sums: Sums<'_>, block: &Block<'_>) {
    let [rows, columns] = block.size;
    for (row, column) in (0..rows * SIDE).flat_map(|row| (0..columns * SIDE).map(move |column| (row, column))) {
        let sum = &mut sums.out[row * sums.stride + column];
        let mut total = if sums.add { *sum } else { 0.0 };
        for (left, right) in block.left.iter().zip(block.right) {
            let left = &left[row / SIDE].0[row % SIDE];
            let right = right[column / SIDE].0.iter().map(|line| line[column % SIDE]);
            for (&a, b) in left.iter().zip(right) {
                total += value(a) * value(b) + value(a >> 16) * value(b >> 16);
            }
        }
        *sum = total;
    }
}
