//! What the gate reads of a record: which run it is, and its numbers, any of which may be missing.

use super::envelope::RunCurve;
use crate::metric::Metric;
use crate::record::{self, Curve, RecordError};
use crate::store::{self, StoreError};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Identifies a run. Records with equal keys are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey {
    pub task: String,
    pub method: String,
    /// Name of the quantizer. None where the method has none.
    pub quantizer: Option<String>,
    /// Hash of all plan values that decide the numbers, the data's variant and subset among them.
    pub plan_hash: String,
    pub backend: String,
    /// Number type of activations.
    pub dtype: String,
    pub seed: u64,
    /// Test fold. None where the task has no folds.
    pub fold: Option<u8>,
    /// Identity of data that is no known variant. None where plan and task say which data it is, and
    /// in older baselines, for which any data will do.
    pub data: Option<String>,
}

impl RunKey {
    /// Whether this is the run that the key of a baseline asks for.
    pub(super) fn answers(&self, wanted: &Self) -> bool {
        let data = wanted.data.clone().or_else(|| self.data.clone());
        *self == Self { data, ..wanted.clone() }
    }

    /// The same run with another seed.
    pub(super) fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task, self.method)?;
        if let Some(quantizer) = &self.quantizer {
            write!(f, " {quantizer}")?;
        }
        write!(f, ", plan {}, {} {}", self.plan_hash, self.backend, self.dtype)?;
        write!(f, ", seed {}", self.seed)?;
        self.fold.map_or(Ok(()), |fold| write!(f, ", fold {fold}"))?;
        let data = self.data.as_ref().map(|data| data.get(..8).unwrap_or(data));
        data.map_or(Ok(()), |data| write!(f, ", data {data}"))
    }
}

/// The two kinds of numbers; each has its own default band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuantityKind {
    Scores,
    /// Use of the codebooks after a phase.
    Codebooks,
}

impl QuantityKind {
    pub const ALL: [Self; 2] = [Self::Scores, Self::Codebooks];

    pub fn word(self) -> &'static str {
        match self {
            Self::Scores => "scores",
            Self::Codebooks => "codebooks",
        }
    }
}

/// The name of a number of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    pub section: QuantityKind,
    /// The parts of its name: protocol and metric; phase, level and statistic.
    pub path: Vec<String>,
}

impl Quantity {
    fn new<const N: usize>(section: QuantityKind, path: [&str; N]) -> Self {
        Self {
            section,
            path: path.map(str::to_owned).into(),
        }
    }

    /// Whether a smaller number is the better one.
    pub fn lower_is_better(&self) -> bool {
        self.section == QuantityKind::Scores && self.path.last().is_some_and(|metric| Metric::is_error(metric))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join(" "))
    }
}

/// A run and the numbers that the gate checks, in the record's order.
#[derive(Clone, Debug, PartialEq)]
pub struct GateRun {
    pub key: RunKey,
    /// The data: variant and subset.
    pub data: String,
    /// When it ended, as written. Orders records of one run.
    pub(super) finished: String,
    /// The numbers; None where the record has a null, a NaN or nothing at all.
    pub values: Vec<(Quantity, Option<f64>)>,
    /// Its training curves. Empty in older records.
    pub(super) curves: Vec<RunCurve>,
}

impl GateRun {
    /// Reads every run among these files and folders; see [`store::find`] for what is searched.
    ///
    /// # Errors
    /// If a file is no record, or there is none at all.
    pub fn find(paths: &[PathBuf]) -> Result<Vec<Self>, StoreError> {
        let runs = store::find_as(paths, Self::from_json)?;
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// Reads a run from a record, more leniently than a whole record, so that an edited record is
    /// checked by its values: unused fields may be missing, and a number may be null or, as Python
    /// writes it, NaN.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        let record: GateRecord = match record::parse(text) {
            Err(RecordError::NotJson(_)) => record::parse(&without_nan(text))?,
            other => other?,
        };
        Ok(record.run())
    }

    /// The value of this quantity: None if the run does not have it, Some(None) if it has no
    /// number.
    pub fn value(&self, quantity: &Quantity) -> Option<Option<f64>> {
        let found = self.values.iter().find(|(name, _)| name == quantity);
        found.map(|(_, value)| *value)
    }
}

/// Each run once, in order of key: of several records of one run the latest. Also returns the
/// number left out.
pub(super) fn distinct(runs: &[GateRun]) -> (Vec<&GateRun>, usize) {
    let mut sorted: Vec<&GateRun> = runs.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key).then(b.finished.cmp(&a.finished)));
    sorted.dedup_by(|later, kept| later.key == kept.key);
    let left_out = runs.len() - sorted.len();
    (sorted, left_out)
}

