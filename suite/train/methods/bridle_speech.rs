//! BRIDLE over frames of speech: encoder phases by masked prediction, tokenizer phases between
//! them.
//!
//! The paper has audio, image and video only; this is its method carried over, not a published form
//! of it.

use super::bridle::{
    HasBridle, begin_codebooks, is_taught, mode, phase_values, same_labels, take_codebooks, tokenizer_batch,
};
use super::masked::{MaskedStudent, frame_labels, kept_labels_loss, student};
use crate::data::{TrainingData as _, UtteranceBatch, Utterances, valid_rows};
use crate::plan::PhaseKind;
use crate::quantizers::{AnyQuantizer, FrameTeacher};
use crate::train::labels::Labels;
use crate::train::method::{ModelPart, PhaseRun, PretrainingMethod};
use crate::train::steps::BatchLoss;
use crate::train::{Context, TrainError};
use bridle::codebook::index_rows;
use bridle::init::Init;
use bridle::layered::LayeredEncoder as _;
use bridle::optimizer::Trained;
use bridle::quantizer::{Quantizer as _, QuantizerValues};
use bridle::speech::conformer::Conformer;
use bridle::speech::tokenizer::frame_tokenizer_loss;
use bridle::standardizer::Standardizer;
use bridle::tokenizer::Source;
use bridle_backends::TrainBackend;
use burn::module::AutodiffModule;
use burn::tensor::{Int, Tensor};

type Phase<'p, 'd> = PhaseRun<'p, Utterances<'d>>;

impl<'d> HasBridle for Utterances<'d> {
    type Bridle<B: TrainBackend> = BridleSpeech<'d, B>;
}

/// Encoder and head, tokenizer and estimator.
pub struct BridleSpeech<'d, B: TrainBackend> {
    codebook_size: usize,
    student: MaskedStudent<B, Utterances<'d>>,
    teacher: Trained<B, FrameTeacher<B>>,
    standard: Standardizer<B>,
    /// The encoder that a tokenizer phase aims at; it does not move, so one copy serves all steps.
    frozen_encoder: Option<Conformer<B::InnerBackend>>,
    device: B::Device,
}

impl<'d, B: TrainBackend> PretrainingMethod<B, Utterances<'d>> for BridleSpeech<'d, B> {
    fn new(context: &Context<'_, Utterances<'d>>, init: &Init<B>, phase: usize) -> Result<Self, TrainError> {
        let labels = context.plan.label_quantizer();
        let labels = labels.expect("a plan of BRIDLE has a quantizer");
        let values = phase_values(context, phase).unwrap_or_else(|| labels.clone());
        let depth = context.plan.conformer().estimator_depth;
        let depth = depth.expect("a plan of BRIDLE has an estimator");
        let (init_teacher, adamw) = (init.child("teacher"), context.pretrain().adamw);
        let standard = context.data.standard(context.train, &init_teacher)?;
        let teacher = FrameTeacher::new(context.data.sizes(), depth, standard.clone(), &values, &init_teacher);
        Ok(Self {
            student: student(context, labels.label_codes() * labels.codebook_size(), init),
            teacher: Trained::new(teacher, adamw),
            standard,
            frozen_encoder: None,
            device: init.device.clone(),
            codebook_size: values.codebook_size(),
        })
    }

    fn over_ranks(_context: &Context<'_, Utterances<'d>>) -> bool {
        true
    }

    fn parts(&mut self) -> Vec<ModelPart<'_, B>> {
        vec![
            ModelPart::student(&mut self.student),
            ModelPart::new("teacher.", "teacher_optimizer.", &mut self.teacher),
        ]
    }

    fn quantizer(&mut self) -> Option<&mut AnyQuantizer<B>> {
        Some(&mut self.teacher.tokenizer.quantizer)
    }

    fn begin_phase(&mut self, phase: &Phase<'_, 'd>) {
        begin_codebooks(&mut self.teacher.tokenizer.quantizer, phase, &self.device);
    }

    fn keeps_labels(&self, phase: &Phase<'_, 'd>) -> bool {
        phase.plan.kind != PhaseKind::Tokenizer
    }

    fn takes_labels(&self, phase: &Phase<'_, 'd>) -> bool {
        same_labels(phase)
    }

    /// Of the cold start before the tokenizer was ever trained. Codebooks may start on the first
    /// batch.
    fn make_labels(&mut self, phase: &Phase<'_, 'd>) -> Result<Labels, TrainError> {
        let mut tokenizer = self.teacher.tokenizer.valid();
        let mut picks = phase.picks();
        let source = match is_taught(phase) {
            false => Source::ColdStart,
            true => Source::Network,
        };
        let [codebooks, size] = tokenizer.quantizer.sizes();
        let labels = frame_labels(phase, &vec![size; codebooks], &self.device, |frames, rows| {
            tokenizer.codes(frames, rows, source, &mut picks)
        })?;
        take_codebooks(&mut self.teacher.tokenizer.quantizer, &tokenizer.quantizer);
        Ok(labels)
    }

    fn loss(
        &mut self,
        phase: &Phase<'_, 'd>,
        step: u64,
        batch: UtteranceBatch,
        labels: Option<&Labels>,
    ) -> BatchLoss<B> {
        match labels {
            Some(labels) => kept_labels_loss(&self.student, &self.standard, phase, step, batch, labels),
            None => self.tokenizer_loss(phase, step, batch),
        }
    }

    fn end_phase(&mut self, _phase: &Phase<'_, 'd>) {
        self.frozen_encoder = None;
    }

    fn into_encoder(self) -> Conformer<B> {
        self.student.into_inner().encoder
    }
}

impl<B: TrainBackend> BridleSpeech<'_, B> {
    fn tokenizer_loss(&mut self, phase: &Phase<'_, '_>, step: u64, batch: UtteranceBatch) -> BatchLoss<B> {
        let valid = valid_rows(&batch.lengths);
        let rows: Tensor<B, 1, Int> = index_rows(&valid, &self.device);
        let frames = phase.context.data.frames::<B>(batch, &self.device);
        let encoder = self.frozen_encoder.get_or_insert_with(|| self.student.encoder.valid());
        let inner = frames.inner();
        let target = Tensor::from_inner(inner.with(encoder.encode(&inner)).rows(rows.clone().inner()));
        let (mode, mut picks) = mode(phase, step, step.saturating_sub(1));
        let found = frame_tokenizer_loss(&mut self.teacher, &frames, rows, target, mode, &mut picks);
        tokenizer_batch(found, step, self.codebook_size).over_rows(valid.len())
    }
}
