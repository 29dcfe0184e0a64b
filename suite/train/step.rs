//! One optimizer step of a phase: what is drawn for it, the losses of its batches, and the update.

use super::steps::{BatchLoss, LOG_EVERY, Learner, Spent, StepNumbers};
use super::{TrainError, Trainer};
use crate::input::{self, FixedBatch, Order};
use crate::labels::Labels;
use crate::plan::{MaskKind, PhaseKind, PhasePlan};
use bridle::codebook::SeededPicks;
use bridle::encoder::Vit;
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::Trainable;
use bridle::pretrain::{TokenizerLoss, encoder_loss, labels, tokenizer_loss};
use bridle::quantizer::{Mode, Quantizer};
use bridle::swin::Dropout;
use bridle::tokenizer::Source;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::{Int, Tensor};

/// A quantizer that restarts by usage does so after this many steps.
pub(crate) const RESTART_EVERY: u64 = 100;

/// What a step draws, handed out to its batches in order: the same for one batch as for several.
struct Draws {
    /// Of each sample that is left, the noise that its mask comes from.
    noise: Vec<f32>,
    /// Numbers of a sample.
    per_sample: usize,
    dropout: Dropout,
}

impl Draws {
    fn noise(&mut self, samples: usize) -> Vec<f32> {
        let rest = self.noise.split_off(samples * self.per_sample);
        std::mem::replace(&mut self.noise, rest)
    }
}

impl<'a, B: TrainBackend> Trainer<'a, B> {
    fn draws(&self, seed: &Seed, samples: usize) -> Draws {
        let geometry = &self.config.geometry;
        let [_, height, width] = geometry.grid();
        let per_sample = match self.mask_kind() {
            Some(MaskKind::Tube) => height * width,
            _ => geometry.tokens(),
        };
        let mut stream = seed.child("mask").indexed(self.state.step).stream();
        Draws {
            noise: (0..samples * per_sample).map(|_| stream.uniform()).collect(),
            per_sample,
            dropout: Dropout::Draw(Box::new(seed.child("dropout").indexed(self.state.step).stream())),
        }
    }

    fn mask_kind(&self) -> Option<MaskKind> {
        self.context.plan.mask.as_ref().map(|mask| mask.kind)
    }

    fn mask(&self, noise: &[f32]) -> Mask {
        let geometry = &self.config.geometry;
        let [times, height, width] = geometry.grid();
        let mask = self.context.plan.mask.as_ref();
        let ratio = mask.and_then(|mask| mask.ratio).unwrap_or(0.0);
        match self.mask_kind() {
            Some(MaskKind::Tube) => Mask::tube(noise, times, height * width, ratio),
            _ => Mask::random(noise, geometry.tokens(), ratio),
        }
    }

    fn encoder_batch(
        &mut self,
        x: Tensor<B, 5>,
        samples: &[usize],
        labelled: Option<&Labels>,
        draws: &mut Draws,
        picks: &mut SeededPicks,
    ) -> BatchLoss<B> {
        let mask = self.mask(&draws.noise(samples.len()));
        let rows = mask.upload(&self.device);
        let codes = match labelled {
            Some(labels) => labels.removed(samples, &mask, &self.device),
            None => {
                let source = self.source(PhaseKind::Encoder);
                self.step_labels(x.clone(), source, &rows, picks)
            }
        };
        BatchLoss::new(encoder_loss(&self.student, x, &rows, codes, &mut draws.dropout))
    }

    /// Labels of a batch's removed tokens, without a graph.
    fn step_labels(
        &mut self,
        x: Tensor<B, 5>,
        source: Source,
        mask: &MaskRows<B>,
        picks: &mut SeededPicks,
    ) -> Tensor<B, 2, Int> {
        let mut frozen = self.teacher.tokenizer.valid();
        let starting = !frozen.quantizer.is_started();
        let codes = labels(&mut frozen, x.inner(), source, &mask.inner(), picks);
        if starting {
            self.keep_codebooks(&frozen.quantizer);
        }
        Tensor::from_inner(codes)
    }

    /// The tokenizer's loss, which moves codebooks: once for each batch. From time to time hardly used codes are restarted.
    fn teach(
        &mut self,
        x: Tensor<B, 5>,
        target: Tensor<B::InnerBackend, 3>,
        picks: &mut SeededPicks,
    ) -> TokenizerLoss<B> {
        let target = Tensor::from_inner(target);
        let step = self.state.step;
        if step > 0 && step.is_multiple_of(RESTART_EVERY) {
            let mut picks = SeededPicks(picks.0.child("by-usage").indexed(step));
            return tokenizer_loss(&mut self.teacher, x, target, Mode::Restart, &mut picks);
        }
        tokenizer_loss(&mut self.teacher, x, target, Mode::Train, picks)
    }

