//! Layer normalization, one kernel forward and one backward.

use super::row::{self, ROWS, SHARERS};
use super::tile::UNITS;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Rows over which one cube sums the gradients of scale and shift.
pub(super) const STRIP: usize = 64;

/// Mean of a row of `rows` [N, D], and the factor that makes its variance 1.
#[cube]
fn moments(
    rows: &Array<f32>,
    parts: &mut SharedMemory<f32>,
    base: usize,
    within: bool,
    epsilon: f32,
    #[comptime] width: usize,
) -> (f32, f32) {
    let share = UNIT_POS as usize % SHARERS;
    let mut sum = 0.0f32;
    if within {
        let mut column = share;
        while column < width {
            sum += rows[base + column];
            column += SHARERS;
        }
    }
    let mean = row::sum(sum, parts) / comptime!(width as f32);
    let mut square = 0.0f32;
    if within {
        let mut column = share;
        while column < width {
            let centred = rows[base + column] - mean;
            square += centred * centred;
            column += SHARERS;
        }
    }
    let variance = row::sum(square, parts) / comptime!(width as f32);
    (mean, 1.0f32 / (variance + epsilon).sqrt())
}

/// `rows` [N, D] with mean 0 and variance 1, times `scale` [D] plus `shift` [D].
#[cube(launch_unchecked)]
pub(super) fn norm(
    rows: &Array<f32>,
    scale: &Array<f32>,
    shift: &Array<f32>,
    out: &mut Array<f32>,
    count: u32,
    epsilon: f32,
    #[comptime] width: usize,
) {
    let mut parts = row::parts();
    let at = CUBE_POS_X as usize * ROWS + UNIT_POS as usize / SHARERS;
    let within = at < count as usize;
    let base = at * width;
    let (mean, factor) = moments(rows, &mut parts, base, within, epsilon, width);
    if within {
        let mut column = UNIT_POS as usize % SHARERS;
        while column < width {
            out[base + column] = (rows[base + column] - mean) * factor * scale[column] + shift[column];
            column += SHARERS;
        }
    }
}

/// Gradients of the rows [N, D]; for each [`STRIP`] of rows those of scale and shift, `sums`
/// [strips, 2, D].
#[cube(launch_unchecked)]
pub(super) fn norm_backward(
    rows: &Array<f32>,
    scale: &Array<f32>,
    grad: &Array<f32>,
    out: &mut Array<f32>,
    sums: &mut Array<f32>,
    count: u32,
    epsilon: f32,
    #[comptime] width: usize,
) {
    let unit = UNIT_POS as usize;
    let first = CUBE_POS_X as usize * STRIP;
    let mut parts = row::parts();
    let mut means = SharedMemory::<f32>::new(STRIP);
    let mut factors = SharedMemory::<f32>::new(STRIP);

    for turn in 0..comptime!(STRIP / ROWS) {
        let in_strip = turn * ROWS + unit / SHARERS;
        let at = first + in_strip;
        let within = at < count as usize;
        let base = at * width;
        let (mean, factor) = moments(rows, &mut parts, base, within, epsilon, width);
        // the row's gradient is factor * (g - mean(g) - x mean(g x)), g the scaled gradient, x the
        // standardized row
        let mut plain = 0.0f32;
        let mut weighted = 0.0f32;
        if within {
            let mut column = unit % SHARERS;
            while column < width {
                let scaled = grad[base + column] * scale[column];
                plain += scaled;
                weighted += scaled * (rows[base + column] - mean) * factor;
                column += SHARERS;
            }
        }
        let plain = row::sum(plain, &mut parts) / comptime!(width as f32);
        let weighted = row::sum(weighted, &mut parts) / comptime!(width as f32);
        if within {
            let mut column = unit % SHARERS;
            while column < width {
                let standard = (rows[base + column] - mean) * factor;
                out[base + column] = factor * (grad[base + column] * scale[column] - plain - standard * weighted);
                column += SHARERS;
            }
        }
        let share = unit % SHARERS;
        if share == 0 {
            means[in_strip] = mean;
            factors[in_strip] = factor;
        }
    }
    sync_cube();

    let mut column = unit;
    while column < width {
        let mut of_scale = 0.0f32;
        let mut of_shift = 0.0f32;
        for in_strip in 0..STRIP {
            if first + in_strip < count as usize {
                let at = (first + in_strip) * width + column;
                of_scale += grad[at] * (rows[at] - means[in_strip]) * factors[in_strip];
                of_shift += grad[at];
            }
        }
        let strip = CUBE_POS_X as usize * 2 * width;
        sums[strip + column] = of_scale;
        sums[strip + width + column] = of_shift;
        column += UNITS;
    }
}
