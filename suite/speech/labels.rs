//! The codes of all training frames of a data set of speech, and what they say.

use super::batches::{Stacked, length};
use crate::plan::Plan;
use crate::progress::TerminalProgress;
use bridle::codebook::index_rows;
use bridle::frames::Frames;
use bridle::weights::Values;
use bridle_backends::Ops;
use bridle_results::codebook::{CodebookCounts, CodebookStatistics};
use bridle_results::labels::{self, SampleLabels};
use bridle_results::record::{Annotation, LabelChange, LabelStatistics};
use bridle_tasks::{DataError, Progress, SpeechSet};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Codes [T, Q] of each utterance, and how often each code occurs.
#[derive(Clone, Debug)]
pub struct FrameLabels {
    codes: HashMap<usize, Vec<u16>>,
    levels: usize,
    /// Codes in the greatest codebook.
    size: usize,
    counts: CodebookCounts,
}

/// The labels of an earlier phase.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierFrameLabels {
    /// The phase that they trained.
    pub phase: String,
    /// Codes of all frames of the training utterances, one utterance after the other, [sum of T * Q]; as numbers that a
    /// checkpoint can hold.
    pub codes: Values,
}

/// Some utterances as padded frames on the device, and the rows of [B * T] that are no padding.
pub fn padded<B: Backend>(input: &Stacked, plan: &Plan, device: &B::Device) -> (Frames<B>, Tensor<B, 1, Int>) {
    let frames = Frames::new(
        &input.values,
        &input.lengths,
        plan.width(),
        plan.conformer().window,
        device,
    );
    (frames, index_rows(&valid_rows(&input.lengths), device))
}

/// The rows of [B * T] that are no padding, T being the greatest length.
pub fn valid_rows(lengths: &[usize]) -> Vec<usize> {
    let times = lengths.iter().copied().max().unwrap_or(0);
    let rows = lengths.iter().enumerate();
    rows.flat_map(|(sample, &length)| sample * times..sample * times + length)
        .collect()
}

impl FrameLabels {
    /// Takes the codes [M, Q] of Q books of these sizes that `codes` gives for the valid frames of so many utterances at a
    /// time.
    ///
    /// # Errors
    /// If an utterance cannot be read any more.
    pub fn collect<B: Ops>(
        set: &SpeechSet,
        plan: &Plan,
        utterances: &[usize],
        sizes: &[usize],
        progress: &TerminalProgress,
        device: &B::Device,
        mut codes: impl FnMut(&Frames<B>, Tensor<B, 1, Int>) -> Tensor<B, 2, Int>,
    ) -> Result<Self, DataError> {
        let batch = plan.pretrain.as_ref().map_or(16, |pretrain| pretrain.batch);
        // alike in length, so that little is padding
        let mut sorted = utterances.to_vec();
        sorted.sort_by_key(|&index| length(set, index));
        progress.start("labels", sorted.len() as u64);
        let (mut found, mut counts) = (HashMap::with_capacity(sorted.len()), CodebookCounts::of_sizes(sizes));
        for utterances in sorted.chunks(batch) {
            let input = Stacked::read(set, utterances.to_vec())?;
            let (frames, rows) = padded(&input, plan, device);
            let given = codes(&frames, rows);
            let given: Vec<i64> = given.into_data().iter::<i64>().collect();
            counts.add(&given).expect("labels are codes of their own codebooks");
            let mut given = given.into_iter().map(|code| code as u16);
            for (&index, length) in input.utterances.iter().zip(&input.lengths) {
                found.insert(index, given.by_ref().take(length * sizes.len()).collect());
            }
            progress.advance(utterances.len() as u64);
        }
        progress.finish();
        Ok(Self {
            codes: found,
            levels: sizes.len(),
            size: sizes.iter().copied().max().unwrap_or(1),
            counts,
        })
    }

    /// The codes of a batch's frames given by their rows of [B * T], [M, Q].
    pub fn rows<B: Backend>(&self, input: &Stacked, rows: &[usize], device: &B::Device) -> Tensor<B, 2, Int> {
        let times = input.lengths.iter().copied().max().unwrap_or(1);
        let levels = self.levels;
        let mut found: Vec<i64> = Vec::with_capacity(rows.len() * levels);
        for row in rows {
            let (utterance, frame) = (input.utterances[row / times], row % times);
            let codes = &self.codes[&utterance][frame * levels..(frame + 1) * levels];
            found.extend(codes.iter().map(|&code| i64::from(code)));
        }
        Tensor::from_data(TensorData::new(found, [rows.len(), levels]), device)
    }

