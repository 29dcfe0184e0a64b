//! What of a record is judged: which run it was, and its numbers, each of which may be missing.

use crate::metric::Metric;
use crate::record::{self, RecordError};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt;

/// Which run a record is of. Two records with equal keys are matched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Name of the task.
    pub task: String,
    /// Name of the method.
    pub method: String,
    /// Name of the quantizer. None where the method has none.
    pub quantizer: Option<String>,
    /// Hash of all plan values that decide the numbers, the data's variant and subset among them.
    pub plan_hash: String,
    /// Name of the backend.
    pub backend: String,
    /// Number type of activations.
    pub dtype: String,
    /// Root seed.
    pub seed: u64,
    /// Test fold. None where the task has no folds.
    pub fold: Option<u8>,
}

impl Key {
    /// The same run with another seed.
    pub(super) fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task, self.method)?;
        if let Some(quantizer) = &self.quantizer {
            write!(f, " {quantizer}")?;
        }
        write!(f, ", plan {}, {} {}", self.plan_hash, self.backend, self.dtype)?;
        write!(f, ", seed {}", self.seed)?;
        self.fold.map_or(Ok(()), |fold| write!(f, ", fold {fold}"))
    }
}

/// The two sorts of numbers, which have bands of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What an evaluation gave.
    Scores,
    /// How codebooks are used after a phase.
    Codebooks,
}

impl Section {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Scores, Self::Codebooks];

    /// Its name in a baseline file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scores => "scores",
            Self::Codebooks => "codebooks",
        }
    }
}

/// A number of a run, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// Its sort.
    pub section: Section,
    /// The parts of its name: protocol and metric; phase, level and statistic.
    pub path: Vec<String>,
}

impl Quantity {
    fn new<const N: usize>(section: Section, path: [&str; N]) -> Self {
        Self {
            section,
            path: path.map(str::to_owned).into(),
        }
    }

    /// Whether a smaller number is the better one.
    pub fn lower_is_better(&self) -> bool {
        self.section == Section::Scores && self.path.last().is_some_and(|metric| Metric::is_error(metric))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join(" "))
    }
}

/// A run and the numbers to be judged, in the record's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Which run.
    pub key: Key,
    /// The data behind the numbers, in words: variant and subset.
    pub data: String,
    /// When it ended, as written. Orders records of one run.
    finished: String,
    /// The numbers; None where the record has a null, a NaN or nothing at all.
    pub values: Vec<(Quantity, Option<f64>)>,
}

impl Run {
    /// The run in this text of a record. Read more leniently than a whole record, so that a record somebody edited is
    /// judged by its values: what is not judged may be missing, and a number may be null or, as Python writes it, NaN.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        let judged: Judged = match record::parse(text) {
            Err(RecordError::NotJson(_)) => record::parse(&without_nan(text))?,
            other => other?,
        };
        Ok(judged.run())
    }

    /// The value of this quantity: None if the run lacks it, Some(None) if it is there without a number.
    pub fn value(&self, quantity: &Quantity) -> Option<Option<f64>> {
        let found = self.values.iter().find(|(name, _)| name == quantity);
        found.map(|(_, value)| *value)
    }
}

/// Each run once, in order of key: of several records of one run the one that ended last. Gives the number left out too.
pub(super) fn distinct(runs: &[Run]) -> (Vec<&Run>, usize) {
    let mut sorted: Vec<&Run> = runs.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key).then(b.finished.cmp(&a.finished)));
    sorted.dedup_by(|later, kept| later.key == kept.key);
    let left_out = runs.len() - sorted.len();
    (sorted, left_out)
}

/// The part of a record that is judged.
#[derive(Deserialize)]
struct Judged {
    plan: Map<String, Value>,
    plan_hash: String,
    backend: JudgedBackend,
    seed: u64,
    fold: Option<u8>,
    #[serde(default)]
    data: JudgedData,
    #[serde(default)]
    finished: String,
    #[serde(default)]
    phases: Vec<JudgedPhase>,
    #[serde(default)]
    scores: Vec<JudgedScore>,
}

#[derive(Deserialize)]
struct JudgedBackend {
    name: String,
    dtype: String,
}

#[derive(Default, Deserialize)]
struct JudgedData {
    #[serde(default)]
    task: String,
    #[serde(default)]
    variant: String,
    subset: Option<u64>,
}

#[derive(Deserialize)]
struct JudgedPhase {
    name: String,
    #[serde(default)]
    codebooks: Vec<JudgedLevel>,
    labels: Option<JudgedLabels>,
}

#[derive(Deserialize)]
struct JudgedLevel {
    usage: Option<f64>,
    perplexity: Option<f64>,
}

#[derive(Deserialize)]
struct JudgedLabels {
    joint_entropy_bits: Option<f64>,
}

#[derive(Deserialize)]
struct JudgedScore {
    protocol: String,
    metric: String,
    value: Option<f64>,
}

impl Judged {
    fn run(self) -> Run {
        let word = |key| record::word(&self.plan, key);
        let subset = self.data.subset.map(|n| format!(", {n} samples of each class"));
        let scores = self.scores.iter().map(|score| {
            let path = [score.protocol.as_str(), score.metric.as_str()];
            (Quantity::new(Section::Scores, path), score.value)
        });
        let codebooks = self.phases.iter().flat_map(JudgedPhase::values);
        Run {
            key: Key {
                task: word("task").unwrap_or(&self.data.task).to_owned(),
                method: word("method").unwrap_or("unknown").to_owned(),
                quantizer: word("quantizer").filter(|word| *word != "none").map(str::to_owned),
                plan_hash: self.plan_hash,
                backend: self.backend.name,
                dtype: self.backend.dtype,
                seed: self.seed,
                fold: self.fold,
            },
            data: format!("{}{}", self.data.variant, subset.unwrap_or_default()),
            finished: self.finished,
            values: scores.chain(codebooks).collect(),
        }
    }
}

impl JudgedPhase {
    fn values(&self) -> Vec<(Quantity, Option<f64>)> {
        let phase = self.name.as_str();
        let mut values = Vec::new();
        for (level, found) in self.codebooks.iter().enumerate() {
            let level = format!("level-{}", level + 1);
            for (statistic, value) in [("usage", found.usage), ("perplexity", found.perplexity)] {
                values.push((Quantity::new(Section::Codebooks, [phase, &level, statistic]), value));
            }
        }
        let joint = Quantity::new(Section::Codebooks, [phase, "joint_entropy_bits"]);
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
