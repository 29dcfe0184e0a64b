//! What a plan on speech will cost: parameters, arithmetic and memory of its Conformers over utterances of
//! these lengths.

use super::{F32, HELD_PER_TRAINED, PROCESS_BYTES, PhaseCost, TRAIN_OVER_FORWARD};
use crate::plan::{PhaseKind, PhasePlan, Plan};
use crate::protocol::Taught;
use crate::sizes;
use bridle::quantizer::QuantizerValues;
use bridle::speech::conformer::ConformerConfig;

/// Numbers of a frame's width that a block keeps for the backward pass, beside its feed-forwards: measured
/// on flex at several widths, depths and batches.
const KEPT_WIDTHS: f64 = 21.0;
/// Numbers of a feed-forward's hidden width that it keeps, both together; measured likewise.
const KEPT_HIDDEN: f64 = 6.5;

/// The networks of a plan on speech.
pub(super) struct SpeechNetworks {
    encoder: Blocks,
    /// Tokenizer and estimator, where there are any.
    teacher: Option<[Blocks; 2]>,
    /// Width of the head that predicts labels.
    labels: f64,
    /// Share of the blocks that the unmasked input goes through as well.
    unmasked: f64,
}

/// A stack of Conformer blocks.
#[derive(Clone, Copy)]
struct Blocks {
    config: ConformerConfig,
}

impl Blocks {
    /// Of a block, without depth: two feed-forwards 4 r D^2, attention 4 D^2, convolution 3 D^2 + k D, and
    /// biases and norms.
    fn parameters(&self) -> f64 {
        let ConformerConfig { inputs, depth, .. } = self.config;
        let (d, r) = (self.config.dim as f64, self.config.ff_ratio as f64);
        let block = (4.0 * r + 7.0) * d * d + (2.0 * r + self.config.kernel as f64 + 23.0) * d;
        (depth as f64).mul_add(block, inputs as f64 * d)
    }

    /// Operations of a forward pass over an utterance of so many frames.
    fn forward(&self, frames: f64) -> f64 {
        let (d, r, k) = (
            self.config.dim as f64,
            self.config.ff_ratio as f64,
            self.config.kernel as f64,
        );
        let linear = 2.0 * frames * ((4.0 * r + 7.0) * d + k) * d;
        let input = 2.0 * frames * self.config.inputs as f64 * d;
        (self.config.depth as f64).mul_add(linear + 4.0 * frames * frames * d, input)
    }

    /// Numbers kept for the backward pass over an utterance that is padded to so many frames.
    fn kept(&self, frames: f64) -> f64 {
        let (d, r, h) = (
            self.config.dim as f64,
            self.config.ff_ratio as f64,
            self.config.heads as f64,
        );
        let linear = frames * d * (KEPT_WIDTHS + KEPT_HIDDEN * r);
        self.config.depth as f64 * (linear + 3.0 * h * frames * frames)
    }
}

impl SpeechNetworks {
    /// None where the plan's encoder is no Conformer.
    pub fn new(plan: &Plan) -> Option<Self> {
        let sizes = plan.model.conformer()?;
        let config = sizes::conformer(plan);
        let labels = plan.label_quantizer();
        let estimator = sizes.estimator_depth.map(|depth| ConformerConfig {
            inputs: plan.label_quantizer().map_or(0, |quantizer| quantizer.code_dim()),
            depth,
            ..config
        });
        Some(Self {
            encoder: Blocks { config },
            teacher: estimator.map(|estimator| [config, estimator].map(|config| Blocks { config })),
            labels: labels.map_or(0, |labels| labels.label_codes() * labels.codebook_size()) as f64,
            unmasked: plan
                .birq
                .as_ref()
                .map_or(0.0, |birq| birq.layers as f64 / config.depth as f64),
        })
    }

