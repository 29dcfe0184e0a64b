//! The driver of pretraining: for each phase labels, inputs, the loop over steps, the record, a
//! checkpoint.
//!
//! Each phase starts from the weights of the last, with fresh optimizers and a schedule of its own.

use super::labels::{EarlierLabels, Labels};
use super::method::{PhaseRun, PretrainingMethod};
use super::schedule::Schedule;
use super::steps::{AHEAD, BatchLoss, Learner, Share, Spent, StepNumbers, Steps};
use super::{Context, PretrainState, TrainError};
use crate::data::{Batch as _, Part, TrainingData};
use crate::plan::{PhaseKind, PhasePlan};
use crate::run::metrics_log::MetricsLog;
use crate::run::{machine, replicas};
use crate::sizes;
use bridle::optimizer::Trainable;
use bridle::quantizer::Quantizer as _;
use bridle::weights::{Weights, strip_prefix, with_prefix};
use bridle_backends::TrainBackend;
use bridle_backends::kernel::{ranks, with_checkpoints};
use bridle_ranks::RanksError;
use bridle_results::codes::CodebookStatistics;
use bridle_results::record::{Loss, Phase as PhaseRecord};
use std::time::Instant;

/// What messages call the samples that ranks share.
pub const PRETRAIN_BATCH: &str = "samples of a batch (pretrain.batch)";

/// The checkpoint's name for the labels of an earlier phase.
const EARLIER_LABELS: &str = "earlier_labels";

/// A pretrained encoder, all weights, and how it came about.
pub type Pretrained<E> = (E, Weights, PretrainState);

/// Pretrains by method `M`, from the start or from a checkpoint.
///
/// # Errors
/// If training diverges, is interrupted, cannot read a sample, or cannot write; if the checkpoint
/// does not fit.
pub fn run<B: TrainBackend, D: TrainingData, M: PretrainingMethod<B, D>>(
    context: &Context<'_, D>,
    saved: Option<(Weights, PretrainState)>,
    device: &B::Device,
) -> Result<Pretrained<D::Encoder<B>>, TrainError> {
    let ranks = ranks().size();
    if ranks > 1 && !M::over_ranks(context) {
        let what = format!("method {} with this plan", context.plan.method);
        return Err(RanksError::Unshared { what, ranks }.into());
    }
    with_checkpoints(context.pretrain().checkpoint, || {
        let mut driver = Driver::<B, D, M>::new(context, saved, device)?;
        while driver.state.phase < driver.phases.len() {
            driver.phase()?;
        }
        let weights = driver.weights();
        Ok((driver.method.into_encoder(), weights, driver.state))
    })
}

struct Driver<'a, B, D, M> {
    context: &'a Context<'a, D>,
    phases: Vec<PhasePlan>,
    method: M,
    state: PretrainState,
    log: MetricsLog,
    /// Labels of a tokenizer phase that has just ended: those of the next encoder phase.
    labels: Option<Labels>,
    /// Labels of the last encoder phase, to see what later ones change.
    earlier: Option<EarlierLabels>,
    backend: std::marker::PhantomData<B>,
}

impl<'a, B: TrainBackend, D: TrainingData, M: PretrainingMethod<B, D>> Driver<'a, B, D, M> {
    fn new(
        context: &'a Context<'a, D>,
        saved: Option<(Weights, PretrainState)>,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let init = sizes::init::<B>(context.plan, context.seed.child("weights"), device);
        let steps = saved.as_ref().map(|(_, state)| state.total_steps);
        let phase = saved.as_ref().map_or(0, |(_, state)| state.phase);
        let mut driver = Self {
            method: M::new(context, &init, phase)?,
            log: replicas::log(&context.folder.join("metrics.jsonl"), steps)?,
            phases: context.plan.phases(),
            context,
            state: PretrainState {
                id: context.id.to_owned(),
                data: Some(context.data_identity.to_owned()),
                ..PretrainState::default()
            },
            labels: None,
            earlier: None,
            backend: std::marker::PhantomData,
        };
        if let Some((weights, state)) = saved {
            driver.load(weights, state, device)?;
        }
        Ok(driver)
    }

