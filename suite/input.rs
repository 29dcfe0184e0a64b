//! Samples to batches on the device, in the order that the seed fixes.

use crate::protocol::augment::roll;
use bridle::config::Geometry;
use bridle_seed::Seed;
use bridle_tasks::{DataError, Dataset, InputSpec, Views};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Model inputs of these samples for judging as one tensor [B, C, T, H, W].
///
/// # Errors
/// If a sample that is decoded when it is wanted cannot be read any more.
pub fn batch<B: Backend>(
    dataset: &Dataset,
    samples: &[usize],
    geometry: &Geometry,
    device: &B::Device,
) -> Result<Tensor<B, 5>, DataError> {
    let mut values = Vec::with_capacity(samples.len() * geometry.input_len());
    for &sample in samples {
        values.extend_from_slice(&dataset.input(sample)?);
    }
    Ok(on_device(values, samples.len(), geometry, device))
}

/// The views of one test sample as one tensor [V, C, T, H, W].
///
/// # Errors
/// If it cannot be read any more.
pub fn test_views<B: Backend>(
    dataset: &Dataset,
    sample: usize,
    clips: usize,
    geometry: &Geometry,
    device: &B::Device,
) -> Result<Tensor<B, 5>, DataError> {
    let views = dataset.test_views(sample, clips)?;
    let count = views.len();
    Ok(on_device(views.concat(), count, geometry, device))
}

/// How pretraining's inputs differ from one step to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// Not at all, so that a sample's labels may be kept.
    Nothing,
    /// Sound is rolled in time, each sample by a draw of its own.
    Rolls,
    /// Views of pictures and videos are drawn.
    Views,
}

/// Inputs of one shape on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedBatch {
    /// The samples, by their numbers in the data set.
    pub samples: Vec<usize>,
    /// Their inputs, one after the other, row-major.
    pub values: Vec<f32>,
}

impl FixedBatch {
    /// Batches of at most `size` samples, in order.
    pub fn split(mut self, size: usize) -> Vec<Self> {
        let row = self.values.len() / self.samples.len().max(1);
        let mut batches = Vec::new();
        while self.samples.len() > size {
            let rest = Self {
                samples: self.samples.split_off(size),
                values: self.values.split_off(size * row),
            };
            batches.push(std::mem::replace(&mut self, rest));
        }
        batches.push(self);
        batches
    }
}

/// The inputs of one step of pretraining; `seed` is the step's.
///
/// # Errors
/// As those of [`batch`].
pub fn pretraining(
    dataset: &Dataset,
    input: &InputSpec,
    samples: Vec<usize>,
    drawn: Drawn,
    seed: &Seed,
) -> Result<FixedBatch, DataError> {
    let mut values = Vec::with_capacity(samples.len() * dataset.shape().iter().product::<usize>());
    for (place, &sample) in samples.iter().enumerate() {
        let (start, seed) = (values.len(), seed.indexed(place as u64));
        match drawn {
            Drawn::Views => values.extend_from_slice(&dataset.view(sample, Views::Pretraining, &seed)?),
            Drawn::Nothing | Drawn::Rolls => values.extend_from_slice(&dataset.input(sample)?),
        }
        if drawn == Drawn::Rolls {
            roll(&mut values[start..], input, &mut seed.stream());
        }
    }
    Ok(FixedBatch { samples, values })
}

/// Row-major inputs as one tensor [B, C, T, H, W].
pub fn on_device<B: Backend>(
    values: Vec<f32>,
    samples: usize,
    geometry: &Geometry,
    device: &B::Device,
) -> Tensor<B, 5> {
    let [channels, times, height, width] = geometry.input();
    Tensor::from_data(
        TensorData::new(values, [samples, channels, times, height, width]),
        device,
    )
}

/// The training order: a new permutation of the samples for each epoch; the last, incomplete batch is left out.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    samples: &'a [usize],
    /// Running sums of the samples' weights, where they are drawn with replacement.
    weights: Option<Vec<f64>>,
    /// Samples in an epoch.
    drawn: usize,
    batch: usize,
    seed: Seed,
    epoch: Option<(u64, Vec<usize>)>,
}

impl<'a> Order<'a> {
    /// Batches of `batch` samples (or of all, if there are fewer).
    pub fn new(samples: &'a [usize], batch: usize, seed: Seed) -> Self {
        Self {
            samples,
            weights: None,
            drawn: samples.len(),
            batch: batch.min(samples.len()).max(1),
            seed,
            epoch: None,
        }
    }

    /// Epochs of `drawn` samples, drawn with replacement, each with a probability that goes with its weight.
    pub fn weighted(samples: &'a [usize], weights: Vec<f64>, drawn: usize, batch: usize, seed: Seed) -> Self {
        let sums = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self {
            weights: Some(sums.collect()),
            drawn,
            batch: batch.min(drawn).max(1),
            ..Self::new(samples, batch, seed)
        }
    }

    fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut stream = self.seed.indexed(epoch).stream();
        let Some(sums) = &self.weights else {
            let mut order = self.samples.to_vec();
            stream.shuffle(&mut order);
            return order;
        };
        let all = sums.last().copied().unwrap_or(0.0);
        let mut draw = |_: usize| {
            let place = f64::from(stream.uniform()) * all;
            self.samples[sums.partition_point(|&sum| sum <= place).min(self.samples.len() - 1)]
        };
        (0..self.drawn).map(&mut draw).collect()
    }

    /// Optimizer steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.drawn / self.batch) as u64
    }

    /// Samples in a batch.
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// The samples of step `step`, counted from the first epoch's start.
    pub fn at(&mut self, step: u64) -> Vec<usize> {
        let (epoch, place) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            self.epoch = Some((epoch, self.epoch(epoch)));
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
    fn heavier_samples_come_more_often() {
        let samples = [7, 8, 9];
        let mut order = Order::weighted(&samples, vec![1.0, 0.0, 3.0], 6, 3, Seed::root(0));
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

    #[test]
    fn few_samples_make_one_batch() {
        let samples = [3, 1];
        assert_eq!(Order::new(&samples, 16, Seed::root(0)).steps_per_epoch(), 1);
    }
}