    /// Cost of a phase over training utterances of these lengths, each of so many ranks with its part of a
    /// batch.
    pub fn phase(&self, plan: &Plan, phase: &PhasePlan, lengths: &[usize], ranks: usize) -> PhaseCost {
        let batch = plan.pretrain.as_ref().map_or(1, |pretrain| pretrain.batch);
        let steps = phase.length.epochs * (lengths.len() / batch).max(1);
        let operations: f64 = lengths.iter().map(|&frames| self.step(phase.kind, frames as f64)).sum();
        PhaseCost {
            steps: steps as u64,
            operations: operations * phase.length.epochs as f64,
            memory_bytes: self.memory(phase.kind, batch.div_ceil(ranks).min(lengths.len()), longest(lengths)),
        }
    }

    /// Mean operations of one utterance in one step.
    pub fn operations(&self, kind: PhaseKind, lengths: &[usize]) -> f64 {
        let all: f64 = lengths.iter().map(|&frames| self.step(kind, frames as f64)).sum();
        all / lengths.len().max(1) as f64
    }

    fn head(&self) -> f64 {
        self.encoder.config.dim as f64 * self.labels
    }

    /// Operations of an utterance in one step.
    fn step(&self, kind: PhaseKind, frames: f64) -> f64 {
        let encoder = self.encoder.forward(frames);
        match (kind, &self.teacher) {
            (PhaseKind::Tokenizer, Some(teacher)) => {
                let teacher: f64 = teacher.iter().map(|blocks| blocks.forward(frames)).sum();
                TRAIN_OVER_FORWARD * teacher + encoder
            }
            _ => TRAIN_OVER_FORWARD * (encoder * (1.0 + self.unmasked) + 2.0 * frames * self.head()),
        }
    }

    /// Bytes held at the peak of a step on `batch` utterances that are padded to so many frames.
    fn memory(&self, kind: PhaseKind, batch: usize, frames: f64) -> f64 {
        let student = self.encoder.parameters() + self.head();
        let teacher = self.teacher.iter().flatten().map(Blocks::parameters).sum::<f64>();
        let kept = match (kind, &self.teacher) {
            (PhaseKind::Tokenizer, Some(teacher)) => teacher.iter().map(|blocks| blocks.kept(frames)).sum(),
            // logits, their softmax and its gradient
            _ => self.encoder.kept(frames) * (1.0 + self.unmasked) + 3.0 * frames * self.labels,
        };
        // both keep their optimizer's moments
        PROCESS_BYTES + F32 * (HELD_PER_TRAINED * (student + teacher) + batch as f64 * kept)
    }

    /// Cost of training with transcripts, of the protocols that train the encoder, each of so many ranks
    /// with its part of a batch; None where the plan has none.
    pub fn finetune(&self, plan: &Plan, lengths: &[usize], ranks: usize) -> Option<PhaseCost> {
        let values = plan.evaluation.finetune.as_ref().map(Taught::for_transcripts)?;
        let drawn = values.utterances.map_or(lengths.len(), |most| most.min(lengths.len()));
        let share = drawn as f64 / lengths.len().max(1) as f64;
        let forward: f64 = lengths.iter().map(|&frames| self.encoder.forward(frames as f64)).sum();
        let frames = longest(lengths);
        let kept = values.batch.div_ceil(ranks).min(drawn) as f64 * self.encoder.kept(frames);
        Some(PhaseCost {
            steps: (values.epochs * (drawn / values.batch).max(1)) as u64,
            operations: TRAIN_OVER_FORWARD * forward * share * values.epochs as f64,
            memory_bytes: PROCESS_BYTES + F32 * (HELD_PER_TRAINED * self.encoder.parameters() + kept),
        })
    }

    /// Bytes of a checkpoint: both halves with AdamW's moments.
    pub fn checkpoint_bytes(&self) -> u64 {
        let teacher = self.teacher.iter().flatten().map(Blocks::parameters).sum::<f64>();
        (F32 * 3.0 * (self.encoder.parameters() + self.head() + teacher)) as u64
    }
}

/// Frames of the longest utterance, to which its batch is padded.
fn longest(lengths: &[usize]) -> f64 {
    lengths.iter().max().copied().unwrap_or(0) as f64
}
