//! The loop over optimizer steps that all training shares: inputs made ahead, rates by schedule,
//! gradients, losses read back late, checkpoints, stops.

use super::error::TrainError;
use super::schedule::Schedule;
use crate::cli::interrupt::{Interrupt, Signal};
use crate::cli::progress::TerminalProgress;
use crate::run::{checkpoint, machine};
use bridle::optimizer::{Gradients, Trainable};
use bridle_backends::TrainBackend;
use bridle_backends::kernel::ranks;
use bridle_ranks::{Ranks, RanksError};
use bridle_results::codes::{CodebookCounts, CodebookStatistics};
use bridle_results::record::Timestamp;
use bridle_tasks::{DataError, Progress, prefetch};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// Losses are read back from the device after this many steps.
pub const LOG_EVERY: usize = 10;

/// Steps whose inputs may be made ahead.
pub const AHEAD: usize = 4;

/// What a training loop moves: it computes losses, the loop the gradients.
pub trait Learner<B: TrainBackend> {
    /// What a step needs of the data, made on other threads.
    type Input: Send;

    /// Prepares a step: draws what is random in it, and cuts its input into batches, each with its
    /// share of the step. Their gradients are summed, and each batch's graph is gone before the next.
    fn batches(&mut self, input: Self::Input) -> Vec<(Self::Input, Share)>;

    /// The loss of one batch.
    fn loss(&mut self, batch: Self::Input) -> BatchLoss<B>;

    /// The modules that are trained. Those that a step's loss does not reach stay as they are.
    fn trained(&mut self) -> Vec<&mut dyn Trainable<B>>;

    /// Counts a step, and does what is due between two steps.
    ///
    /// # Errors
    /// If it has to look at further samples, and one cannot be read.
    fn finish_step(&mut self) -> Result<(), TrainError>;

    /// Logs a step's numbers, which are finite, in the order of steps.
    ///
    /// # Errors
    /// If the log cannot be written.
    fn log_step(&mut self, numbers: StepNumbers) -> Result<(), TrainError>;

    /// Writes a checkpoint; `spent` is what training took since the last one.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save(&mut self, spent: Spent) -> Result<(), TrainError>;
}

/// How much of a step a batch is, by samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The batch over all ranks, of the step.
    pub of_step: f64,
    /// This rank's part, of the batch.
    pub of_batch: f64,
}

/// The loss of one batch.
#[derive(Debug)]
pub struct BatchLoss<B: TrainBackend> {
    /// What is differentiated, [1].
    pub loss: Tensor<B, 1>,
    /// The loss first, then its parts, by their names in the log.
    pub values: NamedValues<B>,
    pub codes: CountedCodes<B>,
    /// How many rows it is a mean over, where these are not equally many for each sample.
    pub rows: Option<usize>,
}

/// Numbers on the device by their names in the log, each [1].
type NamedValues<B> = Vec<(&'static str, Tensor<<B as AutodiffBackend>::InnerBackend, 1>)>;
/// Codes [B, N, Q] whose use is to be counted, and how many a codebook has.
type CountedCodes<B> = Option<(Tensor<<B as AutodiffBackend>::InnerBackend, 3, Int>, usize)>;
/// A step that was taken, with its rate, whose numbers are still on the device.
type Pending<B> = (u64, f64, NamedValues<B>, CountedCodes<B>);

impl<B: TrainBackend> BatchLoss<B> {
    /// A loss without parts.
    pub fn new(loss: Tensor<B, 1>) -> Self {
        Self {
            values: vec![("loss", loss.clone().inner())],
            loss,
            codes: None,
            rows: None,
        }
    }

    /// A mean over so many rows, of which samples have different numbers.
    pub fn over_rows(self, rows: usize) -> Self {
        Self {
            rows: Some(rows),
            ..self
        }
    }

    /// The weight of this rank's mean in the step's mean.
    fn weight(&self, share: Share, ranks: &Ranks) -> Result<f64, RanksError> {
        let Some(rows) = self.rows.filter(|_| ranks.size() > 1) else {
            return Ok(share.of_step * share.of_batch);
        };
        let mut all = [rows as u64];
        ranks.sum_counts(&mut all)?;
        Ok(share.of_step * rows as f64 / all[0] as f64)
    }
}

/// One step's numbers.
#[derive(Debug)]
pub struct StepNumbers {
    /// The step, from 0.
    pub step: u64,
    /// Its rate.
    pub rate: f64,
    /// When it was read back from the device, with up to [`LOG_EVERY`] others.
    pub time: Timestamp,
    /// Samples per second of the steps that were read back together, waiting for inputs included.
    pub samples_per_second: f64,
    /// As in [`BatchLoss`].
    pub values: Vec<(&'static str, f32)>,
    /// How its batch used the codes, level by level, where that was counted.
    pub codebooks: Option<Vec<CodebookStatistics>>,
}

/// What training took, checkpoints left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// In all.
    pub seconds: f64,
    /// Of these, waiting for inputs.
    pub waited: f64,
}

/// The steps of one phase, and what surrounds them.
#[derive(Debug)]
pub struct Steps<'a> {
    pub phase: &'a str,
    /// The first step to do, and one beyond the last of the phase.
    pub range: Range<u64>,
    /// Steps of one pass over the data.
    pub per_epoch: u64,
    /// Samples of a step.
    pub samples: usize,
    /// The rate over the phase.
    pub schedule: Schedule,
    /// The folder of checkpoints.
    pub folder: &'a Path,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    pub interrupt: &'a Interrupt,
    pub progress: &'a TerminalProgress,
}