    fn load(&mut self, mut saved: Weights, state: PretrainState, device: &B::Device) -> Result<(), TrainError> {
        let codes = saved.remove(EARLIER_LABELS);
        let earlier = state.labelled.clone().zip(codes);
        self.earlier = earlier.map(|(phase, codes)| EarlierLabels { phase, codes });
        let mut optimizer_steps = state.optimizer_steps.iter().copied();
        for part in self.method.parts() {
            let own = strip_prefix(&saved, part.name);
            let Some(optimizer) = part.module.optimizer() else {
                if !(own.is_empty() && part.redrawn) {
                    part.module.load_weights(&own)?;
                }
                continue;
            };
            let moments = strip_prefix(&saved, part.optimizer);
            optimizer.load(&moments, optimizer_steps.next().unwrap_or(0), device);
            part.module.load_weights(&own)?;
        }
        if let Some(quantizer) = self.method.quantizer() {
            quantizer.set_started(state.started);
        }
        self.state = state;
        Ok(())
    }

    fn phase(&mut self) -> Result<(), TrainError> {
        let context = self.context;
        let (plan, index) = (self.phases[self.state.phase].clone(), self.state.phase);
        let seed = context.seed.child(&plan.name);
        let order = context
            .data
            .order(context.train, context.pretrain().step_samples(), seed.child("order"));
        let (per_epoch, batch) = (order.steps_per_epoch(), order.batch());
        let parts = Part::of_step(batch, context.pretrain().batch, &ranks());
        parts
            .iter()
            .try_for_each(|part| ranks().can_share(PRETRAIN_BATCH, part.of))?;
        let phase = PhaseRun {
            context,
            steps: per_epoch * plan.length.epochs as u64,
            first: order.at(0),
            plan,
            index,
            seed,
        };
        if self.state.step == 0 {
            self.restart_optimizers();
            self.method.begin_phase(&phase);
        }
        let begun = Instant::now();
        let earlier = self.labels.take().filter(|_| self.method.takes_labels(&phase));
        let labels = match (&context.labels, self.method.keeps_labels(&phase), earlier) {
            (Some(given), ..) => Some(given.clone()),
            (None, true, None) => Some(self.method.make_labels(&phase)?),
            (None, true, earlier) => earlier,
            (None, false, _) => None,
        };
        self.state.seconds += begun.elapsed().as_secs_f64();
        let loop_over = Steps {
            phase: &phase.plan.name,
            range: self.state.step..phase.steps,
            per_epoch,
            samples: batch,
            schedule: Schedule::of(&phase.plan.length),
            folder: context.folder,
            checkpoint_every: context.checkpoint_every,
            interrupt: context.interrupt,
            progress: context.progress,
        };
        let seed = phase.seed;
        let placed = parts.clone();
        // threads that make one step each are as many as steps are made ahead
        let threads = machine::own_cores() / AHEAD;
        let inputs = move |step| {
            let own = Part::placed(&placed, &order.at(step));
            context.data.draw_on(threads, &own, &seed, step)
        };
        let mut learner = PhaseLearner {
            phase: &phase,
            parts,
            per_epoch,
            labels,
            driver: self,
        };
        let spent = loop_over.run(&mut learner, inputs)?;
        let labels = learner.labels;
        self.state.spend(spent);
        self.end_phase(&phase, batch, labels)
    }

    /// Records what the phase gave, and writes the checkpoint from which the next one starts.
    fn end_phase(&mut self, phase: &PhaseRun<'_, D>, batch: usize, labels: Option<Labels>) -> Result<(), TrainError> {
        let labels = match labels {
            Some(labels) => labels,
            None => self.method.make_labels(phase)?,
        };
        let Context { data, train, .. } = *self.context;
        let (name, steps) = (&phase.plan.name, phase.steps);
        let (first, last) = self.state.loss.unwrap_or((f64::NAN, f64::NAN));
        let seconds = self.state.seconds;
        self.state.done.push(PhaseRecord {
            name: name.clone(),
            epochs: phase.plan.length.epochs as u64,
            steps,
            seconds,
            input_wait_seconds: Some(self.state.waited),
            samples_per_second: steps as f64 * batch as f64 / seconds,
            loss: Loss { first, last },
            codebooks: labels.statistics(),
            labels: Some(labels.summary(data, train, self.earlier.as_ref())),
            curve: Some(std::mem::take(&mut self.state.curve)),
            reused_from: None,
        });
        self.context
            .progress
            .say(&summary(&phase.plan, &self.state, &labels.statistics()));
        if phase.plan.kind == PhaseKind::Tokenizer {
            self.labels = Some(labels);
        } else {
            self.state.labelled = Some(name.clone());
            self.earlier = Some(labels.snapshot::<D>(name, train));
        }
        self.method.end_phase(phase);
        self.state.next_phase();
        self.restart_optimizers();
        self.save()
    }

