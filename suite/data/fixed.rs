//! Inputs of one shape: sound as a spectrogram, images, video.

use super::gain::gain;
use super::roll::roll;
use super::{Batch, Order, Part, Placed, TrainingData};
use crate::plan::{Augment, Core, Roll};
use bridle::config::{Geometry, StackConfig};
use bridle::encoder::Vit;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::patch::patches;
use bridle::standardizer::Standardizer;
use bridle_backends::TrainBackend;
use bridle_results::evidence::Units;
use bridle_seed::Seed;
use bridle_tasks::{DataError, Dataset, InputSpec, Views};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use std::borrow::Cow;

/// Training samples over which patches are measured, to standardise them.
const MEASURED: usize = 512;

/// A data set as a plan's pretraining sees it.
pub struct Fixed<'a> {
    pub dataset: &'a Dataset,
    input: InputSpec,
    /// None where the plan is of vectors that were made elsewhere.
    model: Option<Model>,
    variation: Variation,
}

/// The encoder of such inputs.
struct Model {
    geometry: Geometry,
    encoder: StackConfig,
    /// Rows of a longer sound's position table, in place of the geometry's own.
    positions: Option<Vec<f32>>,
}

/// How inputs differ from one step to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variation {
    None,
    /// Sound is rolled in time, or made louder or softer, each sample by a draw of its own.
    Sound {
        rolls: bool,
        gains: bool,
    },
    /// Views of pictures and videos are drawn.
    Views,
}

impl Variation {
    /// Of data whose views are drawn or not, with this augmentation.
    fn of(views: bool, augment: Option<&Augment>) -> Self {
        let (rolls, gains) = augment.map_or((false, false), |augment| {
            (augment.roll == Roll::Uniform, augment.magnitude)
        });
        match views {
            true => Self::Views,
            false if rolls || gains => Self::Sound { rolls, gains },
            false => Self::None,
        }
    }
}

impl<'a> Fixed<'a> {
    /// This data set, cut into patches and augmented as the plan says.
    pub fn new(dataset: &'a Dataset, plan: &Core) -> Self {
        Self {
            dataset,
            input: plan.fixed_input().clone(),
            model: plan.model.vit().map(|_| Model {
                geometry: crate::sizes::geometry(plan),
                encoder: crate::sizes::encoder(plan),
                positions: crate::sizes::cropped_positions(plan),
            }),
            variation: Variation::of(dataset.augments(), plan.augment.as_ref()),
        }
    }

    fn model(&self) -> &Model {
        self.model
            .as_ref()
            .expect("nothing asks for an encoder where there are vectors")
    }

    /// What the model's input looks like.
    pub fn geometry(&self) -> &Geometry {
        &self.model().geometry
    }

    /// A batch as one tensor [B, C, T, H, W].
    pub fn inputs<B: Backend>(&self, batch: FixedBatch, device: &B::Device) -> Tensor<B, 5> {
        on_device(batch.values, batch.samples.len(), self.geometry(), device)
    }

    fn collect<'s>(
        &self,
        samples: &[Placed],
        input: impl Fn(usize, usize) -> Result<Cow<'s, [f32]>, DataError>,
    ) -> Result<FixedBatch, DataError> {
        let mut values = Vec::with_capacity(samples.len() * self.geometry().input_len());
        for placed in samples {
            values.extend_from_slice(&input(placed.place, placed.sample)?);
        }
        Ok(FixedBatch {
            samples: samples.iter().map(|placed| placed.sample).collect(),
            values,
            part: Part::whole(samples.len()),
        })
    }
}

