//! Pretraining on speech: masked prediction of labels by spans of frames, one or two rounds of it, with a tokenizer phase
//! between where labels are learnt.
//!
//! ```text
//! best-rq  encoder-1                               labels: fixed random codes of the input
//! birq     encoder-1                               the same, and codes of the encoder's first layers
//! relabel  encoder-1, encoder-2 from new weights   random codes, then clusters of a layer of the first encoder
//! bridle   encoder-1, tokenizer-1, encoder-2, ..   codes of the cold start, then of the trained tokenizer
//! ```

use super::batches::{Batches, Stacked};
use super::labels::{EarlierFrameLabels, FrameLabels, padded, valid_rows};
use super::{model, refine};
use crate::checkpoint;
use crate::interrupt::Interrupt;
use crate::labeller::{Labeller, RANDOM_LABELS, hidden_rows, with_noise};
use crate::metrics_log::MetricsLog;
use crate::plan::{Method, PhaseKind, PhasePlan, Plan, Pretrain, Projection};
use crate::progress::TerminalProgress;
use crate::quantizers::{AnyQuantizer, FrameTeacher, QuantizerConfig};
use crate::steps::{LOG_EVERY, Learner, Spent, StepLoss, StepNumbers, Steps};
use crate::train::{RESTART_EVERY, State, TrainError, adamw, schedule, summary, together, under};
use bridle::codebook::{SeededPicks, index_rows};
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::{LayeredEncoder, layer_features};
use bridle::loss::prediction_loss;
use bridle::optimizer::{AdamW, Trained, UniformRate};
use bridle::quantizer::{Mode, Quantizer as _, QuantizerValues};
use bridle::speech::conformer::Conformer;
use bridle::speech::tokenizer::frame_tokenizer_loss;
use bridle::tokenizer::Source;
use bridle::weights::{self, Weights};
use bridle_backends::TrainBackend;
use bridle_baselines::best_rq::MaskedModel;
use bridle_baselines::random::RandomConfig;
use bridle_results::record::{Loss, Phase as PhaseRecord};
use bridle_seed::Seed;
use bridle_tasks::{DataError, SpeechSet};
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The checkpoint's name for the labels of an earlier phase.
const EARLIER_LABELS: &str = "earlier_labels";

/// What training needs besides the model.
pub struct Context<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The data.
    pub set: &'a SpeechSet,
    /// Utterances to train on.
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

/// Labels are made in a step by methods that have a labeller.
const LABELLER: &str = "labels that are made in a step have a labeller";

/// Where the labels of a masked phase come from.
enum Labels {
    /// Made by the trainer's labeller in each step.
    InStep,
    /// Made once for all frames.
    Kept(FrameLabels),
}

/// The model and its way through the phases.
pub struct SpeechTrainer<'a, B: TrainBackend> {
    context: &'a Context<'a>,
    pretrain: &'a Pretrain,
    quantizer: &'a QuantizerConfig,
    phases: Vec<PhasePlan>,
    init: Init<B>,
    device: B::Device,
    model: Trained<MaskedModel<B, Conformer<B>>>,
    optimizer: AdamW<B>,
    /// Random codes (all but `bridle`).
    labeller: Option<Labeller<B>>,
    /// Tokenizer and estimator (`bridle`).
    teacher: Option<FrameTeacher<B>>,
    /// Of the teacher, or of the book that learns from the encoder.
    teacher_optimizer: AdamW<B>,
    /// The first round's encoder, whose features are the second one's labels (`relabel`).
    first: Option<Conformer<B>>,
    state: State,
    log: MetricsLog,
    earlier: Option<EarlierFrameLabels>,
}