    fn restart_optimizers(&mut self) {
        for part in self.method.parts() {
            if let Some(optimizer) = part.module.optimizer() {
                optimizer.restart();
            }
        }
    }

    fn weights(&mut self) -> Weights {
        let mut all = Weights::new();
        for part in self.method.parts() {
            all.extend(with_prefix(part.name, part.module.weights()));
            if let Some(optimizer) = part.module.optimizer() {
                all.extend(with_prefix(part.optimizer, optimizer.save()));
            }
        }
        let earlier = self.earlier.as_ref();
        all.extend(earlier.map(|earlier| (EARLIER_LABELS.to_owned(), earlier.codes.clone())));
        all
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let quantizer = self.method.quantizer();
        self.state.started = quantizer.is_some_and(|quantizer| quantizer.is_started());
        let parts = self.method.parts().into_iter();
        self.state.optimizer_steps = parts
            .filter_map(|part| Some(part.module.optimizer()?.steps()))
            .collect();
        let weights = self.weights();
        replicas::save(self.context.folder, self.state.total_steps, &weights, &self.state)
    }
}

/// The steps of one phase.
struct PhaseLearner<'p, 'a, B, D, M> {
    phase: &'p PhaseRun<'a, D>,
    /// What is this rank's of each batch of a step.
    parts: Vec<Part>,
    per_epoch: u64,
    labels: Option<Labels>,
    driver: &'p mut Driver<'a, B, D, M>,
}

impl<B: TrainBackend, D: TrainingData, M: PretrainingMethod<B, D>> Learner<B> for PhaseLearner<'_, '_, B, D, M> {
    type Input = D::Batch;

    fn batches(&mut self, input: D::Batch) -> Vec<(D::Batch, Share)> {
        let driver = &mut *self.driver;
        driver.method.begin_step(self.phase, driver.state.step);
        let count: usize = self.parts.iter().map(|part| part.of).sum();
        let share = |part: &Part| Share {
            of_step: part.of as f64 / count as f64,
            of_batch: part.share(),
        };
        let batches = input.split(&self.parts).into_iter();
        batches.zip(self.parts.iter().map(share)).collect()
    }

    fn loss(&mut self, batch: D::Batch) -> BatchLoss<B> {
        let driver = &mut *self.driver;
        driver
            .method
            .loss(self.phase, driver.state.step, batch, self.labels.as_ref())
    }

    fn trained(&mut self) -> Vec<&mut dyn Trainable<B>> {
        let parts = self.driver.method.parts().into_iter();
        parts.map(|part| part.module).collect()
    }

    fn finish_step(&mut self) -> Result<(), TrainError> {
        let driver = &mut *self.driver;
        driver.state.step += 1;
        driver.state.total_steps += 1;
        driver.method.finish_step(self.phase, driver.state.step)
    }

    fn log_step(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let driver = &mut *self.driver;
        driver
            .state
            .log_step(&mut driver.log, &self.phase.plan, self.per_epoch, &numbers)
    }

    fn save(&mut self, spent: Spent) -> Result<(), TrainError> {
        self.driver.state.spend(spent);
        self.driver.save()
    }
}

/// One line on a phase that has ended.
fn summary(phase: &PhasePlan, state: &PretrainState, codebooks: &[CodebookStatistics]) -> String {
    let (first, last) = state.loss.unwrap_or((f64::NAN, f64::NAN));
    let used: Vec<String> = codebooks
        .iter()
        .map(|level| format!("{}/{}", level.used, level.codes))
        .collect();
    let perplexity: Vec<String> = codebooks
        .iter()
        .map(|level| format!("{:.0}", level.perplexity))
        .collect();
    format!(
        "{}: {} epochs, loss {first:.4} to {last:.4}, codes used {}, perplexity {}, {:.0} s",
        phase.name,
        phase.length.epochs,
        used.join(" "),
        perplexity.join(" "),
        state.seconds
    )
}
