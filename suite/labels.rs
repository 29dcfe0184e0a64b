//! The frozen tokenizer's codes of all training samples: made once per encoder phase, since inputs are not augmented.

use crate::input;
use crate::progress::TerminalProgress;
use crate::quantizers::Tokenizer;
use bridle::codebook::Picks;
use bridle::mask::Mask;
use bridle::quantizer::Quantizer;
use bridle::tokenizer::Source;
use bridle::weights::Values;
use bridle_backends::Ops;
use bridle_results::codebook::{CodebookCounts, CodebookStatistics};
use bridle_results::labels::{self, SampleLabels};
use bridle_results::record::{LabelChange, LabelStatistics};
use bridle_tasks::{DataError, Dataset, Progress};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use std::collections::HashMap;

/// Codes [N, Q] of each sample, and how often each code occurs.
#[derive(Clone, Debug)]
pub struct Labels {
    codes: HashMap<usize, Vec<u16>>,
    levels: usize,
    /// Codes in each codebook, K.
    size: usize,
    counts: CodebookCounts,
}

/// Changes of labels are followed over so many samples at most, the first ones.
const FOLLOWED: usize = 2048;

/// The labels of some samples as an earlier phase had them.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierLabels {
    /// The phase that they trained.
    pub phase: String,
    /// Codes of the first training samples, [n, N * Q]; as numbers that a checkpoint can hold.
    pub codes: Values,
}

/// Whose labels are wanted.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// The samples.
    pub samples: &'a [usize],
    /// Samples at a time.
    pub batch: usize,
    /// A batch that goes first, so that codebooks which are still to start do so on it.
    pub starting: Option<&'a [usize]>,
}

impl Labels {
    /// Asks the tokenizer for the codes of all tokens of the samples, in evaluation.
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    pub fn make<B: Ops>(
        tokenizer: &mut Tokenizer<B>,
        source: Source,
        wanted: &Wanted<'_>,
        picks: &mut dyn Picks,
        progress: &TerminalProgress,
        device: &B::Device,
    ) -> Result<Self, DataError> {
        let geometry = *tokenizer.vit.geometry();
        if let Some(samples) = wanted.starting {
            let x = input::batch(wanted.dataset, samples, &geometry, device)?;
            tokenizer.codes(x, source, picks);
        }
        Self::collect(wanted, tokenizer.quantizer.sizes(), progress, |samples| {
            let x = input::batch(wanted.dataset, samples, &geometry, device)?;
            Ok(tokenizer.codes(x, source, picks))
        })
    }

    /// Takes the codes [n, N, Q], of Q codebooks of K codes, that `codes` gives for so many samples at a time.
    ///
    /// # Errors
    /// Those of `codes`.
    pub fn collect<B: Backend>(
        wanted: &Wanted<'_>,
        [levels, size]: [usize; 2],
        progress: &TerminalProgress,
        mut codes: impl FnMut(&[usize]) -> Result<Tensor<B, 3, Int>, DataError>,
    ) -> Result<Self, DataError> {
        progress.start("labels", wanted.samples.len() as u64);
        let mut labels = Self {
            codes: HashMap::with_capacity(wanted.samples.len()),
            levels,
            size,
            counts: CodebookCounts::new(levels, size),
        };
        // a batch is read back when the next one was asked for, so that a device has work meanwhile
        let mut asked = None;
        for samples in wanted.samples.chunks(wanted.batch) {
            let before = asked.replace((samples, codes(samples)?));
            progress.advance(samples.len() as u64);
            if let Some((samples, batch)) = before {
                labels.take(samples, batch);
            }
        }
        if let Some((samples, batch)) = asked {
            labels.take(samples, batch);
        }
        progress.finish();
        Ok(labels)
    }

    /// Reads back the codes [n, N, Q] of so many samples.
    fn take<B: Backend>(&mut self, samples: &[usize], batch: Tensor<B, 3, Int>) {
        let [_, tokens, levels] = batch.dims();
        let batch: Vec<i64> = batch.into_data().iter::<i64>().collect();
        self.counts
            .add(&batch)
            .expect("a quantizer gives codes of its own codebooks");
        for (sample, codes) in samples.iter().zip(batch.chunks_exact(tokens * levels)) {
            self.codes
                .insert(*sample, codes.iter().map(|&code| code as u16).collect());
        }
    }

    /// The codes of a batch's removed tokens, [B * R, Q], in the mask's order.
    pub fn removed<B: Backend>(&self, samples: &[usize], mask: &Mask, device: &B::Device) -> Tensor<B, 2, Int> {
        let levels = self.levels;
        let mut found: Vec<i64> = Vec::with_capacity(samples.len() * mask.removed() * levels);
        for (sample, token) in mask.removed_tokens() {
            let codes = &self.codes[&samples[sample]][token * levels..(token + 1) * levels];
            found.extend(codes.iter().map(|&code| i64::from(code)));
        }
        let rows = found.len() / levels;
        Tensor::from_data(TensorData::new(found, [rows, levels]), device)
    }

    /// Statistics of every level over the samples.
    pub fn statistics(&self) -> Vec<CodebookStatistics> {
        self.counts.statistics()
    }

    /// What the labels of these samples say together, and how they differ from earlier ones.
    pub fn together(&self, dataset: &Dataset, samples: &[usize], earlier: Option<&EarlierLabels>) -> LabelStatistics {
        let of = |&sample: &usize| SampleLabels {
            classes: dataset.samples[sample].target.classes(),
            codes: &self.codes[&sample],
        };
        LabelStatistics {
            change: earlier.map(|earlier| self.change(samples, earlier)),
            ..labels::statistics(samples.iter().map(of), self.levels, self.size)
        }
    }

    fn change(&self, samples: &[usize], earlier: &EarlierLabels) -> LabelChange {
        let width = earlier.codes.shape[1];
        let before: Vec<u16> = earlier.codes.data.iter().map(|&code| code as u16).collect();
        let pairs = before.chunks_exact(width).zip(samples);
        let pairs = pairs.map(|(before, sample)| (before, &self.codes[sample][..]));
        labels::change(&earlier.phase, pairs, self.levels, self.size)
    }

    /// These labels, to be compared with later ones.
    pub fn keep(&self, phase: &str, samples: &[usize]) -> EarlierLabels {
        let followed = &samples[..samples.len().min(FOLLOWED)];
        let codes = followed.iter().flat_map(|sample| &self.codes[sample]);
        let data: Vec<f32> = codes.map(|&code| f32::from(code)).collect();
        EarlierLabels {
            phase: phase.to_owned(),
            codes: Values {
                shape: vec![followed.len(), data.len() / followed.len().max(1)],
                data,
            },
        }
    }
}
