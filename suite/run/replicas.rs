//! What ranks that train together keep: rank 0 reads and writes it, and all have the same.

use crate::run::checkpoint;
use crate::run::metrics_log::{LogError, MetricsLog};
use crate::train::TrainError;
use bridle::weights::Weights;
use bridle_backends::kernel::ranks;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The weights and state that rank 0 has found, on every rank.
///
/// # Errors
/// If the ranks do not answer.
pub fn shared<S: Serialize + DeserializeOwned>(
    found: Option<(Weights, S)>,
) -> Result<Option<(Weights, S)>, TrainError> {
    let ranks = ranks();
    if ranks.size() == 1 {
        return Ok(found);
    }
    let bytes = found.as_ref().map(|(weights, state)| checkpoint::bytes(weights, state));
    let mut bytes = bytes.transpose()?.unwrap_or_default();
    ranks.broadcast(&mut bytes)?;
    match found {
        None if !bytes.is_empty() => Ok(Some(checkpoint::parse(Path::new("rank 0's"), &bytes, true)?)),
        found => Ok(found),
    }
}

/// Writes a checkpoint, once: after all ranks have found that they hold the same weights. One that
/// has left the others would train another model.
///
/// # Errors
/// If a rank holds others, or the checkpoint cannot be written.
pub fn save<S: Serialize>(folder: &Path, step: u64, weights: &Weights, state: &S) -> Result<(), TrainError> {
    let ranks = ranks();
    if ranks.size() > 1 {
        ranks.agree(&[("state of its weights", &checkpoint::digest(weights))])?;
    }
    if ranks.leads() {
        checkpoint::save(folder, step, weights, state)?;
    }
    Ok(())
}

/// The training log at `path`, as [`MetricsLog::open`] opens it; on other ranks than 0 one of which
/// nothing is written.
///
/// # Errors
/// If it cannot be opened.
pub fn log(path: &Path, last_step: Option<u64>) -> Result<MetricsLog, LogError> {
    match ranks().leads() {
        true => MetricsLog::open(path, last_step),
        false => Ok(MetricsLog::unwritten()),
    }
}
