//! The vectors that an encoder of others makes of a data set's samples: each computed once for all
//! seeds, folds and protocols.

use crate::protocol::Vectors;
use bridle_backends::Ops;
use bridle_encoders::{Body, Encoder, EncoderError, Input, Pooling, Recognised};
use bridle_tasks::pipeline::Pipeline;
use bridle_tasks::{DataError, Dataset, Progress};
use burn::tensor::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Samples at a time: those of one batch are always the same, so that folds and subsets of samples
/// round alike.
const BATCH: usize = 16;

/// An encoder on a device, and the samples that it sees.
pub struct ForeignVectors<'a, B: Ops> {
    encoder: Encoder<B>,
    family: String,
    pooling: Pooling,
    /// Tokens in front of those of patches or frames.
    prefix: usize,
    /// Whether inputs are sounds as they are.
    is_wave: bool,
    dataset: &'a Dataset,
    device: B::Device,
    /// Rows of all samples of a batch, by layer and number of the batch.
    known: RefCell<BTreeMap<Place, Vec<f32>>>,
}

/// A layer, none for the pooled output, and the number of a batch.
type Place = (Option<usize>, usize);

impl<'a, B: Ops> ForeignVectors<'a, B> {
    pub(super) fn new(encoder: Encoder<B>, known: &Recognised, dataset: &'a Dataset, device: &B::Device) -> Self {
        Self {
            encoder,
            family: known.family.clone(),
            pooling: known.pooling,
            prefix: match &known.body {
                Body::Vit(config) => config.prefix(),
                Body::Speech(_) | Body::Conformer(_) => 0,
            },
            is_wave: matches!(known.pipeline, Pipeline::Wave(_)),
            dataset,
            device: device.clone(),
            known: RefCell::default(),
        }
    }

    /// Inputs of the samples of a batch.
    fn inputs(&self, samples: std::ops::Range<usize>) -> Result<Input<B>, DataError> {
        let mut values = Vec::new();
        for sample in samples.clone() {
            values.extend_from_slice(&self.dataset.input(sample)?);
        }
        // [1, samples] of a sound that stays as it is, for which the encoder has one axis
        let of_one = &self.dataset.shape()[usize::from(self.is_wave)..];
        let shape = [&[samples.len()][..], of_one].concat();
        Input::from_values(values, &shape, &self.device).map_err(unfit)
    }

    /// Tokens [B, T, D] of a batch after so many layers, or of its output, without those in front.
    fn tokens(&self, input: Input<B>, layer: Option<usize>) -> Result<Tensor<B, 3>, DataError> {
        let mut states = self.encoder.states(input).map_err(unfit)?;
        let tokens = layer.map_or(states.last, |layer| states.hidden.swap_remove(layer));
        let count = tokens.dims()[1];
        Ok(tokens.narrow(1, self.prefix, count - self.prefix))
    }

    /// All tokens of every sample without those in front, row-major [samples, T, D], and [T, D].
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    pub fn all_tokens(&self, progress: &dyn Progress) -> Result<(Vec<f32>, [usize; 2]), DataError> {
        let count = self.dataset.samples.len();
        let (mut values, mut shape) = (Vec::new(), [0; 2]);
        progress.start("tokens", count as u64);
        for first in (0..count).step_by(BATCH) {
            let batch = first..count.min(first + BATCH);
            let tokens = self.tokens(self.inputs(batch.clone())?, None)?;
            let [_, length, dim] = tokens.dims();
            shape = [length, dim];
            values.extend(tokens.into_data().iter::<f32>());
            progress.advance(batch.len() as u64);
        }
        progress.finish();
        Ok((values, shape))
    }

    /// The rows of a batch.
    fn rows(&self, batch: usize, layer: Option<usize>) -> Result<Vec<f32>, DataError> {
        let first = batch * BATCH;
        let input = self.inputs(first..self.dataset.samples.len().min(first + BATCH))?;
        let rows = if layer.is_some() {
            let tokens = self.tokens(input, layer)?;
            let [count, _, dim] = tokens.dims();
            tokens.mean_dim(1).reshape([count, dim])
        } else {
            self.encoder.pooled(input, self.pooling).map_err(unfit)?
        };
        Ok(rows.into_data().iter::<f32>().collect())
    }
}

/// Inputs whose settings contradict the weights.
fn unfit(error: EncoderError) -> DataError {
    DataError::WrongInput {
        task: "the encoder's own input pipeline",
        reason: error.to_string(),
    }
}

impl<B: Ops> Vectors for ForeignVectors<'_, B> {
    fn about(&self) -> String {
        format!("{} of {}", self.pooling, self.family)
    }

    fn of(&self, samples: &[usize], layer: Option<usize>, progress: &dyn Progress) -> Result<Vec<f32>, DataError> {
        let mut known = self.known.borrow_mut();
        let mut values = Vec::new();
        progress.start("features", samples.len() as u64);
        for &sample in samples {
            let place = (layer, sample / BATCH);
            let count = BATCH.min(self.dataset.samples.len() - place.1 * BATCH);
            let rows = match known.entry(place) {
                Entry::Occupied(rows) => rows.into_mut(),
                Entry::Vacant(free) => free.insert(self.rows(place.1, layer)?),
            };
            let dim = rows.len() / count;
            values.extend_from_slice(&rows[sample % BATCH * dim..][..dim]);
            progress.advance(1);
        }
        progress.finish();
        Ok(values)
    }
}
