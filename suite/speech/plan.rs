//! Every value of a run on speech, resolved before work starts, as [`crate::plan::Plan`] is for inputs of one shape.

use crate::plan::flat::{self, Flat, PlanReadError};
use crate::plan::{Birq, Mask, Method, Phase, PhaseKind, PhasePlan, Pretrain, Protocol, choice::choices, hash};
use crate::quantizers::QuantizerConfig;
use bridle_tasks::SpeechInput;
use serde::{Deserialize, Serialize};

/// Every value of a run. Sections that the method or the protocols do not use are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeechPlan {
    /// The task's name.
    pub task: String,
    /// What trains the encoder.
    pub method: Method,
    /// The preset that the values came from: a name, not part of the hash.
    pub preset: String,
    /// How the encoder is judged, in the order given.
    pub protocols: Vec<Protocol>,
    /// What makes the labels; absent where nothing is pretrained.
    pub quantizer: Option<QuantizerConfig>,
    /// What the model sees.
    pub data: SpeechData,
    /// Encoder and estimator.
    pub model: SpeechModel,
    /// Which frames are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// Lengths, rates and the optimizer of pretraining.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrain: Option<Pretrain>,
    /// Labels that the encoder makes itself (`birq`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birq: Option<Birq>,
    /// How random labels are refined (`best-rq`, `relabel`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refine: Option<Refine>,
    /// Labels from a layer of a first pretraining (`relabel`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relabel: Option<Relabel>,
    /// A linear CTC layer on the frozen encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<CtcTraining>,
    /// A linear CTC layer and the whole encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finetune: Option<CtcTraining>,
    /// From log-probabilities to words.
    pub decoding: Decoding,
}

/// The task's data as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeechData {
    /// Always `speech`.
    pub kind: String,
    /// Mel bands, rate, stacking.
    #[serde(flatten)]
    pub input: SpeechInput,
    /// The task's version; it changes when the task's numbers do.
    pub version: u32,
    /// Only the first so many utterances of each part; none: all.
    pub subset: Option<usize>,
    /// The variant of the data set that was found; none until it was looked for.
    pub variant: Option<String>,
}

/// Sizes of the Conformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeechModel {
    /// Width of encoder, tokenizer and estimator.
    pub dim: usize,
    /// Blocks of encoder and tokenizer.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden width of a feed-forward over the width.
    pub ff_ratio: usize,
    /// Frames that a convolution sees.
    pub kernel: usize,
    /// Attention sees so many frames to both sides; none: all.
    pub window: Option<usize>,
    /// Blocks of the estimator (`bridle`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator_depth: Option<usize>,
}

/// Refinements of the random quantizer (arXiv 2606.30671).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refine {
    /// Where the projection comes from.
    pub projection: Projection,
    /// After every so many steps each code moves to the centroid of its frames; none: never.
    pub centroids_every: Option<u64>,
    /// Codes of a second book that learns from the encoder (`best-rq`); none: no such book.
    pub distilled_codes: Option<usize>,
    /// Layers below the features that it learns from.
    pub distilled_layer: usize,
    /// The share of training after which it begins to learn.
    pub distilled_from: f64,
    /// Weight of its loss. It alone moves the book, and AdamW divides a gradient by its own size, so that this hardly matters.
    pub distilled_weight: f64,
}

choices! {
    /// Where a random quantizer's projection comes from.
    "projection" Projection {
        /// Xavier's uniform draw
        Xavier = "xavier",
        /// the leading principal components of the training frames
        Pca = "pca",
    }
}

/// HuBERT's second iteration: k-means over the features of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relabel {
    /// Layers below the features.
    pub layer: usize,
    /// Clusters, which are the codes of the labels.
    pub clusters: usize,
    /// Iterations of k-means.
    pub iterations: usize,
}