impl<'a, B: TrainBackend> SpeechTrainer<'a, B> {
    /// A model with its first weights, or as a checkpoint left it. Panics if the plan pretrains nothing.
    ///
    /// # Errors
    /// If an utterance cannot be read, the checkpoint does not fit, or the log cannot be opened.
    pub fn new(
        context: &'a Context<'a>,
        saved: Option<(Weights, State)>,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let plan = context.plan;
        let (Some(pretrain), Some(quantizer)) = (&plan.pretrain, &plan.quantizer) else {
            unreachable!("a plan that pretrains has labels and their training")
        };
        let resumed = saved.as_ref().map(|(_, state)| state.total_steps);
        let init = Init::<B>::new(context.seed.child("weights"), device);
        let labeller = labeller(context, quantizer, &init.child("labels"), device)?;
        // BiRQ's labels share their logits
        let logits = match &labeller {
            Some(labeller @ (Labeller::BestRq(_) | Labeller::Distilled(..))) => labeller.sizes().iter().sum(),
            _ => quantizer.codebooks() * quantizer.codebook_size(),
        };
        let mut trainer = Self {
            log: MetricsLog::open(&context.folder.join("metrics.jsonl"), resumed)?,
            phases: plan.phases(),
            model: Trained::new(fresh_model(plan, logits, &init.child("student"))),
            labeller,
            teacher: model::teacher(plan, &init.child("teacher")),
            optimizer: AdamW::new(adamw(pretrain)),
            teacher_optimizer: AdamW::new(adamw(pretrain)),
            first: None,
            state: State {
                id: context.id.to_owned(),
                data: Some(context.set.facts.manifest_sha256.clone()),
                ..State::default()
            },
            earlier: None,
            device: device.clone(),
            context,
            pretrain,
            quantizer,
            init,
        };
        if let Some((weights, state)) = saved {
            trainer.take_up(weights, state)?;
        }
        Ok(trainer)
    }

    /// Goes on from a checkpoint.
    fn take_up(&mut self, mut saved: Weights, state: State) -> Result<(), TrainError> {
        let plan = self.context.plan;
        let codes = saved.remove(EARLIER_LABELS);
        let earlier = state.labelled.clone().zip(codes);
        self.earlier = earlier.map(|(phase, codes)| EarlierFrameLabels { phase, codes });
        if plan.method == Method::Relabel && state.phase > 0 {
            let first = Conformer::new(&model::encoder(plan), &self.init);
            self.first = Some(weights::load(first, &under(&saved, "first."))?);
            self.model = Trained::new(self.second_model());
        }
        let student = weights::load((*self.model).clone(), &under(&saved, "student."))?;
        self.model = Trained::new(student);
        if let Some(teacher) = self.teacher.take() {
            let mut teacher = weights::load(teacher, &under(&saved, "teacher."))?;
            teacher.tokenizer.quantizer.set_started(state.started);
            self.teacher = Some(teacher);
        }
        if let Some(random) = self.labeller.as_mut().and_then(Labeller::random_mut) {
            *random = weights::load(random.clone(), &under(&saved, "labels."))?;
        }
        if let Some(Labeller::Distilled(_, book)) = &mut self.labeller {
            *book = Trained::new(weights::load((**book).clone(), &under(&saved, "second_book."))?);
        }
        let (adamw, [student, teacher]) = (adamw(self.pretrain), state.optimizer_steps);
        let load = |part: &str, steps: u64| AdamW::load(adamw, &under(&saved, part), steps, &self.device);
        self.optimizer = load("student_optimizer.", student);
        self.teacher_optimizer = load("teacher_optimizer.", teacher);
        self.state = state;
        Ok(())
    }

    /// Goes through the phases that are left. Gives the encoder, all weights and the way they took.
    ///
    /// # Errors
    /// If training diverges, is interrupted, cannot read an utterance, or cannot write.
    pub fn run(mut self) -> Result<(Conformer<B>, Weights, State), TrainError> {
        while self.state.phase < self.phases.len() {
            self.phase()?;
        }
        let weights = self.weights();
        Ok((self.model.into_inner().encoder, weights, self.state))
    }

