//! Values of the linear probe on classes; those on transcripts are [`super::CtcTraining`].

use super::{Judging, Section, Stage, Taught};
use crate::plan::{Plan, Takes};
use bridle_values::check::{Checked, at_least_one, held_out, not_negative, positive, require};
use serde::{Deserialize, Serialize};

/// The linear probe: multinomial regression on frozen, mean-pooled features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub epochs: usize,
    /// Closed list of learning rates; one is chosen on held-out training samples, never on the test
    /// samples.
    pub rates: Vec<f64>,
    pub batch: usize,
    pub weight_decay: f64,
    /// Share of the training samples held out to choose the rate.
    pub holdout: f64,
    /// Whether each feature is brought to mean 0 and deviation 1, as measured on the training
    /// samples.
    pub standardise: bool,
}

impl Section for Taught<Probe> {
    const STAGE: Stage = Stage::Judging;

    fn check(&self, _plan: &Plan) -> Checked {
        match self {
            Self::Classes(probe) => probe.check(),
            Self::Transcripts(training) => training.check("probe"),
        }
    }
}

impl Judging for Taught<Probe> {
    const TRAINS_ENCODER: bool = false;
    const TAKES: Takes = Takes::Any;
}

impl Probe {
    fn check(&self) -> Checked {
        at_least_one("probe.epochs", self.epochs)?;
        at_least_one("probe.batch", self.batch)?;
        require(!self.rates.is_empty(), "probe.rates", || {
            "the list of rates is empty".to_owned()
        })?;
        self.rates.iter().try_for_each(|&rate| positive("probe.rates", rate))?;
        not_negative("probe.weight_decay", self.weight_decay)?;
        held_out("probe.holdout", self.holdout)
    }
}
