//! How an encoder of speech is judged: a linear layer over its frames learns transcripts by connectionist temporal
//! classification, with the encoder frozen (`linear-probe`) or trained too (`finetune`); the test utterances are recognised
//! once, with the weights of the last step.

use super::augment::augment;
use super::model;
use super::symbols::Inventory;
use crate::checkpoint;
use crate::data::utterances::length;
use crate::data::{TrainingData as _, UtteranceBatch, Utterances, valid_rows};
use crate::interrupt::Interrupt;
use crate::metrics_log::{LogError, MetricsLog};
use crate::plan::{CtcTraining, Plan, Protocol};
use crate::progress::TerminalProgress;
use crate::train::TrainError;
use crate::train::schedule::Schedule;
use crate::train::steps::{BatchLoss, Learner, Spent, StepNumbers, Steps};
use bridle::codebook::index_rows;
use bridle::init::Init;
use bridle::layered::LayeredEncoder;
use bridle::optimizer::{Trainable, Trained};
use bridle::speech::conformer::Conformer;
use bridle::speech::ctc::ctc_loss_mean;
use bridle::transformer::linear;
use bridle::weights::{self, strip_prefix, with_prefix};
use bridle_backends::{Ops, TrainBackend};
use bridle_seed::Seed;
use bridle_tasks::{DataError, Progress, SpeechSet};
use burn::module::{AutodiffModule, Module};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Encoder and linear layer.
#[derive(Module, Debug)]
pub struct Recogniser<B: Backend> {
    /// The encoder.
    pub encoder: Conformer<B>,
    /// [D, C].
    pub head: Linear<B>,
}

/// An encoder to be judged, and all that judging needs.
pub struct Subject<'a, B: TrainBackend> {
    /// The plan, with the protocols' values.
    pub plan: &'a Plan,
    /// The data.
    pub set: &'a SpeechSet,
    /// Training utterances.
    pub train: &'a [usize],
    /// Test utterances.
    pub test: &'a [usize],
    /// The encoder.
    pub encoder: &'a Conformer<B::InnerBackend>,
    /// The run's root seed.
    pub seed: Seed,
    /// Where to compute.
    pub device: &'a B::Device,
    /// The run's folder.
    pub folder: &'a Path,
    /// Whether to go on from a checkpoint.
    pub resumes: bool,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Asks for a stop.
    pub interrupt: &'a Interrupt,
    /// Tells the user.
    pub progress: &'a TerminalProgress,
}

/// What was learnt, and what it makes of the test utterances.
pub struct Recognised {
    /// The symbols.
    pub symbols: Inventory,
    /// Log-probabilities [T, C] of each test utterance, in order.
    pub log_probabilities: Vec<Vec<f32>>,
    /// Utterances that had transcripts.
    pub trained_on: usize,
    /// Of those drawn, how many are too short for their transcript.
    pub too_short: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// First and last loss.
    pub loss: (f64, f64),
}

/// Trains by this protocol and recognises the test utterances.
///
/// # Errors
/// If training diverges, is interrupted, or cannot write; if an utterance cannot be read any more.
pub fn recognise<B: TrainBackend>(protocol: Protocol, subject: &Subject<'_, B>) -> Result<Recognised, TrainError> {
    let values = subject
        .plan
        .ctc(protocol)
        .expect("a plan with a protocol has its values");
    let mut training = Training::<B>::new(protocol, subject, values)?;
    training.run()?;
    let log_probabilities = training.log_probabilities()?;
    Ok(Recognised {
        log_probabilities,
        trained_on: training.drawn.len(),
        too_short: training.too_short,
        steps: training.state.step,
        loss: training.state.loss.unwrap_or((f64::NAN, f64::NAN)),
        symbols: training.symbols,
    })
}

/// What a checkpoint holds beside the tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// The hash of the data's manifest.
    data: String,
    step: u64,
    optimizer_steps: u64,
    loss: Option<(f64, f64)>,
}

struct Training<'a, 'b, B: TrainBackend> {
    subject: &'a Subject<'b, B>,
    values: &'a CtcTraining,
    protocol: Protocol,
    phase: &'static str,
    /// Steps in which the head learns alone.
    frozen_steps: u64,
    seed: Seed,
    folder: PathBuf,
    symbols: Inventory,
    /// Training utterances with transcripts.
    drawn: Vec<usize>,
    too_short: usize,
    model: Trained<B, Recogniser<B>>,
    state: State,
    log: MetricsLog,
}

