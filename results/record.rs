//! The record of one run, fold and seed: its plan, its environment, and every resulting number.

use crate::codes::CodebookStatistics;
use crate::codes::labels::LabelStatistics;
use crate::finite;
use crate::stats::{self, Interval};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

mod differences;
mod hash;
mod identity;
pub(crate) mod mark;
mod names;
mod read;
mod score;
mod write;

pub(crate) use identity::{identity, sha256};
pub use jiff::Timestamp;
pub use mark::shared_root;
pub(crate) use names::{display_value, plural};
pub use read::RecordError;
pub(crate) use read::parse;
pub use score::{PerClass, Scoring};

/// The newest schema version, the one that is written.
pub const SCHEMA: u32 = 2;

/// One run of one plan with one seed and, where the task has folds, one fold. Holds no absolute
/// path but those that the user typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this structure; see [`SCHEMA`].
    pub schema: u32,
    /// Name of this run, different for every run.
    pub id: String,
    /// Every value of the plan, resolved: at least `task`, `method`, `quantizer`, `preset`,
    /// `recipe` and `protocols`.
    pub plan: Map<String, Value>,
    /// Hash of all plan values that decide the numbers: not paths, backend, threads or names.
    pub plan_hash: String,
    /// Hash of what decides the pretrained weights: plan values, seed, fold, backend, dtype. None
    /// without pretraining.
    pub pretrain_hash: Option<String>,
    pub program: Program,
    pub machine: Machine,
    pub backend: Backend,
    /// Root seed of every random number.
    pub seed: u64,
    /// The test fold, counted from 1. None where the task has no folds.
    pub fold: Option<u8>,
    /// Whether the fold is part of the root of random numbers, so that it has first weights and labels of its own. The
    /// first fold needs no part. Not so in older records, where all folds of a seed share them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fold_in_root: bool,
    pub data: Data,
    /// Training phases in the order in which they ran.
    pub phases: Vec<Phase>,
    /// One entry for each protocol and metric.
    pub scores: Vec<Score>,
    /// Seconds by phase or protocol; training excludes evaluation and checkpoints.
    #[serde(with = "finite")]
    pub seconds: BTreeMap<String, f64>,
    pub peak_memory_bytes: PeakMemory,
    pub started: Timestamp,
    pub finished: Timestamp,
    /// File with the predictions for each test sample: a plain name, of a file beside the record.
    pub predictions: Option<String>,
    /// SHA-256 of that file. None without predictions, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions_sha256: Option<String>,
    /// SHA-256 over all of the record that is the same in every run of its plan; see
    /// [`RunRecord::is_unchanged`]. None in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub version: String,
    /// Commit that it was built from, or `unknown`.
    pub commit: String,
    /// Whether tracked files differed from that commit.
    pub dirty: bool,
    /// The command line as it was typed, in words, the program's name first. None in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
}

impl Program {
    /// Whether the source is exactly a known commit.
    pub fn is_clean(&self) -> bool {
        !self.dirty && self.commit != "unknown"
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    /// Family, model and instructions, which tell processors apart that share a brand name. None where
    /// they are not known, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// How a run in bf16 computed products on the processor, which decides it. None of other runs, and in
    /// older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bf16: Option<String>,
    /// Logical cores.
    pub cores: u64,
    /// Main memory, in bytes.
    pub memory_bytes: u64,
    pub gpu: Option<String>,
    /// The processes that trained together; None where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Ranks>,
}

/// The processes that trained together. They share the samples of each batch, so that their number
/// changes rounding alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    pub count: u64,
    /// Machines that they were on.
    pub machines: u64,
    /// What joined them, such as `Open MPI 4.1.4`.
    pub engine: String,
    /// What summed tensors on NVIDIA devices: NCCL, such as `NCCL 2.27.5 with NCCL_NVLS_ENABLE=0`, or
    /// `main memory`, where `engine` did. None on processors, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor_sums: Option<String>,
    /// Seconds in which steps of pretraining waited for their inputs, `[ranks]`. None where nothing was
    /// pretrained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_wait_seconds: Option<Vec<f64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name, as given with `--backend`.
    pub name: String,
    /// The device, as the backend names it.
    pub device: String,
    /// The library behind it and its version, such as `burn-flex 0.21.0`.
    pub library: String,
    /// Number type of activations: `fp32` or `bf16`.
    pub dtype: String,
    pub threads: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    pub task: String,
    /// Version of the task's definition; it changes when the same data would give other numbers.
    pub version: String,
    /// The variant of the data set; `different` where it is none of the known ones.
    pub variant: String,
    /// Where this variant comes from: an address and a revision, or how it is made.
    pub source: String,
    /// SHA-256 of the manifest of its files. None for generated or unpinned data.
    pub manifest_sha256: Option<String>,
    /// SHA-256 over every sample's id, labels and place in the splits. None in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_sha256: Option<String>,
    /// Samples by name of split.
    pub counts: BTreeMap<String, u64>,
    /// Samples kept for each class, where only a part of the data was used.
    pub subset: Option<u64>,
    /// Samples left out because they could not be read.
    pub skipped: Vec<Skipped>,
    /// Samples that this copy of the data does not have, where copies are known to differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// How samples came into their splits, where the data does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splitting: Option<String>,
    /// Statistics of the model input, before normalisation.
    pub input: InputStatistics,
}

