//! Sums and maxima over rows of a matrix: 8 rows to a cube, 32 units to a row.

use super::tile::UNITS;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Rows of a cube at a time.
pub(super) const ROWS: usize = 8;
/// Units of a row; each takes every 32nd element.
pub(super) const SHARERS: usize = UNITS / ROWS;

/// Shared memory for one value of each unit.
#[cube]
pub(super) fn parts() -> SharedMemory<f32> {
    SharedMemory::<f32>::new(UNITS)
}

/// The sum of the values of a row's units. Synchronizes the cube.
#[cube]
pub(super) fn sum(value: f32, parts: &mut SharedMemory<f32>) -> f32 {
    sync_cube();
    parts[UNIT_POS as usize] = value;
    sync_cube();
    let start = UNIT_POS as usize / SHARERS * SHARERS;
    let mut sum = 0.0f32;
    #[unroll]
    for sharer in 0..SHARERS {
        sum += parts[start + sharer];
    }
    sum
}

/// The largest of the values of a row's units. Synchronizes the cube.
#[cube]
pub(super) fn largest(value: f32, parts: &mut SharedMemory<f32>) -> f32 {
    sync_cube();
    parts[UNIT_POS as usize] = value;
    sync_cube();
    let start = UNIT_POS as usize / SHARERS * SHARERS;
    let mut largest = value;
    #[unroll]
    for sharer in 0..SHARERS {
        largest = f32::max(largest, parts[start + sharer]);
    }
    largest
}
