//! BRIDLE over patches: encoder and tokenizer phases in turn (`bridle`), or both in the same steps
//! (`bridle-joint`).

use crate::data::{Fixed, FixedBatch, TrainingData};
use crate::plan::{ColdStartPosition, MaskKind, PhaseKind};
use crate::quantizers::{AnyQuantizer, ModelConfig, QuantizerConfig, Teacher};
use crate::sizes;
use crate::train::labels::Labels;
use crate::train::method::{ModelPart, PhaseRun, PretrainingMethod};
use crate::train::steps::{BatchLoss, LOG_EVERY};
use crate::train::{Context, TrainError};
use bridle::codebook::SeededPicks;
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::Trained;
use bridle::pretrain::{Student, TokenizerLoss, encoder_loss, labels, tokenizer_loss};
use bridle::quantizer::{Mode, Quantizer, QuantizerValues};
use bridle::swin::Dropout;
use bridle::tokenizer::Source;
use bridle::weights;
use bridle_backends::TrainBackend;
use bridle_seed::{Seed, Stream};
use burn::module::AutodiffModule;
use burn::tensor::{Int, Tensor};

/// A quantizer that restarts by usage does so after this many steps.
const RESTART_EVERY: u64 = 100;

/// Data that BRIDLE has a form for.
pub trait HasBridle: TrainingData {
    /// The form.
    type Bridle<B: TrainBackend>: PretrainingMethod<B, Self>;
}

impl HasBridle for Fixed<'_> {
    type Bridle<B: TrainBackend> = BridlePatches<B>;
}

/// Encoder and decoder, tokenizer and estimator.
pub struct BridlePatches<B: TrainBackend> {
    config: ModelConfig,
    student: Trained<B, Student<B>>,
    teacher: Trained<B, Teacher<B>>,
    /// The encoder that a tokenizer phase aims at; it does not move, so one copy serves all steps.
    frozen_encoder: Option<Vit<B::InnerBackend>>,
    /// Of the step at hand: where masks are drawn, batch after batch, and the decoder's dropout.
    draws: (Stream, Dropout),
    device: B::Device,
}

type Phase<'p, 'd> = PhaseRun<'p, Fixed<'d>>;

impl<'d, B: TrainBackend> PretrainingMethod<B, Fixed<'d>> for BridlePatches<B> {
    fn new(context: &Context<'_, Fixed<'d>>, init: &Init<B>, _phase: usize) -> Result<Self, TrainError> {
        let config = sizes::config(context.plan).expect("a plan of BRIDLE has all sizes");
        let adamw = context.pretrain().adamw;
        Ok(Self {
            student: Trained::new(Student::new(&config, &init.child("student")), adamw),
            teacher: Trained::new(Teacher::new(&config, &init.child("teacher")), adamw),
            config,
            frozen_encoder: None,
            draws: (context.seed.stream(), Dropout::Off),
            device: init.device.clone(),
        })
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
        if phase.plan.kind == PhaseKind::Tokenizer {
            self.teacher.tokenizer.quantizer = fresh_quantizer(phase, &self.config.quantizer, &self.device);
        }
    }

    /// Not where labels depend on each step: on its mask (video), or on views that it draws.
    fn keeps_labels(&self, phase: &Phase<'_, 'd>) -> bool {
        let fixed = !self.config.geometry.is_video() && !phase.context.data.varies();
        phase.plan.kind == PhaseKind::Encoder && fixed
    }

    fn make_labels(&mut self, phase: &Phase<'_, 'd>) -> Result<Labels, TrainError> {
        let (data, source, mut picks) = (phase.context.data, source(phase), phase.picks());
        let mut tokenizer = self.teacher.tokenizer.valid();
        if !tokenizer.quantizer.is_started() {
            // codebooks start on the batch that is trained on first
            let x = data.inputs(data.read(phase.first.clone())?, &self.device);
            tokenizer.codes(x, source, &mut picks);
        }
        let [codebooks, size] = tokenizer.quantizer.sizes();
        let labels = Labels::collect(phase.context, &vec![size; codebooks], |batch| {
            let codes = tokenizer.codes(data.inputs(batch, &self.device), source, &mut picks);
            let [samples, tokens, levels] = codes.dims();
            codes.reshape([samples * tokens, levels])
        })?;
        take_codebooks(&mut self.teacher.tokenizer.quantizer, &tokenizer.quantizer);
        Ok(labels)
    }

