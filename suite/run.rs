//! One run of one plan: its name, its folder and its record, whatever kind of task it is of; and
//! what it keeps there.

pub mod checkpoint;
pub mod control;
pub mod encoder_file;
pub mod followers;
pub mod given;
pub mod locate;
pub mod machine;
pub mod metrics_log;
pub mod origin;
pub mod replicas;
pub mod request;
pub mod root;
pub mod same_inputs;

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::progress::TerminalProgress;
use crate::compute::Dtype;
use crate::plan::{Flat, Plan, hash};
use crate::run::checkpoint::CheckpointError;
use crate::run::request::RUNS;
use crate::run::root::Root;
use crate::train::PretrainState;
use bridle_backends::Facts;
use bridle_backends::kernel::Product;
use bridle_results::record::{self, RunRecord, Score, Timestamp};
use bridle_results::store::{self, RunName};
use bridle_tasks::DataFacts;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The file of a run's folder that is locked while it runs.
const LOCK: &str = "lock";
/// The file of a run's folder that holds its plan.
const PLAN: &str = "plan.json";
/// The file of a run's folder that is there from the first step of training until the record is
/// written. An older record may lie there, which the run is about to replace.
const UNFINISHED: &str = "unfinished";

/// What one run is.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The plan's flat map.
    pub plan: Flat,
    /// The plan's task.
    pub task: String,
    /// `<method>` or `<method>-<quantizer>`.
    pub label: String,
    /// Names the pretraining; none where nothing is pretrained.
    pub pretrain_hash: Option<String>,
    /// What its record says of the data.
    pub data: record::Data,
    /// What computes.
    pub facts: &'a Facts,
    /// Number type.
    pub dtype: &'static str,
    /// Seed and test fold.
    pub root: Root,
    /// When it began.
    pub started: Timestamp,
}

impl<'a> Run<'a> {
    /// A run of this plan on this data that starts now.
    pub fn new(plan: &Plan, data: record::Data, facts: &'a Facts, dtype: &'static str, root: Root) -> Self {
        let hash = || plan.pretrain_hash(&root, facts.name, dtype);
        Self {
            plan: plan.to_flat(),
            task: plan.task.clone(),
            label: plan.label(),
            data,
            pretrain_hash: plan.method.pretrains().then(hash),
            facts,
            dtype,
            root,
            started: Timestamp::now(),
        }
    }

    /// 12 hexadecimal digits over all that decides the numbers.
    pub fn plan_hash(&self) -> String {
        hash::plan_hash(self.plan.clone())
    }

    /// 16 hexadecimal digits that no other run has.
    pub fn id(&self) -> String {
        let text = format!(
            "{} {} {} {:?} {}",
            self.started.as_nanosecond(),
            self.plan_hash(),
            self.root.seed,
            self.root.fold,
            std::process::id()
        );
        blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
    }

    /// `esc50/bridle-rq/<plan hash>-flex-fp32-s0-f1.json`: the record's path below the folder of
    /// records.
    pub fn record_path(&self) -> PathBuf {
        let name = RunName {
            task: &self.task,
            label: self.label.clone(),
            plan_hash: &self.plan_hash(),
            data: &self.data,
            backend: self.facts.name,
            dtype: self.dtype,
            seed: self.root.seed,
            fold: self.root.fold,
        };
        name.path()
    }

