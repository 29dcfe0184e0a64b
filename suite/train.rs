//! Training: the one loop over optimizer steps, and the methods of pretraining.
//!
//! ```text
//! steps, schedule   what all training shares: inputs, rates, gradients, checkpoints
//! phases, state     the driver of pretraining, which calls a method phase by phase
//! method, methods   what a method is to the driver; the methods, a file each
//! labels            the labels of all samples, and what they say
//! ```

pub mod error;
pub mod labels;
pub mod method;
pub mod methods;
pub mod phases;
pub mod schedule;
mod state;
pub mod steps;

pub use error::TrainError;
pub use methods::pretrain;
pub use phases::{PRETRAIN_BATCH, Pretrained};
pub use state::PretrainState;

use crate::cli::interrupt::Interrupt;
use crate::cli::progress::TerminalProgress;
use crate::plan::{Core, Pretrain};
use crate::quantizers::QuantizerConfig;
use bridle_seed::Seed;
use std::path::Path;
use std::time::Duration;

/// What pretraining needs besides the model.
pub struct Context<'a, D> {
    pub plan: &'a Core,
    pub data: &'a D,
    /// What tells the data from other data.
    pub data_identity: &'a str,
    /// The samples to train on.
    pub train: &'a [usize],
    /// Labels that were given in place of a tokenizer's.
    pub labels: Option<labels::Labels>,
    /// The run's root seed.
    pub seed: Seed,
    pub id: &'a str,
    /// The run's folder, for checkpoints and the log.
    pub folder: &'a Path,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    pub interrupt: &'a Interrupt,
    pub progress: &'a TerminalProgress,
}

impl<'a, D> Context<'a, D> {
    /// Lengths, rates, optimizer. Panics if the plan pretrains nothing.
    pub fn pretrain(&self) -> &'a Pretrain {
        let pretrain = self.plan.pretrain.as_ref();
        pretrain.expect("a plan that pretrains says how")
    }

    /// What makes the labels. Panics if the plan pretrains nothing.
    pub fn quantizer(&self) -> &'a QuantizerConfig {
        let quantizer = self.plan.quantizer.as_ref();
        quantizer.expect("a plan that pretrains has labels")
    }
}
