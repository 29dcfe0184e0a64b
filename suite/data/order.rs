//! The order of training: which samples each step sees, fixed by the seed.

use bridle_seed::Seed;
use std::sync::{Mutex, PoisonError};

/// So many batches' samples are drawn together and sorted by length. More would pad less and mix
/// less.
const POOL: usize = 8;

/// Batches of equal size, a new order in each epoch; what does not fill a batch is left out.
#[derive(Debug)]
pub struct Order {
    samples: Vec<usize>,
    draw: Draw,
    /// Samples in an epoch.
    drawn: usize,
    batch: usize,
    seed: Seed,
    /// The last epoch that was asked for.
    epoch: Mutex<Option<(u64, Vec<usize>)>>,
}

/// How an epoch is drawn.
#[derive(Debug)]
enum Draw {
    /// A permutation.
    Shuffled,
    /// With replacement, by running sums of the samples' weights.
    Weighted(Vec<f64>),
    /// Without replacement, by the samples' weights.
    WeightedOnce(Vec<f64>),
    /// Each sample once, in batches of samples of like lengths, which come in random order.
    ByLength(Vec<usize>),
}

impl Order {
    /// Each sample once an epoch, in batches of `batch` (or of all, if there are fewer).
    pub fn shuffled(samples: &[usize], batch: usize, seed: Seed) -> Self {
        Self::new(samples, Draw::Shuffled, samples.len(), batch, seed)
    }

    /// Epochs of `drawn` samples, drawn with replacement, each with a probability in proportion to
    /// its weight.
    pub fn weighted(samples: &[usize], weights: &[f64], drawn: usize, batch: usize, seed: Seed) -> Self {
        let sums = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self::new(samples, Draw::Weighted(sums.collect()), drawn, batch, seed)
    }

    /// Epochs of `drawn` samples (or of all that have a weight, if there are fewer), drawn one after
    /// the other without replacement, each with a probability in proportion to its weight among
    /// those that are left.
    pub fn weighted_once(samples: &[usize], weights: Vec<f64>, drawn: usize, batch: usize, seed: Seed) -> Self {
        let weighted = weights.iter().filter(|&&weight| weight > 0.0).count();
        Self::new(samples, Draw::WeightedOnce(weights), drawn.min(weighted), batch, seed)
    }

    /// Each sample once an epoch, in batches of samples of like lengths, so that little is padding.
    pub fn by_length(samples: &[usize], lengths: Vec<usize>, batch: usize, seed: Seed) -> Self {
        Self::new(samples, Draw::ByLength(lengths), samples.len(), batch, seed)
    }

    fn new(samples: &[usize], draw: Draw, drawn: usize, batch: usize, seed: Seed) -> Self {
        Self {
            samples: samples.to_vec(),
            draw,
            drawn,
            batch: batch.min(drawn).max(1),
            seed,
            epoch: Mutex::new(None),
        }
    }

    fn epoch(&self, epoch: u64) -> Vec<usize> {
        let seed = self.seed.indexed(epoch);
        match &self.draw {
            Draw::Shuffled => {
                let mut order = self.samples.clone();
                seed.stream().shuffle(&mut order);
                order
            }
            Draw::Weighted(sums) => {
                let (all, mut stream) = (sums.last().copied().unwrap_or(0.0), seed.stream());
                let mut draw = || {
                    let place = f64::from(stream.uniform()) * all;
                    self.samples[sums.partition_point(|&sum| sum <= place).min(self.samples.len() - 1)]
                };
                (0..self.drawn).map(|_| draw()).collect()
            }
            // the first of exponential variates with the weights as rates (Efraimidis and Spirakis 2006)
            Draw::WeightedOnce(weights) => {
                let mut stream = seed.stream();
                let weighted = weights.iter().zip(&self.samples).filter(|(weight, _)| **weight > 0.0);
                let mut order: Vec<(f64, usize)> = weighted
                    .map(|(weight, &sample)| (-(1.0 - stream.uniform_f64()).ln() / weight, sample))
                    .collect();
                order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                order.into_iter().take(self.drawn).map(|(_, sample)| sample).collect()
            }
            Draw::ByLength(lengths) => self.epoch_by_length(lengths, &seed),
        }
    }

    fn epoch_by_length(&self, lengths: &[usize], seed: &Seed) -> Vec<usize> {
        let mut drawn: Vec<usize> = (0..self.samples.len()).collect();
        seed.child("pools").stream().shuffle(&mut drawn);
        drawn.truncate(self.steps_per_epoch() as usize * self.batch);
        // stable: of equal lengths the one drawn first stays first
        drawn
            .chunks_mut(POOL * self.batch)
            .for_each(|pool| pool.sort_by_key(|&place| lengths[place]));
        let mut batches: Vec<&[usize]> = drawn.chunks_exact(self.batch).collect();
        seed.child("batches").stream().shuffle(&mut batches);
        batches.concat().iter().map(|&place| self.samples[place]).collect()
    }

