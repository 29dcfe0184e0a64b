//! What a run will need of memory, disk and time, next to what there is.

use super::{Amount, Line, nearest_existing};
use crate::cli::progress::display_duration;
use crate::estimate::{self, PhaseCost, Workload};
use crate::plan::{PhasePlan, Plan};
use crate::protocol::{Finetune, Taught};
use crate::run::machine;
use crate::run::request::{RUNS, RunRequest};
use bridle_results::record::RunRecord;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use sysinfo::Disks;

/// Bytes free on the disk that holds `path`. None where the system does not say.
fn free_bytes(path: &Path) -> Option<u64> {
    let path = nearest_existing(path).canonicalize().ok()?;
    let disks = Disks::new_with_refreshed_list().ok()?;
    let holding = disks.iter().filter(|disk| path.starts_with(disk.mount_point()));
    holding
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map(sysinfo::Disk::available_space)
}

/// What the run will need, next to what there is.
pub(super) struct Needs {
    /// Processes that train together.
    pub ranks: usize,
    /// Of each of them.
    pub memory_bytes: f64,
    pub memory_available: Option<u64>,
    pub features_bytes: u64,
    pub checkpoint_bytes: u64,
    pub disk_free: Option<u64>,
    pub phases: Vec<estimate::PhaseCost>,
    pub finetune: Option<estimate::PhaseCost>,
    /// Operations in all, for every fold and seed.
    pub operations: f64,
    /// How long they take, if a record shows the backend's speed.
    pub time: Option<Duration>,
}

impl Needs {
    pub(super) fn new(request: &RunRequest, amount: &Amount, ranks: usize) -> Self {
        let training = &amount.training;
        let phases = estimate::phases(&request.plan, training, ranks);
        let features = estimate::features(&request.plan, amount.all);
        let finetune = estimate::finetune(&request.plan, training, ranks);
        let runs = (request.folds.len() * request.seeds.len() * request.plans().count()) as f64;
        let trained = || phases.iter().chain(&finetune);
        let one = trained().map(|phase| phase.operations).sum::<f64>() + features.operations;
        Self {
            ranks,
            memory_bytes: trained()
                .map(|phase| phase.memory_bytes)
                .fold(features.memory_bytes, f64::max),
            memory_available: machine::available_memory_bytes(),
            features_bytes: amount.input_bytes,
            checkpoint_bytes: estimate::checkpoint_bytes(&request.plan),
            disk_free: free_bytes(Path::new(RUNS)),
            phases,
            finetune,
            operations: one * runs,
            time: recorded_speed(request, training)
                .and_then(|speed| Duration::try_from_secs_f64(one * runs / (speed * ranks as f64)).ok()),
        }
    }
}

/// Operations per second of a process of the newest record of the same backend and number type among the records
/// of `--out`; on speech, where the length of utterances counts, also of the same task.
fn recorded_speed(request: &RunRequest, training: &Workload) -> Option<f64> {
    // a folder without records, or with a broken one, shows no speed, and that is no reason to stop
    let records = bridle_results::store::find(std::slice::from_ref(&request.args.out)).ok()?;
    let same = |record: &RunRecord| {
        let fits = !request.plan.is_speech() || record.task() == request.plan.task;
        fits && record.backend.name == request.backend.name.as_str() && record.backend.dtype == request.dtype.word()
    };
    let mut records: Vec<RunRecord> = records.into_iter().map(|(_, record)| record).filter(same).collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.finished));
    records.iter().find_map(|record| {
        let processes = record.machine.ranks.as_ref().map_or(1, |ranks| ranks.count.max(1));
        Some(estimate::speed(record, training)? / processes as f64)
    })
}

impl Needs {
    pub(super) fn lines(&self, plan: &Plan) -> Vec<Line> {
        let of = |bytes: Option<u64>, what| {
            bytes.map_or_else(String::new, |bytes| format!(", {} {what}", size(bytes as f64)))
        };
        let phases = plan.phases();
        let phase = |(phase, cost): (&PhasePlan, &PhaseCost)| {
            format!("{}: {} epochs, {} steps", phase.name, phase.length.epochs, cost.steps)
        };
        let mut training: Vec<String> = phases.iter().zip(&self.phases).map(phase).collect();
        training.extend(
            plan.evaluation
                .finetune
                .as_ref()
                .map(epochs_and_batch)
                .zip(self.finetune)
                .map(|((epochs, _), cost)| format!("finetune: {epochs} epochs, {} steps", cost.steps)),
        );
        let (features, checkpoint) = (size(self.features_bytes as f64), size(self.checkpoint_bytes as f64));
        let free = of(self.disk_free, "free");
        vec![
            (
                "memory",
                format!(
                    "about {}{}{}",
                    size(self.memory_bytes),
                    if self.ranks > 1 { " for each rank" } else { "" },
                    of(self.memory_available, "available")
                ),
            ),
            (
                "disk",
                format!("about {features} of features and {checkpoint} for each checkpoint{free}"),
            ),
            (
                "training",
                if training.is_empty() {
                    "none".to_owned()
                } else {
                    training.join("; ")
                },
            ),
            ("time", self.time_line()),
        ]
    }

    fn time_line(&self) -> String {
        match self.time.map(display_duration) {
            Some(time) if self.ranks > 1 => format!(
                "about {time} of computing if each rank is as fast as a process of this backend's newest record in \
                 --out; sums between ranks are not counted"
            ),
            Some(time) => format!("about {time} of computing, at the speed of this backend's newest record in --out"),
            None => format!(
                "unknown: no record in --out tells this backend's speed ({:.1e} operations)",
                self.operations
            ),
        }
    }

    pub(super) fn json(&self) -> Value {
        // memory of each of the processes that train together, time of all
        json!({
            "memory_bytes": self.memory_bytes as u64, "memory_available_bytes": self.memory_available,
            "features_bytes": self.features_bytes, "checkpoint_bytes": self.checkpoint_bytes,
            "disk_free_bytes": self.disk_free, "operations": self.operations,
            "seconds": self.time.map(|time| time.as_secs_f64()),
            "finetune_steps": self.finetune.map(|cost| cost.steps),
            "steps": self.phases.iter().map(|phase| phase.steps).collect::<Vec<_>>(),
        })
    }
}

/// Epochs and batch of fine-tuning.
pub(super) fn epochs_and_batch(values: &Taught<Finetune>) -> (usize, usize) {
    match values {
        Taught::Classes(values) => (values.epochs, values.batch),
        Taught::Transcripts(values) => (values.epochs, values.batch),
    }
}

/// Bytes in the unit that keeps two or three digits.
pub(super) fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e6 => format!("{:.0} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.0} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}
