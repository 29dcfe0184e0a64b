//! Pretraining: one loop for the optimizer steps of all phases. Phases follow each other; each starts from the weights of the last
//! with a fresh optimizer and schedule.

mod step;

use crate::checkpoint::{self, CheckpointError};
use crate::input::{self, Drawn, Order};
use crate::interrupt::{Interrupt, Signal};
use crate::labels::{EarlierLabels, Labels, Wanted};
use crate::metrics_log::{LogError, MetricsLog};
use crate::plan::{ColdStartPosition, PhaseKind, PhasePlan, Plan, Pretrain, Roll};
use crate::progress::TerminalProgress;
use crate::quantizers::{AnyQuantizer, ModelConfig, Teacher};
use crate::schedule::Schedule;
use crate::steps::{LOG_EVERY, Spent, StepNumbers, Steps};
use bridle::codebook::SeededPicks;
use bridle::init::Init;
use bridle::optimizer::{AdamW, AdamWConfig, Trained};
use bridle::pretrain::Student;
use bridle::quantizer::Quantizer;
use bridle::tokenizer::Source;
use bridle::weights::{self, Weights, WeightsError};
use bridle_backends::TrainBackend;
use bridle_results::codebook::CodebookStatistics;
use bridle_results::record::{Curve, Loss, Phase as PhaseRecord};
use bridle_seed::Seed;
use bridle_tasks::{DataError, Dataset};
use burn::module::AutodiffModule;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use step::PhaseLearner;
pub(crate) use step::RESTART_EVERY;

/// A record's curve has at most so many points per phase.
const CURVE_POINTS: u64 = 48;

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

/// Why pretraining stopped early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A loss that is no number.
    #[error(
        "training diverged: the loss of {phase} is {loss} at its step {step}{}",
        .last_good.as_ref().map_or(String::new(), |path| format!("; last good checkpoint: {}", path.display()))
    )]
    Diverged {
        /// The phase.
        phase: String,
        /// The step within the phase, from 0.
        step: u64,
        /// The loss.
        loss: f32,
        /// The newest checkpoint, if one was written.
        last_good: Option<PathBuf>,
    },
    /// A signal asked for a stop; a checkpoint was written.
    #[error("stopped by {} at step {step} of {phase}; a checkpoint was written", .signal.name())]
    Interrupted {
        /// The signal.
        signal: Signal,
        /// The phase.
        phase: String,
        /// Its next step.
        step: u64,
    },
    /// A checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log could not be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A sample cannot be read any more.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Saved weights do not fit the model.
    #[error("the saved weights do not fit this plan's model")]
    Weights(#[from] WeightsError),
}

/// Everything of a run's progress that is no tensor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Id of the run that made these weights.
    pub id: String,
    /// What they were trained on: the hash of the data's manifest. Absent in what older versions wrote.
    #[serde(default)]
    pub data: Option<String>,
    /// Index of the phase at hand; the number of phases when all are done.
    pub phase: usize,
    /// Steps done in it.
    pub step: u64,
    /// Steps done in all phases.
    pub total_steps: u64,
    /// Whether the quantizer's codebooks have started.
    pub(crate) started: bool,
    /// Steps that the student's and the teacher's optimizer took in the phase at hand.
    pub(crate) optimizer_steps: [u64; 2],
    /// First and last loss of the phase at hand.
    pub(crate) loss: Option<(f64, f64)>,
    /// The curve of the phase at hand.
    pub(crate) curve: Curve,
    /// Sum and number of the losses since the curve's last point.
    pub(crate) since_point: (f64, u64),
    /// Perplexity of each level in the last batch that was counted.
    pub(crate) perplexity: Vec<f64>,
    /// The encoder phase whose labels are kept for comparison.
    pub(crate) labelled: Option<String>,
    /// Seconds of training in the phase at hand.
    pub(crate) seconds: f64,
    /// Of these, seconds of waiting for inputs.
    #[serde(default)]
    pub(crate) waited: f64,
    /// The finished phases.
    pub done: Vec<PhaseRecord>,
}

impl State {
    /// Follows the loss and the use of codes; at every so many steps, and at the last, a point of the curve is made.
    pub(crate) fn trace(&mut self, step: u64, steps: u64, loss: f64, codebooks: Option<&[CodebookStatistics]>) {
        if let Some(codebooks) = codebooks {
            self.perplexity = codebooks.iter().map(|level| level.perplexity).collect();
        }
        self.since_point = (self.since_point.0 + loss, self.since_point.1 + 1);
        let every = LOG_EVERY as u64 * steps.div_ceil(LOG_EVERY as u64 * CURVE_POINTS);
        if step.is_multiple_of(every) || step + 1 == steps {
            let (sum, count) = std::mem::take(&mut self.since_point);
            self.curve.steps.push(step);
            self.curve.loss.push(sum / count as f64);
            self.curve.perplexity.resize(self.perplexity.len(), Vec::new());
            let levels = self.curve.perplexity.iter_mut().zip(&self.perplexity);
            levels.for_each(|(points, &level)| points.push(level));
        }
    }

