//! Batches of sounds of different lengths: what keeps the padding out of everything.

use crate::input::Input;
use crate::names::EncoderError;
use crate::pooling::Pooling;
use crate::settings::refuse;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Added to the score of a key in the padding. In 32-bit numbers its weight is then exactly 0.
const UNSEEN: f32 = -1e9;

/// Which of T frames of each of B sequences are frames, and which are padding.
#[derive(Clone, Debug)]
pub struct Sequences<B: Backend> {
    /// Frames of each sequence.
    pub lengths: Vec<usize>,
    padding: Option<Padding<B>>,
}

/// Only where sequences differ in length.
#[derive(Clone, Debug)]
struct Padding<B: Backend> {
    /// 1 for a frame, 0 for padding, [B, T, 1].
    valid: Tensor<B, 3>,
    /// Frames of each sequence, [B, 1, 1].
    counts: Tensor<B, 3>,
    /// What is added to the scores of keys, [B, 1, 1, T].
    scores: Tensor<B, 4>,
}

impl<B: Backend> Sequences<B> {
    /// Sequences of `lengths` frames, padded to `times`.
    ///
    /// # Panics
    /// If one is empty or longer than that.
    pub fn new(lengths: Vec<usize>, times: usize, device: &B::Device) -> Self {
        let fits = |length: &usize| (1..=times).contains(length);
        assert!(lengths.iter().all(fits), "sequences of 1 to {times} frames");
        if lengths.iter().all(|&length| length == times) {
            return Self { lengths, padding: None };
        }
        let row = |inside: f32, outside: f32| {
            let frame = move |length: usize| (0..times).map(move |t| if t < length { inside } else { outside });
            lengths.iter().copied().flat_map(frame).collect::<Vec<_>>()
        };
        let counts: Vec<f32> = lengths.iter().map(|&length| length as f32).collect();
        let batch = lengths.len();
        let padding = Padding {
            valid: Tensor::from_data(TensorData::new(row(1.0, 0.0), [batch, times, 1]), device),
            counts: Tensor::from_data(TensorData::new(counts, [batch, 1, 1]), device),
            scores: Tensor::from_data(TensorData::new(row(0.0, UNSEEN), [batch, 1, 1, times]), device),
        };
        Self {
            lengths,
            padding: Some(padding),
        }
    }

    /// The same with 0 in the padding, [B, T, D].
    pub fn cleared(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.padding {
            Some(padding) => x * padding.valid.clone(),
            None => x,
        }
    }

    /// The mean over the frames of each sequence: [B, T, D] to [B, 1, D].
    pub fn mean(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.padding {
            Some(padding) => self.cleared(x).sum_dim(1) / padding.counts.clone(),
            None => x.mean_dim(1),
        }
    }

    /// Scores of attention [B, H, T, T], or a bias of them, by which no key in the padding is seen.
    pub fn seen(&self, scores: Tensor<B, 4>) -> Tensor<B, 4> {
        match &self.padding {
            Some(padding) => scores + padding.scores.clone(),
            None => scores,
        }
    }

    /// The bias of scores [B, 1, 1, T] that hides the padding; None if there is none.
    pub fn hiding(&self) -> Option<Tensor<B, 4>> {
        self.padding.as_ref().map(|padding| padding.scores.clone())
    }
}

/// The mean of [B, T, D] over the frames of each sequence, [B, D].
///
/// # Errors
/// If another pooling is asked for: there is no token but the frames.
pub fn pooled<B: Backend>(
    x: Tensor<B, 3>,
    frames: &Sequences<B>,
    pooling: Pooling,
) -> Result<Tensor<B, 2>, EncoderError> {
    only_mean(pooling)?;
    Ok(frames.mean(x).squeeze_dim(1))
}

/// Refuses what frames have no tokens for.
///
/// # Errors
/// If the pooling is no mean.
pub fn only_mean(pooling: Pooling) -> Result<(), EncoderError> {
    match pooling {
        Pooling::Mean => Ok(()),
        other => Err(refuse(
            "pooling",
            other,
            "frames have no other token, so only mean is supported",
        )),
    }
}

impl<B: Backend> Input<B> {
    /// Samples [B, N, 1] and how many each sound has. `frames` says how many frames so many samples give.
    ///
    /// # Errors
    /// If these are no sounds, or one gives no frame or is longer than the batch.
    pub(crate) fn sounds(&self, frames: impl Fn(usize) -> usize) -> Result<(Tensor<B, 3>, Vec<usize>), EncoderError> {
        let Self::Sounds(samples, lengths) = self else {
            return Err(self.refuse("the encoder takes sounds"));
        };
        self.fits(samples.dims(), lengths, frames)?;
        Ok((samples.clone().unsqueeze_dim(2), lengths.clone()))
    }

    /// Frames [B, N, F] and how many each sound has.
    ///
    /// # Errors
    /// If these are no spectrograms of `width` numbers, or one is empty or longer than the batch.
    pub(crate) fn spectrograms(&self, width: usize) -> Result<(Tensor<B, 3>, Vec<usize>), EncoderError> {
        let Self::Spectrograms(rows, lengths) = self else {
            return Err(self.refuse("the encoder takes spectrograms"));
        };
        let [batch, longest, found] = rows.dims();
        if found != width {
            return Err(self.refuse(format!("the encoder takes frames of {width} numbers")));
        }
        self.fits([batch, longest], lengths, |rows| rows)?;
        Ok((rows.clone(), lengths.clone()))
    }

    fn fits(
        &self,
        [batch, longest]: [usize; 2],
        lengths: &[usize],
        frames: impl Fn(usize) -> usize,
    ) -> Result<(), EncoderError> {
        if lengths.len() != batch {
            return Err(self.refuse(format!("it comes with {} lengths", lengths.len())));
        }
        match lengths
            .iter()
            .find(|length| **length > longest || frames(**length) == 0)
        {
            Some(length) if *length > longest => Err(self.refuse(format!("one sound is said to have {length}"))),
            Some(length) => Err(self.refuse(format!("a sound of {length} is too short for a frame"))),
            None => Ok(()),
        }
    }
}
