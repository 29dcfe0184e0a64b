//! Which tokens the encoder sees. A mask is drawn on the host; true (1) means removed, false (0)
//! kept.

use bridle_backends::kernel::Selection;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// The masks of one batch: for each sample an order of all N tokens, the first `kept` of which the
/// encoder sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Per sample a permutation of 0..N, row-major [B, N].
    order: Vec<usize>,
    tokens: usize,
    kept: usize,
}

/// Number of kept tokens of `tokens` at mask ratio `ratio`: the authors' int(N * (1 - ratio)) in
/// f64, so that 40 tokens at 0.8 keep 7, not 8.
pub fn kept_tokens(tokens: usize, ratio: f64) -> usize {
    (tokens as f64 * (1.0 - ratio)) as usize
}

/// Indices of `noise` in ascending order of value (stable).
fn argsort(noise: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..noise.len()).collect();
    order.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]));
    order
}

impl Mask {
    /// Random masking (MAE): the tokens with the smallest noise are kept, in that order. `noise` is
    /// [B, N].
    pub fn random(noise: &[f32], tokens: usize, ratio: f64) -> Self {
        let order = noise.chunks_exact(tokens).flat_map(argsort).collect();
        Self {
            order,
            tokens,
            kept: kept_tokens(tokens, ratio),
        }
    }

    /// Time and frequency masking: a token is kept if its time row and its mel column are both
    /// among those with the smallest noise. `noise_time` is [B, T], `noise_mel` [B, F]; kept and
    /// removed tokens stay in ascending order.
    pub fn time_frequency(noise_time: &[f32], noise_mel: &[f32], grid: [usize; 2], ratios: [f64; 2]) -> Self {
        let [times, mels] = grid;
        let keep = |noise: &[f32], ratio: f64| {
            let mut kept = vec![false; noise.len()];
            argsort(noise)
                .into_iter()
                .take(kept_tokens(noise.len(), ratio))
                .for_each(|index| kept[index] = true);
            kept
        };
        let mut removed = Vec::with_capacity(noise_time.len() * mels);
        for (time, mel) in noise_time.chunks_exact(times).zip(noise_mel.chunks_exact(mels)) {
            let (time, mel) = (keep(time, ratios[0]), keep(mel, ratios[1]));
            removed.extend((0..times * mels).map(|token| !(time[token / mels] && mel[token % mels])));
        }
        Self::from_removed(&removed, times * mels)
    }

    /// Tube masking (VideoMAE): one spatial pattern, the positions with the smallest noise removed,
    /// at every time. `noise` is [B, H * W].
    pub fn tube(noise: &[f32], times: usize, area: usize, ratio: f64) -> Self {
        let removed_area = (ratio * area as f64) as usize;
        let mut removed = Vec::with_capacity(noise.len() * times);
        for noise in noise.chunks_exact(area) {
            let mut tube = vec![false; area];
            argsort(noise)
                .into_iter()
                .take(removed_area)
                .for_each(|index| tube[index] = true);
            (0..times).for_each(|_| removed.extend_from_slice(&tube));
        }
        Self::from_removed(&removed, times * area)
    }

    /// From flags [B, N], true = removed, equally many in each sample; kept and removed tokens stay
    /// in ascending order.
    pub fn from_removed(removed: &[bool], tokens: usize) -> Self {
        let mut order = Vec::with_capacity(removed.len());
        let mut kept = tokens;
        for removed in removed.chunks_exact(tokens) {
            kept = removed.iter().filter(|&&removed| !removed).count();
            order.extend((0..tokens).filter(|&token| !removed[token]));
            order.extend((0..tokens).filter(|&token| removed[token]));
        }
        Self { order, tokens, kept }
    }

    /// B.
    pub fn batch(&self) -> usize {
        self.order.len() / self.tokens
    }

    /// Tokens N per sample.
    pub const fn tokens(&self) -> usize {
        self.tokens
    }

    pub const fn kept(&self) -> usize {
        self.kept
    }

