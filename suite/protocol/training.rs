//! Training for an evaluation (fine-tuning, CTC): a loss over batches, with checkpoints, a log and
//! resuming.

use super::{Examples, Subject};
use crate::run::metrics_log::{LogError, MetricsLog};
use crate::run::{checkpoint, replicas};
use crate::train::TrainError;
use crate::train::schedule::Schedule;
use crate::train::steps::{BatchLoss, Learner, Share, Spent, StepNumbers, Steps};
use bridle::optimizer::{ParameterGroups, Trainable, Trained, UniformRate};
use bridle::weights::{self, strip_prefix, with_prefix};
use bridle_backends::TrainBackend;
use bridle_backends::kernel::ranks;
use bridle_tasks::DataError;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

/// What a checkpoint holds beside the tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct TrainingState {
    /// The identity of the data. Absent in what older versions wrote.
    #[serde(default)]
    data: Option<String>,
    step: u64,
    optimizer_steps: u64,
    /// The first and the last loss.
    loss: Option<(f64, f64)>,
    #[serde(default)]
    seconds: f64,
    /// Steps that were done, and how good the model was then.
    #[serde(default)]
    curve: Vec<(u64, f64)>,
}

/// A model in training.
pub struct Training<B: TrainBackend, M, G = UniformRate> {
    /// Names the steps, the checkpoints' folder and the log.
    phase: String,
    pub model: Trained<B, M, G>,
    state: TrainingState,
    folder: PathBuf,
    log: MetricsLog,
}

/// How long to train, and at which rates.
pub struct Length {
    pub steps_per_epoch: u64,
    /// Samples of a step.
    pub batch: usize,
    pub schedule: Schedule,
    /// This rank's share of a batch.
    pub share: f64,
}

impl<B: TrainBackend, M: AutodiffModule<B>, G: ParameterGroups> Training<B, M, G> {
    /// `model` as it is, or as the newest checkpoint of `phase` left it if the run resumes.
    ///
    /// # Errors
    /// If the checkpoint does not fit, or the log cannot be opened.
    pub fn open<D: Examples>(
        subject: &Subject<'_, B, D>,
        phase: &str,
        mut model: Trained<B, M, G>,
    ) -> Result<Self, TrainError> {
        let data = Some(subject.data_identity.to_owned());
        let mut state = TrainingState {
            data: data.clone(),
            ..TrainingState::default()
        };
        let folder = subject.folder.join(phase);
        let leads = ranks().leads();
        let saved = if subject.resumes && leads {
            checkpoint::newest::<TrainingState>(&folder, &|note| subject.progress.say(note))?
        } else {
            None
        };
        let fits = |found: &TrainingState| found.data == data;
        if let Some((saved, found)) = replicas::shared(saved.filter(|(_, found)| fits(found)))? {
            *model = weights::load((*model).clone(), &strip_prefix(&saved, "model."))?;
            let moments = strip_prefix(&saved, "optimizer.");
            model.optimizer.load(&moments, found.optimizer_steps, subject.device);
            state = found;
            let message = format!("{phase}: resumes after step {}", state.step);
            subject.progress.say(&message);
        } else if leads {
            checkpoint::clear(&folder)?;
        }
        if leads {
            std::fs::create_dir_all(subject.folder).map_err(|source| LogError::folder(subject.folder, source))?;
        }
        let resumed = (state.step > 0).then_some(state.step);
        let log = replicas::log(&subject.folder.join(format!("{phase}.jsonl")), resumed)?;
        Ok(Self {
            phase: phase.to_owned(),
            model,
            state,
            folder,
            log,
        })
    }

    /// Takes the remaining steps. `inputs` makes a step's batch, on any thread; `loss` is that of a
    /// batch at a step.
    ///
    /// # Errors
    /// If training diverges, is interrupted, cannot read a sample, or cannot write.
    pub fn run<D: Examples, I: Send>(
        &mut self,
        subject: &Subject<'_, B, D>,
        length: &Length,
        inputs: impl Fn(u64) -> Result<I, DataError> + Send + Sync,
        loss: impl Fn(&M, I, u64) -> Tensor<B, 1>,
    ) -> Result<(), TrainError> {
        self.run_watched(subject, length, inputs, loss, |_, _| Ok(None))
    }

