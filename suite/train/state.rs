//! The progress of pretraining: what a checkpoint stores beside the tensors, and the curves of a
//! record.

use super::error::TrainError;
use super::steps::{LOG_EVERY, Spent, StepNumbers};
use crate::plan::PhasePlan;
use crate::run::metrics_log::MetricsLog;
use bridle_results::codes::CodebookStatistics;
use bridle_results::record::{Curve, Phase as PhaseRecord};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A record's curve has at most so many points per phase.
const CURVE_POINTS: u64 = 48;

/// Everything of a run's progress that is no tensor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PretrainState {
    /// Id of the run that made these weights.
    pub id: String,
    /// What they were trained on: the identity of the data, with its division into training and test
    /// samples. Older versions wrote less or nothing, which fits no data.
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
    /// Steps that each optimizer took in the phase at hand: the student's first.
    pub(crate) optimizer_steps: Vec<u64>,
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

impl PretrainState {
    /// Follows the loss and the use of codes; at every so many steps, and at the last, a point of
    /// the curve is made.
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
    pub(crate) fn log_step(
        &mut self,
        log: &mut MetricsLog,
        phase: &PhasePlan,
        per_epoch: u64,
        numbers: &StepNumbers,
    ) -> Result<(), TrainError> {
        let StepNumbers {
            step,
            rate,
            time,
            samples_per_second,
            values,
            codebooks,
        } = numbers;
        let steps = per_epoch * phase.length.epochs as u64;
        let loss = f64::from(values[0].1);
        self.loss = Some((self.loss.map_or(loss, |(first, _)| first), loss));
        self.trace(*step, steps, loss, codebooks.as_deref());
        let epoch = *step as f64 / per_epoch as f64;
        let mut line = json!({"phase": phase.name, "phase_step": step, "epoch": epoch, "rate": rate});
        line["time"] = json!(time);
        line["samples_per_second"] = json!(samples_per_second);
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

    /// Whether these weights were trained on data of this identity.
    pub fn fits(&self, data_identity: &str) -> bool {
        self.data.as_deref() == Some(data_identity)
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
