//! Pretraining: one loop for the optimizer steps of all phases. Phases follow each other; each starts from the weights of the last
//! with a fresh optimizer and schedule.

pub mod error;
pub mod schedule;
mod state;
mod step;
pub mod steps;

pub use error::TrainError;
pub use state::State;

use crate::checkpoint;
use crate::input::{self, Drawn, FixedBatch, Order};
use crate::interrupt::Interrupt;
use crate::labels::{EarlierLabels, Labels, Wanted};
use crate::metrics_log::MetricsLog;
use crate::plan::{ColdStartPosition, PhaseKind, PhasePlan, Plan, Pretrain, Roll};
use crate::progress::TerminalProgress;
use bridle::codebook::SeededPicks;
use bridle::init::Init;
use bridle::optimizer::{AdamWConfig, Trained};
use bridle::pretrain::{ModelConfig, Student, Teacher};
use bridle::quantizer::{AnyQuantizer, Quantizer};
use bridle::tokenizer::Source;
use bridle::weights::{self, Weights, strip_prefix, with_prefix};
use bridle_backends::TrainBackend;
use bridle_results::codebook::CodebookStatistics;
use bridle_results::record::{Loss, Phase as PhaseRecord};
use bridle_seed::Seed;
use bridle_tasks::{DataError, Dataset};
use burn::module::AutodiffModule;
use schedule::Schedule;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use step::PhaseLearner;
pub(crate) use step::RESTART_EVERY;
use steps::Steps;

/// The checkpoint's name for the labels of an earlier phase.
const EARLIER_LABELS: &str = "earlier_labels";

/// The learning rate over a phase: warm-up, then a cosine to 0.
pub(crate) fn schedule(phase: &PhasePlan) -> Schedule {
    let length = &phase.length;
    Schedule {
        rate: length.rate,
        least: 0.0,
        warmup_epochs: length.warmup_epochs,
        epochs: length.epochs as f64,
    }
}

/// What training needs besides the model.
pub struct Context<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The data.
    pub dataset: &'a Dataset,
    /// Indices of the samples to train on.
    pub train: &'a [usize],
    /// The run's root seed.
    pub seed: Seed,
    /// The run's id.
    pub id: &'a str,
    /// The run's folder, for checkpoints and the log.
    pub folder: &'a Path,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Asks for a stop.
    pub interrupt: &'a Interrupt,
    /// Tells the user.
    pub progress: &'a TerminalProgress,
}

impl Context<'_> {
    /// How inputs differ from step to step.
    pub(crate) fn drawn(&self) -> Drawn {
        let rolls = self.plan.augment.as_ref().map(|augment| augment.roll);
        match rolls {
            _ if self.dataset.augments() => Drawn::Views,
            Some(Roll::Uniform) => Drawn::Rolls,
            _ => Drawn::Nothing,
        }
    }
}

/// The model and its way through the phases.
pub struct Trainer<'a, B: TrainBackend> {
    context: &'a Context<'a>,
    config: ModelConfig,
    phases: Vec<PhasePlan>,
    device: B::Device,
    student: Trained<B, Student<B>>,
    teacher: Trained<B, Teacher<B>>,
    state: State,
    log: MetricsLog,
    /// Labels of a tokenizer phase that has just ended: those of the next encoder phase.
    labels: Option<Labels>,
    /// Labels of the last encoder phase, to see what later ones change.
    earlier: Option<EarlierLabels>,
}

impl<'a, B: TrainBackend> Trainer<'a, B> {
    /// A model with its first weights, or as a checkpoint left it.
    ///
    /// # Errors
    /// If the checkpoint does not fit, or the log cannot be opened.
    pub fn new(
        context: &'a Context<'a>,
        config: ModelConfig,
        saved: Option<(Weights, State)>,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let init = Init::<B>::new(context.seed.child("weights"), device);
        let teacher = Teacher::new(&config, &init.child("teacher"));
        let pretrain = context.plan.pretrain.as_ref();
        let adamw = adamw(pretrain.expect("a plan with phases says how they are trained"));
        let mut student = Trained::new(Student::new(&config, &init.child("student")), adamw);
        let mut teacher = Trained::new(teacher.expect("the plan names a registered quantizer"), adamw);
        let mut state = State {
            id: context.id.to_owned(),
            data: Some(context.dataset.facts.manifest_sha256.clone()),
            ..State::default()
        };
        let resumed = saved.as_ref().map(|(_, state)| state.total_steps);
        let mut earlier = None;
        if let Some((mut weights, saved)) = saved {
            let codes = weights.remove(EARLIER_LABELS);
            earlier = saved
                .labelled
                .clone()
                .zip(codes)
                .map(|(phase, codes)| EarlierLabels { phase, codes });
            *student = weights::load((*student).clone(), &strip_prefix(&weights, "student."))?;
            *teacher = weights::load((*teacher).clone(), &strip_prefix(&weights, "teacher."))?;
            teacher.tokenizer.quantizer.set_started(saved.started);
            let [student_steps, teacher_steps] = saved.optimizer_steps;
            student.load_optimizer(&strip_prefix(&weights, "student_optimizer."), student_steps, device);
            teacher.load_optimizer(&strip_prefix(&weights, "teacher_optimizer."), teacher_steps, device);
            state = saved;
        }
        let log = MetricsLog::open(&context.folder.join("metrics.jsonl"), resumed)?;
        Ok(Self {
            phases: context.plan.phases(),
            context,
            config,
            device: device.clone(),
            student,
            teacher,
            state,
            log,
            labels: None,
            earlier,
        })
    }

