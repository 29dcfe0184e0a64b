//! Why training stops early.

use crate::cli::interrupt::Signal;
use crate::run::checkpoint::CheckpointError;
use crate::run::metrics_log::LogError;
use bridle::weights::WeightsError;
use bridle_ranks::RanksError;
use bridle_tasks::DataError;
use std::path::PathBuf;

/// Why training stopped early.
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
    /// The ranks that train together have parted.
    #[error(transparent)]
    Ranks(#[from] RanksError),
    /// Saved weights do not fit the model.
    #[error("the saved weights do not fit this plan's model")]
    Weights(#[from] WeightsError),
}
