//! Training with transcripts looks at an utterance in another way each time: its mel axis warped,
//! bands and spans of frames left out (Park et al. 2019; Jaitly and Hinton 2013).

use super::CtcTraining;
use crate::data::UtteranceBatch;
use bridle::mask::spans;
use bridle_seed::Seed;

/// Changes every utterance in its own way, by its place in the batch, of which these are the ones
/// from place `first` on; frames are stacks of `mels` bands.
pub fn augment(input: &mut UtteranceBatch, first: usize, values: &CtcTraining, mels: usize, seed: &Seed) {
    let width = input.values.len() / input.lengths.iter().sum::<usize>().max(1);
    let mut start = 0;
    for (place, &length) in input.lengths.iter().enumerate() {
        let seed = seed.indexed((first + place) as u64);
        let frames = &mut input.values[start..start + length * width];
        start += length * width;
        if values.warp > 0.0 {
            let factor = 1.0 + values.warp * (2.0 * seed.child("warp").stream().uniform_f64() - 1.0);
            frames.chunks_exact_mut(mels).for_each(|frame| warp(frame, factor));
        }
        if values.mel_mask > 0 {
            let mut stream = seed.child("mels").stream();
            let bands = stream.below(values.mel_mask.min(mels) + 1);
            let first = stream.below(mels - bands + 1);
            let rows = frames.chunks_exact_mut(mels);
            rows.for_each(|frame| frame[first..first + bands].fill(0.0));
        }
        if values.mask_start > 0.0 {
            let mut stream = seed.child("mask").stream();
            let hidden = spans(length, values.mask_start, values.mask_span, || stream.uniform_f64());
            let rows = frames.chunks_exact_mut(width).zip(hidden);
            rows.filter(|(_, hidden)| *hidden)
                .for_each(|(frame, _)| frame.fill(0.0));
        }
    }
}

/// Band m takes what lay at m * factor, between bands by their distance; beyond the last band the
/// last one's value.
fn warp(frame: &mut [f32], factor: f64) {
    let old = frame.to_vec();
    let last = old.len() - 1;
    for (band, value) in frame.iter_mut().enumerate() {
        let at = (band as f64 * factor).min(last as f64);
        let (below, share) = (at as usize, at.fract() as f32);
        *value = old[below] * (1.0 - share) + old[(below + 1).min(last)] * share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridle::optimizer::AdamWConfig;

    #[test]
    fn warping_moves_a_peak_by_the_factor_and_by_one_changes_nothing() {
        let mut frame: Vec<f32> = (0..40).map(|band| -((band as f32 - 20.0) / 3.0).powi(2)).collect();
        let before = frame.clone();
        warp(&mut frame, 1.0);
        assert_eq!(frame, before);
        warp(&mut frame, 1.25);
        let peak = (0..40).max_by(|&a, &b| frame[a].total_cmp(&frame[b]));
        assert_eq!(peak, Some(16));
    }

    #[test]
    fn what_is_left_out_is_zero_and_nothing_else_changes() {
        let values = CtcTraining {
            symbols: crate::protocol::ctc::Symbols::Characters,
            utterances: None,
            epochs: 1,
            head_epochs: None,
            freeze_front: None,
            rate: 1.0,
            warmup_epochs: 0.0,
            batch: 1,
            adamw: AdamWConfig {
                beta1: 0.9,
                beta2: 0.9,
                epsilon: 1e-8,
                weight_decay: 0.0,
            },
            mask_start: 0.05,
            mask_span: 3,
            mel_mask: 4,
            warp: 0.0,
        };
        let whole = UtteranceBatch {
            utterances: vec![0, 1],
            lengths: vec![30, 20],
            values: (1..=50 * 20).map(|value| value as f32).collect(),
        };
        let mut changed = whole.clone();
        augment(&mut changed, 0, &values, 10, &Seed::root(4));
        let pairs = || whole.values.iter().zip(&changed.values);
        assert!(pairs().all(|(before, after)| after == before || *after == 0.0));
        let zeros = pairs().filter(|(_, after)| **after == 0.0).count();
        assert!(zeros > 60 && zeros < 900, "{zeros} zeros");
        let mut again = whole.clone();
        augment(&mut again, 0, &values, 10, &Seed::root(4));
        assert_eq!(again, changed);
        let mut second = UtteranceBatch {
            utterances: vec![1],
            lengths: vec![20],
            values: whole.values[30 * 20..].to_vec(),
        };
        augment(&mut second, 1, &values, 10, &Seed::root(4));
        assert_eq!(second.values, changed.values[30 * 20..]);
    }
}