    fn phase(&mut self) -> Result<(), TrainError> {
        let phase = self.phases[self.state.phase].clone();
        let seed = self.context.seed.child(&phase.name);
        if self.state.step == 0 && phase.kind == PhaseKind::Tokenizer {
            self.restart_quantizer(&phase.name);
        }
        let mut picks = SeededPicks(seed.child("picks"));
        let labels = match phase.kind {
            PhaseKind::Tokenizer => None,
            _ => Some(self.labels(&phase, &mut picks)?),
        };
        let batches = Batches::new(
            self.context.set,
            self.context.train,
            self.pretrain.batch,
            seed.child("order"),
        );
        let (per_epoch, batch) = (batches.steps_per_epoch(), batches.batch());
        let steps = per_epoch * phase.length.epochs as u64;
        let loop_over = Steps {
            phase: &phase.name,
            range: self.state.step..steps,
            per_epoch,
            schedule: schedule(&phase),
            folder: self.context.folder,
            checkpoint_every: self.context.checkpoint_every,
            interrupt: self.context.interrupt,
            progress: self.context.progress,
        };
        let (set, batches) = (self.context.set, Mutex::new(batches));
        let inputs = move |step| -> Result<Stacked, DataError> {
            // nothing that can panic runs under the lock
            let utterances = batches.lock().unwrap_or_else(PoisonError::into_inner).at(step);
            Stacked::read(set, utterances)
        };
        let mut learner = PhaseLearner {
            phase: &phase,
            seed: &seed,
            per_epoch,
            labels,
            frozen: None,
            picks,
            trainer: self,
        };
        let spent = loop_over.run(&mut learner, inputs)?;
        let (labels, picks) = (learner.labels, learner.picks);
        self.state.spend(spent);
        self.end_phase(&phase, steps, batch, labels, picks)
    }

    /// The labels of a masked phase.
    fn labels(&mut self, phase: &PhasePlan, picks: &mut SeededPicks) -> Result<Labels, TrainError> {
        if let (Some(first), Some(values)) = (&self.first, &self.context.plan.relabel) {
            let (first, seed) = (first.valid(), self.context.seed.child(&phase.name).child("clusters"));
            let Context { plan, set, train, .. } = *self.context;
            let means = refine::clusters(&first, values, set, plan, train, &seed, &self.device)?;
            let codes = |frames: &Frames<B::InnerBackend>, rows| {
                refine::nearest_mean(layer_features(&first, values.layer, frames, rows), means.clone())
            };
            return Ok(Labels::Kept(self.collect(&[values.clusters], codes)?));
        }
        match &self.labeller {
            Some(_) => Ok(Labels::InStep),
            None => Ok(Labels::Kept(self.tokenizer_labels(picks)?)),
        }
    }

    /// The labels of the tokenizer: of the cold start before it was ever trained.
    fn tokenizer_labels(&mut self, picks: &mut SeededPicks) -> Result<FrameLabels, TrainError> {
        let teacher = self
            .teacher
            .as_ref()
            .expect("labels that are not random are a tokenizer's");
        let mut tokenizer = teacher.tokenizer.valid();
        let source = if self.state.phase == 0 {
            Source::ColdStart
        } else {
            Source::Network
        };
        let sizes = vec![self.quantizer.codebook_size(); self.quantizer.codebooks()];
        let labels = self.collect(&sizes, |frames, rows| tokenizer.codes(frames, rows, source, picks))?;
        // codebooks may have started on the first batch
        let own = self.teacher.as_mut().map(|teacher| &mut teacher.tokenizer.quantizer);
        if let Some(own) = own {
            let values = weights::collect(&tokenizer.quantizer);
            *own = weights::load(own.clone(), &values).expect("a copy has the same parameters");
            own.set_started(tokenizer.quantizer.is_started());
        }
        Ok(labels)
    }

    /// Codes of all training utterances from books of these sizes.
    fn collect(
        &self,
        sizes: &[usize],
        codes: impl FnMut(
            &Frames<B::InnerBackend>,
            Tensor<B::InnerBackend, 1, burn::tensor::Int>,
        ) -> Tensor<B::InnerBackend, 2, burn::tensor::Int>,
    ) -> Result<FrameLabels, DataError> {
        let Context {
            plan,
            set,
            train,
            progress,
            ..
        } = *self.context;
        FrameLabels::collect(set, plan, train, sizes, progress, &self.device, codes)
    }

    /// Codebooks as at the very beginning: a tokenizer phase starts them anew, as on patches.
    fn restart_quantizer(&mut self, phase: &str) {
        let init = Init::new(self.context.seed.child("weights").child(phase), &self.device);
        if let Some(teacher) = &mut self.teacher {
            teacher.tokenizer.quantizer = AnyQuantizer::new(self.quantizer, &init);
        }
    }

