//! Batches of sounds of different lengths: what keeps the padding out of everything.

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

    /// Scores of attention [B, H, T, T] by which no key in the padding is seen.
    pub fn seen(&self, scores: Tensor<B, 4>) -> Tensor<B, 4> {
        match &self.padding {
            Some(padding) => scores + padding.scores.clone(),
            None => scores,
        }
    }

    /// Whether all have one length.
    pub fn is_even(&self) -> bool {
        self.padding.is_none()
    }
}

/// What an encoder makes of a batch of sounds.
#[derive(Clone, Debug)]
pub struct States<B: Backend> {
    /// What enters the first block, then what leaves each block, [B, T, D]. Where the family's
    /// own numbering puts the final norm into the last one, it is in there.
    pub states: Vec<Tensor<B, 3>>,
    /// The encoder's output, [B, T, D].
    pub last: Tensor<B, 3>,
    /// Which frames are no padding.
    pub frames: Sequences<B>,
}

impl<B: Backend> States<B> {
    /// The mean of the encoder's output over the frames of each sound, [B, D].
    pub fn pooled(&self) -> Tensor<B, 2> {
        self.frames.mean(self.last.clone()).squeeze_dim(1)
    }
}
