//! The labels of all training samples: made once per phase where inputs are the same at every step,
//! and counted at the end of every phase.

use super::{Context, TrainError};
use crate::data::TrainingData;
use bridle::weights::Values;
use bridle_backends::kernel::{ranks, with_ranks};
use bridle_ranks::{Held, Holding, Ranks};
use bridle_results::codes::labels::{self, Annotation, LabelChange, LabelStatistics, SampleLabels};
use bridle_results::codes::{CodebookCounts, CodebookStatistics};
use bridle_tasks::Progress;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Codes [T, L] of each sample's frames, and how often each code occurs. L is the number of codebooks
/// times the codes that are taken of each.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Of one sample after the other.
    codes: Arc<Held>,
    /// Which of them are a sample's.
    places: HashMap<usize, Range<usize>>,
    /// How many codes have a place.
    filled: usize,
    /// L.
    levels: usize,
    /// Codes in the largest codebook.
    size: usize,
    counts: CodebookCounts,
}

/// The labels of the first samples as an earlier phase had them.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierLabels {
    /// The phase that they trained.
    pub phase: String,
    /// Codes of one sample after the other, as a checkpoint stores numbers.
    pub codes: Values,
}

impl Labels {
    /// Collects the codes of all frames of the training samples; `codes` gives those of a batch,
    /// [M, Q], of Q codebooks of these sizes; or [M, Q * S], S of each codebook, level by level.
    /// Each rank makes those of its part of every batch, and knows all in the end.
    ///
    /// # Errors
    /// If a sample cannot be read any more, or the other ranks do not answer.
    pub fn collect<B: Backend, D: TrainingData>(
        context: &Context<'_, D>,
        sizes: &[usize],
        mut codes: impl FnMut(D::Batch) -> Tensor<B, 2, Int>,
    ) -> Result<Self, TrainError> {
        let Context {
            data,
            train: samples,
            progress,
            ..
        } = *context;
        progress.start("labels", samples.len() as u64);
        let mut labels = Self {
            codes: Arc::new(Held::Own(Vec::new())),
            places: HashMap::with_capacity(samples.len()),
            filled: 0,
            levels: sizes.len(),
            size: sizes.iter().copied().max().unwrap_or(1),
            counts: CodebookCounts::of_sizes(sizes),
        };
        // a batch is read back when the next one was asked for, so that a device has work meanwhile
        let (all, mut asked) = (ranks(), None);
        let mut holding = Holding::new(&all)?;
        for samples in data.label_order(samples).chunks(context.pretrain().batch) {
            // of few samples every rank makes all labels
            let sharing = if samples.len() < all.size() {
                &Ranks::Alone
            } else {
                &all
            };
            let batch = data.read(samples[sharing.part(samples.len())].to_vec())?;
            let lengths = data.lengths(&batch);
            let made = with_ranks(sharing, || codes(batch));
            let before = asked.replace((samples.to_vec(), lengths, made, sharing.clone()));
            progress.advance(samples.len() as u64);
            if let Some((samples, lengths, codes, sharing)) = before {
                holding.extend(&labels.read_back(&samples, lengths, codes, &sharing)?)?;
            }
        }
        if let Some((samples, lengths, codes, sharing)) = asked {
            holding.extend(&labels.read_back(&samples, lengths, codes, &sharing)?)?;
        }
        labels.codes = Arc::new(holding.finish()?);
        progress.finish();
        Ok(labels)
    }

    /// Labels that were made elsewhere: codes [T, L] of each sample, `levels` of them for each token, of
    /// codebooks of these sizes.
    pub fn given(codes: HashMap<usize, Vec<u16>>, levels: usize, sizes: &[usize]) -> Self {
        let mut labels = Self {
            levels: sizes.len(),
            size: sizes.iter().copied().max().unwrap_or(1),
            counts: CodebookCounts::of_sizes(sizes),
            codes: Arc::new(Held::Own(Vec::new())),
            places: HashMap::with_capacity(codes.len()),
            filled: 0,
        };
        let mut all = Vec::new();
        for (sample, of_sample) in codes {
            let counted: Vec<i64> = of_sample.iter().map(|&code| i64::from(code)).collect();
            labels.count(&counted, levels);
            labels.places.insert(sample, all.len()..all.len() + of_sample.len());
            all.extend(of_sample);
        }
        Self {
            filled: all.len(),
            codes: Arc::new(Held::Own(all)),
            levels,
            ..labels
        }
    }

    /// Counts codes [M, L] of tokens, of each codebook as many as it gives.
    fn count(&mut self, codes: &[i64], levels: usize) {
        let picks = levels / self.counts.levels();
        for pick in 0..picks {
            let of_pick: Vec<i64> = codes.iter().copied().skip(pick).step_by(picks).collect();
            self.counts
                .add(&of_pick)
                .expect("labels are codes of their own codebooks");
        }
    }

