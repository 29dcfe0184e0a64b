//! Samples to batches on the device, in the order that the seed fixes.

use bridle::config::Geometry;
use bridle_seed::Seed;
use bridle_tasks::Dataset;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Model inputs of these samples as one tensor [B, C, T, H, W].
pub fn batch<B: Backend>(
    dataset: &Dataset,
    samples: &[usize],
    geometry: &Geometry,
    device: &B::Device,
) -> Tensor<B, 5> {
    let mut values = Vec::with_capacity(samples.len() * geometry.input_len());
    samples
        .iter()
        .for_each(|&sample| values.extend_from_slice(dataset.input(sample)));
    let [channels, times, height, width] = geometry.input();
    Tensor::from_data(
        TensorData::new(values, [samples.len(), channels, times, height, width]),
        device,
    )
}

/// The training order: a new permutation of the samples for each epoch; the last, incomplete batch is left out.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    samples: &'a [usize],
    batch: usize,
    seed: Seed,
    epoch: Option<(u64, Vec<usize>)>,
}

impl<'a> Order<'a> {
    /// Batches of `batch` samples (or of all, if there are fewer).
    pub fn new(samples: &'a [usize], batch: usize, seed: Seed) -> Self {
        Self {
            samples,
            batch: batch.min(samples.len()).max(1),
            seed,
            epoch: None,
        }
    }

    /// Optimizer steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.samples.len() / self.batch) as u64
    }

    /// Samples in a batch.
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// The samples of step `step`, counted from the first epoch's start.
    pub fn at(&mut self, step: u64) -> Vec<usize> {
        let (epoch, place) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            let mut order = self.samples.to_vec();
            self.seed.indexed(epoch).stream().shuffle(&mut order);
            self.epoch = Some((epoch, order));
        }
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        order[place * self.batch..(place + 1) * self.batch].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_shows_every_sample_once_in_another_order() {
        let samples: Vec<usize> = (100..112).collect();
        let mut order = Order::new(&samples, 4, Seed::root(0));
        assert_eq!(order.steps_per_epoch(), 3);
        let mut epoch = |first: u64| (first..first + 3).flat_map(|step| order.at(step)).collect::<Vec<_>>();
        let (first, second, again) = (epoch(0), epoch(3), epoch(0));
        assert_eq!(first, again);
        assert_ne!(first, second);
        for mut shown in [first, second] {
            shown.sort_unstable();
            assert_eq!(shown, samples);
        }
    }

    #[test]
    fn few_samples_make_one_batch() {
        let samples = [3, 1];
        assert_eq!(Order::new(&samples, 16, Seed::root(0)).steps_per_epoch(), 1);
    }
}