    fn begin_step(&mut self, phase: &Phase<'_, 'd>, step: u64) {
        let dropout = Box::new(phase.draws("dropout", step).stream());
        self.draws = (phase.draws("mask", step).stream(), Dropout::Draw(dropout));
    }

    fn loss(&mut self, phase: &Phase<'_, 'd>, step: u64, batch: FixedBatch, labels: Option<&Labels>) -> BatchLoss<B> {
        match phase.plan.kind {
            PhaseKind::Tokenizer => self.tokenizer_loss(phase, step, batch),
            PhaseKind::Joint => self.joint_loss(phase, step, batch),
            PhaseKind::Encoder | PhaseKind::Masked => self.encoder_loss(phase, batch, labels),
        }
    }

    fn end_phase(&mut self, _phase: &Phase<'_, 'd>) {
        self.frozen_encoder = None;
    }

    fn into_encoder(self) -> Vit<B> {
        self.student.into_inner().encoder
    }
}

impl<B: TrainBackend> BridlePatches<B> {
    fn mask(&mut self, phase: &Phase<'_, '_>, samples: usize) -> Mask {
        let (geometry, stream) = (&self.config.geometry, &mut self.draws.0);
        let mut noise = |count: usize| -> Vec<f32> { (0..samples * count).map(|_| stream.uniform()).collect() };
        let ([times, height, width], tokens) = (geometry.grid(), geometry.tokens());
        let mask = phase.context.plan.mask.as_ref();
        let ratio = mask.and_then(|mask| mask.ratio).unwrap_or(0.0);
        match mask.map(|mask| mask.kind) {
            Some(MaskKind::Tube) => Mask::tube(&noise(height * width), times, height * width, ratio),
            _ => Mask::random(&noise(tokens), tokens, ratio),
        }
    }

    fn encoder_loss(&mut self, phase: &Phase<'_, '_>, batch: FixedBatch, labels: Option<&Labels>) -> BatchLoss<B> {
        let mask = self.mask(phase, batch.samples.len());
        let rows = mask.upload(&self.device);
        let made = labels.map(|labels| labels.of(&batch.samples, mask.removed_tokens(), &self.device));
        let x = phase.context.data.inputs(batch, &self.device);
        let codes = made.unwrap_or_else(|| self.step_labels(phase, x.clone(), &rows));
        BatchLoss::new(encoder_loss(&self.student, x, &rows, codes, &mut self.draws.1))
    }

    /// Labels of a batch's removed tokens, without a graph.
    fn step_labels(&mut self, phase: &Phase<'_, '_>, x: Tensor<B, 5>, mask: &MaskRows<B>) -> Tensor<B, 2, Int> {
        let mut frozen = self.teacher.tokenizer.valid();
        let starting = !frozen.quantizer.is_started();
        let codes = labels(&mut frozen, x.inner(), source(phase), &mask.inner(), &mut phase.picks());
        if starting {
            take_codebooks(&mut self.teacher.tokenizer.quantizer, &frozen.quantizer);
        }
        Tensor::from_inner(codes)
    }

    fn tokenizer_loss(&mut self, phase: &Phase<'_, '_>, step: u64, batch: FixedBatch) -> BatchLoss<B> {
        let x: Tensor<B, 5> = phase.context.data.inputs(batch, &self.device);
        let encoder = self.frozen_encoder.get_or_insert_with(|| self.student.encoder.valid());
        let target = encoder.embed_patches(x.clone().inner());
        let found = self.teach(phase, step, step.saturating_sub(1), x, target);
        tokenizer_batch(found, step, self.config.quantizer.codebook_size())
    }

