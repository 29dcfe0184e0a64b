//! One run of one plan: its name, its folder and its record, whatever kind of task it is of; and
//! what it keeps there.

pub mod checkpoint;
pub mod encoder_file;
pub mod machine;
pub mod metrics_log;
pub mod request;

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::progress::TerminalProgress;
use crate::plan::{Flat, Plan, hash};
use crate::run::request::RUNS;
use crate::train::PretrainState;
use bridle_backends::Facts;
use bridle_results::record::{self, RunRecord, Score, Timestamp};
use bridle_results::store;
use bridle_tasks::DataFacts;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file of a run's folder that holds its plan.
const PLAN: &str = "plan.json";

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
    /// What computes.
    pub facts: &'a Facts,
    /// Number type.
    pub dtype: &'static str,
    /// Root seed.
    pub seed: u64,
    /// Test fold.
    pub fold: Option<u8>,
    /// When it began.
    pub started: Timestamp,
}

impl<'a> Run<'a> {
    /// A run of this plan that starts now.
    pub fn new(plan: &Plan, facts: &'a Facts, dtype: &'static str, seed: u64, fold: Option<u8>) -> Self {
        let hash = || plan.pretrain_hash(seed, fold, facts.name, dtype);
        Self {
            plan: plan.to_flat(),
            task: plan.task.clone(),
            label: plan.label(),
            pretrain_hash: plan.method.pretrains().then(hash),
            facts,
            dtype,
            seed,
            fold,
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
            self.seed,
            self.fold,
            std::process::id()
        );
        blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
    }

    /// `esc50/bridle-rq/<plan hash>-flex-fp32-s0-f1.json`: the record's path below the folder of
    /// records.
    pub fn record_path(&self) -> PathBuf {
        let fold = self.fold.map_or(String::new(), |fold| format!("-f{fold}"));
        let (backend, dtype, seed) = (self.facts.name, self.dtype, self.seed);
        let name = format!("{}-{backend}-{dtype}-s{seed}{fold}.json", self.plan_hash());
        PathBuf::from(&self.task).join(&self.label).join(name)
    }

    /// Where it works: the same below `runs/`.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(RUNS).join(self.record_path().with_extension(""))
    }

    /// Where its finished pretraining is kept for other runs.
    pub fn shared_pretraining(&self) -> Option<PathBuf> {
        let hash = self.pretrain_hash.as_ref()?;
        Some(
            PathBuf::from(RUNS)
                .join("pretrained")
                .join(format!("{hash}.safetensors")),
        )
    }

    /// Its record.
    pub fn record(
        &self,
        id: String,
        data: &DataFacts,
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
            machine: machine::machine(gpu),
            backend: record::Backend {
                name: facts.name.to_owned(),
                device: facts.device.clone(),
                library: facts.library.clone(),
                dtype: self.dtype.to_owned(),
                threads: facts.threads.unwrap_or_else(machine::cores) as u64,
            },
            seed: self.seed,
            fold: self.fold,
            data: data_of(data),
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
        }
    }
}

/// Fails if the run in this folder has another plan.
///
/// # Errors
/// If there is no run, its plan cannot be read, or a value that decides something differs.
pub fn require_same(plan: &Flat, folder: &Path) -> Result<()> {
    let text = bridle_files::read(&folder.join(PLAN), bridle_files::SETTINGS).map_err(|_| {
        let hint = "name a folder below runs/ that holds plan.json, or give --resume without one";
        Failure::wrong_use(format!("`{}` is no folder of a run", folder.display())).with_hint(hint)
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
    match saved {
        Some(state) => progress.say(&format!("resumes after step {}", state.total_steps)),
        None if resumes => progress.say("no checkpoint of this run yet: starts from the beginning"),
        None => checkpoint::clear(folder),
    }
    let wrong = |error: std::io::Error| Failure::fault(format!("cannot create `{}`", folder.display()), error);
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let text = serde_json::to_vec_pretty(plan).expect("a map of JSON values is JSON");
    Ok(store::replace(&folder.join(PLAN), &text)?)
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

/// What a record says about the data.
fn data_of(facts: &DataFacts) -> record::Data {
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
