//! `check`: everything that `run` with the same options would need, looked at but not touched.

mod copy;
mod data;
mod report;

use crate::cli::{Format, RunArgs};
use crate::error::{Failure, Result};
use crate::plan::AnyTask;
use crate::request::{RUNS, RunRequest};
use crate::speech;
use crate::{estimate, machine, terminal};
use bridle_backends::{Availability, BackendError, BackendState, Choice};
use bridle_results::record::RunRecord;
use data::DataReport;
use report::Report;
pub(crate) use report::{plan_lines, stopper};
use std::path::Path;
use std::time::Duration;
use sysinfo::Disks;

/// Looks at everything, prints what was found, and fails with the first thing that would stop the run.
///
/// # Errors
/// Wrong use; data missing or not what it should be; a backend that cannot be opened; an output that cannot be written.
pub fn perform(args: &RunArgs) -> Result<()> {
    let mut request = RunRequest::new(args)?;
    let task = match request.task {
        AnyTask::Fixed(task) => task,
        AnyTask::Speech(task) => return speech::check::perform(request, task),
    };
    let data = DataReport::look(&request, task);
    if let Ok(found) = &data {
        request.plan = request.plan.with_variant(&found.facts.variant);
    }
    let backend = backend_state(&request.backend);
    let out = out_is_writable(&request.out);
    let copy = match &data {
        Ok(found) => found.verify(request.allow_different_data),
        Err(_) => Ok(()),
    };
    let report = Report::new(&request, &data, &copy, &backend, &out);
    match request.format {
        Format::Terminal => terminal::print(&report.text())?,
        Format::Json => terminal::print(&format!("{:#}", report.json()))?,
    }
    out?;
    data?;
    copy?;
    backend.map(|_| ())
}

/// The chosen backend's state; a failure if it cannot be opened.
pub(crate) fn backend_state(choice: &Choice) -> Result<BackendState> {
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

/// Whether records could be written to `out`, judged by the nearest folder that exists: nothing is created.
pub(crate) fn out_is_writable(out: &Path) -> Result<()> {
    let existing = nearest_existing(out);
    let failure = |why: &str| {
        Failure::wrong_use(format!(
            "the folder {} cannot be written: {} {why}",
            out.display(),
            existing.display()
        ))
        .with_way_out("--out DIR with a folder that can be written")
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

/// Bytes free on the disk that holds `path`. None where the system does not tell.
fn free_bytes(path: &Path) -> Option<u64> {
    let path = nearest_existing(path).canonicalize().ok()?;
    let disks = Disks::new_with_refreshed_list().ok()?;
    let holding = disks.iter().filter(|disk| path.starts_with(disk.mount_point()));
    holding
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map(sysinfo::Disk::available_space)
}

/// What the run will need, next to what there is; `samples` is (all, training on the first fold).
struct Needs {
    memory_bytes: f64,
    memory_available: Option<u64>,
    features_bytes: u64,
    checkpoint_bytes: u64,
    disk_free: Option<u64>,
    phases: Vec<estimate::PhaseCost>,
    finetune: Option<estimate::PhaseCost>,
    /// Operations in all, for every fold and seed.
    operations: f64,
    /// How long they take, if a record tells the backend's speed.
    time: Option<Duration>,
}

impl Needs {
    fn new(request: &RunRequest, samples: (usize, usize)) -> Self {
        let (all, training) = samples;
        let phases = estimate::phases(&request.plan, training);
        let features = estimate::features(&request.plan, all);
        let finetune = estimate::finetune(&request.plan, training);
        let runs = (request.folds.len() * request.seeds.len() * (1 + request.ablation.len())) as f64;
        let trained = || phases.iter().chain(&finetune);
        let one = trained().map(|phase| phase.operations).sum::<f64>() + features.operations;
        Self {
            memory_bytes: trained()
                .map(|phase| phase.memory_bytes)
                .fold(features.memory_bytes, f64::max),
            memory_available: machine::available_memory_bytes(),
            features_bytes: estimate::input_bytes(&request.plan, all),
            checkpoint_bytes: estimate::checkpoint_bytes(&request.plan),
            disk_free: free_bytes(Path::new(RUNS)),
            phases,
            finetune,
            operations: one * runs,
            time: recorded_speed(request).and_then(|speed| Duration::try_from_secs_f64(one * runs / speed).ok()),
        }
    }
}

/// Operations per second of the newest record of the same backend and number type among the records of `--out`.
fn recorded_speed(request: &RunRequest) -> Option<f64> {
    // a folder without records, or with a broken one, tells no speed, and that is no reason to stop
    let records = bridle_results::store::find(std::slice::from_ref(&request.out)).ok()?;
    let same = |record: &RunRecord| {
        record.backend.name == request.backend.name.as_str() && record.backend.dtype == request.dtype.word()
    };
    let mut records: Vec<RunRecord> = records.into_iter().map(|(_, record)| record).filter(same).collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.finished));
    records.iter().find_map(estimate::speed)
}