impl Steps<'_> {
    /// Does the steps that are left. Gives what they took since the last checkpoint.
    ///
    /// # Errors
    /// If training diverges, is interrupted, cannot read a sample, or cannot write.
    pub fn run<B: TrainBackend, L: Learner<B>>(
        &self,
        learner: &mut L,
        inputs: impl Fn(u64) -> Result<L::Input, DataError> + Send + Sync,
    ) -> Result<Spent, TrainError> {
        let steps = self.range.end;
        self.progress
            .start_steps(self.phase, self.range.start, steps, self.samples);
        let mut clock = Clock::start();
        let mut last_checkpoint = Instant::now();
        let mut pending = Vec::with_capacity(LOG_EVERY);
        let mut read_back = Instant::now();
        let signals = self.interrupt.look_for();
        let ranks = ranks();
        std::thread::scope(|scope| {
            let mut inputs = prefetch(scope, machine::own_cores(), self.range.clone(), AHEAD, inputs)?;
            for step in self.range.clone() {
                let rate = self.schedule.at(step as f64 / self.per_epoch as f64);
                let input = clock.wait(|| inputs.next()).expect("inputs are made for every step")?;
                let (values, codes) = take_step(learner, input, rate, &ranks, step == self.range.start)?;
                pending.push((step, rate, values, codes));
                self.progress.advance(1);
                let done = step + 1;
                let reads = pending.len() == LOG_EVERY || done == steps;
                let late = last_checkpoint.elapsed() >= self.checkpoint_every;
                let (signal, due) = agreed(&ranks, reads, signals.requested(), late)?;
                if reads || due {
                    let speed =
                        self.samples as f64 * pending.len() as f64 / read_back.elapsed().as_secs_f64().max(1e-9);
                    self.read_back(learner, &mut pending, speed, &ranks)?;
                    read_back = Instant::now();
                }
                if due && (done < steps || signal.is_some()) {
                    learner.save(clock.stop())?;
                    self.progress
                        .say_more(&format!("{}: a checkpoint after step {done}", self.phase));
                    (clock, last_checkpoint) = (Clock::start(), Instant::now());
                }
                if let Some(signal) = signal {
                    signals.stops(signal);
                    self.progress.finish();
                    return Err(TrainError::Interrupted {
                        signal,
                        phase: self.phase.to_owned(),
                        step: done,
                    });
                }
            }
            Ok(())
        })?;
        self.progress.finish();
        Ok(clock.stop())
    }

    /// Reads pending losses back, refuses those that are no numbers, and logs the others. All ranks
    /// read the same numbers: those of the whole batches.
    fn read_back<B: TrainBackend, L: Learner<B>>(
        &self,
        learner: &mut L,
        pending: &mut Vec<Pending<B>>,
        samples_per_second: f64,
        ranks: &Ranks,
    ) -> Result<(), TrainError> {
        let time = Timestamp::now();
        for (step, rate, values, codes) in pending.drain(..) {
            let (names, tensors): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let mut values: Vec<f32> = Tensor::cat(tensors, 0).into_data().iter::<f32>().collect();
            ranks.sum(&mut values)?;
            if let Some(&loss) = values.iter().find(|value| !value.is_finite()) {
                self.progress.finish();
                return Err(TrainError::Diverged {
                    phase: self.phase.to_owned(),
                    step,
                    loss,
                    last_good: checkpoint::list(self.folder).unwrap_or_default().pop(),
                });
            }
            self.progress.note(&format!("loss {:.4}, rate {rate:.1e}", values[0]));
            learner.log_step(StepNumbers {
                step,
                rate,
                time,
                samples_per_second,
                values: names.into_iter().zip(values).collect(),
                codebooks: match codes {
                    Some((codes, size)) => Some(codebook_use(codes, size, ranks)?),
                    None => None,
                },
            })?;
        }
        Ok(())
    }
}