    /// Goes through the phases that are left. Gives the model, its weights and the way it took.
    ///
    /// # Errors
    /// If training diverges, is interrupted, cannot read a sample, or cannot write.
    pub fn run(mut self) -> Result<(Student<B>, Weights, State), TrainError> {
        while self.state.phase < self.phases.len() {
            self.phase()?;
        }
        let weights = self.weights();
        Ok((self.student.into_inner(), weights, self.state))
    }

    fn phase(&mut self) -> Result<(), TrainError> {
        let phase = self.phases[self.state.phase].clone();
        let seed = self.context.seed.child(&phase.name);
        let batch = self.context.plan.pretrain.as_ref().map_or(1, Pretrain::step_samples);
        let mut order = Order::new(self.context.train, batch, seed.child("order"));
        let steps = order.steps_per_epoch() * phase.length.epochs as u64;
        let mut picks = SeededPicks(seed.child("picks"));
        if self.state.step == 0 {
            self.restart_optimizers();
            if matches!(phase.kind, PhaseKind::Tokenizer) {
                self.restart_quantizer(&phase.name);
            }
        }
        let begun = Instant::now();
        let labels = self.phase_labels(&phase, &mut order, &mut picks)?;
        self.state.seconds += begun.elapsed().as_secs_f64();
        let loop_over = Steps {
            phase: &phase.name,
            range: self.state.step..steps,
            per_epoch: order.steps_per_epoch(),
            schedule: schedule(&phase),
            folder: self.context.folder,
            checkpoint_every: self.context.checkpoint_every,
            interrupt: self.context.interrupt,
            progress: self.context.progress,
        };
        let (inputs, batch) = (self.inputs(&seed, &order), order.batch());
        let mut learner = PhaseLearner::new(self, &phase, &seed, order, labels, picks);
        let spent = loop_over.run(&mut learner, inputs)?;
        let (labels, mut picks) = (learner.labels, learner.picks);
        self.state.spend(spent);
        self.end_phase(&phase, steps, batch, labels, &mut picks)
    }

