//! Which samples are whose: contiguous parts, in the order of ranks.

use std::ops::Range;

/// The places of `total` that belong to `rank` of `size`: contiguous, in order of ranks; sizes
/// differ by at most one.
pub fn part(total: usize, rank: usize, size: usize) -> Range<usize> {
    let bound = |rank: usize| (total as u128 * rank as u128 / size as u128) as usize;
    bound(rank)..bound(rank + 1)
}

/// The parts of all ranks.
pub fn parts(total: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..size).map(move |rank| part(total, rank, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_cover_all_in_order_and_are_alike(total in 0..usize::MAX, size in 1usize..100) {
            let (mut next, (mut least, mut most)) = (0, (usize::MAX, 0));
            for part in parts(total, size) {
                prop_assert_eq!(part.start, next);
                next = part.end;
                (least, most) = (least.min(part.len()), most.max(part.len()));
            }
            prop_assert_eq!(next, total);
            prop_assert!(most - least <= 1);
        }
    }
}