    /// Follows a step of `phase` and writes its line to the log.
    pub(crate) fn note(
        &mut self,
        log: &mut MetricsLog,
        phase: &PhasePlan,
        per_epoch: u64,
        numbers: &StepNumbers,
    ) -> Result<(), TrainError> {
        let StepNumbers {
            step,
            rate,
            values,
            codebooks,
        } = numbers;
        let steps = per_epoch * phase.length.epochs as u64;
        let loss = f64::from(values[0].1);
        self.loss = Some((self.loss.map_or(loss, |(first, _)| first), loss));
        self.trace(*step, steps, loss, codebooks.as_deref());
        let epoch = *step as f64 / per_epoch as f64;
        let mut line = json!({"phase": phase.name, "phase_step": step, "epoch": epoch, "rate": rate});
        values.iter().for_each(|(name, value)| line[*name] = json!(value));
        if let Some(codebooks) = codebooks {
            let level = |level: &CodebookStatistics| json!({"used": level.used, "perplexity": level.perplexity});
            line["codebooks"] = codebooks.iter().map(level).collect();
        }
        let before_phase = self.total_steps - self.step;
        Ok(log.append(before_phase + step + 1, &line)?)
    }

    /// Adds what training took.
    pub(crate) fn spend(&mut self, spent: Spent) {
        self.seconds += spent.seconds;
        self.waited += spent.waited;
    }

    /// Whether these weights were, for all that is known, trained on data of this manifest.
    pub fn fits(&self, manifest_sha256: &str) -> bool {
        self.data.as_ref().is_none_or(|data| data == manifest_sha256)
    }

    /// The state at the start of the phase after the one at hand.
    pub(crate) fn next_phase(&mut self) {
        *self = Self {
            phase: self.phase + 1,
            step: 0,
            loss: None,
            since_point: (0.0, 0),
            perplexity: Vec::new(),
            seconds: 0.0,
            waited: 0.0,
            ..std::mem::take(self)
        };
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
    adamw: AdamWConfig,
    student: Trained<Student<B>>,
    teacher: Trained<Teacher<B>>,
    student_optimizer: AdamW<B>,
    teacher_optimizer: AdamW<B>,
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
        let (mut student, mut teacher) = (
            Student::new(&config, &init.child("student")),
            Teacher::new(&config, &init.child("teacher")),
        );
        let pretrain = context.plan.pretrain.as_ref();
        let adamw = adamw(pretrain.expect("a plan with phases says how they are trained"));
        let (mut student_optimizer, mut teacher_optimizer) = (AdamW::new(adamw), AdamW::new(adamw));
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
            student = weights::load(student, &under(&weights, "student."))?;
            teacher = weights::load(teacher, &under(&weights, "teacher."))?;
            teacher.tokenizer.quantizer.set_started(saved.started);
            let load = |part: &str, steps: u64| AdamW::load(adamw, &under(&weights, part), steps, device);
            student_optimizer = load("student_optimizer.", saved.optimizer_steps[0]);
            teacher_optimizer = load("teacher_optimizer.", saved.optimizer_steps[1]);
            state = saved;
        }
        let log = MetricsLog::open(&context.folder.join("metrics.jsonl"), resumed)?;
        Ok(Self {
            phases: context.plan.phases(),
            context,
            config,
            device: device.clone(),
            adamw,
            student: Trained::new(student),
            teacher: Trained::new(teacher),
            student_optimizer,
            teacher_optimizer,
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
            (self.student_optimizer, self.teacher_optimizer) = (AdamW::new(self.adamw), AdamW::new(self.adamw));
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
    ) -> impl Fn(u64) -> Result<Vec<f32>, DataError> + Send + Sync + use<'a, B> {
        let Context { plan, dataset, .. } = *self.context;
        let (order, drawn) = (Mutex::new(order.clone()), self.context.drawn());
        let seed = match drawn {
            Drawn::Rolls => phase_seed.child("roll"),
            Drawn::Nothing | Drawn::Views => phase_seed.child("views"),
        };
        move |step| {
            // nothing that can panic runs under the lock
            let samples = order.lock().unwrap_or_else(PoisonError::into_inner).at(step);
            input::pretraining(dataset, plan.fixed_input(), &samples, drawn, &seed.indexed(step))
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
        (self.student_optimizer, self.teacher_optimizer) = (AdamW::new(self.adamw), AdamW::new(self.adamw));
        self.save()
    }

    /// Codebooks as at the very beginning: a tokenizer phase starts them anew (the authors' loader drops them).
    fn restart_quantizer(&mut self, phase: &str) {
        let init = Init::new(self.context.seed.child("weights").child(phase), &self.device);
        self.teacher.tokenizer.quantizer = AnyQuantizer::new(&self.config.quantizer, &init);
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
            ("student_optimizer.", self.student_optimizer.save()),
            ("teacher_optimizer.", self.teacher_optimizer.save()),
        ];
        let mut all = together(parts);
        let earlier = self.earlier.as_ref();
        all.extend(earlier.map(|earlier| (EARLIER_LABELS.to_owned(), earlier.codes.clone())));
        all
    }

    fn save(&mut self) -> Result<(), TrainError> {
        self.state.started = self.teacher.tokenizer.quantizer.is_started();
        self.state.optimizer_steps = [self.student_optimizer.steps(), self.teacher_optimizer.steps()];
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
pub(crate) const fn adamw(values: &Pretrain) -> AdamWConfig {
    values.adamw
}

/// The weights of several parts, each name behind that of its part: the inverse of [`under`].
pub fn together<const N: usize>(parts: [(&str, Weights); N]) -> Weights {
    let named = |(part, weights): (&str, Weights)| -> Vec<_> {
        let weights = weights.into_iter();
        weights
            .map(|(name, values)| (format!("{part}{name}"), values))
            .collect()
    };
    parts.into_iter().flat_map(named).collect()
}

/// The weights whose names start with `part`, without it.
pub fn under(weights: &Weights, part: &str) -> Weights {
    let strip =
        |(name, values): (&String, &weights::Values)| Some((name.strip_prefix(part)?.to_owned(), values.clone()));
    weights.iter().filter_map(strip).collect()
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