impl<'a, 'b, B: TrainBackend> Training<'a, 'b, B> {
    fn new(protocol: Protocol, subject: &'a Subject<'b, B>, values: &'a CtcTraining) -> Result<Self, TrainError> {
        let phase = protocol.word();
        let seed = subject.seed.child(phase);
        let symbols = Inventory::new(values.symbols, subject.set, subject.train);
        let (drawn, too_short) = with_transcripts(subject, values, &symbols);
        let init = Init::<B>::new(seed.child("weights"), subject.device);
        let encoder = Conformer::new(&model::encoder(subject.plan), &init);
        let model = Recogniser {
            encoder: weights::load(encoder, &weights::collect(subject.encoder))?,
            head: init.linear("head", subject.plan.model.dim(), symbols.count(), true),
        };
        let mut model = Trained::new(model, values.adamw);
        let data = subject.set.facts.manifest_sha256.clone();
        let folder = subject.folder.join(phase);
        let mut state = State {
            data,
            ..State::default()
        };
        let saved = match subject.resumes {
            true => checkpoint::newest::<State>(&folder)?,
            false => None,
        };
        if let Some((saved, found)) = saved.filter(|(_, found)| found.data == state.data) {
            *model = weights::load((*model).clone(), &strip_prefix(&saved, "model."))?;
            let moments = strip_prefix(&saved, "optimizer.");
            model.optimizer.load(&moments, found.optimizer_steps, subject.device);
            state = found;
            let told = format!("{phase}: goes on after step {}", state.step);
            subject.progress.say(&told);
        } else {
            checkpoint::clear(&folder);
        }
        std::fs::create_dir_all(subject.folder).map_err(|source| LogError::folder(subject.folder, source))?;
        let resumed = (state.step > 0).then_some(state.step);
        let log = MetricsLog::open(&subject.folder.join(format!("{phase}.jsonl")), resumed)?;
        Ok(Self {
            subject,
            values,
            protocol,
            phase,
            frozen_steps: 0,
            seed,
            folder,
            symbols,
            drawn,
            too_short,
            model,
            state,
            log,
        })
    }

    fn run(&mut self) -> Result<(), TrainError> {
        let values = self.values;
        let (set, seed) = (self.subject.set, self.seed.child("order"));
        let order = Utterances::new(set, self.subject.plan).order(&self.drawn, values.batch, seed);
        let per_epoch = order.steps_per_epoch();
        let steps = per_epoch * values.epochs as u64;
        self.frozen_steps = match self.protocol {
            Protocol::Finetune => per_epoch * values.head_epochs.unwrap_or(0) as u64,
            Protocol::LinearProbe | Protocol::Knn => steps,
        };
        let loop_over = Steps {
            phase: self.phase,
            range: self.state.step..steps,
            per_epoch,
            schedule: Schedule {
                rate: values.rate,
                least: 0.0,
                warmup_epochs: values.warmup_epochs,
                epochs: values.epochs as f64,
            },
            folder: &self.folder.clone(),
            checkpoint_every: self.subject.checkpoint_every,
            interrupt: self.subject.interrupt,
            progress: self.subject.progress,
        };
        let seed = self.seed.child("augment");
        loop_over.run(self, move |step| {
            let mut input = UtteranceBatch::read(set, order.at(step))?;
            augment(&mut input, values, set.input_spec().mels, &seed.indexed(step));
            Ok(input)
        })?;
        Ok(())
    }

    /// The loss of one batch; None if every text is too long for its sound, which drawing has left out.
    fn batch_loss(&self, input: UtteranceBatch) -> Option<Tensor<B, 1>> {
        let Subject { set, plan, device, .. } = *self.subject;
        let text = |&index: &usize| self.symbols.encode(&set.utterances[index].text);
        let texts: Option<Vec<Vec<usize>>> = input.utterances.iter().map(text).collect();
        let lengths = input.lengths.clone();
        let frames = Utterances::new(set, plan).frames::<B>(input, device);
        let hidden = match self.state.step < self.frozen_steps {
            true => Tensor::from_inner(self.model.encoder.valid().encode(&frames.inner())),
            false => self.model.encoder.encode(&frames),
        };
        ctc_loss_mean(logits(&self.model.head, hidden), &lengths, &texts?)
    }