    /// Statistics of every level over the utterances.
    pub fn statistics(&self) -> Vec<CodebookStatistics> {
        self.counts.statistics()
    }

    /// What the labels of these utterances say together, of place, word and speaker, and how they differ from earlier ones.
    pub fn together(
        &self,
        set: &SpeechSet,
        utterances: &[usize],
        earlier: Option<&EarlierFrameLabels>,
    ) -> LabelStatistics {
        let of = |index: &usize| SampleLabels {
            classes: &[],
            codes: &self.codes[index],
        };
        LabelStatistics {
            class_information_bits: Vec::new(),
            annotations: self.annotations(set, utterances),
            change: earlier.map(|earlier| self.change(utterances, earlier)),
            ..labels::statistics(utterances.iter().map(of), self.levels, self.size)
        }
    }

    /// What the codes tell of the word that is said and of who says it, where the data knows.
    fn annotations(&self, set: &SpeechSet, utterances: &[usize]) -> BTreeMap<String, Annotation> {
        let of = |index: &usize| &set.utterances[*index];
        let words: BTreeSet<&str> = utterances
            .iter()
            .map(of)
            .flat_map(|known| &known.spans)
            .map(|span| &*span.word)
            .collect();
        let speakers: BTreeSet<&str> = utterances
            .iter()
            .map(of)
            .filter_map(|known| known.speaker.as_deref())
            .collect();
        let words: Vec<&str> = words.into_iter().collect();
        let frames = |index: &usize| self.codes[index].len() / self.levels;
        let word = |index: &usize| set.words_by_frame(*index, &words);
        let speaker = |index: &usize| {
            let known = of(index).speaker.as_deref();
            let number = known.and_then(|known| speakers.iter().position(|speaker| *speaker == known));
            vec![number; frames(index)]
        };
        let mut found = BTreeMap::new();
        if !words.is_empty() {
            found.insert("word".to_owned(), self.annotation(utterances, word));
        }
        if speakers.len() > 1 {
            found.insert("speaker".to_owned(), self.annotation(utterances, speaker));
        }
        found
    }

    fn annotation(&self, utterances: &[usize], of: impl Fn(&usize) -> Vec<Option<usize>>) -> Annotation {
        let known: Vec<Vec<Option<usize>>> = utterances.iter().map(of).collect();
        let pairs = utterances.iter().zip(&known);
        let pairs = pairs.map(|(index, known)| (&self.codes[index][..], &known[..]));
        let found = labels::annotation_information(pairs, self.levels, self.size);
        Annotation {
            tokens: found.tokens,
            entropy_bits: found.entropy_bits,
            information_bits: found.information_bits,
        }
    }

    fn change(&self, utterances: &[usize], earlier: &EarlierFrameLabels) -> LabelChange {
        let mut before = earlier.codes.data.iter().map(|&code| code as u16);
        let before: Vec<Vec<u16>> = utterances
            .iter()
            .map(|index| before.by_ref().take(self.codes[index].len()).collect())
            .collect();
        let pairs = before.iter().zip(utterances);
        let pairs = pairs.map(|(before, index)| (&before[..], &self.codes[index][..]));
        // a book before may have had more codes
        let most = earlier.codes.data.iter().fold(0.0, |most: f32, &code| most.max(code)) as usize;
        labels::change(&earlier.phase, pairs, self.levels, self.size.max(most + 1))
    }

    /// These labels, to be compared with later ones.
    pub fn keep(&self, phase: &str, utterances: &[usize]) -> EarlierFrameLabels {
        let codes = utterances.iter().flat_map(|index| &self.codes[index]);
        let data: Vec<f32> = codes.map(|&code| f32::from(code)).collect();
        EarlierFrameLabels {
            phase: phase.to_owned(),
            codes: Values {
                shape: vec![data.len()],
                data,
            },
        }
    }
}
