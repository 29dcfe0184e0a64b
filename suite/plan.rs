//! The plan: every value that decides a run's numbers, resolved before work starts, printed, hashed and recorded.
//!
//! A plan is built from a preset, the recipe, the task's own facts and `--set` ([`resolve`]), checked ([`validate`]) and
//! never changed afterwards. Outside the program it is a flat map of dotted names ([`flat`]): the names printed by
//! `check` are the names that `--set` takes and that a record holds. Seeds, folds, paths, backend and threads are not
//! part of it.

pub mod choice;
pub(crate) mod flat;
pub(crate) mod hash;
pub mod preset;
pub mod recipe;
pub mod resolve;
#[cfg(test)]
mod tests;
pub(crate) mod validate;

pub use choice::{
    AudioRows, ColdStartPosition, DecoderKind, Esc50Crop, FinetuneLoss, MaskKind, Method, Protocol, QuantizerKind,
    Recipe, Restart, Roll, Sampler, SoftPick, Space, Start,
};
pub use flat::{Difference, Flat, PlanReadError, difference, spell};
pub use resolve::{PlanError, PlanRequest};

use crate::quantizers::QuantizerConfig;
use bridle::position::crop_rows;
use bridle_tasks::InputSpec;
use serde::{Deserialize, Serialize};

/// Every value of a run. Sections that the method, the modality or the protocols do not use are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The task's name.
    pub task: String,
    /// What trains the encoder.
    pub method: Method,
    /// The preset that the values came from: a name, not part of the hash.
    pub preset: String,
    /// The recipe that the values came from: a name, not part of the hash.
    pub recipe: Recipe,
    /// How the encoder is judged, in the order given.
    pub protocols: Vec<Protocol>,
    /// What makes the labels; absent where nothing is pretrained.
    pub quantizer: Option<QuantizerConfig>,
    /// The weights that are started from, where they were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// What the model sees.
    pub data: Data,
    /// Encoder, decoder and estimator.
    pub model: Model,
    /// The position table (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Which tokens are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// Lengths, rates and the optimizer of pretraining.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrain: Option<Pretrain>,
    /// Labels that the encoder makes itself (`birq`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birq: Option<Birq>,
    /// The joint step (`bridle-joint`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<Joint>,
    /// Labels before the tokenizer was ever trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStart>,
    /// Augmentation of the waveform (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
    /// How test samples are looked at (video).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// What holds for ESC-50 alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esc50: Option<Esc50>,
    /// The linear probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Nearest neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<Knn>,
    /// Fine-tuning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finetune: Option<Finetune>,
}

/// Weights that were given with `--init`. Their sizes and the order of their position rows are values of the plan too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Init {
    /// Their file's name, without its folder: a name, not part of the hash.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Frames of the inputs that they were trained on (audio); of more, this plan's inputs take their rows of positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Whether they may have seen inputs of test samples (never their classes). Scores are then of another kind.
    pub transductive: bool,
}

/// The task's data as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Shape, sample rate and normalisation of one input.
    #[serde(flatten)]
    pub input: InputSpec,
    /// The task's version; it changes when the task's numbers do.
    pub version: u32,
    /// Only the first so many samples of each class; none: all.
    pub subset: Option<usize>,
    /// The variant of the data set that was found; none until it was looked for.
    pub variant: Option<String>,
}

/// Sizes of the networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Side of a square patch, in frames and mels or in pixels.
    pub patch: usize,
    /// Frames per token (video).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tubelet: Option<usize>,
    /// Width of encoder and tokenizer.
    pub dim: usize,
    /// Blocks of encoder and tokenizer.
    pub depth: usize,
    /// Attention heads of encoder, tokenizer and estimator.
    pub heads: usize,
    /// Hidden width of a block's MLP over its width.
    pub mlp_ratio: usize,
    /// The decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Decoder>,
    /// The estimator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<Estimator>,
}

/// The decoder: predicts the labels of the removed tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoder {
    /// Global attention, or local attention in shifted windows.
    pub kind: DecoderKind,
    /// Width.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
}

