//! Why two sets of records cannot be compared.

use crate::metric::MetricError;
use crate::store::StoreError;
use std::path::PathBuf;

/// Why two sets of records cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Records or predictions that cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that names no predictions.
    #[error("{} has no predictions, without which nothing can be compared", path.display())]
    NoPredictions {
        /// The record.
        path: PathBuf,
    },
    /// Predictions that a record names and that are not there.
    #[error("{} names predictions that are missing: {}", path.display(), predictions.display())]
    PredictionsMissing {
        /// The record.
        path: PathBuf,
        /// Where its predictions should be.
        predictions: PathBuf,
    },
    /// A record with a protocol that its predictions lack.
    #[error("{} has scores of {protocol}, its predictions have none", path.display())]
    NoScores {
        /// The record.
        path: PathBuf,
        /// The protocol.
        protocol: String,
    },
    /// Predictions that cannot be judged.
    #[error("the predictions of {}", path.display())]
    Metric {
        /// The record.
        path: PathBuf,
        /// What is wrong with them.
        source: MetricError,
    },
    /// A recorded score that is not what the predictions give.
    #[error(
        "{}: {score} is recorded as {} of {samples} samples, the predictions give {} of {judged}",
        path.display(), shown(recorded), shown(found)
    )]
    Disagrees {
        /// The record.
        path: PathBuf,
        /// Protocol and metric.
        score: String,
        /// The value in the record.
        recorded: Option<f64>,
        /// The samples in the record.
        samples: u64,
        /// The value of the predictions.
        found: Option<f64>,
        /// The samples in the predictions.
        judged: u64,
    },
    /// A filter by what no record has.
    #[error("no record has a value `{key}`")]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// What the records have.
        known: Vec<String>,
    },
    /// Filters that no record passes.
    #[error("no record in {} has {}", path.display(), filters.join(" and "))]
    NothingKept {
        /// Where the records lie.
        path: PathBuf,
        /// The filters.
        filters: Vec<String>,
    },
    /// Groups that could be paired in several ways.
    #[error("{protocol} runs can be paired in several ways; A has {}; B has {}", a.join(" | "), b.join(" | "))]
    Ambiguous {
        /// The protocol.
        protocol: String,
        /// The groups of A.
        a: Vec<String>,
        /// The groups of B.
        b: Vec<String>,
    },
    /// Two records of one seed and fold on one side.
    #[error("side {side} has two {protocol} runs of {run}: {} and {}", path.display(), other.display())]
    Twice {
        /// A or B.
        side: char,
        /// The protocol.
        protocol: String,
        /// Seed and fold, in words.
        run: String,
        /// A record.
        path: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// No task and protocol that both sides have.
    #[error("no task and protocol in common: A has {}, B has {}", listed(a), listed(b))]
    NothingInCommon {
        /// Tasks and protocols of A.
        a: Vec<String>,
        /// Tasks and protocols of B.
        b: Vec<String>,
    },
    /// No seed and fold that both sides have.
    #[error("no {protocol} run in common: A has {}, B has {}", listed(a), listed(b))]
    NoCommonRun {
        /// The protocol.
        protocol: String,
        /// Seeds and folds of A, in words.
        a: Vec<String>,
        /// Seeds and folds of B, in words.
        b: Vec<String>,
    },
    /// Runs that judged other samples.
    #[error(
        "{} and {} have other samples: {}",
        path.display(), other.display(), only(missing, added)
    )]
    Samples {
        /// A record.
        path: PathBuf,
        /// The other record.
        other: PathBuf,
        /// Ids in the first only.
        missing: Vec<String>,
        /// Ids in the second only.
        added: Vec<String>,
    },
    /// A sample that predictions name twice.
    #[error("the predictions of {} name sample `{id}` twice", path.display())]
    SampleTwice {
        /// The record.
        path: PathBuf,
        /// The sample.
        id: String,
    },
    /// Runs that do not agree on what is right.
    #[error("{} and {} disagree on the targets of {id}", path.display(), other.display())]
    Targets {
        /// A record.
        path: PathBuf,
        /// The other record.
        other: PathBuf,
        /// The sample, or what else they disagree on.
        id: String,
    },
}

/// Names shown of a long list.
const SHOWN: usize = 3;

fn shown(value: &Option<f64>) -> String {
    value.map_or_else(|| "undefined".into(), |value| value.to_string())
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        names if names.len() <= SHOWN => names.join(", "),
        names => format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN),
    }
}

fn only(missing: &[String], added: &[String]) -> String {
    let sides = [("first", missing), ("second", added)];
    let sides = sides.iter().filter(|(_, ids)| !ids.is_empty());
    sides
        .map(|(side, ids)| format!("only in the {side} {}", listed(ids)))
        .collect::<Vec<_>>()
        .join("; ")
}