    /// Notes what the phase gave, and makes the checkpoint from which the next one starts.
    fn end_phase(
        &mut self,
        phase: &PhasePlan,
        steps: u64,
        batch: usize,
        labels: Option<Labels>,
        mut picks: SeededPicks,
    ) -> Result<(), TrainError> {
        let labels = match labels {
            Some(Labels::Kept(labels)) => labels,
            Some(Labels::InStep) => {
                let labeller = self.labeller.as_ref().expect(LABELLER).valid();
                let encoder = self.model.encoder.valid();
                self.collect(&labeller.sizes(), |frames, rows| labeller.codes(&encoder, frames, rows))?
            }
            None => self.tokenizer_labels(&mut picks)?,
        };
        let Context { set, train, .. } = *self.context;
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
            labels: Some(labels.together(set, train, self.earlier.as_ref())),
            curve: Some(std::mem::take(&mut self.state.curve)),
            reused_from: None,
        });
        let told = summary(phase, &self.state, &labels.statistics());
        self.context.progress.say(&told);
        if phase.kind == PhaseKind::Masked {
            self.state.labelled = Some(phase.name.clone());
            self.earlier = Some(labels.keep(&phase.name, train));
        }
        self.state.next_phase();
        if self.context.plan.method == Method::Relabel && self.state.phase == 1 {
            self.first = Some(self.model.encoder.clone());
            self.model = Trained::new(self.second_model());
        }
        let adamw = adamw(self.pretrain);
        (self.optimizer, self.teacher_optimizer) = (AdamW::new(adamw), AdamW::new(adamw));
        self.save()
    }

    /// The model of a second round that starts from new weights.
    fn second_model(&self) -> MaskedModel<B, Conformer<B>> {
        let clusters = self.context.plan.relabel.as_ref().map_or(1, |values| values.clusters);
        fresh_model(self.context.plan, clusters, &self.init.child("second"))
    }

    fn weights(&self) -> Weights {
        let teacher = self.teacher.as_ref().map(weights::collect);
        let (random, second) = match &self.labeller {
            Some(Labeller::BestRq(random)) => (weights::collect(random.as_ref()), Weights::default()),
            Some(Labeller::Distilled(random, book)) => (weights::collect(random.as_ref()), weights::collect(&**book)),
            Some(Labeller::Birq(..)) | None => (Weights::default(), Weights::default()),
        };
        let parts = [
            ("student.", weights::collect(&*self.model)),
            ("teacher.", teacher.unwrap_or_default()),
            ("labels.", random),
            ("second_book.", second),
            ("first.", self.first.as_ref().map(weights::collect).unwrap_or_default()),
            ("student_optimizer.", self.optimizer.save()),
            ("teacher_optimizer.", self.teacher_optimizer.save()),
        ];
        let mut all = together(parts);
        let earlier = self.earlier.as_ref();
        all.extend(earlier.map(|earlier| (EARLIER_LABELS.to_owned(), earlier.codes.clone())));
        all
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let quantizer = self.teacher.as_ref().map(|teacher| &teacher.tokenizer.quantizer);
        self.state.started = quantizer.is_some_and(|quantizer| quantizer.is_started());
        self.state.optimizer_steps = [self.optimizer.steps(), self.teacher_optimizer.steps()];
        let steps = self.state.total_steps;
        checkpoint::save(self.context.folder, steps, &self.weights(), &self.state)?;
        Ok(())
    }
}

fn fresh_model<B: TrainBackend>(plan: &Plan, logits: usize, init: &Init<B>) -> MaskedModel<B, Conformer<B>> {
    let encoder = Conformer::new(&model::encoder(plan), &init.child("encoder"));
    MaskedModel::new(encoder, plan.model.dim(), logits, init)
}