/// The estimator: recovers the encoder's output from the quantized vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimator {
    /// Width.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
}

/// The position table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Order of the rows over the tokens of a spectrogram.
    pub audio_rows: AudioRows,
}

/// Which tokens the encoder does not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mask {
    /// Single tokens, or whole tubes over time.
    pub kind: MaskKind,
    /// Share of tokens removed (random, tube).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Probability that a span starts at a token (span).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// Tokens of a span (span).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<usize>,
    /// Variance of the noise in place of hidden tokens, over that of the data (span).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
}

/// Pretraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pretrain {
    /// Encoder phases, with a tokenizer phase between each two (interleaving only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
    /// Samples of a batch; of an optimizer step, unless it takes several.
    pub batch: usize,
    /// Batches of an optimizer step: their gradients are summed, so that memory is that of one. Plans do not name a single one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Whether transformer blocks keep their input alone for the backward pass: less memory, more time. Plans name it where it is
    /// so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub checkpoint: bool,
    /// Whether the test samples' inputs are trained on too (never their classes). Scores are then of another kind.
    pub transductive: bool,
    /// One encoder phase, or the whole of joint training.
    pub encoder: Phase,
    /// One tokenizer phase (interleaving only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<Phase>,
    /// AdamW: decay of the first moment.
    pub beta1: f64,
    /// AdamW: decay of the second moment.
    pub beta2: f64,
    /// AdamW: added to the root of the second moment.
    pub epsilon: f64,
    /// AdamW: decoupled weight decay of parameters with two or more axes.
    pub weight_decay: f64,
}

impl Pretrain {
    /// Samples of an optimizer step.
    pub const fn step_samples(&self) -> usize {
        self.batch * self.accumulate
    }
}

const fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
const fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as above
const fn is_one(count: &usize) -> bool {
    *count == 1
}

/// Length and rate of one phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Passes over the training samples.
    pub epochs: usize,
    /// Learning rate after the warm-up; a cosine leads from there to 0.
    pub rate: f64,
    /// Length of the linear warm-up, in epochs.
    pub warmup_epochs: f64,
}

/// Joint training: every step trains the encoder, some the tokenizer too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joint {
    /// Every so many steps the tokenizer's loss is added.
    pub every: usize,
    /// Weight of the tokenizer's loss.
    pub weight: f64,
}

/// BiRQ: the encoder's first layers make labels of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Birq {
    /// Layers that make the enhanced labels (k).
    pub layers: usize,
    /// Temperature of the enhanced labels.
    pub tau: f64,
    /// Weight of the loss with the enhanced labels (w1).
    pub enhanced: f64,
    /// Weight of the loss with the anchor labels (w2).
    pub anchor: f64,
}

/// The cold start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColdStart {
    /// Whether the labels see the tokens' positions.
    pub position: ColdStartPosition,
}

/// Augmentation of the waveform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// Rolling the waveform in time.
    pub roll: Roll,
}

/// How test samples are looked at: features, or class probabilities after fine-tuning, are averaged over views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Clips from the first frame to the last, three squares along the long edge each; 1: the middle of the middle.
    pub clips: usize,
}

/// What holds for ESC-50 alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Esc50 {
    /// Which rows of a longer position table a shorter clip takes.
    pub position_crop: Esc50Crop,
}

/// The linear probe: multinomial regression on frozen, mean-pooled features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Passes over the training features.
    pub epochs: usize,
    /// Closed list of learning rates; one is chosen on held-out training samples, never on the test samples.
    pub rates: Vec<f64>,
    /// Samples per optimizer step.
    pub batch: usize,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Share of the training samples held out to choose the rate.
    pub holdout: f64,
    /// Whether each feature is brought to mean 0 and deviation 1, as measured on the training samples.
    pub standardise: bool,
}

/// Nearest neighbours among frozen, mean-pooled features, by cosine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knn {
    /// Closed list of numbers of neighbours; one is chosen on held-out training samples, never on the test samples.
    pub neighbours: Vec<usize>,
    /// A vote weighs exp(cosine / temperature).
    pub temperature: f64,
    /// Share of the training samples held out to choose the number.
    pub holdout: f64,
    /// Whether each feature is brought to mean 0 and deviation 1, as measured on the training samples.
    pub standardise: bool,
}

