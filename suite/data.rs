//! What training sees of a data set: samples in batches, of one shape or of any length.

pub mod fixed;
pub mod gain;
pub mod order;
pub mod part;
pub mod roll;
pub mod utterances;

pub use fixed::{Fixed, FixedBatch};
pub use order::Order;
pub use part::{Part, Placed};
pub use utterances::{UtteranceBatch, Utterances};

use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::LayeredEncoder;
use bridle::standardizer::Standardizer;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use bridle_tasks::DataError;
use burn::module::{AutodiffModule, ModuleDisplay};
use burn::tensor::backend::Backend;
use std::panic::resume_unwind;
use std::thread;

/// An encoder that can be trained, layer by layer, and frozen.
pub trait TrainedEncoder<B: TrainBackend>:
    LayeredEncoder<B> + ModuleDisplay + AutodiffModule<B, InnerModule: LayeredEncoder<B::InnerBackend> + ModuleDisplay>
{
}
impl<B: TrainBackend, E> TrainedEncoder<B> for E where
    E: LayeredEncoder<B>
        + ModuleDisplay
        + AutodiffModule<B, InnerModule: LayeredEncoder<B::InnerBackend> + ModuleDisplay>
{
}

/// Samples of one kind, in batches. A sample is a sequence of frames: patches, or stacks of mel
/// bands.
pub trait TrainingData: Sync + Sized {
    /// Inputs of some samples on the host.
    type Batch: Batch;
    /// The encoder of such inputs.
    type Encoder<B: TrainBackend>: TrainedEncoder<B>;
    /// Changes of labels are followed over so many samples at most, the first ones.
    const FOLLOWED: usize;

    /// The order in which training sees these samples, in batches of `batch`.
    fn order(&self, samples: &[usize], batch: usize, seed: Seed) -> Order;

    /// The order in which labels are made: one that pads little.
    fn label_order(&self, samples: &[usize]) -> Vec<usize> {
        samples.to_vec()
    }

    /// Whether inputs differ from step to step, so that labels cannot be made once for all.
    fn varies(&self) -> bool {
        false
    }

    /// Inputs of these samples as they are.
    ///
    /// # Errors
    /// If one cannot be read any more.
    fn read(&self, samples: Vec<usize>) -> Result<Self::Batch, DataError>;

    /// Inputs of these samples as step `step` of a phase sees them; what is random is drawn from
    /// the phase's seed, by a sample's place in the step.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn draw(&self, samples: &[Placed], _phase: &Seed, _step: u64) -> Result<Self::Batch, DataError> {
        self.read(samples.iter().map(|placed| placed.sample).collect())
    }

    /// The same, its samples shared out among `threads` where there are enough of them.
    ///
    /// # Errors
    /// As [`read`](Self::read); if the system starts no more threads.
    fn draw_on(&self, threads: usize, samples: &[Placed], phase: &Seed, step: u64) -> Result<Self::Batch, DataError> {
        let threads = threads.min(samples.len());
        if threads < 2 {
            return self.draw(samples, phase, step);
        }
        let pieces = samples.chunks(samples.len().div_ceil(threads));
        thread::scope(|scope| {
            let start = |piece| thread::Builder::new().spawn_scoped(scope, move || self.draw(piece, phase, step));
            let started: Vec<_> = pieces
                .map(start)
                .collect::<Result<_, _>>()
                .map_err(|source| DataError::Threads {
                    threads,
                    source: Box::new(source),
                })?;
            let drawn = started.into_iter().map(|thread| match thread.join() {
                Ok(drawn) => drawn,
                Err(panic) => resume_unwind(panic),
            });
            Ok(Self::Batch::join(drawn.collect::<Result<_, _>>()?))
        })
    }

    /// Frames of each sample of a batch.
    fn lengths(&self, batch: &Self::Batch) -> Vec<usize>;

    /// A batch on the device.
    fn frames<B: Backend>(&self, batch: Self::Batch, device: &B::Device) -> Frames<B>;

    /// First weights of the encoder.
    fn encoder<B: TrainBackend>(&self, init: &Init<B>) -> Self::Encoder<B>;

    /// What brings the frames of these samples to mean 0 and deviation 1.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn standard<B: Backend>(&self, samples: &[usize], init: &Init<B>) -> Result<Standardizer<B>, DataError>;

    /// The classes of a sample; None where samples have none.
    fn classes(&self, _sample: usize) -> Option<&[usize]> {
        None
    }

    /// The recording that each of these samples was cut from, by number; a number of its own where
    /// that is not known.
    fn sources(&self, samples: &[usize]) -> Vec<usize> {
        (0..samples.len()).collect()
    }

    /// What is known of single frames over these samples.
    fn annotations(&self, _samples: &[usize]) -> Vec<FrameAnnotation<'_>> {
        Vec::new()
    }
}

/// Something that is known of single frames.
pub struct FrameAnnotation<'a> {
    /// `word`, `speaker`.
    pub name: &'static str,
    /// Its value in each frame of a sample, by number; None where it is not known.
    pub of: Box<dyn Fn(usize) -> Vec<Option<usize>> + 'a>,
}

/// Inputs of some samples on the host.
pub trait Batch: Clone + Send + Sync + Sized {
    /// The samples, by their numbers in the data set.
    fn samples(&self) -> &[usize];

    /// All inputs, one after the other.
    fn values(&self) -> &[f32];

    /// Batches of as many samples as these parts have, in order.
    fn split(self, parts: &[Part]) -> Vec<Self>;

    /// One batch of the samples of these, in order.
    fn join(batches: Vec<Self>) -> Self;
}

/// The rows of [B * T] that are no padding, for sequences of these lengths; T is the greatest.
pub fn valid_rows(lengths: &[usize]) -> Vec<usize> {
    let times = lengths.iter().copied().max().unwrap_or(0);
    let rows = lengths.iter().enumerate();
    rows.flat_map(|(sample, &length)| sample * times..sample * times + length)
        .collect()
}
