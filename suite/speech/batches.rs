//! Utterances to batches: alike in length, so that little is padding, in an order that the seed fixes.

use bridle_seed::Seed;
use bridle_tasks::{DataError, SpeechSet};

/// So many batches' utterances are drawn together and sorted by length. More would pad less and mix less.
const POOL: usize = 8;

/// The model's frames of some utterances, one after the other, and what they are of.
#[derive(Clone, Debug, PartialEq)]
pub struct Stacked {
    /// The utterances, by their numbers in the data set.
    pub utterances: Vec<usize>,
    /// Frames of each.
    pub lengths: Vec<usize>,
    /// All frames, `[sum of lengths, F]`.
    pub values: Vec<f32>,
}

/// Frames of the model that utterance `index` has.
pub fn length(set: &SpeechSet, index: usize) -> usize {
    set.frames(index) / set.input_spec().stacked
}

impl Stacked {
    /// Reads these utterances.
    ///
    /// # Errors
    /// If one cannot be read any more.
    pub fn read(set: &SpeechSet, utterances: Vec<usize>) -> Result<Self, DataError> {
        let input = set.input_spec();
        let lengths: Vec<usize> = utterances.iter().map(|&index| length(set, index)).collect();
        let mut values = Vec::with_capacity(lengths.iter().sum::<usize>() * input.stacked * input.mels);
        for (&index, length) in utterances.iter().zip(&lengths) {
            // what does not fill a stack at the end is left out
            values.extend_from_slice(&set.input(index)?[..length * input.stacked * input.mels]);
        }
        Ok(Self {
            utterances,
            lengths,
            values,
        })
    }
}

/// The training order: in each epoch every utterance once, in batches of like lengths that come in random order. What does
/// not fill a batch is left out, another part in each epoch.
#[derive(Clone, Debug)]
pub struct Batches {
    /// Utterances with their lengths.
    utterances: Vec<(usize, usize)>,
    batch: usize,
    seed: Seed,
    epoch: Option<(u64, Vec<Vec<usize>>)>,
}

impl Batches {
    /// Batches of `batch` utterances (or of all, if there are fewer).
    pub fn new(set: &SpeechSet, utterances: &[usize], batch: usize, seed: Seed) -> Self {
        let with_length = |&index: &usize| (index, length(set, index));
        Self::of_lengths(utterances.iter().map(with_length).collect(), batch, seed)
    }

    fn of_lengths(utterances: Vec<(usize, usize)>, batch: usize, seed: Seed) -> Self {
        Self {
            batch: batch.min(utterances.len()).max(1),
            utterances,
            seed,
            epoch: None,
        }
    }

    fn epoch(&self, epoch: u64) -> Vec<Vec<usize>> {
        let seed = self.seed.indexed(epoch);
        let mut drawn = self.utterances.clone();
        seed.child("pools").stream().shuffle(&mut drawn);
        drawn.truncate(self.steps_per_epoch() as usize * self.batch);
        // stable: of equal lengths the one drawn first stays first
        drawn
            .chunks_mut(POOL * self.batch)
            .for_each(|pool| pool.sort_by_key(|(_, length)| *length));
        let batches = drawn.chunks_exact(self.batch);
        let mut batches: Vec<Vec<usize>> = batches
            .map(|batch| batch.iter().map(|(index, _)| *index).collect())
            .collect();
        seed.child("batches").stream().shuffle(&mut batches);
        batches
    }

    /// Optimizer steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.utterances.len() / self.batch) as u64
    }

    /// Utterances in a batch.
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// The utterances of step `step`, counted from the first epoch's start.
    pub fn at(&mut self, step: u64) -> Vec<usize> {
        let (epoch, place) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            self.epoch = Some((epoch, self.epoch(epoch)));
        }
        self.epoch
            .as_ref()
            .map_or(Vec::new(), |(_, batches)| batches[place as usize].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(count: usize) -> Vec<(usize, usize)> {
        let mut stream = Seed::root(5).stream();
        (0..count).map(|index| (index, 20 + stream.below(300))).collect()
    }

    #[test]
    fn every_epoch_shows_every_utterance_once_in_another_order() {
        let mut batches = Batches::of_lengths(lengths(320), 16, Seed::root(1));
        assert_eq!(batches.steps_per_epoch(), 20);
        let mut epoch = |first: u64| {
            (first..first + 20)
                .flat_map(|step| batches.at(step))
                .collect::<Vec<_>>()
        };
        let (first, second, again) = (epoch(0), epoch(20), epoch(0));
        assert_eq!(first, again);
        assert_ne!(first, second);
        for mut shown in [first, second] {
            shown.sort_unstable();
            assert_eq!(shown, (0..320).collect::<Vec<_>>());
        }
    }

    #[test]
    fn batches_hold_little_padding_and_do_not_come_by_length() {
        let known = lengths(1_280);
        let mut batches = Batches::of_lengths(known.clone(), 16, Seed::root(1));
        let (mut frames, mut padded, mut longest) = (0, 0, Vec::new());
        for step in 0..80 {
            let of: Vec<usize> = batches.at(step).iter().map(|&index| known[index].1).collect();
            let most = of.iter().copied().max().unwrap_or(0);
            longest.push(most);
            frames += of.iter().sum::<usize>();
            padded += most * of.len();
        }
        assert!(
            (padded as f64) < 1.15 * frames as f64,
            "{padded} places for {frames} frames"
        );
        assert!(longest.windows(2).any(|pair| pair[1] < pair[0]), "{longest:?}");
    }

    #[test]
    fn few_utterances_make_one_batch() {
        assert_eq!(Batches::of_lengths(lengths(3), 16, Seed::root(0)).steps_per_epoch(), 1);
    }
}