    fn tokenizer_batch(
        &mut self,
        x: Tensor<B, 5>,
        target: Tensor<B::InnerBackend, 3>,
        picks: &mut SeededPicks,
    ) -> BatchLoss<B> {
        let found = self.teach(x, target, picks);
        let loss = found.total();
        let counted = self.state.step.is_multiple_of(LOG_EVERY as u64);
        BatchLoss {
            values: vec![
                ("loss", loss.clone().inner()),
                ("estimation", found.estimation.inner()),
                ("quantization", found.quantized.loss.inner()),
            ],
            loss,
            codes: counted.then(|| (found.quantized.codes.inner(), self.config.codes.codes)),
        }
    }

    /// Every step trains E and D; every n-th adds the weighted tokenizer loss to the same backward pass.
    fn joint_batch(&mut self, x: Tensor<B, 5>, draws: &mut Draws, picks: &mut SeededPicks) -> BatchLoss<B> {
        let mask = self.mask(&draws.noise(x.dims()[0]));
        let rows = mask.upload(&self.device);
        let codes = self.step_labels(x.clone(), Source::Network, &rows, picks);
        let loss = encoder_loss(&self.student, x.clone(), &rows, codes, &mut draws.dropout);
        let mut batch = BatchLoss::new(loss);
        let joint = self.context.plan.joint.as_ref();
        let every = joint.map_or(1, |joint| joint.every as u64);
        if self.state.step.is_multiple_of(every) {
            let target = self.student.encoder.valid().embed_patches(x.clone().inner());
            let found = self.teach(x, target, picks);
            let joint = self.context.plan.joint.as_ref();
            let weight = joint.map_or(0.0, |joint| joint.weight);
            batch.values.push(("tokenizer", found.total().inner()));
            batch.loss = batch.loss + found.total().mul_scalar(weight);
            batch.codes = Some((found.quantized.codes.inner(), self.config.codes.codes));
        }
        batch
    }
}

/// The steps of one phase.
pub(super) struct PhaseLearner<'t, 'a, B: TrainBackend> {
    phase: &'t PhasePlan,
    seed: &'t Seed,
    order: Order<'a>,
    pub(super) labels: Option<Labels>,
    /// The encoder that a tokenizer phase aims at; it does not move, so one copy serves all steps.
    frozen_encoder: Option<Vit<B::InnerBackend>>,
    pub(super) picks: SeededPicks,
    /// Those of the step at hand.
    draws: Draws,
    trainer: &'t mut Trainer<'a, B>,
}

impl<'t, 'a, B: TrainBackend> PhaseLearner<'t, 'a, B> {
    pub(super) fn new(
        trainer: &'t mut Trainer<'a, B>,
        phase: &'t PhasePlan,
        seed: &'t Seed,
        order: Order<'a>,
        labels: Option<Labels>,
        picks: SeededPicks,
    ) -> Self {
        Self {
            phase,
            seed,
            order,
            labels,
            frozen_encoder: None,
            picks,
            draws: Draws {
                noise: Vec::new(),
                per_sample: 0,
                dropout: Dropout::Off,
            },
            trainer,
        }
    }
}

impl<B: TrainBackend> Learner<B> for PhaseLearner<'_, '_, B> {
    type Input = FixedBatch;

    fn batches(&mut self, input: FixedBatch) -> Vec<(FixedBatch, f64)> {
        let pretrain = self.trainer.context.plan.pretrain.as_ref();
        let count = input.samples.len();
        self.draws = self.trainer.draws(self.seed, count);
        let size = pretrain.map_or(count, |pretrain| pretrain.batch);
        let share = |batch: FixedBatch| {
            let share = batch.samples.len() as f64 / count as f64;
            (batch, share)
        };
        input.split(size).into_iter().map(share).collect()
    }

    fn loss(&mut self, batch: FixedBatch) -> BatchLoss<B> {
        let (trainer, draws) = (&mut *self.trainer, &mut self.draws);
        let FixedBatch { samples, values } = batch;
        let x = input::on_device(values, samples.len(), &trainer.config.geometry, &trainer.device);
        match self.phase.kind {
            PhaseKind::Encoder => trainer.encoder_batch(x, &samples, self.labels.as_ref(), draws, &mut self.picks),
            PhaseKind::Tokenizer => {
                let encoder = self
                    .frozen_encoder
                    .get_or_insert_with(|| trainer.student.encoder.valid());
                let target = encoder.embed_patches(x.clone().inner());
                trainer.tokenizer_batch(x, target, &mut self.picks)
            }
            PhaseKind::Joint => trainer.joint_batch(x, draws, &mut self.picks),
            PhaseKind::Masked => unreachable!("methods that hide frames have a trainer of their own"),
        }
    }

    fn trained(&mut self) -> Vec<&mut dyn Trainable<B>> {
        vec![&mut self.trainer.student, &mut self.trainer.teacher]
    }

    fn finish_step(&mut self) -> Result<(), TrainError> {
        self.trainer.state.step += 1;
        self.trainer.state.total_steps += 1;
        Ok(())
    }

    fn log_step(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let trainer = &mut *self.trainer;
        let per_epoch = self.order.steps_per_epoch();
        trainer
            .state
            .log_step(&mut trainer.log, self.phase, per_epoch, &numbers)
    }

    fn save(&mut self, spent: Spent) -> Result<(), TrainError> {
        self.trainer.state.spend(spent);
        self.trainer.save()
    }
}