    /// Optimizer steps in an epoch.
    pub const fn steps_per_epoch(&self) -> u64 {
        (self.drawn / self.batch) as u64
    }

    /// Samples in a batch.
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// The samples of step `step`, counted from the first epoch's start.
    pub fn at(&self, step: u64) -> Vec<usize> {
        let (epoch, place) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        // a panic under the lock leaves the epoch before
        let mut current = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|(current, _)| *current != epoch) {
            *current = Some((epoch, self.epoch(epoch)));
        }
        let order = current.as_ref().map_or(&[][..], |(_, order)| order);
        order[place * self.batch..(place + 1) * self.batch].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(count: usize) -> Vec<usize> {
        let mut stream = Seed::root(5).stream();
        (0..count).map(|_| 20 + stream.below(300)).collect()
    }

    fn epoch(order: &Order, epoch: u64) -> Vec<usize> {
        let steps = order.steps_per_epoch();
        (epoch * steps..(epoch + 1) * steps)
            .flat_map(|step| order.at(step))
            .collect()
    }

    #[test]
    fn every_epoch_shows_every_sample_once_in_another_order() {
        let samples: Vec<usize> = (100..420).collect();
        for order in [
            Order::shuffled(&samples, 16, Seed::root(0)),
            Order::by_length(&samples, lengths(320), 16, Seed::root(1)),
        ] {
            assert_eq!(order.steps_per_epoch(), 20);
            let (first, second, again) = (epoch(&order, 0), epoch(&order, 1), epoch(&order, 0));
            assert_eq!(first, again);
            assert_ne!(first, second);
            for mut shown in [first, second] {
                shown.sort_unstable();
                assert_eq!(shown, samples);
            }
        }
    }

    #[test]
    fn heavier_samples_come_more_often() {
        let samples = [7, 8, 9];
        let order = Order::weighted(&samples, &[1.0, 0.0, 3.0], 6, 3, Seed::root(0));
        assert_eq!(order.steps_per_epoch(), 2);
        let shown: Vec<usize> = (0..2000).flat_map(|step| order.at(step)).collect();
        let share = |sample| shown.iter().filter(|&&other| other == sample).count() as f64 / shown.len() as f64;
        assert!(
            (share(7) - 0.25).abs() < 0.02 && share(8) == 0.0,
            "{} {}",
            share(7),
            share(8)
        );
    }

    /// The chance that a sample is among two of three, by what is drawn first.
    #[test]
    fn without_replacement_no_sample_comes_twice_and_heavier_ones_come_more_often() {
        let (samples, weights) = ([7, 8, 9, 6], [1.0, 2.0, 4.0, 0.0]);
        let order = Order::weighted_once(&samples, weights.to_vec(), 2, 1, Seed::root(0));
        let mut among = [0; 4];
        for number in 0..20_000 {
            let drawn = epoch(&order, number);
            assert!(drawn.len() == 2 && drawn[0] != drawn[1], "{drawn:?}");
            (0..4)
                .filter(|&place| drawn.contains(&samples[place]))
                .for_each(|place| among[place] += 1);
        }
        let second = |one: usize, other: usize| weights[other] / 7.0 * weights[one] / (7.0 - weights[other]);
        for one in 0..3 {
            let others = (0..3).filter(|&other| other != one);
            let expected = weights[one] / 7.0 + others.map(|other| second(one, other)).sum::<f64>();
            let found = f64::from(among[one]) / 20_000.0;
            assert!((found - expected).abs() < 0.015, "{one}: {found}, not {expected}");
        }
        assert_eq!(among[3], 0, "a sample of no weight");
        // there are no more than there are
        let all = Order::weighted_once(&samples, weights.to_vec(), 200_000, 3, Seed::root(0));
        let mut drawn = epoch(&all, 5);
        drawn.sort_unstable();
        assert_eq!(drawn, [7, 8, 9]);
    }

    #[test]
    fn batches_by_length_hold_little_padding_and_do_not_come_by_length() {
        let (samples, known): (Vec<usize>, _) = ((0..1_280).collect(), lengths(1_280));
        let order = Order::by_length(&samples, known.clone(), 16, Seed::root(1));
        let (mut frames, mut padded, mut longest) = (0, 0, Vec::new());
        for step in 0..80 {
            let of: Vec<usize> = order.at(step).iter().map(|&index| known[index]).collect();
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
    fn few_samples_make_one_batch() {
        let samples = [3, 1];
        assert_eq!(Order::shuffled(&samples, 16, Seed::root(0)).steps_per_epoch(), 1);
        let order = Order::by_length(&samples, vec![20, 30], 16, Seed::root(0));
        assert_eq!(order.steps_per_epoch(), 1);
    }
}
