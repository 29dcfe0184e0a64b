//! Batches of sequences of different lengths: padded, with masks that keep the padding out of
//! everything.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Int, Tensor, TensorData};

/// Added to the score of a key that must not be seen. In 32-bit numbers its weight is then exactly
/// 0.
const UNSEEN: f32 = -1e9;

/// B sequences of at most T frames of F numbers.
#[derive(Clone, Debug)]
pub struct Frames<B: Backend> {
    /// The frames [B, T, F]; padding is 0.
    pub x: Tensor<B, 3>,
    /// 1 where there is a frame, 0 in the padding, [B, T, 1].
    pub valid: Tensor<B, 3>,
    /// Added to the scores of attention, [B, 1, T, T]: 0 where a query may see a key, very low
    /// elsewhere. None if every query sees every key.
    pub scores: Option<Tensor<B, 4>>,
}

impl<B: Backend> Frames<B> {
    /// Pads sequences of `lengths` frames, concatenated in `values`, to the longest one. With a
    /// `window`, a query sees only keys at most that many frames away. Panics if `values` has
    /// another size.
    pub fn new(values: &[f32], lengths: &[usize], width: usize, window: Option<usize>, device: &B::Device) -> Self {
        let times = lengths.iter().copied().max().unwrap_or(0);
        assert_eq!(
            values.len(),
            lengths.iter().sum::<usize>() * width,
            "frames of all sequences"
        );
        let mut padded = vec![0.0; lengths.len() * times * width];
        let (mut valid, mut start) = (vec![0.0; lengths.len() * times], 0);
        for (sample, &length) in lengths.iter().enumerate() {
            let frames = &values[start * width..(start + length) * width];
            padded[sample * times * width..][..frames.len()].copy_from_slice(frames);
            valid[sample * times..][..length].fill(1.0);
            start += length;
        }
        let x = Tensor::from_data(TensorData::new(padded, [lengths.len(), times, width]), device);
        Self {
            x,
            valid: Tensor::from_data(TensorData::new(valid, [lengths.len(), times, 1]), device),
            scores: Some(scores(lengths, times, window, device)),
        }
    }

    /// Sequences of one length, [B, T, F].
    pub fn unpadded(x: Tensor<B, 3>) -> Self {
        let [batch, times, _] = x.dims();
        let valid = Tensor::ones([batch, times, 1], &x.device());
        Self { x, valid, scores: None }
    }

    /// The same sequences with other numbers [B, T, F].
    pub fn with(&self, x: Tensor<B, 3>) -> Self {
        Self { x, ..self.clone() }
    }

    /// Frames by their rows of [B * T]: [n, F].
    pub fn rows(&self, rows: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        let [batch, times, width] = self.x.dims();
        self.x.clone().reshape([batch * times, width]).select(0, rows)
    }

    /// The frames with those where `hidden` [B, T, 1] is true replaced by `filling` [B, T, F].
    pub fn filled(&self, hidden: Tensor<B, 3, Bool>, filling: Tensor<B, 3>) -> Self {
        let hidden = hidden.expand(self.x.dims());
        self.with(self.x.clone().mask_where(hidden, filling))
    }
}

impl<B: AutodiffBackend> Frames<B> {
    /// Without a graph.
    pub fn inner(&self) -> Frames<B::InnerBackend> {
        Frames {
            x: self.x.clone().inner(),
            valid: self.valid.clone().inner(),
            scores: self.scores.clone().map(Tensor::inner),
        }
    }
}

fn scores<B: Backend>(lengths: &[usize], times: usize, window: Option<usize>, device: &B::Device) -> Tensor<B, 4> {
    let mut scores = vec![UNSEEN; lengths.len() * times * times];
    for (sample, &length) in lengths.iter().enumerate() {
        for query in 0..times {
            let row = &mut scores[(sample * times + query) * times..][..times];
            let reach = window.unwrap_or(times);
            let (from, to) = (query.saturating_sub(reach), (query + reach + 1).min(length));
            if from < to {
                row[from..to].fill(0.0);
            }
        }
    }
    Tensor::from_data(TensorData::new(scores, [lengths.len(), 1, times, times]), device)
}