    /// Makes the inputs of a step's samples, on any thread.
    fn inputs(
        &self,
        phase_seed: &Seed,
        order: &Order<'a>,
    ) -> impl Fn(u64) -> Result<FixedBatch, DataError> + Send + Sync + use<'a, B> {
        let Context { plan, dataset, .. } = *self.context;
        let (order, drawn) = (Mutex::new(order.clone()), self.context.drawn());
        let seed = match drawn {
            Drawn::Rolls => phase_seed.child("roll"),
            Drawn::Nothing | Drawn::Views => phase_seed.child("views"),
        };
        move |step| {
            // nothing that can panic runs under the lock
            let samples = order.lock().unwrap_or_else(PoisonError::into_inner).at(step);
            input::pretraining(dataset, &plan.data.input, samples, drawn, &seed.indexed(step))
        }
    }

    /// Notes what the phase gave, and makes the checkpoint from which the next one starts.
    fn end_phase(
        &mut self,
        phase: &PhasePlan,
        steps: u64,
        batch: usize,
        labels: Option<Labels>,
        picks: &mut SeededPicks,
    ) -> Result<(), TrainError> {
        let labels = match (labels, phase.kind) {
            (Some(labels), _) => labels,
            (None, kind) => {
                let source = self.source(kind);
                self.make_labels(source, None, picks)?
            }
        };
        let (first, last) = self.state.loss.unwrap_or((f64::NAN, f64::NAN));
        let seconds = self.state.seconds;
        self.state.done.push(PhaseRecord {
            name: phase.name.clone(),
            epochs: phase.length.epochs as u64,
            steps,
            seconds,
            input_wait_seconds: Some(self.state.waited),
            samples_per_second: steps as f64 * batch as f64 / seconds,
            loss: Loss { first, last },
            codebooks: labels.statistics(),
            labels: Some(labels.together(self.context.dataset, self.context.train, self.earlier.as_ref())),
            curve: Some(std::mem::take(&mut self.state.curve)),
            reused_from: None,
        });
        if phase.kind == PhaseKind::Encoder {
            self.state.labelled = Some(phase.name.clone());
            self.earlier = Some(labels.keep(&phase.name, self.context.train));
        }
        self.context
            .progress
            .say(&summary(phase, &self.state, &labels.statistics()));
        self.labels = (phase.kind == PhaseKind::Tokenizer).then_some(labels);
        self.state.next_phase();
        self.restart_optimizers();
        self.save()
    }

    fn restart_optimizers(&mut self) {
        self.student.restart_optimizer();
        self.teacher.restart_optimizer();
    }

    /// Codebooks as at the very beginning: a tokenizer phase starts them anew (the authors' loader drops them).
    fn restart_quantizer(&mut self, phase: &str) {
        let init = Init::new(self.context.seed.child("weights").child(phase), &self.device);
        let quantizer = AnyQuantizer::new(&self.config.quantizer, &self.config.codes, &init);
        self.teacher.tokenizer.quantizer = quantizer.expect("the plan names a registered quantizer");
    }

    /// The labels of an encoder phase. Video has none here, since its labels depend on each step's mask; neither have
    /// inputs that are drawn anew at each step.
    fn phase_labels(
        &mut self,
        phase: &PhasePlan,
        order: &mut Order,
        picks: &mut SeededPicks,
    ) -> Result<Option<Labels>, TrainError> {
        let earlier = self.labels.take();
        let source = self.source(phase.kind);
        if phase.kind != PhaseKind::Encoder || self.config.geometry.is_video() || self.context.drawn() != Drawn::Nothing
        {
            return Ok(None);
        }
        let first = order.at(0);
        let starting = !self.teacher.tokenizer.quantizer.is_started();
        match earlier {
            Some(labels) => Ok(Some(labels)),
            None => self
                .make_labels(source, starting.then_some(&first[..]), picks)
                .map(Some),
        }
    }

    /// The first encoder phase has labels from the cold start: the tokenizer was never trained then.
    fn source(&self, kind: PhaseKind) -> Source {
        if kind == PhaseKind::Encoder && self.state.phase == 0 {
            match self.context.plan.cold_start.as_ref().map(|start| start.position) {
                Some(ColdStartPosition::Out) => Source::ColdStartContent,
                _ => Source::ColdStart,
            }
        } else {
            Source::Network
        }
    }

    fn make_labels(
        &mut self,
        source: Source,
        starting: Option<&[usize]>,
        picks: &mut SeededPicks,
    ) -> Result<Labels, TrainError> {
        let Context {
            plan,
            dataset,
            train,
            progress,
            ..
        } = self.context;
        let mut frozen = self.teacher.tokenizer.valid();
        let batch = plan.pretrain.as_ref().map_or(1, |pretrain| pretrain.batch);
        let wanted = Wanted {
            dataset,
            samples: train,
            batch,
            starting,
        };
        let labels = Labels::make(&mut frozen, source, &wanted, picks, progress, &self.device)?;
        self.keep_codebooks(&frozen.quantizer);
        Ok(labels)
    }

    /// Takes over codebooks that a frozen copy of the tokenizer has started.
    fn keep_codebooks(&mut self, labelled: &AnyQuantizer<B::InnerBackend>) {
        let own = self.teacher.tokenizer.quantizer.clone();
        let mut own = weights::load(own, &weights::collect(labelled)).expect("a copy has the same parameters");
        own.set_started(labelled.is_started());
        self.teacher.tokenizer.quantizer = own;
    }

    fn weights(&self) -> Weights {
        let parts = [
            ("student.", weights::collect(&*self.student)),
            ("teacher.", weights::collect(&*self.teacher)),
            ("student_optimizer.", self.student.optimizer().save()),
            ("teacher_optimizer.", self.teacher.optimizer().save()),
        ];
        let parts = parts.into_iter();
        let mut all: Weights = parts.flat_map(|(name, weights)| with_prefix(name, weights)).collect();
        let earlier = self.earlier.as_ref();
        all.extend(earlier.map(|earlier| (EARLIER_LABELS.to_owned(), earlier.codes.clone())));
        all
    }

    fn save(&mut self) -> Result<(), TrainError> {
        self.state.started = self.teacher.tokenizer.quantizer.is_started();
        self.state.optimizer_steps = [self.student.optimizer().steps(), self.teacher.optimizer().steps()];
        checkpoint::save(
            self.context.folder,
            self.state.total_steps,
            &self.weights(),
            &self.state,
        )?;
        Ok(())
    }
}

/// The optimizer's constants.
pub(crate) fn adamw(values: &Pretrain) -> AdamWConfig {
    AdamWConfig {
        beta1: values.beta1,
        beta2: values.beta2,
        epsilon: values.epsilon,
        weight_decay: values.weight_decay,
    }
}

/// One line on a phase that has ended.
pub(crate) fn summary(phase: &PhasePlan, state: &State, codebooks: &[CodebookStatistics]) -> String {
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
