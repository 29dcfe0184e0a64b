//! One optimizer step of a phase: what is drawn for it, the losses of its batches, and the update.

use super::{TrainError, Trainer};
use crate::input::{self, Order};
use crate::labels::Labels;
use crate::plan::{MaskKind, PhaseKind, PhasePlan};
use crate::steps::{LOG_EVERY, Learner, Spent, StepLoss, StepNumbers};
use bridle::codebook::SeededPicks;
use bridle::encoder::Vit;
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::{GradientSums, UniformRate};
use bridle::pretrain::{TokenizerLoss, encoder_loss, labels, tokenizer_loss};
use bridle::quantizer::{Mode, Quantizer, QuantizerValues};
use bridle::swin::Dropout;
use bridle::tokenizer::Source;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::backend::Backend;
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

/// What one batch gave.
struct Batch<B: TrainBackend> {
    loss: Tensor<B, 1>,
    /// As in [`StepLoss`].
    values: Vec<(&'static str, Tensor<B::InnerBackend, 1>)>,
    /// The codes that its tokenizer loss is about, [B, N, Q].
    codes: Option<Tensor<B, 3, Int>>,
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
    ) -> Batch<B> {
        let mask = self.mask(&draws.noise(samples.len()));
        let rows = mask.upload(&self.device);
        let codes = match labelled {
            Some(labels) => labels.removed(samples, &mask, &self.device),
            None => {
                let source = self.source(PhaseKind::Encoder);
                self.step_labels(x.clone(), source, &rows, picks)
            }
        };
        let loss = encoder_loss(&self.student, x, &rows, codes, &mut draws.dropout);
        Batch {
            values: vec![("loss", loss.clone().inner())],
            loss,
            codes: None,
        }
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
    ) -> Batch<B> {
        let found = self.teach(x, target, picks);
        let loss = found.total();
        let counted = self.state.step.is_multiple_of(LOG_EVERY as u64);
        Batch {
            values: vec![
                ("loss", loss.clone().inner()),
                ("estimation", found.estimation.inner()),
                ("quantization", found.quantized.loss.inner()),
            ],
            loss,
            codes: counted.then_some(found.quantized.codes),
        }
    }

    /// Every step trains E and D; every n-th adds the weighted tokenizer loss to the same backward pass.
    fn joint_batch(&mut self, x: Tensor<B, 5>, draws: &mut Draws, picks: &mut SeededPicks) -> Batch<B> {
        let mask = self.mask(&draws.noise(x.dims()[0]));
        let rows = mask.upload(&self.device);
        let codes = self.step_labels(x.clone(), Source::Network, &rows, picks);
        let loss = encoder_loss(&self.student, x.clone(), &rows, codes, &mut draws.dropout);
        let mut batch = Batch {
            values: vec![("loss", loss.clone().inner())],
            loss,
            codes: None,
        };
        if self.trains(PhaseKind::Joint)[1] {
            let target = self.student.encoder.valid().embed_patches(x.clone().inner());
            let found = self.teach(x, target, picks);
            let joint = self.context.plan.joint.as_ref();
            let weight = joint.map_or(0.0, |joint| joint.weight);
            batch.values.push(("tokenizer", found.total().inner()));
            batch.loss = batch.loss + found.total().mul_scalar(weight);
            batch.codes = Some(found.quantized.codes);
        }
        batch
    }

    /// Whether the step at hand trains the student, and whether the teacher.
    fn trains(&self, kind: PhaseKind) -> [bool; 2] {
        match kind {
            PhaseKind::Encoder | PhaseKind::Masked => [true, false],
            PhaseKind::Tokenizer => [false, true],
            PhaseKind::Joint => {
                let joint = self.context.plan.joint.as_ref();
                let every = joint.map_or(1, |joint| joint.every as u64);
                [true, self.state.step.is_multiple_of(every)]
            }
        }
    }

    fn update(&mut self, trained: [bool; 2], grads: &B::Gradients, rate: f64) {
        let [student, teacher] = trained;
        if student {
            let optimizer = &mut self.student_optimizer;
            self.student
                .update(|student| optimizer.step(student, grads, rate, &UniformRate));
        }
        if teacher {
            let optimizer = &mut self.teacher_optimizer;
            self.teacher
                .update(|teacher| optimizer.step(teacher, grads, rate, &UniformRate));
        }
    }