    /// The same. `quality` is asked after every step how good the model is, given the steps that are
    /// done; what it answers becomes a point of the curve.
    ///
    /// # Errors
    /// As [`Self::run`]; what `quality` fails with.
    pub fn run_watched<D: Examples, I: Send>(
        &mut self,
        subject: &Subject<'_, B, D>,
        length: &Length,
        inputs: impl Fn(u64) -> Result<I, DataError> + Send + Sync,
        loss: impl Fn(&M, I, u64) -> Tensor<B, 1>,
        quality: impl FnMut(&M, u64) -> Result<Option<f64>, TrainError>,
    ) -> Result<(), TrainError> {
        let (folder, phase) = (self.folder.clone(), self.phase.clone());
        let steps = Steps {
            phase: &phase,
            range: self.state.step..length.steps_per_epoch * length.schedule.epochs as u64,
            per_epoch: length.steps_per_epoch,
            samples: length.batch,
            schedule: length.schedule,
            folder: &folder,
            checkpoint_every: subject.checkpoint_every,
            interrupt: subject.interrupt,
            progress: subject.progress,
        };
        let mut learner = Steppable {
            training: self,
            loss,
            quality,
            share: length.share,
            input: std::marker::PhantomData,
        };
        let spent = steps.run(&mut learner, inputs)?;
        self.state.seconds += spent.seconds;
        Ok(())
    }

    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// Steps that were done, and how good the model was then.
    pub fn curve(&self) -> &[(u64, f64)] {
        &self.state.curve
    }

    /// The first and the last loss.
    pub fn loss(&self) -> (f64, f64) {
        self.state.loss.unwrap_or((f64::NAN, f64::NAN))
    }
}

/// A training with its loss.
struct Steppable<'a, B: TrainBackend, M, G, I, L, Q> {
    training: &'a mut Training<B, M, G>,
    loss: L,
    quality: Q,
    share: f64,
    input: std::marker::PhantomData<fn(I)>,
}

impl<B, M, G, I, L, Q> Learner<B> for Steppable<'_, B, M, G, I, L, Q>
where
    B: TrainBackend,
    M: AutodiffModule<B>,
    G: ParameterGroups,
    I: Send,
    L: Fn(&M, I, u64) -> Tensor<B, 1>,
    Q: FnMut(&M, u64) -> Result<Option<f64>, TrainError>,
{
    type Input = I;

    fn batches(&mut self, input: I) -> Vec<(I, Share)> {
        let share = Share {
            of_step: 1.0,
            of_batch: self.share,
        };
        vec![(input, share)]
    }

    fn loss(&mut self, batch: I) -> BatchLoss<B> {
        let Training { model, state, .. } = &*self.training;
        BatchLoss::new((self.loss)(model, batch, state.step))
    }

    fn trained(&mut self) -> Vec<&mut dyn Trainable<B>> {
        vec![&mut self.training.model]
    }

    fn finish_step(&mut self) -> Result<(), TrainError> {
        let Training { model, state, .. } = &mut *self.training;
        state.step += 1;
        let found = (self.quality)(&*model, state.step)?;
        state.curve.extend(found.map(|quality| (state.step, quality)));
        Ok(())
    }

    fn log_step(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let Training { phase, state, log, .. } = &mut *self.training;
        let loss = f64::from(numbers.values[0].1);
        state.loss = Some((state.loss.map_or(loss, |(first, _)| first), loss));
        let line = json!({
            "phase": phase, "loss": loss, "rate": numbers.rate,
            "time": numbers.time, "samples_per_second": numbers.samples_per_second,
        });
        Ok(log.append(numbers.step + 1, &line)?)
    }

    fn save(&mut self, spent: Spent) -> Result<(), TrainError> {
        let training = &mut *self.training;
        training.state.seconds += spent.seconds;
        training.state.optimizer_steps = training.model.optimizer.steps();
        let mut weights = with_prefix("model.", weights::collect(&*training.model));
        weights.extend(with_prefix("optimizer.", training.model.optimizer.save()));
        replicas::save(&training.folder, training.state.step, &weights, &training.state)
    }
}
