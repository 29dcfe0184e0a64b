//! Rows that are spread over the ranks that train one model together, each holding a contiguous part
//! of them, in the order of ranks.

use crate::codebook::index_rows;
use bridle_backends::Ops;
use bridle_backends::kernel::{ranks, sum_over_ranks};
use burn::tensor::Tensor;

/// The rows before those of this rank, and the rows of all, where this rank has so many.
fn span(own: usize) -> [usize; 2] {
    let ranks = ranks();
    let counts = ranks.required(ranks.gather_values(vec![own as u64]));
    let sum = |counts: &[u64]| counts.iter().sum::<u64>() as usize;
    [sum(&counts[..ranks.rank()]), sum(&counts)]
}

/// Rows that all ranks have together, where this one has so many.
pub fn count(own: usize) -> usize {
    let [_, all] = span(own);
    all
}

/// The rows with these numbers, counted over all ranks, of the rows [M, d] that this one has: the
/// same [K, d] on every rank.
pub fn select<B: Ops>(rows: Tensor<B, 2>, picked: &[usize]) -> Tensor<B, 2> {
    let (device, [own, dim]) = (rows.device(), rows.dims());
    if ranks().size() == 1 {
        return rows.select(0, index_rows(picked, &device));
    }
    let [before, _] = span(own);
    // whoever has a row gives it, the others give zeros
    let place = |&row: &usize| row.checked_sub(before).filter(|&place| place < own);
    let places: Vec<usize> = picked.iter().map(|row| place(row).unwrap_or(0)).collect();
    let missing: Vec<usize> = picked.iter().map(|row| usize::from(place(row).is_none())).collect();
    let missing = index_rows::<B>(&missing, &device).equal_elem(1).unsqueeze_dim::<2>(1);
    let found = rows.select(0, index_rows(&places, &device));
    sum_over_ranks(found.mask_fill(missing.expand([picked.len(), dim]), 0.0))
}