    /// Where it works: the same below `runs/`.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(RUNS).join(self.record_path().with_extension(""))
    }

    /// Where its finished pretraining is kept for other runs.
    pub fn shared_pretraining(&self) -> Option<PathBuf> {
        Some(shared_pretraining(self.pretrain_hash.as_ref()?, &self.data))
    }

    /// Whether this is a record of this plan, backend, seed and fold on this data.
    pub fn is_of(&self, record: &RunRecord) -> bool {
        record.plan_hash == self.plan_hash()
            && (&*record.backend.name, &*record.backend.dtype) == (self.facts.name, self.dtype)
            && (record.seed, record.fold) == (self.root.seed, self.root.fold)
            && record.data.identity() == self.data.identity()
    }

    /// Takes the lock of the run's folder, so that no other run of this plan removes its checkpoints,
    /// and removes what killed runs left there. None if the file system has no locks.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn lock(&self, folder: &Path, progress: &TerminalProgress) -> Result<Option<File>> {
        let waiting = || {
            let folder = folder.display();
            progress.say(&format!(
                "waits for another run of this plan, which works in `{folder}`"
            ));
        };
        let lock = std::fs::create_dir_all(folder).and_then(|()| bridle_files::lock(&folder.join(LOCK), waiting));
        let lock = lock.map_err(|error| Failure::fault(format!("cannot lock `{}`", folder.display()), error))?;
        let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let below = below
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !path.is_symlink());
        let shared = self.shared_pretraining();
        let shared = shared.as_deref().and_then(Path::parent).map(Path::to_owned);
        for folder in below.chain([folder.to_owned()]).chain(shared) {
            bridle_files::remove_abandoned(&folder, |name| name.ends_with(".tmp"));
        }
        Ok(lock)
    }

    /// Whether another process holds that lock.
    pub fn is_taken(&self) -> bool {
        let lock = File::open(self.folder().join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Checks that all can be written that the run will write at its end: the finished pretraining,
    /// and the record below `out`.
    ///
    /// # Errors
    /// If it cannot.
    pub fn prove_writable(&self, folder: &Path, out: &Path) -> Result<()> {
        let record = out.join(self.record_path());
        if record.is_dir() {
            let message = format!("`{}`, where the record would be, is a folder", record.display());
            return Err(Failure::wrong_use(message).with_hint("--out DIR with another folder"));
        }
        let pretraining = self.shared_pretraining();
        let shared = pretraining.as_deref().and_then(Path::parent);
        for folder in shared.into_iter().chain([folder]) {
            let failed = |error| Failure::fault(format!("the folder `{}` cannot be written", folder.display()), error);
            bridle_files::prove_writable(folder).map_err(failed)?;
        }
        Ok(())
    }

    /// Its record.
    pub fn record(
        &self,
        id: String,
        phases: Vec<record::Phase>,
        scores: Vec<Score>,
        mut seconds: BTreeMap<String, f64>,
    ) -> RunRecord {
        seconds.extend(phases.iter().map(|phase| (phase.name.clone(), phase.seconds)));
        let facts = self.facts;
        let gpu = (facts.device != "cpu").then(|| facts.device.clone());
        RunRecord {
            schema: record::SCHEMA,
            id,
            plan: self.plan.clone(),
            plan_hash: self.plan_hash(),
            pretrain_hash: self.pretrain_hash.clone(),
            program: machine::program(),
            machine: record::Machine {
                bf16: (gpu.is_none() && self.dtype == Dtype::Bf16.word())
                    .then(|| Product::of_this_processor().about().to_owned()),
                ..machine::machine(gpu)
            },
            backend: record::Backend {
                name: facts.name.to_owned(),
                device: facts.device.clone(),
                library: facts.library.clone(),
                dtype: self.dtype.to_owned(),
                threads: facts.threads.unwrap_or_else(machine::cores) as u64,
            },
            seed: self.root.seed,
            fold: self.root.fold,
            fold_in_root: self.root.fold_in_root,
            data: self.data.clone(),
            phases,
            scores,
            seconds,
            peak_memory_bytes: record::PeakMemory {
                host: machine::peak_memory_bytes(),
                device: None,
            },
            started: self.started,
            finished: Timestamp::now(),
            predictions: None,
            predictions_sha256: None,
            content_sha256: None,
        }
    }
}

/// Where the pretraining with this hash is kept; on data that the plan does not name, with the start
/// of its identity.
pub fn shared_pretraining(hash: &str, data: &record::Data) -> PathBuf {
    let data = if data.is_own() {
        format!("-{}", data.short_identity())
    } else {
        String::new()
    };
    Path::new(RUNS)
        .join("pretrained")
        .join(format!("{hash}{data}.safetensors"))
}

/// Fails if the run in this folder has another plan.
///
/// # Errors
/// If there is no run, its plan cannot be read, or a value that decides something differs.
pub fn require_same(plan: &Flat, folder: &Path) -> Result<()> {
    let text = bridle_files::read(&folder.join(PLAN), bridle_files::SETTINGS).map_err(|error| {
        let hint = "name a folder below runs/ that holds plan.json, or give --resume without one";
        let error = anyhow::Error::new(error).context(format!("`{}` is no folder of a run", folder.display()));
        Failure::new(Exit::WrongUse, error).with_hint(hint)
    })?;
    let stored: Flat = serde_json::from_slice(&text)
        .map_err(|error| Failure::new(Exit::WrongUse, error).with_hint("start the run anew, without --resume"))?;
    Ok(hash::require_same(plan, &stored, folder)?)
}

/// Makes a run's folder, says where the run resumes, and stores its plan.
///
/// # Errors
/// If the folder cannot be made or written.
pub fn begin_folder(
    folder: &Path,
    plan: &Flat,
    saved: Option<&PretrainState>,
    resumes: bool,
    progress: &TerminalProgress,
) -> Result<()> {
    let wrong = |error: std::io::Error| Failure::fault(format!("cannot create `{}`", folder.display()), error);
    std::fs::create_dir_all(folder).map_err(wrong)?;
    store::replace(&folder.join(UNFINISHED), b"")?;
    match saved {
        Some(state) => progress.say(&format!("resumes after step {}", state.total_steps)),
        None if resumes => progress.say("no checkpoint of this run yet: starts from the beginning"),
        None => checkpoint::clear(folder)?,
    }
    let text = serde_json::to_vec_pretty(plan).expect("a map of JSON values is JSON");
    Ok(store::replace(&folder.join(PLAN), &text)?)
}

/// Whether the training in `folder` began, and its record was not written.
pub fn is_unfinished(folder: &Path) -> bool {
    folder.join(UNFINISHED).exists()
}

/// Notes that the record is written.
pub fn end_folder(folder: &Path) {
    // one that stays costs time alone: the run is made once more, with the same outcome
    let _ = std::fs::remove_file(folder.join(UNFINISHED));
}

/// Notes in each phase that it was trained by run `id`.
pub fn mark_reused(phases: Vec<record::Phase>, id: &str) -> Vec<record::Phase> {
    let phases = phases.into_iter();
    phases
        .map(|phase| record::Phase {
            reused_from: Some(id.to_owned()),
            ..phase
        })
        .collect()
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        let failure = Self::new(Exit::Fault, error);
        failure.with_hint("mend what keeps the file from being read, or start anew with --fresh")
    }
}

