//! `export`: the encoder that a run pretrained, as an encoder file; or labels that it makes.

mod labels;

use crate::cli::ExportArgs;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::terminal;
use crate::plan::Plan;
use crate::run::checkpoint;
use crate::run::encoder_file::{self, EncoderCard, Origin};
use crate::run::shared_pretraining;
use crate::train::PretrainState;
use bridle::weights::Weights;
use bridle_results::record::RunRecord;
use bridle_results::store;
use std::path::{Path, PathBuf};

/// Finds the weights that a record's run left below `runs`, and writes those of the encoder with
/// their card.
///
/// # Errors
/// If the record cannot be read or its run pretrained nothing, if its weights are gone, or if the
/// file cannot be written.
pub fn perform(args: &ExportArgs) -> Result<()> {
    let record = store::read(&args.record)?;
    let plan = Plan::from_flat(&record.plan).map_err(|error| {
        let failure = Failure::wrong_use(format!(
            "`{}` holds a plan of another version: {error}",
            args.record.display()
        ));
        failure.with_hint("`bridle-bench run` with the record's options again, then its new record")
    })?;
    if let Some(by) = args.labels {
        return labels::perform(args, by, &record, &plan);
    }
    let to = args.to.as_deref().expect("it is required without --labels");
    let card = EncoderCard::of(&plan, origin(&record, &plan));
    let weights = encoder(&record, &plan, &args.record)?;
    encoder_file::write(to, &card, &weights).map_err(|error| Failure::new(Exit::Fault, error))?;
    let parameters: usize = weights.values().map(|values| values.data.len()).sum();
    terminal::log(&format!(
        "{}: {} tensors, {parameters} parameters; `--init` takes it",
        to.display(),
        weights.len()
    ));
    Ok(())
}

/// What to try where weights are gone.
const HINT: &str = "the folder that the run was started in, or `bridle-bench run` with the record's plan again";

/// The weights of the encoder that a record's run pretrained.
fn encoder(record: &RunRecord, plan: &Plan, path: &Path) -> Result<Weights> {
    let path = pretrained(record, plan, path)?;
    let (weights, state): (Weights, PretrainState) =
        checkpoint::read_file(&path).map_err(|error| Failure::new(Exit::Data, error).with_hint(HINT))?;
    fitting(&state, record, &path)?;
    Ok(bridle::weights::strip_prefix(&weights, "encoder."))
}

/// Fails if weights were trained on other data than the record's.
fn fitting(state: &PretrainState, record: &RunRecord, path: &Path) -> Result<()> {
    if state.fits(&record.data.identity()) {
        return Ok(());
    }
    let message = format!("`{}` was trained on other data than the record's", path.display());
    Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint(HINT))
}

/// Where a run leaves what it pretrained.
fn pretrained(record: &RunRecord, plan: &Plan, path: &Path) -> Result<PathBuf> {
    if plan.is_speech() {
        let message = format!(
            "`{}` is of an encoder of speech; encoder files hold ViTs",
            path.display()
        );
        return Err(Failure::wrong_use(message).with_hint("the record of a task of sounds, images or videos"));
    }
    let hash = record.pretrain_hash.as_ref().ok_or_else(|| {
        let message = format!(
            "`{}` is of method {}, which pretrains nothing",
            path.display(),
            record.method()
        );
        Failure::wrong_use(message).with_hint("the record of a run that pretrains")
    })?;
    if !hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failure::wrong_use(format!(
            "`{}` has no hash as `pretrain_hash`",
            path.display()
        )));
    }
    Ok(shared_pretraining(hash, &record.data))
}

fn origin(record: &RunRecord, plan: &Plan) -> Option<Origin> {
    Some(Origin {
        task: plan.task.clone(),
        fold: record.fold,
        transductive: plan.pretrain.as_ref()?.transductive,
        method: plan.label(),
        seed: record.seed,
        pretrain_hash: record.pretrain_hash.clone()?,
        commit: record.program.commit.clone(),
    })
}