/// Fine-tuning of the whole encoder with a linear head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finetune {
    /// Passes over the training samples.
    pub epochs: usize,
    /// Learning rate of the head after the warm-up.
    pub rate: f64,
    /// Learning rate at the end of the cosine.
    pub least_rate: f64,
    /// Length of the linear warm-up, in epochs.
    pub warmup_epochs: f64,
    /// Samples per optimizer step.
    pub batch: usize,
    /// Factor on the rate from one layer to the next below.
    pub layer_decay: f64,
    /// AdamW: decay of the first moment.
    pub beta1: f64,
    /// AdamW: decay of the second moment.
    pub beta2: f64,
    /// AdamW: added to the root of the second moment.
    pub epsilon: f64,
    /// AdamW: decoupled weight decay of parameters with two or more axes, the class token left out.
    pub weight_decay: f64,
    /// Stochastic depth: rate of the last block; earlier ones have less, the first none.
    pub drop_path: f64,
    /// Cross-entropy over all classes, or of each class by itself.
    pub loss: FinetuneLoss,
    /// Share of every target that is spread over all classes.
    pub label_smoothing: f64,
    /// Which training samples an epoch shows.
    pub sampler: Sampler,
    /// How many samples an epoch draws; absent: as many as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_samples: Option<usize>,
    /// Probability that a sample is mixed with another one.
    pub mixup: f64,
    /// The share in a mixture is Beta(alpha, alpha).
    pub mixup_alpha: f64,
    /// Probability that a sample that was not mixed gets a box of another one.
    pub cutmix: f64,
    /// The box's share is Beta(alpha, alpha).
    pub cutmix_alpha: f64,
    /// Whether mixing is applied (images, video): the authors build it and never do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_mixup: Option<bool>,
    /// Greatest number of mel bands hidden together (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mel_mask: Option<usize>,
    /// Greatest number of frames hidden together (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_mask: Option<usize>,
    /// Whether the waveform's magnitude is drawn anew, Beta(10, 10) + 0.5 (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magnitude: Option<bool>,
    /// Share of token rows in time, and of those in frequency, that training leaves out (audio); 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_mask: Option<f64>,
}

/// The sections that pretraining needs, which a plan holds together or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Pretraining<'a> {
    /// What makes the labels.
    pub quantizer: &'a QuantizerConfig,
    /// The decoder.
    pub decoder: &'a Decoder,
    /// The estimator.
    pub estimator: &'a Estimator,
    /// Which tokens are removed.
    pub mask: &'a Mask,
    /// Lengths, rates, optimizer.
    pub schedule: &'a Pretrain,
    /// The cold start.
    pub cold_start: &'a ColdStart,
    /// The joint step, where encoder and tokenizer are trained together.
    pub joint: Option<&'a Joint>,
}

/// Rows of a longer sound's position table: those of tokens `first` and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionCrop {
    /// Frames of the longer sound.
    pub frames: usize,
    /// The longer sound's token whose row the first token takes.
    pub first: usize,
    /// Tokens of this plan's inputs.
    pub tokens: usize,
    /// Tokens of the longer sound.
    pub of: usize,
}

impl PositionCrop {
    /// Whether the longer table has all these rows.
    pub fn fits(&self) -> bool {
        self.first + self.tokens <= self.of
    }
}

/// What a phase trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// Encoder and decoder; the tokenizer is frozen.
    Encoder,
    /// Tokenizer and estimator; the encoder is frozen.
    Tokenizer,
    /// All of them in turns of steps.
    Joint,
    /// An encoder and a head, on input with hidden frames.
    Masked,
}

/// One phase of a run, in the order of training.
#[derive(Clone, Debug, PartialEq)]
pub struct PhasePlan {
    /// `encoder-1`, `tokenizer-1`, `encoder-2`, .., or `joint-1`.
    pub name: String,
    /// What it trains.
    pub kind: PhaseKind,
    /// Its length and rate.
    pub length: Phase,
}