/// The variant's name where the data is none of the known ones.
pub const DIFFERENT: &str = "different";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub id: String,
    pub reason: String,
}

/// Samples that a list of the data names and its copy lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub count: u64,
    /// The ids of the first of them.
    pub first: Vec<String>,
}

/// Mean and standard deviation of the input: as measured, and as used to normalise it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputStatistics {
    /// As measured over the training data. None where that was not done.
    pub measured: Option<MeanStd>,
    pub constants: MeanStd,
}

/// Mean and standard deviation, one number for each channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanStd {
    #[serde(with = "finite")]
    pub mean: Vec<f64>,
    #[serde(with = "finite")]
    pub std: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name: `encoder-1`, `tokenizer-1`, `encoder-2`, ...
    pub name: String,
    pub epochs: u64,
    pub steps: u64,
    #[serde(with = "finite")]
    pub seconds: f64,
    /// Of these, seconds in which a step waited for its inputs. None where that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_wait_seconds: Option<f64>,
    #[serde(with = "finite")]
    pub samples_per_second: f64,
    pub loss: Loss,
    /// Statistics of the codes over the training data after the phase, by level. Empty without a
    /// quantizer.
    pub codebooks: Vec<CodebookStatistics>,
    /// Statistics of the labels of all levels together after the phase. None without a quantizer,
    /// and in schema 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelStatistics>,
    /// The training loss and the use of codes over the phase's steps. None in schema 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// Id of the run whose pretraining was reused.
    pub reused_from: Option<String>,
}

/// Numbers over the steps of a phase, thinned out evenly to at most some dozens of points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Steps within the phase, from 0, rising, `[points]`.
    pub steps: Vec<u64>,
    /// Mean training loss of the steps after the point before, up to this one, `[points]`.
    #[serde(with = "finite")]
    pub loss: Vec<f64>,
    /// Perplexity of the codes in the last batch that was counted, `[levels][points]`; empty where
    /// labels are fixed.
    pub perplexity: Vec<Vec<f64>>,
}

/// The training loss at both ends of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Of the first step or window.
    #[serde(with = "finite")]
    pub first: f64,
    /// Of the last step or window.
    #[serde(with = "finite")]
    pub last: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Protocol: `linear-probe`, `finetune`, `knn`.
    pub protocol: String,
    /// Metric: `top1`, `top5`, `map`, `map_all_classes`, `auc`, `dprime`, `wer`.
    pub metric: String,
    /// The value; a fraction from 0 to 1 where the metric is one. None where undefined; see
    /// `reason`.
    #[serde(with = "finite")]
    pub value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Test samples behind the value.
    pub n: u64,
    /// Uncertainty of the value over test samples.
    pub interval: Option<Interval>,
    /// Further output of the protocol, such as the chosen learning rate or the classes left out.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// The metric per class. None for metrics without such values, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_class: Option<PerClass>,
}

/// The most memory that was held, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakMemory {
    /// Main memory of the process. None where the system does not report it.
    pub host: Option<u64>,
    /// Memory of the device. None where there is none or it does not report it.
    pub device: Option<u64>,
}

impl Score {
    /// The share of `successes` among `n` test samples, with Wilson's 95 % interval; undefined for
    /// n = 0. Panics if `successes` exceeds `n`.
    pub fn proportion(protocol: &str, metric: &str, successes: u64, n: u64) -> Self {
        Self {
            protocol: protocol.into(),
            metric: metric.into(),
            value: (n > 0).then(|| successes as f64 / n as f64),
            reason: (n == 0).then(|| "no test sample".into()),
            n,
            interval: stats::wilson(successes, n, 0.95),
            details: Map::new(),
            per_class: None,
        }
    }
}

impl RunRecord {
    /// A plan value that is a word; a section of the plan is named by its `kind`.
    pub fn plan_word(&self, key: &str) -> Option<&str> {
        word(&self.plan, key)
    }

    /// Seconds of computing that it took, without those of phases that another run trained.
    pub fn computing_seconds(&self) -> f64 {
        let reused = self.phases.iter().filter(|phase| phase.reused_from.is_some());
        let reused: f64 = reused.map(|phase| phase.seconds).sum();
        (self.seconds.values().sum::<f64>() - reused).max(0.0)
    }

    pub fn task(&self) -> &str {
        self.plan_word("task").unwrap_or(&self.data.task)
    }

    /// The method's name, or the one that was given to embeddings; `unknown` where the plan has none.
    pub fn method(&self) -> &str {
        method(&self.plan)
    }

    /// The quantizer's name. None where the method has none.
    pub fn quantizer(&self) -> Option<&str> {
        self.plan_word("quantizer").filter(|word| *word != "none")
    }

    pub fn score(&self, protocol: &str, metric: &str) -> Option<&Score> {
        self.scores
            .iter()
            .find(|score| score.protocol == protocol && score.metric == metric)
    }
}

/// As [`RunRecord::method`], of a plan.
pub(crate) fn method(plan: &Map<String, Value>) -> &str {
    let name = word(plan, "embeddings.name").or_else(|| word(plan, "method"));
    name.unwrap_or("unknown")
}

pub(crate) fn word<'a>(plan: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    match plan.get(key)? {
        Value::String(word) => Some(word),
        Value::Object(section) => section.get("kind")?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