    /// Every step trains E and D; every n-th adds the weighted tokenizer loss to the same backward
    /// pass.
    fn joint_loss(&mut self, phase: &Phase<'_, '_>, step: u64, batch: FixedBatch) -> BatchLoss<B> {
        let rows = self.mask(phase, batch.samples.len()).upload(&self.device);
        let x = phase.context.data.inputs(batch, &self.device);
        let codes = self.step_labels(phase, x.clone(), &rows);
        let loss = encoder_loss(&self.student, x.clone(), &rows, codes, &mut self.draws.1);
        let mut batch = BatchLoss::new(loss);
        let joint = phase.context.plan.joint.as_ref().expect("a joint phase has its values");
        if let Some(before) = joint.last_before(step, phase.steps_per_epoch()) {
            let target = self.student.encoder.valid().embed_patches(x.clone().inner());
            let found = self.teach(phase, step, before, x, target);
            batch.values.push(("tokenizer", found.total().inner()));
            batch.loss = batch.loss + found.total().mul_scalar(joint.weight);
            batch.codes = Some((found.quantized.codes.inner(), self.config.quantizer.codebook_size()));
        }
        batch
    }

    /// The tokenizer's loss, which moves codebooks: once for each batch. `before` is the last step
    /// that did.
    fn teach(
        &mut self,
        phase: &Phase<'_, '_>,
        step: u64,
        before: u64,
        x: Tensor<B, 5>,
        target: Tensor<B::InnerBackend, 3>,
    ) -> TokenizerLoss<B> {
        let (mode, mut picks) = mode(phase.picks(), step, before);
        tokenizer_loss(&mut self.teacher, x, Tensor::from_inner(target), mode, &mut picks)
    }
}

/// The first encoder phase has labels from the cold start: the tokenizer was never trained then.
fn source(phase: &Phase<'_, '_>) -> Source {
    let cold_start = phase.context.plan.cold_start.as_ref();
    match (phase.plan.kind, phase.index) {
        (PhaseKind::Encoder, 0) => match cold_start.map(|start| start.position) {
            Some(ColdStartPosition::Out) => Source::ColdStartContent,
            _ => Source::ColdStart,
        },
        _ => Source::Network,
    }
}

/// New codebooks: a tokenizer phase starts from fresh ones (the authors' loader drops the old).
pub(super) fn fresh_quantizer<B: TrainBackend, D>(
    phase: &PhaseRun<'_, D>,
    values: &QuantizerConfig,
    device: &B::Device,
) -> AnyQuantizer<B> {
    let seed: Seed = phase.context.seed.child("weights").child(&phase.plan.name);
    AnyQuantizer::new(values, &Init::new(seed, device))
}

/// Takes the codebooks that a frozen copy of the tokenizer has started.
pub(super) fn take_codebooks<B: TrainBackend>(own: &mut AnyQuantizer<B>, copy: &AnyQuantizer<B::InnerBackend>) {
    *own = weights::load(own.clone(), &weights::collect(copy)).expect("a copy has the same parameters");
    own.set_started(copy.is_started());
}

/// From time to time hardly used codes are restarted, by picks of the step's own: once as many steps
/// have passed, counted over the last step `before` that moved codebooks.
pub(super) fn mode(picks: SeededPicks, step: u64, before: u64) -> (Mode, SeededPicks) {
    if step / RESTART_EVERY > before / RESTART_EVERY {
        return (Mode::Restart, SeededPicks(picks.0.child("by-usage").indexed(step)));
    }
    (Mode::Train, picks)
}

/// The loss of a tokenizer phase; the use of codes is counted as often as losses are read back.
pub(super) fn tokenizer_batch<B: TrainBackend>(
    found: TokenizerLoss<B>,
    step: u64,
    codebook_size: usize,
) -> BatchLoss<B> {
    let mut batch = BatchLoss::new(found.total());
    batch.values.push(("estimation", found.estimation.inner()));
    batch.values.push(("quantization", found.quantized.loss.inner()));
    let counted = step.is_multiple_of(LOG_EVERY as u64);
    batch.codes = counted.then(|| (found.quantized.codes.inner(), codebook_size));
    batch
}