    fn update_by_sums(&mut self, trained: [bool; 2], sums: &GradientSums<B>, rate: f64) {
        let [student, teacher] = trained;
        if student {
            let optimizer = &mut self.student_optimizer;
            self.student
                .update(|student| optimizer.step_by_sums(student, sums, rate, &UniformRate));
        }
        if teacher {
            let optimizer = &mut self.teacher_optimizer;
            self.teacher
                .update(|teacher| optimizer.step_by_sums(teacher, sums, rate, &UniformRate));
        }
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
    trainer: &'t mut Trainer<'a, B>,
}

impl<'t, 'a, B: TrainBackend> PhaseLearner<'t, 'a, B> {
    pub(super) const fn new(
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
            trainer,
        }
    }

    /// The loss of one of the step's batches.
    fn batch(&mut self, input: Vec<f32>, samples: &[usize], draws: &mut Draws) -> Batch<B> {
        let trainer = &mut *self.trainer;
        let x = input::on_device(input, samples.len(), &trainer.config.geometry, &trainer.device);
        match self.phase.kind {
            PhaseKind::Encoder => trainer.encoder_batch(x, samples, self.labels.as_ref(), draws, &mut self.picks),
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

    /// The batches of a step one after another, each weighted by its share of the samples; the gradients of each are
    /// summed, and its graph is gone before the next.
    fn accumulate(&mut self, mut input: Vec<f32>, samples: &[usize], size: usize, rate: f64) -> StepLoss<B> {
        let trained = self.trainer.trains(self.phase.kind);
        let mut draws = self.trainer.draws(self.seed, samples.len());
        let (row, mut sums) = (input.len() / samples.len(), GradientSums::default());
        let (mut values, mut codes) = (Vec::new(), Vec::new());
        for samples_of in samples.chunks(size) {
            let rest = input.split_off(samples_of.len() * row);
            let batch = self.batch(std::mem::replace(&mut input, rest), samples_of, &mut draws);
            let share = samples_of.len() as f64 / samples.len() as f64;
            let grads = batch.loss.mul_scalar(share).backward();
            if trained[0] {
                sums.add(&*self.trainer.student, &grads);
            }
            if trained[1] {
                sums.add(&*self.trainer.teacher, &grads);
            }
            add_up(&mut values, batch.values, share);
            codes.extend(batch.codes);
        }
        self.trainer.update_by_sums(trained, &sums, rate);
        let count = self.trainer.config.quantizer.codebook_size();
        StepLoss {
            values,
            codes: (!codes.is_empty()).then(|| (Tensor::cat(codes, 0).inner(), count)),
        }
    }
}

/// Adds a batch's values, weighted by its share.
fn add_up<B: Backend>(
    sums: &mut Vec<(&'static str, Tensor<B, 1>)>,
    values: Vec<(&'static str, Tensor<B, 1>)>,
    share: f64,
) {
    let values = values.into_iter().map(|(name, value)| (name, value.mul_scalar(share)));
    if sums.is_empty() {
        sums.extend(values);
    } else {
        for ((_, sum), (_, value)) in sums.iter_mut().zip(values) {
            *sum = sum.clone() + value;
        }
    }
}

impl<B: TrainBackend> Learner<B> for PhaseLearner<'_, '_, B> {
    type Input = Vec<f32>;

    fn step(&mut self, input: Vec<f32>, rate: f64) -> Result<StepLoss<B>, TrainError> {
        let samples = self.order.at(self.trainer.state.step);
        let pretrain = self.trainer.context.plan.pretrain.as_ref();
        let size = pretrain.map_or(samples.len(), |pretrain| pretrain.batch);
        let loss = if samples.len() > size {
            self.accumulate(input, &samples, size, rate)
        } else {
            let mut draws = self.trainer.draws(self.seed, samples.len());
            let batch = self.batch(input, &samples, &mut draws);
            let trained = self.trainer.trains(self.phase.kind);
            self.trainer.update(trained, &batch.loss.backward(), rate);
            let count = self.trainer.config.quantizer.codebook_size();
            StepLoss {
                values: batch.values,
                codes: batch.codes.map(|codes| (codes.inner(), count)),
            }
        };
        self.trainer.state.step += 1;
        self.trainer.state.total_steps += 1;
        Ok(loss)
    }

    fn note(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let trainer = &mut *self.trainer;
        let per_epoch = self.order.steps_per_epoch();
        trainer.state.note(&mut trainer.log, self.phase, per_epoch, &numbers)
    }

    fn save(&mut self, spent: Spent) -> Result<(), TrainError> {
        self.trainer.state.spend(spent);
        self.trainer.save()
    }
}