/// Random codes, refined as the plan says; None where labels are learnt.
fn labeller<B: TrainBackend>(
    context: &Context<'_>,
    quantizer: &QuantizerConfig,
    init: &Init<B>,
    device: &B::Device,
) -> Result<Option<Labeller<B>>, DataError> {
    let Context { plan, set, train, .. } = *context;
    if !plan.method.masks_frames() {
        return Ok(None);
    }
    let (birq, standard) = (plan.birq.as_ref(), model::standard(plan, init));
    let distilled = plan.refine.as_ref().and_then(|refine| refine.distilled_codes);
    let quantizer = RandomConfig::try_from(quantizer).expect(RANDOM_LABELS);
    let mut labeller = Labeller::new(&quantizer, birq, distilled, plan.model.dim(), standard, init);
    let by_components = plan.refine.as_ref().map(|refine| refine.projection) == Some(Projection::Pca);
    if let (Some(random), true) = (labeller.random_mut(), by_components) {
        refine::project_by_components(random, set, plan, train, device)?;
    }
    Ok(Some(labeller))
}

/// The steps of one phase.
struct PhaseLearner<'t, 'a, B: TrainBackend> {
    phase: &'t PhasePlan,
    seed: &'t Seed,
    per_epoch: u64,
    labels: Option<Labels>,
    /// The encoder that a tokenizer phase aims at; it does not move, so one copy serves all steps.
    frozen: Option<Conformer<B::InnerBackend>>,
    picks: SeededPicks,
    trainer: &'t mut SpeechTrainer<'a, B>,
}

impl<B: TrainBackend> PhaseLearner<'_, '_, B> {
    fn masked_step(&mut self, input: &Stacked, rate: f64) -> StepLoss<B> {
        let trainer = &mut *self.trainer;
        let plan = trainer.context.plan;
        let mask = plan.mask.as_ref().expect("a plan that hides frames says which");
        let draws = |name: &str| self.seed.child(name).indexed(trainer.state.step);
        let hidden = hidden_rows(mask, &input.lengths, &draws("mask"));
        let rows = index_rows(&hidden, &trainer.device);
        let (frames, _) = padded(input, plan, &trainer.device);
        let standard = model::standard(plan, &trainer.init);
        let masked = with_noise(&frames, mask, rows.clone(), &standard, &draws("noise"));
        let (loss, mut values) = match &self.labels {
            Some(Labels::InStep) => {
                let labeller = trainer.labeller.as_ref().expect(LABELLER);
                labeller.loss(&trainer.model, &frames, &masked, rows, &draws("gumbel"))
            }
            Some(Labels::Kept(labels)) => {
                let codes = labels.rows(input, &hidden, &trainer.device);
                let loss = prediction_loss(trainer.model.logits(&masked, rows), codes);
                (loss.clone(), vec![("loss", loss.inner())])
            }
            None => unreachable!("a masked phase has labels"),
        };
        let grads = loss.backward();
        values.extend(
            self.distil(input, &hidden, &frames, &masked, rate)
                .map(|loss| ("distillation", loss)),
        );
        let trainer = &mut *self.trainer;
        let optimizer = &mut trainer.optimizer;
        trainer
            .model
            .update(|model| optimizer.step(model, &grads, rate, &UniformRate));
        StepLoss { values, codes: None }
    }

    /// Moves the second book's codes towards how alike the visible frames are in the middle of the encoder. Gives the loss;
    /// None where there is no such book, or training has not come so far.
    fn distil(
        &mut self,
        input: &Stacked,
        hidden: &[usize],
        frames: &Frames<B>,
        masked: &Frames<B>,
        rate: f64,
    ) -> Option<Tensor<B::InnerBackend, 1>> {
        let trainer = &mut *self.trainer;
        let refine = trainer.context.plan.refine.as_ref()?;
        let steps = self.per_epoch * self.phase.length.epochs as u64;
        let Some(Labeller::Distilled(random, book)) = &mut trainer.labeller else {
            return None;
        };
        if (trainer.state.step as f64) < refine.distilled_from * steps as f64 {
            return None;
        }
        let [batch, times, width] = frames.x.dims();
        let mut visible = vec![0.0f32; batch * times];
        valid_rows(&input.lengths)
            .into_iter()
            .for_each(|row| visible[row] = 1.0);
        hidden.iter().for_each(|&row| visible[row] = 0.0);
        let visible = Tensor::from_data(TensorData::new(visible, [batch, times, 1]), &trainer.device);
        let projected = random.projected(frames.x.clone().reshape([batch * times, width]));
        let [_, dim] = projected.dims();
        let (encoder, masked) = (trainer.model.encoder.valid(), masked.inner());
        let features = encoder.of_frames(encoder.pass(encoder.enter(&masked), 0..refine.distilled_layer, &masked));
        let loss = book.loss(
            projected.reshape([batch, times, dim]),
            Tensor::from_inner(features),
            visible,
        );
        let grads = loss.clone().mul_scalar(refine.distilled_weight).backward();
        let optimizer = &mut trainer.teacher_optimizer;
        book.update(|book| optimizer.step(book, &grads, rate, &UniformRate));
        Some(loss.inner())
    }