    /// Removed tokens R per sample.
    pub const fn removed(&self) -> usize {
        self.tokens - self.kept
    }

    /// Flags [B, N], true = removed.
    pub fn flags(&self) -> Vec<bool> {
        self.restore().into_iter().map(|place| place >= self.kept).collect()
    }

    /// The removed tokens, sample after sample: (sample, token), [B * R]; the order of
    /// [`MaskRows::removed_rows`].
    pub fn removed_tokens(&self) -> impl Iterator<Item = (usize, usize)> {
        let samples = self.order.chunks_exact(self.tokens).enumerate();
        samples.flat_map(|(sample, order)| order[self.kept..].iter().map(move |&token| (sample, token)))
    }

    /// Where each token stands in the sample's order: the inverse permutation, [B, N].
    pub fn restore(&self) -> Vec<usize> {
        let mut restore = vec![0; self.order.len()];
        for (order, restore) in self
            .order
            .chunks_exact(self.tokens)
            .zip(restore.chunks_exact_mut(self.tokens))
        {
            order
                .iter()
                .enumerate()
                .for_each(|(place, &token)| restore[token] = place);
        }
        restore
    }

    /// The index tables on the device, made once per batch.
    pub fn upload<B: Backend>(&self, device: &B::Device) -> MaskRows<B> {
        let (tokens, kept) = (self.tokens, self.kept);
        let rows = |wanted: std::ops::Range<usize>| -> Vec<usize> {
            let samples = self.order.chunks_exact(tokens).enumerate();
            samples
                .flat_map(|(sample, order)| order[wanted.clone()].iter().map(move |token| sample * tokens + token))
                .collect()
        };
        let all_kept = self.batch() * kept;
        let restore = self.restore();
        let places = restore.iter().enumerate().map(|(row, &place)| {
            let sample = row / tokens;
            if place < kept {
                sample * kept + place
            } else {
                all_kept + sample * self.removed() + place - kept
            }
        });
        let places: Vec<usize> = places.collect();
        let select = |rows: &[usize]| Selection::new(rows, self.order.len(), device);
        MaskRows {
            batch: self.batch(),
            tokens,
            kept: select(&rows(0..kept)),
            removed: select(&rows(kept..tokens)),
            restored: select(&places),
        }
    }
}

/// A batch's mask as index tables over flattened tokens.
#[derive(Clone, Debug)]
pub struct MaskRows<B: Backend> {
    /// Samples B.
    pub batch: usize,
    /// Tokens N per sample.
    pub tokens: usize,
    /// The B * kept kept tokens among B * N.
    pub kept: Selection<B>,
    /// The B * R removed tokens among B * N.
    pub removed: Selection<B>,
    /// The B * N tokens in their places, from [kept tokens of the batch; removed tokens of the
    /// batch].
    pub restored: Selection<B>,
}

impl<B: AutodiffBackend> MaskRows<B> {
    /// Without a graph.
    pub fn inner(&self) -> MaskRows<B::InnerBackend> {
        MaskRows {
            batch: self.batch,
            tokens: self.tokens,
            kept: self.kept.clone().inner(),
            removed: self.removed.clone().inner(),
            restored: self.restored.clone().inner(),
        }
    }
}

/// Flags of the frames that spans hide in a sequence of `length` frames. Every frame starts a span
/// of `span` frames with probability `start`; spans end at the sequence's end. If no span starts,
/// one is put at a random place, so that every sequence has a loss. Draws `length + 1` uniform
/// numbers in [0, 1).
pub fn spans(length: usize, start: f64, span: usize, mut uniform: impl FnMut() -> f64) -> Vec<bool> {
    let mut hidden = vec![false; length];
    let mut hide = |from: usize| hidden[from..(from + span).min(length)].fill(true);
    let starts: Vec<usize> = (0..length).filter(|_| uniform() < start).collect();
    let place = (uniform() * length as f64) as usize;
    starts.iter().for_each(|&from| hide(from));
    if starts.is_empty() && length > 0 {
        hide(place.min(length - 1));
    }
    hidden
}