    /// Counts the codes of a batch of `samples`, of which this rank made those of its part, with these
    /// lengths, and gives those of all ranks.
    fn read_back<B: Backend>(
        &mut self,
        samples: &[usize],
        lengths: Vec<usize>,
        codes: Tensor<B, 2, Int>,
        sharing: &Ranks,
    ) -> Result<Vec<u16>, TrainError> {
        let [_, levels] = codes.dims();
        let codes = sharing.gather_values(codes.into_data().iter::<i64>().collect())?;
        let lengths = sharing.gather_values(lengths)?;
        self.count(&codes, levels);
        self.levels = levels;
        let mut start = self.filled;
        for (&sample, length) in samples.iter().zip(lengths) {
            self.places.insert(sample, start..start + length * levels);
            start += length * levels;
        }
        self.filled = start;
        Ok(codes.into_iter().map(|code| code as u16).collect())
    }

    /// The codes of a sample's frames, [T, L].
    fn of_sample(&self, sample: usize) -> &[u16] {
        &self.codes[self.places[&sample].clone()]
    }

    /// The codes of some frames of a batch of `samples`, each given by the sample's place in it and
    /// its own in the sample: [M, Q].
    pub fn of<B: Backend>(
        &self,
        samples: &[usize],
        frames: impl Iterator<Item = (usize, usize)>,
        device: &B::Device,
    ) -> Tensor<B, 2, Int> {
        let levels = self.levels;
        let mut found: Vec<i64> = Vec::new();
        for (sample, frame) in frames {
            let codes = &self.of_sample(samples[sample])[frame * levels..(frame + 1) * levels];
            found.extend(codes.iter().map(|&code| i64::from(code)));
        }
        let rows = found.len() / levels;
        Tensor::from_data(TensorData::new(found, [rows, levels]), device)
    }

    /// How the samples use every codebook.
    pub fn statistics(&self) -> Vec<CodebookStatistics> {
        self.counts.statistics()
    }

    /// Information that the labels of these samples have about class, place and annotations of
    /// frames, and how they differ from earlier labels.
    pub fn summary<D: TrainingData>(
        &self,
        data: &D,
        samples: &[usize],
        earlier: Option<&EarlierLabels>,
    ) -> LabelStatistics {
        let of = |(&sample, source): (&usize, usize)| SampleLabels {
            source,
            classes: data.classes(sample).unwrap_or(&[]),
            codes: self.of_sample(sample),
        };
        let all: Vec<SampleLabels<'_>> = samples.iter().zip(data.sources(samples)).map(of).collect();
        let mut found = labels::statistics(&all, self.levels, self.size);
        if samples.iter().all(|&sample| data.classes(sample).is_none()) {
            found.class_information_bits.clear();
            found.class_information_shuffled_bits.clear();
        }
        let annotations = data.annotations(samples).into_iter();
        found.annotations = annotations
            .map(|known| (known.name.to_owned(), self.annotation(samples, &known.of)))
            .collect();
        found.change = earlier.map(|earlier| self.change(samples, earlier));
        found
    }

    fn annotation(&self, samples: &[usize], of: &dyn Fn(usize) -> Vec<Option<usize>>) -> Annotation {
        let known: Vec<Vec<Option<usize>>> = samples.iter().map(|&sample| of(sample)).collect();
        let pairs = samples.iter().zip(&known);
        let pairs = pairs.map(|(sample, known)| (self.of_sample(*sample), &known[..]));
        labels::annotation(&pairs.collect::<Vec<_>>(), self.levels, self.size)
    }

    fn change(&self, samples: &[usize], earlier: &EarlierLabels) -> LabelChange {
        let before: Vec<u16> = earlier.codes.data.iter().map(|&code| code as u16).collect();
        // an earlier codebook may have been larger
        let most = before.iter().copied().max().map_or(0, usize::from);
        let mut start = 0;
        let pairs = samples.iter().map_while(|sample| {
            let after = self.of_sample(*sample);
            let before = before.get(start..start + after.len())?;
            start += after.len();
            Some((before, after))
        });
        let pairs: Vec<_> = pairs.collect();
        labels::change(&earlier.phase, &pairs, self.levels, self.size.max(most + 1))
    }

    /// A copy of the labels of the first samples, to be compared with later ones.
    pub fn snapshot<D: TrainingData>(&self, phase: &str, samples: &[usize]) -> EarlierLabels {
        let followed = &samples[..samples.len().min(D::FOLLOWED)];
        let codes = followed.iter().flat_map(|&sample| self.of_sample(sample));
        let data: Vec<f32> = codes.map(|&code| f32::from(code)).collect();
        EarlierLabels {
            phase: phase.to_owned(),
            codes: Values {
                shape: vec![data.len()],
                data,
            },
        }
    }
}
