//! What a pretraining method is to the driver of phases: its model, its labels, its loss.

use super::labels::Labels;
use super::steps::BatchLoss;
use super::{Context, TrainError};
use crate::data::TrainingData;
use crate::plan::PhasePlan;
use crate::quantizers::AnyQuantizer;
use ::bridle::codebook::SeededPicks;
use ::bridle::init::Init;
use ::bridle::optimizer::Trainable;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;

/// A method of pretraining on data of kind `D`. The driver in [`super::phases`] calls it, for each
/// phase: `begin_phase`, `make_labels` if it `keeps_labels`, then for each step `begin_step`,
/// `loss` of each batch, `finish_step`; at the end `make_labels` for their statistics, and
/// `end_phase`.
pub trait PretrainingMethod<B: TrainBackend, D: TrainingData>: Sized {
    /// Whether ranks can share its batches out: what is random is drawn by a sample's place in the
    /// whole batch, and all parts of the loss are means over the same.
    fn over_ranks(context: &Context<'_, D>) -> bool;

    /// First weights; for phase `phase`, if a checkpoint is to be loaded that was written in it.
    ///
    /// # Errors
    /// If a sample cannot be read.
    fn new(context: &Context<'_, D>, init: &Init<B>, phase: usize) -> Result<Self, TrainError>;

    /// All that is trained or kept in checkpoints.
    fn parts(&mut self) -> Vec<ModelPart<'_, B>>;

    /// The quantizer that learns, whose start a checkpoint notes.
    fn quantizer(&mut self) -> Option<&mut AnyQuantizer<B>> {
        None
    }

    /// Prepares a phase before its first step; not called when a run resumes within it.
    fn begin_phase(&mut self, _phase: &PhaseRun<'_, D>) {}

    /// Whether a phase trains on labels that are made before it, once for all its steps.
    fn keeps_labels(&self, _phase: &PhaseRun<'_, D>) -> bool {
        false
    }

    /// Whether such labels are those that the tokenizer phase before counted, as far as that is known.
    fn takes_labels(&self, _phase: &PhaseRun<'_, D>) -> bool {
        true
    }

    /// The labels of all training samples, as this phase's.
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    fn make_labels(&mut self, phase: &PhaseRun<'_, D>) -> Result<Labels, TrainError>;

    /// Draws what all batches of step `step` share.
    fn begin_step(&mut self, _phase: &PhaseRun<'_, D>, _step: u64) {}

    /// The loss of one batch of step `step`, given the labels that were made before the phase, if
    /// any.
    fn loss(&mut self, phase: &PhaseRun<'_, D>, step: u64, batch: D::Batch, labels: Option<&Labels>) -> BatchLoss<B>;

    /// Does what is due after so many steps of the phase.
    ///
    /// # Errors
    /// If a sample cannot be read any more.
    fn finish_step(&mut self, _phase: &PhaseRun<'_, D>, _done: u64) -> Result<(), TrainError> {
        Ok(())
    }

    /// Ends a phase, after its labels were counted.
    fn end_phase(&mut self, _phase: &PhaseRun<'_, D>) {}

    /// What pretraining is for.
    fn into_encoder(self) -> D::Encoder<B>;
}

/// A part of a method's model, by its name in checkpoints.
pub struct ModelPart<'m, B: TrainBackend> {
    /// Before the names of its weights: `student.`.
    pub name: &'static str,
    /// Before the names of its optimizer's moments: `student_optimizer.`. Empty where no gradient
    /// moves it.
    pub optimizer: &'static str,
    pub module: &'m mut dyn Trainable<B>,
    /// Whether a checkpoint may lack it, as older ones do, since the seed draws the same again.
    pub redrawn: bool,
}

impl<'m, B: TrainBackend> ModelPart<'m, B> {
    pub fn new(name: &'static str, optimizer: &'static str, module: &'m mut dyn Trainable<B>) -> Self {
        Self {
            name,
            optimizer,
            module,
            redrawn: false,
        }
    }

    /// What mainly learns: the encoder and what predicts labels.
    pub fn student(module: &'m mut dyn Trainable<B>) -> Self {
        Self::new("student.", "student_optimizer.", module)
    }
}

/// One phase on its way.
pub struct PhaseRun<'a, D> {
    pub context: &'a Context<'a, D>,
    /// Its name, kind, length.
    pub plan: PhasePlan,
    /// Its place among all phases, from 0.
    pub index: usize,
    /// Its seed.
    pub seed: Seed,
    /// All its steps.
    pub steps: u64,
    /// The samples of its first step.
    pub first: Vec<usize>,
}

impl<D: TrainingData> PhaseRun<'_, D> {
    /// Steps of one pass over the data.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps / self.plan.length.epochs as u64
    }

    /// What picks first codes and restarted ones.
    pub fn picks(&self) -> SeededPicks {
        SeededPicks(self.seed.child("picks"))
    }

    /// Where step `step` draws what `name` says.
    pub fn draws(&self, name: &str, step: u64) -> Seed {
        self.seed.child(name).indexed(step)
    }
}