    fn tokenizer_step(&mut self, input: &Stacked, rate: f64) -> StepLoss<B> {
        let trainer = &mut *self.trainer;
        let (frames, rows) = padded::<B>(input, trainer.context.plan, &trainer.device);
        let encoder = self.frozen.get_or_insert_with(|| trainer.model.encoder.valid());
        let (inner, _) = padded::<B::InnerBackend>(input, trainer.context.plan, &trainer.device);
        let valid = index_rows(&valid_rows(&input.lengths), &trainer.device);
        let target = inner.with(encoder.encode(&inner)).rows(valid);
        let step = trainer.state.step;
        let restarts = step > 0 && step.is_multiple_of(RESTART_EVERY);
        let mut by_usage = SeededPicks(self.picks.0.child("by-usage").indexed(step));
        let (mode, picks) = match restarts {
            true => (Mode::Restart, &mut by_usage),
            false => (Mode::Train, &mut self.picks),
        };
        let mut teacher = trainer.teacher.take().expect("a tokenizer phase has a tokenizer");
        let found = frame_tokenizer_loss(&mut teacher, &frames, rows, Tensor::from_inner(target), mode, picks);
        let loss = found.total();
        let grads = loss.backward();
        trainer.teacher = Some(trainer.teacher_optimizer.step(teacher, &grads, rate, &UniformRate));
        let counted = step.is_multiple_of(LOG_EVERY as u64);
        let codes = counted.then(|| (found.quantized.codes.inner(), trainer.quantizer.codebook_size()));
        let values = vec![
            ("loss", loss.inner()),
            ("estimation", found.estimation.inner()),
            ("quantization", found.quantized.loss.inner()),
        ];
        StepLoss { values, codes }
    }

    /// Codes that follow their frames are moved after every so many steps.
    fn move_codes(&mut self) -> Result<(), DataError> {
        let trainer = &mut *self.trainer;
        let Context { plan, set, train, .. } = *trainer.context;
        let every = plan.refine.as_ref().and_then(|refine| refine.centroids_every);
        let due = matches!(self.labels, Some(Labels::InStep))
            && every.is_some_and(|every| trainer.state.step.is_multiple_of(every));
        if let (Some(random), true) = (trainer.labeller.as_mut().and_then(Labeller::random_mut), due) {
            refine::move_to_centroids(random, set, plan, train, &trainer.device)?;
        }
        Ok(())
    }
}

impl<B: TrainBackend> Learner<B> for PhaseLearner<'_, '_, B> {
    type Input = Stacked;

    fn step(&mut self, input: Stacked, rate: f64) -> Result<StepLoss<B>, TrainError> {
        let loss = match self.phase.kind {
            PhaseKind::Tokenizer => self.tokenizer_step(&input, rate),
            _ => self.masked_step(&input, rate),
        };
        self.trainer.state.step += 1;
        self.trainer.state.total_steps += 1;
        self.move_codes()?;
        Ok(loss)
    }

    fn note(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let trainer = &mut *self.trainer;
        trainer
            .state
            .note(&mut trainer.log, self.phase, self.per_epoch, &numbers)
    }

    fn save(&mut self, spent: Spent) -> Result<(), TrainError> {
        self.trainer.state.spend(spent);
        self.trainer.save()
    }
}