impl Plan {
    /// The sections of pretraining; none for a method that does not pretrain.
    pub fn pretraining(&self) -> Option<Pretraining<'_>> {
        Some(Pretraining {
            quantizer: self.quantizer.as_ref()?,
            decoder: self.model.decoder.as_ref()?,
            estimator: self.model.estimator.as_ref()?,
            mask: self.mask.as_ref()?,
            schedule: self.pretrain.as_ref()?,
            cold_start: self.cold_start.as_ref()?,
            joint: self.joint.as_ref(),
        })
    }

    /// All phases of pretraining in order; empty for a method that does not pretrain.
    pub fn phases(&self) -> Vec<PhasePlan> {
        let Some(pretrain) = &self.pretrain else {
            return Vec::new();
        };
        let phase = |kind, word, number, length| PhasePlan {
            name: format!("{word}-{number}"),
            kind,
            length,
        };
        let (Some(rounds), Some(tokenizer)) = (pretrain.rounds, pretrain.tokenizer) else {
            return vec![match self.method.masks_frames() {
                true => phase(PhaseKind::Masked, "encoder", 1, pretrain.encoder),
                false => phase(PhaseKind::Joint, "joint", 1, pretrain.encoder),
            }];
        };
        (1..=rounds)
            .flat_map(|round| {
                let before = (round > 1).then(|| phase(PhaseKind::Tokenizer, "tokenizer", round - 1, tokenizer));
                before
                    .into_iter()
                    .chain([phase(PhaseKind::Encoder, "encoder", round, pretrain.encoder)])
            })
            .collect()
    }

    /// The grid of tokens of one input: time, height (or mel), width. Audio has (frames, mels, 1) over the patch.
    pub fn grid(&self) -> [usize; 3] {
        let patch = self.model.patch;
        match self.data.input {
            InputSpec::Audio { frames, mels, .. } => [frames / patch, mels / patch, 1],
            InputSpec::Image { side, .. } => [1, side / patch, side / patch],
            InputSpec::Video { frames, side, .. } => {
                [frames / self.model.tubelet.unwrap_or(1), side / patch, side / patch]
            }
        }
    }

    /// Which rows of a longer position table the tokens take, where weights were given that were trained on longer sounds.
    pub fn position_crop(&self) -> Option<PositionCrop> {
        let (init, InputSpec::Audio { frames, mels, .. }) = (self.init.as_ref()?, &self.data.input) else {
            return None;
        };
        let longer = init.frames.filter(|longer| longer > frames)?;
        let tokens = |frames: usize| (frames / self.model.patch) * (mels / self.model.patch);
        let crop = self.esc50.as_ref().map(|esc50| esc50.position_crop);
        // row 0 of the table is the class token's
        let first = crop.map_or(0, |crop| crop_rows(1, crop == Esc50Crop::ByTime)[1] - 1);
        Some(PositionCrop {
            frames: longer,
            first,
            tokens: tokens(*frames),
            of: tokens(longer),
        })
    }

    /// Clips of a test sample.
    pub fn test_clips(&self) -> usize {
        self.test.as_ref().map_or(1, |test| test.clips)
    }

    /// Tokens of one input, without the class token.
    pub fn tokens(&self) -> usize {
        self.grid().iter().product()
    }

    /// Tokens that the encoder sees in pretraining: `int(L * (1 - ratio))` in floating point, as the authors count.
    pub fn kept_tokens(&self) -> usize {
        let ratio = self.mask.as_ref().and_then(|mask| mask.ratio).unwrap_or(0.0);
        (self.tokens() as f64 * (1.0 - ratio)) as usize
    }

    /// `<method>` or `<method>-<quantizer>`: the row of a table and the folder of a record.
    pub fn label(&self) -> String {
        label(self.method, self.quantizer.as_ref())
    }
}

/// The name of what makes the labels and what trains on them.
pub(crate) fn label(method: Method, quantizer: Option<&QuantizerConfig>) -> String {
    match quantizer {
        Some(quantizer) => format!("{method}-{}", quantizer.kind()),
        None => method.to_string(),
    }
}
