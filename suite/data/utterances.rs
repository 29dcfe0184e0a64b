//! Utterances: sequences of any length, padded to the longest of their batch.

use super::{Batch, FrameAnnotation, Order, Part, TrainingData};
use crate::plan::Core;
use crate::sizes;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::speech::conformer::{Conformer, ConformerConfig};
use bridle::standardizer::Standardizer;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use bridle_tasks::{DataError, SpeechSet};
use burn::tensor::backend::Backend;
use std::collections::BTreeSet;

/// A data set of speech as a plan's model sees it.
pub struct Utterances<'a> {
    /// The data.
    pub set: &'a SpeechSet,
    /// None where the plan is of an encoder of others.
    encoder: Option<ConformerConfig>,
    /// Attention sees so many frames to both sides; none: all.
    window: Option<usize>,
}

/// The model's frames of some utterances, one after the other, and what they are of.
#[derive(Clone, Debug, PartialEq)]
pub struct UtteranceBatch {
    /// The utterances, by their numbers in the data set.
    pub utterances: Vec<usize>,
    /// Frames of each.
    pub lengths: Vec<usize>,
    /// All frames, `[sum of lengths, F]`.
    pub values: Vec<f32>,
}

impl<'a> Utterances<'a> {
    /// This data set, in the frames of the plan's model.
    pub fn new(set: &'a SpeechSet, plan: &Core) -> Self {
        let is_own = plan.pipeline().is_none();
        Self {
            set,
            encoder: is_own.then(|| sizes::conformer(plan)),
            window: is_own.then(|| plan.conformer().window).flatten(),
        }
    }

    /// Sizes of the encoder of this program's own. Panics where the plan is of an encoder of others.
    pub const fn sizes(&self) -> &ConformerConfig {
        self.encoder
            .as_ref()
            .expect("nothing asks for it where an encoder was given")
    }
}

/// Frames of the model that utterance `index` has.
pub fn length(set: &SpeechSet, index: usize) -> usize {
    set.frames(index) / set.input_spec().stacked
}

impl UtteranceBatch {
    /// Reads these utterances.
    ///
    /// # Errors
    /// If one cannot be read any more.
    pub fn read(set: &SpeechSet, utterances: Vec<usize>) -> Result<Self, DataError> {
        let input = set.input_spec();
        let lengths: Vec<usize> = utterances.iter().map(|&index| length(set, index)).collect();
        let width = input.stacked * input.mels;
        let mut values = Vec::with_capacity(lengths.iter().sum::<usize>() * width);
        for (&index, length) in utterances.iter().zip(&lengths) {
            // what does not fill a stack at the end is left out
            values.extend_from_slice(&set.input(index)?[..length * width]);
        }
        Ok(Self {
            utterances,
            lengths,
            values,
        })
    }
}

impl Batch for UtteranceBatch {
    fn samples(&self) -> &[usize] {
        &self.utterances
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn split(mut self, parts: &[Part]) -> Vec<Self> {
        let width = self.values.len() / self.lengths.iter().sum::<usize>().max(1);
        let mut batches = Vec::with_capacity(parts.len());
        for part in parts {
            let frames: usize = self.lengths[..part.len].iter().sum();
            let rest = Self {
                utterances: self.utterances.split_off(part.len),
                lengths: self.lengths.split_off(part.len),
                values: self.values.split_off(frames * width),
            };
            batches.push(std::mem::replace(&mut self, rest));
        }
        batches
    }

    fn join(batches: Vec<Self>) -> Self {
        let mut joined = Self {
            utterances: Vec::new(),
            lengths: Vec::new(),
            values: Vec::new(),
        };
        for batch in batches {
            joined.utterances.extend(batch.utterances);
            joined.lengths.extend(batch.lengths);
            joined.values.extend(batch.values);
        }
        joined
    }
}

impl TrainingData for Utterances<'_> {
    type Batch = UtteranceBatch;
    type Encoder<B: TrainBackend> = Conformer<B>;
    const FOLLOWED: usize = usize::MAX;

    fn order(&self, samples: &[usize], batch: usize, seed: Seed) -> Order {
        let lengths = samples.iter().map(|&index| length(self.set, index)).collect();
        Order::by_length(samples, lengths, batch, seed)
    }

    /// By length, so that little is padding.
    fn label_order(&self, samples: &[usize]) -> Vec<usize> {
        let mut sorted = samples.to_vec();
        sorted.sort_by_key(|&index| length(self.set, index));
        sorted
    }

    fn read(&self, samples: Vec<usize>) -> Result<UtteranceBatch, DataError> {
        UtteranceBatch::read(self.set, samples)
    }

    fn lengths(&self, batch: &UtteranceBatch) -> Vec<usize> {
        batch.lengths.clone()
    }

    fn frames<B: Backend>(&self, batch: UtteranceBatch, device: &B::Device) -> Frames<B> {
        Frames::new(&batch.values, &batch.lengths, self.sizes().inputs, self.window, device)
    }

    fn encoder<B: TrainBackend>(&self, init: &Init<B>) -> Conformer<B> {
        Conformer::new(self.sizes(), init)
    }

    /// Each mel band is standardised as utterances are read, so that nothing is left to do.
    fn standard<B: Backend>(&self, _samples: &[usize], init: &Init<B>) -> Result<Standardizer<B>, DataError> {
        Ok(Standardizer::none(self.sizes().inputs, init))
    }

    /// The word that is said and who says it, where the data knows.
    fn annotations(&self, samples: &[usize]) -> Vec<FrameAnnotation<'_>> {
        let known = || samples.iter().map(|&index| &self.set.utterances[index]);
        let words: BTreeSet<&str> = known().flat_map(|known| &known.spans).map(|span| &*span.word).collect();
        let speakers: BTreeSet<&str> = known().filter_map(|known| known.speaker.as_deref()).collect();
        let words: Vec<&str> = words.into_iter().collect();
        let mut found = Vec::new();
        if !words.is_empty() {
            found.push(FrameAnnotation {
                name: "word",
                of: Box::new(move |index| self.set.words_by_frame(index, &words)),
            });
        }
        if speakers.len() > 1 {
            found.push(FrameAnnotation {
                name: "speaker",
                of: Box::new(move |index| {
                    let speaker = self.set.utterances[index].speaker.as_deref();
                    let number = speaker.and_then(|speaker| speakers.iter().position(|other| *other == speaker));
                    vec![number; length(self.set, index)]
                }),
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridle_ranks::Ranks;

    #[test]
    fn a_split_batch_put_together_is_the_batch() {
        let whole = UtteranceBatch {
            utterances: vec![4, 2, 7],
            lengths: vec![3, 1, 2],
            values: (0..12).map(|value| value as f32).collect(),
        };
        for size in 1..=4 {
            let parts = whole.clone().split(&Part::of_step(3, size, &Ranks::Alone));
            assert!(parts.iter().all(|part| part.utterances.len() <= size));
            assert!(
                parts
                    .iter()
                    .all(|part| part.values.len() == 2 * part.lengths.iter().sum::<usize>())
            );
            assert_eq!(UtteranceBatch::join(parts), whole);
        }
    }
}