/// The part of a record that the gate reads.
#[derive(Deserialize)]
struct GateRecord {
    plan: Map<String, Value>,
    plan_hash: String,
    backend: GateBackend,
    seed: u64,
    fold: Option<u8>,
    #[serde(default)]
    data: GateData,
    #[serde(default)]
    finished: String,
    #[serde(default)]
    phases: Vec<GatePhase>,
    #[serde(default)]
    scores: Vec<GateScore>,
}

#[derive(Deserialize)]
struct GateBackend {
    name: String,
    dtype: String,
}

#[derive(Default, Deserialize)]
struct GateData {
    #[serde(default)]
    task: String,
    #[serde(default)]
    variant: String,
    subset: Option<u64>,
    manifest_sha256: Option<String>,
    samples_sha256: Option<String>,
    #[serde(default)]
    counts: BTreeMap<String, u64>,
}

impl GateData {
    /// As in [`RunKey`].
    fn identity(&self) -> Option<String> {
        let identity = || {
            let (manifest, samples) = (self.manifest_sha256.as_deref(), self.samples_sha256.as_deref());
            record::identity(manifest, &self.counts, samples)
        };
        (self.variant == record::DIFFERENT).then(identity)
    }
}

#[derive(Deserialize)]
struct GatePhase {
    name: String,
    #[serde(default)]
    codebooks: Vec<GateLevel>,
    labels: Option<GateLabels>,
    curve: Option<Curve>,
}

#[derive(Deserialize)]
struct GateLevel {
    usage: Option<f64>,
    perplexity: Option<f64>,
}

#[derive(Deserialize)]
struct GateLabels {
    joint_entropy_bits: Option<f64>,
}

#[derive(Deserialize)]
struct GateScore {
    protocol: String,
    metric: String,
    value: Option<f64>,
}

impl GateRecord {
    fn run(self) -> GateRun {
        let word = |key| record::word(&self.plan, key);
        let subset = self.data.subset.map(|n| format!(", {n} samples of each class"));
        let scores = self.scores.iter().map(|score| {
            let path = [score.protocol.as_str(), score.metric.as_str()];
            (Quantity::new(QuantityKind::Scores, path), score.value)
        });
        let codebooks = self.phases.iter().flat_map(GatePhase::values);
        let curves = self.phases.iter().flat_map(GatePhase::curves).collect();
        GateRun {
            key: RunKey {
                task: word("task").unwrap_or(&self.data.task).to_owned(),
                method: record::method(&self.plan).to_owned(),
                quantizer: word("quantizer").filter(|word| *word != "none").map(str::to_owned),
                plan_hash: self.plan_hash,
                backend: self.backend.name,
                dtype: self.backend.dtype,
                seed: self.seed,
                fold: self.fold,
                data: self.data.identity(),
            },
            data: format!("{}{}", self.data.variant, subset.unwrap_or_default()),
            finished: self.finished,
            values: scores.chain(codebooks).collect(),
            curves,
        }
    }
}

impl GatePhase {
    fn curves(&self) -> Vec<RunCurve> {
        let Some(curve) = &self.curve else {
            return Vec::new();
        };
        let of = |what: String, values: &Vec<f64>| RunCurve {
            phase: self.name.clone(),
            what,
            steps: curve.steps.clone(),
            values: values.clone(),
        };
        let levels = (1..).zip(&curve.perplexity);
        let levels = levels.map(|(level, values)| of(format!("perplexity of level {level}"), values));
        std::iter::once(of("loss".into(), &curve.loss)).chain(levels).collect()
    }

    fn values(&self) -> Vec<(Quantity, Option<f64>)> {
        let phase = self.name.as_str();
        let mut values = Vec::new();
        for (level, found) in self.codebooks.iter().enumerate() {
            let level = format!("level-{}", level + 1);
            for (statistic, value) in [("usage", found.usage), ("perplexity", found.perplexity)] {
                values.push((
                    Quantity::new(QuantityKind::Codebooks, [phase, &level, statistic]),
                    value,
                ));
            }
        }
        let joint = Quantity::new(QuantityKind::Codebooks, [phase, "joint_entropy_bits"]);
        values.extend(
            self.labels
                .iter()
                .map(|labels| (joint.clone(), labels.joint_entropy_bits)),
        );
        values
    }
}

/// The text with null for NaN and the infinities, strings aside.
fn without_nan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut rest) = (false, false, text);
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"]
            .iter()
            .find(|word| rest.starts_with(**word));
        if let (false, Some(word)) = (quoted, word) {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}
