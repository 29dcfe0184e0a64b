//! An encoder of others on a device: the vectors that it makes of a data set's samples, each computed once for
//! all seeds, folds and protocols, and its tokens.

use super::form::{Form, unfit};
use crate::data::fixed;
use crate::protocol::Vectors;
use bridle_backends::Ops;
use bridle_encoders::speech::sequences::Sequences;
use bridle_encoders::{Encoder, Input, Recognised, States};
use bridle_tasks::{DataError, Dataset, Progress};
use burn::tensor::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Samples at a time: those of one batch are always the same, so that folds and subsets of samples
/// round alike.
const BATCH: usize = 16;

/// An encoder on a device, and the samples that it sees if they have one shape.
pub struct ForeignEncoder<'a, B: Ops> {
    pub encoder: Encoder<B>,
    pub known: &'a Recognised,
    dataset: Option<&'a Dataset>,
    device: B::Device,
    /// Rows of all samples of a batch, by layer and number of the batch.
    rows: RefCell<BTreeMap<Place, Vec<f32>>>,
}

/// A layer, none for the pooled output, and the number of a batch.
type Place = (Option<usize>, usize);

/// Tokens of patches or frames, without those in front.
pub struct Tokens<B: Ops> {
    /// [B, T, D].
    pub x: Tensor<B, 3>,
    /// Tokens of each sample; those behind them are padding.
    pub lengths: Vec<usize>,
}

impl<'a, B: Ops> ForeignEncoder<'a, B> {
    pub(super) fn new(
        encoder: Encoder<B>,
        known: &'a Recognised,
        dataset: Option<&'a Dataset>,
        device: &B::Device,
    ) -> Self {
        Self {
            encoder,
            known,
            dataset,
            device: device.clone(),
            rows: RefCell::default(),
        }
    }

    /// The samples. Panics where they are utterances.
    fn dataset(&self) -> &'a Dataset {
        self.dataset.expect("utterances have no inputs of one shape")
    }

    /// What inputs of the samples look like.
    pub fn form(&self) -> Form {
        Form::new(&self.known.body, &self.known.pipeline, self.dataset().shape())
    }

    /// Numbers of these samples' inputs, one after the other.
    fn values(&self, samples: std::ops::Range<usize>) -> Result<Vec<f32>, DataError> {
        let values = fixed::values(self.dataset(), &samples.collect::<Vec<_>>())?;
        self.form().check(&values)?;
        Ok(values)
    }

    /// Tokens after so many layers, or of the output.
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes.
    pub fn tokens(&self, input: Input<B>, layer: Option<usize>) -> Result<Tokens<B>, DataError> {
        let States {
            mut hidden,
            last,
            lengths,
        } = self.encoder.states(input).map_err(unfit)?;
        let tokens = layer.map_or(last, |layer| hidden.swap_remove(layer));
        let (prefix, count) = (self.known.body.prefix(), tokens.dims()[1]);
        Ok(Tokens {
            x: tokens.narrow(1, prefix, count - prefix),
            lengths: lengths.into_iter().map(|length| length - prefix).collect(),
        })
    }

    /// All tokens of these samples, one after the other, and how many each has.
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    pub fn own_tokens(&self, samples: std::ops::Range<usize>) -> Result<(Vec<f32>, Vec<usize>), DataError> {
        let (mut values, mut lengths) = (Vec::new(), Vec::new());
        for input in self.form().inputs(self.values(samples)?, &self.device)? {
            let tokens = self.tokens(input, None)?;
            lengths.extend_from_slice(&tokens.lengths);
            values.extend(tokens.own());
        }
        Ok((values, lengths))
    }

    /// The rows of a batch.
    fn batch_rows(&self, batch: usize, layer: Option<usize>) -> Result<Vec<f32>, DataError> {
        let first = batch * BATCH;
        let values = self.values(first..self.dataset().samples.len().min(first + BATCH))?;
        let mut rows = Vec::new();
        for input in self.form().inputs(values, &self.device)? {
            let found = if layer.is_some() {
                self.tokens(input, layer)?.mean()
            } else {
                self.encoder.pooled(input, self.known.pooling).map_err(unfit)?
            };
            rows.extend(found.into_data().iter::<f32>());
        }
        Ok(rows)
    }
}

impl<B: Ops> Tokens<B> {
    /// The mean of each sample's, [B, D].
    fn mean(self) -> Tensor<B, 2> {
        let ([_, times, _], device) = (self.x.dims(), self.x.device());
        Sequences::new(self.lengths, times, &device).mean(self.x).squeeze_dim(1)
    }

    /// The numbers of all samples' tokens, one after the other, without padding.
    pub fn own(self) -> Vec<f32> {
        let [_, times, dim] = self.x.dims();
        let mut values: Vec<f32> = self.x.into_data().iter::<f32>().collect();
        if self.lengths.iter().any(|length| *length < times) {
            let samples = values.chunks(times * dim).zip(&self.lengths);
            values = samples
                .flat_map(|(sample, length)| &sample[..length * dim])
                .copied()
                .collect();
        }
        values
    }
}

impl<B: Ops> Vectors for ForeignEncoder<'_, B> {
    fn about(&self) -> String {
        format!("{} of {}", self.known.pooling, self.known.family)
    }

    fn of(&self, samples: &[usize], layer: Option<usize>, progress: &dyn Progress) -> Result<Vec<f32>, DataError> {
        let mut known = self.rows.borrow_mut();
        let mut values = Vec::new();
        progress.start("features", samples.len() as u64);
        for &sample in samples {
            let place = (layer, sample / BATCH);
            let count = BATCH.min(self.dataset().samples.len() - place.1 * BATCH);
            let rows = match known.entry(place) {
                Entry::Occupied(rows) => rows.into_mut(),
                Entry::Vacant(free) => free.insert(self.batch_rows(place.1, layer)?),
            };
            let dim = rows.len() / count;
            values.extend_from_slice(&rows[sample % BATCH * dim..][..dim]);
            progress.advance(1);
        }
        progress.finish();
        Ok(values)
    }
}