/// Training with transcripts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CtcTraining {
    /// What a symbol is.
    pub symbols: Symbols,
    /// So many training utterances have transcripts, drawn by the seed; none: all.
    pub utterances: Option<usize>,
    /// Passes over them.
    pub epochs: usize,
    /// The first of these passes, in which the head learns alone (`finetune`; wav2vec 2.0, section 4.3, arXiv 2006.11477).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_epochs: Option<usize>,
    /// Learning rate after the warm-up; a cosine leads from there to 0.
    pub rate: f64,
    /// Length of the linear warm-up, in epochs.
    pub warmup_epochs: f64,
    /// Utterances per optimizer step.
    pub batch: usize,
    /// AdamW: decay of the first moment.
    pub beta1: f64,
    /// AdamW: decay of the second moment.
    pub beta2: f64,
    /// AdamW: added to the root of the second moment.
    pub epsilon: f64,
    /// AdamW: decoupled weight decay of parameters with two or more axes.
    pub weight_decay: f64,
    /// Probability that a frame starts a span of zeros in training.
    pub mask_start: f64,
    /// Frames of such a span.
    pub mask_span: usize,
    /// Greatest number of mel bands that are zero together in training.
    pub mel_mask: usize,
    /// The mel axis is stretched or shrunk by up to this share in training, as by a longer or shorter vocal tract.
    pub warp: f64,
}

choices! {
    /// What connectionist temporal classification predicts.
    "symbols" Symbols {
        /// letters, the apostrophe and the space
        Characters = "characters",
        /// the words of the training transcripts
        Words = "words",
    }
}

/// From log-probabilities to words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    /// Prefixes that the beam search keeps; 0: no beam search, the likeliest symbol of each frame alone.
    pub beam: usize,
    /// What a language model's log-probability weighs.
    pub lm_weight: f64,
    /// What each word adds.
    pub word_bonus: f64,
    /// The language model's file name: a name, not part of the hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm: Option<String>,
    /// SHA-256 of the language model's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm_sha256: Option<String>,
}

impl SpeechPlan {
    /// The plan as a flat map of dotted names.
    pub fn to_flat(&self) -> Flat {
        flat::of(self)
    }

    /// Reads a plan back from its flat map.
    ///
    /// # Errors
    /// If a value is missing, unknown or of the wrong kind.
    pub fn from_flat(values: &Flat) -> Result<Self, PlanReadError> {
        flat::read(values)
    }

    /// 12 hexadecimal digits over all that decides the numbers.
    pub fn plan_hash(&self) -> String {
        hash::plan_hash(self.to_flat())
    }

    /// 12 hexadecimal digits over all that decides the pretrained weights.
    pub fn pretrain_hash(&self, seed: u64, backend: &str, dtype: &str) -> String {
        hash::pretrain_hash(self.to_flat(), seed, None, backend, dtype)
    }

    /// The same plan on the variant of the data that was found.
    pub fn with_variant(mut self, variant: &str) -> Self {
        self.data.variant = Some(variant.to_owned());
        self
    }

    /// `<method>` or `<method>-<quantizer>`: the row of a table and the folder of a record.
    pub fn label(&self) -> String {
        crate::plan::label(self.method, self.quantizer.as_ref())
    }

    /// Numbers of one of the model's frames.
    pub fn width(&self) -> usize {
        self.data.input.stacked * self.data.input.mels
    }

    /// The training with transcripts of this protocol.
    pub fn ctc(&self, protocol: Protocol) -> Option<&CtcTraining> {
        match protocol {
            Protocol::LinearProbe => self.probe.as_ref(),
            Protocol::Finetune => self.finetune.as_ref(),
            Protocol::Knn => None,
        }
    }

    /// All phases of pretraining in order; empty for a method that does not pretrain.
    pub fn phases(&self) -> Vec<PhasePlan> {
        let Some(pretrain) = &self.pretrain else {
            return Vec::new();
        };
        let phase = |kind, word: &str, number: usize, length: Phase| PhasePlan {
            name: format!("{word}-{number}"),
            kind,
            length,
        };
        let encoder = |number| phase(PhaseKind::Masked, "encoder", number, pretrain.encoder);
        let tokenizer = |number| {
            let length = pretrain.tokenizer?;
            Some(phase(PhaseKind::Tokenizer, "tokenizer", number, length))
        };
        (1..=pretrain.rounds.unwrap_or(1))
            .flat_map(|round| {
                let before = if round > 1 { tokenizer(round - 1) } else { None };
                before.into_iter().chain([encoder(round)])
            })
            .collect()
    }
}
