//! `check`: everything that `run` with the same options would need, looked at but not touched.

mod needs;
mod ranks;
mod report;
mod samples;
mod utterances;
mod verdict;

use crate::cli::error::{Failure, Result};
use crate::cli::terminal;
use crate::cli::{CheckArgs, RunFormat};
use crate::estimate::{self, Workload};
use crate::plan::{AnyTask, written};
use crate::run::request::RunRequest;
use bridle_backends::{Availability, BackendError, BackendState, Choice};
use bridle_tasks::DataFacts;
use ranks::RankNeeds;
use report::Report;
use serde_json::{Map, Value};
use std::path::Path;

/// A line of the report: `topic  facts`.
type Line = (&'static str, String);

/// How much there is to compute.
struct Amount {
    /// Samples in all.
    all: usize,
    /// Those that the first fold is trained on.
    training: Workload,
    /// Bytes of the stored inputs of all.
    input_bytes: u64,
}

/// The data of a task.
struct Found {
    /// What a record would say about it.
    facts: DataFacts,
    lines: Vec<Line>,
    /// The same for programs, beside the facts.
    json: Map<String, Value>,
    amount: Amount,
    /// Whether the data is what is known of its variant, or may differ.
    verified: Result<()>,
}

/// Looks at everything, prints what was found, and fails with the first thing that would stop the
/// run.
///
/// # Errors
/// Wrong use; data missing or not what it should be; a backend that cannot be opened; an output
/// that cannot be written.
pub fn perform(args: &CheckArgs) -> Result<()> {
    let mut request = RunRequest::looking(&args.run)?;
    let data = match request.task {
        AnyTask::Fixed(task) => samples::look(&request, task),
        AnyTask::Speech(task) => utterances::look(&request, task),
    };
    let data = data.and_then(|found| request.require_variant(&found.facts.variant).map(|()| found));
    if let Ok(found) = &data {
        request.plan = request.plan.with_variant(&found.facts.variant);
    }
    let backend = backend_state(&request.backend);
    let out = out_is_writable(&request.args.out);
    let training = data.as_ref().ok().map(|found| &found.amount.training);
    let training = training.filter(|_| estimate::is_known(&request.plan));
    // under a launcher each process looks at its own machine, and the first one tells
    let started = crate::cli::ranks::started();
    let count = args.ranks.map(|count| count as usize);
    let count = count.or(started.map(|launcher| launcher.size));
    let ranks = count.map(|count| RankNeeds::new(&request, training, count));
    let report = Report::new(&request, &data, &backend, &out, ranks.as_ref());
    let tells = started.is_none_or(|launcher| launcher.rank.unwrap_or(0) == 0);
    match request.args.format {
        _ if !tells => {}
        RunFormat::Terminal => terminal::print(&report.text())?,
        RunFormat::Json => terminal::print_json(&report.json())?,
        RunFormat::Toml => terminal::print(&written::to_toml(&request.plan.to_flat()))?,
    }
    let wanting = report.wanting();
    out?;
    ranks.map_or(Ok(()), |ranks| ranks.can_share())?;
    data?.verified?;
    backend?;
    wanting.map_or(Ok(()), Err)
}

/// The chosen backend's state; a failure if it cannot be opened.
fn backend_state(choice: &Choice) -> Result<BackendState> {
    let name = choice.name.as_str();
    let state = bridle_backends::list().into_iter().find(|backend| backend.name == name);
    let state = state.expect("the list of backends has every name");
    let how_to_get = state.how_to_get.clone().unwrap_or_default();
    match &state.availability {
        Availability::Ready => Ok(state),
        Availability::NotCompiled => Err(BackendError::NotCompiled {
            name: state.name,
            how_to_get,
        }
        .into()),
        Availability::Unavailable(reason) => Err(BackendError::Unavailable {
            name: state.name,
            reason: reason.clone(),
            how_to_get,
        }
        .into()),
    }
}

/// Whether records could be written to `out`, judged by the nearest folder that exists: nothing is
/// created.
fn out_is_writable(out: &Path) -> Result<()> {
    let existing = nearest_existing(out);
    let failure = |why: &str| {
        Failure::wrong_use(format!(
            "the folder {} cannot be written: {} {why}",
            out.display(),
            existing.display()
        ))
        .with_hint("--out DIR with a folder that can be written")
    };
    match std::fs::metadata(existing) {
        Ok(facts) if !facts.is_dir() => Err(failure("is no folder")),
        Ok(facts) if facts.permissions().readonly() => Err(failure("is read-only")),
        Ok(_) => Ok(()),
        Err(error) => Err(failure(&format!("cannot be read ({error})"))),
    }
}

/// The path itself, or the nearest folder above it that exists.
fn nearest_existing(path: &Path) -> &Path {
    // the last ancestor of a relative path is empty and stands for the current folder
    path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("."))
}
