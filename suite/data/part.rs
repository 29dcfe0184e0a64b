//! Which samples of a batch are a rank's.

use bridle_ranks::Ranks;

/// A rank's part of a batch: its places, which are contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first place.
    pub first: usize,
    /// How many.
    pub len: usize,
    /// Samples of the batch over all ranks.
    pub of: usize,
}

/// A sample with its place in a step, which decides what is drawn for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub place: usize,
    pub sample: usize,
}

impl Part {
    /// A batch that is not shared.
    pub const fn whole(samples: usize) -> Self {
        Self {
            first: 0,
            len: samples,
            of: samples,
        }
    }

    /// This rank's part of each batch of a step of so many samples, in batches of `batch` and a
    /// smaller one at the end.
    pub fn of_step(samples: usize, batch: usize, ranks: &Ranks) -> Vec<Self> {
        let own = |of| {
            let places = ranks.part(of);
            Self {
                first: places.start,
                len: places.len(),
                of,
            }
        };
        let starts = (0..samples).step_by(batch.max(1));
        starts.map(|start| own(batch.min(samples - start))).collect()
    }

    /// Which share of the batch it is.
    pub fn share(&self) -> f64 {
        self.len as f64 / self.of as f64
    }

    /// What belongs to the part, of numbers that were drawn for the whole batch, equally many for
    /// each sample.
    pub fn cut<'a, T>(&self, whole: &'a [T]) -> &'a [T] {
        let each = whole.len() / self.of.max(1);
        &whole[self.first * each..(self.first + self.len) * each]
    }

    /// The samples of a step that belong to its parts.
    pub fn placed(parts: &[Self], step: &[usize]) -> Vec<Placed> {
        let mut start = 0;
        let mut found = Vec::new();
        for part in parts {
            let places = start + part.first..start + part.first + part.len;
            found.extend(places.map(|place| Placed {
                place,
                sample: step[place],
            }));
            start += part.of;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The parts of rank `rank` of `size`.
    fn parts(samples: usize, batch: usize, rank: usize, size: usize) -> Vec<Part> {
        let whole = Part::of_step(samples, batch, &Ranks::Alone);
        let own = |part: Part| {
            let places = bridle_ranks::part(part.of, rank, size);
            Part {
                first: places.start,
                len: places.len(),
                ..part
            }
        };
        whole.into_iter().map(own).collect()
    }

    proptest! {
        #[test]
        fn alone_a_rank_has_all_samples_in_order(samples in 0usize..60, batch in 1usize..20) {
            let step: Vec<usize> = (100..100 + samples).collect();
            let parts = Part::of_step(samples, batch, &Ranks::Alone);
            prop_assert!(parts.iter().all(|part| *part == Part::whole(part.of) && part.of <= batch));
            let placed = Part::placed(&parts, &step);
            prop_assert_eq!(placed.iter().map(|placed| placed.sample).collect::<Vec<_>>(), step);
            prop_assert!(placed.iter().enumerate().all(|(place, placed)| placed.place == place));
        }

        #[test]
        fn ranks_have_every_sample_of_every_batch_once(samples in 1usize..60, batch in 1usize..20, size in 1usize..5) {
            let step: Vec<usize> = (100..100 + samples).collect();
            let of = |rank| Part::placed(&parts(samples, batch, rank, size), &step);
            let mut all: Vec<Placed> = (0..size).flat_map(of).collect();
            all.sort_by_key(|placed| placed.place);
            prop_assert!(all.iter().enumerate().all(|(place, placed)| placed.place == place && placed.sample == 100 + place));
            prop_assert_eq!(all.len(), samples);
        }

        #[test]
        fn what_is_cut_for_all_ranks_is_what_was_drawn(of in 1usize..40, each in 1usize..4, size in 1usize..5) {
            let drawn: Vec<usize> = (0..of * each).collect();
            let cut = |rank| parts(of, of, rank, size)[0].cut(&drawn).to_vec();
            prop_assert_eq!((0..size).flat_map(cut).collect::<Vec<_>>(), drawn);
        }
    }
}