/// What a record says about data whose samples have this hash.
pub fn data_of(facts: &DataFacts, samples_sha256: String) -> record::Data {
    let one = |mean: f64, std: f64| record::MeanStd {
        mean: vec![mean],
        std: vec![std],
    };
    record::Data {
        task: facts.task.clone(),
        version: facts.version.to_string(),
        variant: facts.variant.clone(),
        source: facts.source.clone(),
        manifest_sha256: Some(facts.manifest_sha256.clone()),
        samples_sha256: Some(samples_sha256),
        counts: facts
            .counts
            .iter()
            .map(|(split, count)| (split.clone(), *count as u64))
            .collect(),
        subset: facts.subset.map(|subset| subset as u64),
        skipped: facts
            .skipped
            .iter()
            .map(|skipped| record::Skipped {
                id: skipped.id.clone(),
                reason: skipped.reason.clone(),
            })
            .collect(),
        missing: (!facts.missing.is_none()).then(|| record::Missing {
            count: facts.missing.count as u64,
            first: facts.missing.first.clone(),
        }),
        splitting: facts.splitting.clone(),
        input: record::InputStatistics {
            measured: Some(one(facts.measured_mean, facts.measured_std)),
            constants: one(facts.constant_mean, facts.constant_std),
        },
    }
}