/// The signal that asks for a stop, and whether a checkpoint is due. Several ranks have to stop at the
/// same step: they agree when they read losses back, by anybody's signal and by rank 0's clock, and
/// look at nothing in between.
fn agreed(
    ranks: &Ranks,
    reads: bool,
    signal: Option<Signal>,
    late: bool,
) -> Result<(Option<Signal>, bool), RanksError> {
    if ranks.size() == 1 {
        return Ok((signal, signal.is_some() || late));
    }
    if !reads {
        return Ok((None, false));
    }
    let number = |signal| Signal::ALL.iter().position(|other| *other == signal).unwrap_or(0) as u64 + 1;
    let mine = 2 * signal.map_or(0, number) + u64::from(late && ranks.leads());
    let all = ranks.max(mine)?;
    let signal = (all / 2).checked_sub(1).map(|place| Signal::ALL[place as usize]);
    Ok((signal, all > 0))
}

/// One optimizer step: the gradients of its batches, each weighted by its share, summed over ranks,
/// then the update. In the `first` step ranks compare which parameters they train.
fn take_step<B: TrainBackend, L: Learner<B>>(
    learner: &mut L,
    input: L::Input,
    rate: f64,
    ranks: &Ranks,
    first: bool,
) -> Result<(NamedValues<B>, CountedCodes<B>), TrainError> {
    let batches = learner.batches(input);
    let several = batches.len() > 1 || ranks.size() > 1;
    let (mut sums, mut values, mut codes) = (Vec::new(), NamedValues::<B>::new(), None);
    for (batch, share) in batches {
        let mut found = learner.loss(batch);
        if several {
            let weight = found.weight(share, ranks)?;
            found.loss = found.loss.mul_scalar(weight);
            found
                .values
                .iter_mut()
                .for_each(|(_, value)| *value = value.clone().mul_scalar(weight));
        }
        let mut grads = found.loss.backward();
        let trained = learner.trained();
        sums.resize_with(trained.len(), Gradients::default);
        for (module, sums) in trained.iter().zip(&mut sums) {
            module.take_gradients(&mut grads, sums);
        }
        if values.is_empty() {
            (values, codes) = (found.values, found.codes);
            continue;
        }
        for ((_, sum), (_, value)) in values.iter_mut().zip(found.values) {
            *sum = sum.clone() + value;
        }
        codes = codes
            .zip(found.codes)
            .map(|((all, size), (more, _))| (Tensor::cat(vec![all, more], 0), size));
    }
    if first {
        let names: Vec<&str> = sums.iter().flat_map(|sums| sums.names()).collect();
        ranks.agree(&[("set of trained parameters", &names.join(" "))])?;
    }
    for (module, grads) in learner.trained().into_iter().zip(sums) {
        module.update(grads.over_ranks(), rate);
    }
    learner.finish_step()?;
    Ok((values, codes))
}

/// Used codes and perplexity of each level in the codes of a step, of which this rank has [B, N, Q].
fn codebook_use<B: Backend>(
    codes: Tensor<B, 3, Int>,
    size: usize,
    ranks: &Ranks,
) -> Result<Vec<CodebookStatistics>, RanksError> {
    let [_, _, levels] = codes.dims();
    let found = ranks.gather_values(codes.into_data().iter::<i64>().collect())?;
    let mut counts = CodebookCounts::new(levels, size);
    counts
        .add(&found)
        .expect("a quantizer's codes are of its own codebooks");
    Ok(counts.statistics())
}

/// Time since its start, and how much of it was spent waiting.
struct Clock {
    begun: Instant,
    waited: Duration,
}

impl Clock {
    fn start() -> Self {
        Self {
            begun: Instant::now(),
            waited: Duration::ZERO,
        }
    }

    fn wait<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let got = what();
        self.waited += begun.elapsed();
        got
    }

    fn stop(&self) -> Spent {
        Spent {
            seconds: self.begun.elapsed().as_secs_f64(),
            waited: self.waited.as_secs_f64(),
        }
    }
}