    /// Log-probabilities [T, C] of the test utterances, in order.
    fn log_probabilities(&self) -> Result<Vec<Vec<f32>>, DataError> {
        let Subject {
            set,
            test,
            plan,
            progress,
            device,
            ..
        } = *self.subject;
        let model = self.model.valid();
        let mut places: Vec<usize> = (0..test.len()).collect();
        places.sort_by_key(|&place| length(set, test[place]));
        let mut found = vec![Vec::new(); test.len()];
        progress.start(&format!("{}: test", self.phase), test.len() as u64);
        for places in places.chunks(self.values.batch) {
            let input = UtteranceBatch::read(set, places.iter().map(|&place| test[place]).collect())?;
            let rows = index_rows(&valid_rows(&input.lengths), device);
            let lengths = input.lengths.clone();
            let frames = Utterances::new(set, plan).frames::<B::InnerBackend>(input, device);
            let hidden = frames.with(model.encoder.encode(&frames)).rows(rows);
            let log_p = log_softmax(linear(&model.head, hidden), 1);
            let mut values = log_p.into_data().iter::<f32>().collect::<Vec<_>>().into_iter();
            for (&place, frames) in places.iter().zip(&lengths) {
                found[place] = values.by_ref().take(frames * self.symbols.count()).collect();
            }
            progress.advance(places.len() as u64);
        }
        progress.finish();
        Ok(found)
    }
}

/// The training utterances with transcripts, drawn by the seed, and how many of those drawn are too short for theirs.
fn with_transcripts<B: TrainBackend>(
    subject: &Subject<'_, B>,
    values: &CtcTraining,
    symbols: &Inventory,
) -> (Vec<usize>, usize) {
    let mut drawn = subject.train.to_vec();
    // one draw for both protocols
    subject.seed.child("transcripts").stream().shuffle(&mut drawn);
    drawn.truncate(values.utterances.unwrap_or(drawn.len()));
    let count = drawn.len();
    drawn.retain(|&index| {
        let needed = symbols.frames_needed(&subject.set.utterances[index].text);
        needed.is_some_and(|needed| needed <= length(subject.set, index))
    });
    let too_short = count - drawn.len();
    (drawn, too_short)
}

/// Logits of frames [B, T, D], padding included: [B, T, C].
fn logits<B: Ops>(head: &Linear<B>, hidden: Tensor<B, 3>) -> Tensor<B, 3> {
    let [batch, times, dim] = hidden.dims();
    let rows = linear(head, hidden.reshape([batch * times, dim]));
    let [_, symbols] = rows.dims();
    rows.reshape([batch, times, symbols])
}

impl<B: TrainBackend> Learner<B> for Training<'_, '_, B> {
    type Input = UtteranceBatch;

    fn loss(&mut self, batch: UtteranceBatch) -> BatchLoss<B> {
        let loss = self.batch_loss(batch);
        BatchLoss::new(loss.expect("utterances too short for their transcript are left out"))
    }

    fn trained(&mut self) -> Vec<&mut dyn Trainable<B>> {
        vec![&mut self.model]
    }

    fn finish_step(&mut self) -> Result<(), TrainError> {
        self.state.step += 1;
        Ok(())
    }

    fn log_step(&mut self, numbers: StepNumbers) -> Result<(), TrainError> {
        let loss = f64::from(numbers.values[0].1);
        self.state.loss = Some((self.state.loss.map_or(loss, |(first, _)| first), loss));
        let line = json!({"phase": self.phase, "loss": loss, "rate": numbers.rate});
        Ok(self.log.append(numbers.step + 1, &line)?)
    }

    fn save(&mut self, _spent: Spent) -> Result<(), TrainError> {
        self.state.optimizer_steps = self.model.optimizer.steps();
        let mut weights = with_prefix("model.", weights::collect(&*self.model));
        weights.extend(with_prefix("optimizer.", self.model.optimizer.save()));
        checkpoint::save(&self.folder, self.state.step, &weights, &self.state)?;
        Ok(())
    }
}
