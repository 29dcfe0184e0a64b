//! Cross-entropy of rows of logits against one code each, without a matrix of probabilities.

use super::row::{self, ROWS, SHARERS};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Below any finite logit.
const LOWEST: f32 = -3e38;

/// The largest logit t of a row of `logits` [N, K], and the sum of exp(logit - t).
#[cube]
fn softmax_of(
    logits: &Array<f32>,
    parts: &mut SharedMemory<f32>,
    base: usize,
    within: bool,
    #[comptime] width: usize,
) -> (f32, f32) {
    let share = UNIT_POS as usize % SHARERS;
    let mut top = f32::new(LOWEST);
    if within {
        let mut column = share;
        while column < width {
            top = f32::max(top, logits[base + column]);
            column += SHARERS;
        }
    }
    let top = row::largest(top, parts);
    let mut total = 0.0f32;
    if within {
        let mut column = share;
        while column < width {
            total += (logits[base + column] - top).exp();
            column += SHARERS;
        }
    }
    (top, row::sum(total, parts))
}

/// The loss of each row of `logits` [N, K] against its code in `codes` [N], into `losses` [N].
#[cube(launch_unchecked)]
pub(super) fn losses(
    logits: &Array<f32>,
    codes: &Array<i32>,
    losses: &mut Array<f32>,
    count: u32,
    #[comptime] width: usize,
) {
    let mut parts = row::parts();
    let at = CUBE_POS_X as usize * ROWS + UNIT_POS as usize / SHARERS;
    let share = UNIT_POS as usize % SHARERS;
    let within = at < count as usize;
    let (top, total) = softmax_of(logits, &mut parts, at * width, within, width);
    if within && share == 0 {
        losses[at] = (top - logits[at * width + codes[at] as usize]) + total.ln();
    }
}

/// Gradient of the mean of [`losses`] times `grad` [1], into `out` [N, K].
#[cube(launch_unchecked)]
pub(super) fn losses_backward(
    logits: &Array<f32>,
    codes: &Array<i32>,
    grad: &Array<f32>,
    out: &mut Array<f32>,
    count: u32,
    #[comptime] width: usize,
) {
    let mut parts = row::parts();
    let at = CUBE_POS_X as usize * ROWS + UNIT_POS as usize / SHARERS;
    let within = at < count as usize;
    let (top, total) = softmax_of(logits, &mut parts, at * width, within, width);
    if within {
        let factor = grad[0] / f32::cast_from(count);
        let code = codes[at] as usize;
        let mut column = UNIT_POS as usize % SHARERS;
        while column < width {
            let mut less = 0.0f32;
            if column == code {
                less = 1.0f32;
            }
            out[at * width + column] = ((logits[at * width + column] - top).exp() / total - less) * factor;
            column += SHARERS;
        }
    }
}