impl TrainingData for Fixed<'_> {
    type Batch = FixedBatch;
    type Encoder<B: TrainBackend> = Vit<B>;
    const FOLLOWED: usize = 2048;

    fn order(&self, samples: &[usize], batch: usize, seed: Seed) -> Order {
        Order::shuffled(samples, batch, seed)
    }

    fn varies(&self) -> bool {
        self.variation != Variation::None
    }

    fn read(&self, samples: Vec<usize>) -> Result<FixedBatch, DataError> {
        let whole = Part::placed(&[Part::whole(samples.len())], &samples);
        self.collect(&whole, |_, sample| self.dataset.input(sample))
    }

    fn draw(&self, samples: &[Placed], phase: &Seed, step: u64) -> Result<FixedBatch, DataError> {
        let seed = |name: &str, place: usize| phase.child(name).indexed(step).indexed(place as u64);
        match self.variation {
            Variation::None => self.collect(samples, |_, sample| self.dataset.input(sample)),
            Variation::Views => self.collect(samples, |place, sample| {
                let seed = seed("views", place);
                self.dataset.view(sample, Views::Pretraining, &seed)
            }),
            Variation::Sound { rolls, gains } => self.collect(samples, |place, sample| {
                let mut values = self.dataset.input(sample)?;
                if rolls {
                    roll(values.to_mut(), &self.input, &mut seed("roll", place).stream());
                }
                if gains {
                    gain(values.to_mut(), &self.input, &mut seed("gain", place).stream());
                }
                Ok(values)
            }),
        }
    }

    fn lengths(&self, batch: &FixedBatch) -> Vec<usize> {
        vec![self.geometry().tokens(); batch.samples.len()]
    }

    fn frames<B: Backend>(&self, batch: FixedBatch, device: &B::Device) -> Frames<B> {
        patch_frames(self.inputs(batch, device), self.geometry())
    }

    fn encoder<B: TrainBackend>(&self, init: &Init<B>) -> Vit<B> {
        let model = self.model();
        let mut encoder = Vit::new(&model.geometry, &model.encoder, init);
        if let Some(table) = &model.positions {
            encoder.set_positions(init.table([model.geometry.tokens(), model.encoder.dim], table.clone()));
        }
        encoder
    }

    /// Measured over the first samples.
    fn standard<B: Backend>(&self, samples: &[usize], init: &Init<B>) -> Result<Standardizer<B>, DataError> {
        let width = self.geometry().patch_len();
        let (mut sums, mut squares, mut count) = (vec![0f64; width], vec![0f64; width], 0usize);
        for batch in samples[..samples.len().min(MEASURED)].chunks(16) {
            let x = self.inputs::<B>(self.read(batch.to_vec())?, &init.device);
            let rows: Vec<f32> = patches(x, self.geometry()).into_data().iter::<f32>().collect();
            for row in rows.chunks_exact(width) {
                for ((sum, square), &value) in sums.iter_mut().zip(&mut squares).zip(row) {
                    *sum += f64::from(value);
                    *square += f64::from(value) * f64::from(value);
                }
                count += 1;
            }
        }
        let n = count.max(1) as f64;
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / n) as f32).collect();
        let deviation = |(sum, square): (&f64, &f64)| (square / n - (sum / n).powi(2)).max(0.0).sqrt() as f32;
        let deviation: Vec<f32> = sums.iter().zip(&squares).map(deviation).collect();
        Ok(Standardizer::new(&mean, &deviation, init))
    }

    fn sources(&self, samples: &[usize]) -> Vec<usize> {
        let ids: Vec<String> = samples
            .iter()
            .map(|&sample| self.dataset.samples[sample].id.clone())
            .collect();
        let named = self.dataset.sources(samples);
        Units::new(&self.dataset.facts.task, &ids, named.as_deref())
            .of_sample()
            .to_vec()
    }

    fn classes(&self, sample: usize) -> Option<&[usize]> {
        Some(self.dataset.samples[sample].target.classes())
    }
}

/// Inputs of one shape on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedBatch {
    /// The samples, by their numbers in the data set.
    pub samples: Vec<usize>,
    /// Their inputs, one after the other, row-major.
    pub values: Vec<f32>,
    /// Which of a batch over all ranks they are.
    pub part: Part,
}

impl Batch for FixedBatch {
    fn samples(&self) -> &[usize] {
        &self.samples
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn split(mut self, parts: &[Part]) -> Vec<Self> {
        let row = self.values.len() / self.samples.len().max(1);
        let mut batches = Vec::with_capacity(parts.len());
        for &part in parts {
            let rest = Self {
                samples: self.samples.split_off(part.len),
                values: self.values.split_off(part.len * row),
                part,
            };
            batches.push(Self {
                part,
                ..std::mem::replace(&mut self, rest)
            });
        }
        batches
    }

    fn join(batches: Vec<Self>) -> Self {
        let (mut samples, mut values) = (Vec::new(), Vec::new());
        for batch in batches {
            samples.extend(batch.samples);
            values.extend(batch.values);
        }
        Self {
            part: Part::whole(samples.len()),
            samples,
            values,
        }
    }
}

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
    Ok(on_device(values(dataset, samples)?, samples.len(), geometry, device))
}

/// Model inputs of these samples for judging, one after the other.
///
/// # Errors
/// As [`batch`].
pub fn values(dataset: &Dataset, samples: &[usize]) -> Result<Vec<f32>, DataError> {
    let mut values = Vec::with_capacity(samples.len() * dataset.shape().iter().product::<usize>());
    for &sample in samples {
        values.extend_from_slice(&dataset.input(sample)?);
    }
    Ok(values)
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

/// The patches of inputs [B, C, T, H, W] as sequences of one length.
pub fn patch_frames<B: Backend>(x: Tensor<B, 5>, geometry: &Geometry) -> Frames<B> {
    let [count, ..] = x.dims();
    let patches = patches(x, geometry);
    Frames::unpadded(patches.reshape([count, geometry.tokens(), geometry.patch_len()]))
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

#[cfg(test)]
mod tests {
    use super::*;
    use bridle_ranks::Ranks;

    // labels of inputs that vary are made in the step, and kept otherwise
    #[test]
    fn sound_that_is_rolled_or_made_louder_varies() {
        let of = |roll, magnitude| Variation::of(false, Some(&Augment { roll, magnitude }));
        assert_eq!(of(Roll::Never, false), Variation::None);
        assert_eq!(Variation::of(false, None), Variation::None);
        let sound = |rolls, gains| Variation::Sound { rolls, gains };
        assert_eq!(of(Roll::Never, true), sound(false, true));
        assert_eq!(of(Roll::Uniform, false), sound(true, false));
        assert_eq!(of(Roll::Uniform, true), sound(true, true));
        assert_eq!(Variation::of(true, None), Variation::Views);
    }

    #[test]
    fn a_split_batch_put_together_is_the_batch() {
        let whole = FixedBatch {
            samples: vec![4, 2, 7],
            values: (0..12).map(|value| value as f32).collect(),
            part: Part::whole(3),
        };
        for size in 1..=4 {
            let joined = FixedBatch::join(whole.clone().split(&Part::of_step(3, size, &Ranks::Alone)));
            assert_eq!(
                (joined.samples, joined.values, joined.part),
                (whole.samples.clone(), whole.values.clone(), whole.part)
            );
        }
    }
}
