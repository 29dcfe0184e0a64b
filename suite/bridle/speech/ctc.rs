//! Connectionist temporal classification (Graves et al. 2006): the loss of a text under logits of
//! frames, summed over all alignments of its symbols. Symbol 0 is the blank.

use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::module::ctc_loss;
use burn::tensor::{Int, Tensor, TensorData};

/// The blank.
pub const BLANK: usize = 0;

/// Frames that a text needs: one per symbol, and a blank between equal neighbours.
pub fn least_frames(text: &[usize]) -> usize {
    text.len() + text.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// The losses of the texts that have an alignment, [n], and their places in the batch. A text that
/// needs more frames than it has would have an infinite loss and no gradient, and is skipped.
///
/// `logits` are [B, T, C], of `lengths` frames each.
pub fn ctc_losses<B: Backend>(
    logits: Tensor<B, 3>,
    lengths: &[usize],
    texts: &[Vec<usize>],
) -> Option<(Tensor<B, 1>, Vec<usize>)> {
    let (batch, device) = (texts.len(), logits.device());
    let fits = |&sample: &usize| lengths[sample] > 0 && least_frames(&texts[sample]) <= lengths[sample];
    let kept: Vec<usize> = (0..batch).filter(fits).collect();
    if kept.is_empty() {
        return None;
    }
    let numbers = |values: Vec<usize>| -> Tensor<B, 1, Int> {
        let (count, values) = (values.len(), values.into_iter().map(|value| value as i64).collect());
        Tensor::from_data(TensorData::new::<i64, _>(values, [count]), &device)
    };
    let widest = kept.iter().map(|&sample| texts[sample].len()).max().unwrap_or(0).max(1);
    // the loss never reads past a text's end, but each place must have a symbol
    let padded = kept.iter().flat_map(|&sample| {
        let text = &texts[sample];
        text.iter()
            .copied()
            .chain(std::iter::repeat_n(BLANK + 1, widest - text.len()))
    });
    let targets = numbers(padded.collect()).reshape([kept.len(), widest]);
    let of = |all: &dyn Fn(usize) -> usize| numbers(kept.iter().map(|&sample| all(sample)).collect());
    let log_p = log_softmax(logits.select(0, numbers(kept.clone())), 2).swap_dims(0, 1); // [T, n, C]
    let losses = ctc_loss(
        log_p,
        targets,
        of(&|sample| lengths[sample]),
        of(&|sample| texts[sample].len()),
        BLANK,
    );
    Some((losses, kept))
}

/// The mean over the batch of each loss by the length of its text (at least 1); texts without an
/// alignment count 0. None if no text has one.
pub fn ctc_loss_mean<B: Backend>(
    logits: Tensor<B, 3>,
    lengths: &[usize],
    texts: &[Vec<usize>],
) -> Option<Tensor<B, 1>> {
    let device = logits.device();
    let (losses, kept) = ctc_losses(logits, lengths, texts)?;
    let weight = |&sample: &usize| 1.0 / (texts[sample].len().max(1) * texts.len()) as f32;
    let weights: Vec<f32> = kept.iter().map(weight).collect();
    Some((losses * Tensor::from_data(TensorData::new(weights, [kept.len()]), &device)).sum())
}
