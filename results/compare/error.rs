//! Why two sets of records cannot be compared.

use crate::metric::MetricError;
use crate::shown::{excerpt, on_one_line};
use crate::store::StoreError;
use std::path::PathBuf;

/// Why two sets of records cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} has no predictions, without which nothing can be compared", path.display())]
    NoPredictions { path: PathBuf },
    #[error("{} names predictions that are missing: {}", path.display(), predictions.display())]
    PredictionsMissing { path: PathBuf, predictions: PathBuf },
    #[error("{} has scores of {protocol}, its predictions have none", path.display())]
    NoScores { path: PathBuf, protocol: String },
    #[error("the predictions of {}", path.display())]
    Metric { path: PathBuf, source: MetricError },
    #[error(
        "{}: {score} is recorded as {} of {samples} samples, the predictions give {} of {evaluated}",
        path.display(), shown(recorded), shown(found)
    )]
    Disagrees {
        path: PathBuf,
        score: String,
        recorded: Option<f64>,
        samples: u64,
        found: Option<f64>,
        evaluated: u64,
    },
    #[error("no record has a value `{key}`")]
    UnknownKey { key: String, known: Vec<String> },
    #[error("no record in {} has {}", path.display(), filters.join(" and "))]
    NothingKept { path: PathBuf, filters: Vec<String> },
    #[error("{protocol} runs can be paired in several ways; A has {}; B has {}", a.join(" | "), b.join(" | "))]
    Ambiguous {
        protocol: String,
        a: Vec<String>,
        b: Vec<String>,
    },
    #[error("side {side} has two {protocol} runs of {run}: {} and {}", path.display(), other.display())]
    Twice {
        side: char,
        protocol: String,
        run: String,
        path: PathBuf,
        other: PathBuf,
    },
    #[error("no task and protocol in common: A has {}, B has {}", listed(a), listed(b))]
    NothingInCommon { a: Vec<String>, b: Vec<String> },
    #[error("no {protocol} run in common: A has {}, B has {}", listed(a), listed(b))]
    NoCommonRun {
        protocol: String,
        a: Vec<String>,
        b: Vec<String>,
    },
    #[error(
        "{} and {} have different samples: {}",
        path.display(), other.display(), only(missing, added)
    )]
    Samples {
        path: PathBuf,
        other: PathBuf,
        missing: Vec<String>,
        added: Vec<String>,
    },
    #[error("the predictions of {} name sample `{}` twice", path.display(), excerpt(id))]
    SampleTwice { path: PathBuf, id: String },
    #[error("{} and {} disagree on the targets of {}", path.display(), other.display(), on_one_line(id))]
    Targets { path: PathBuf, other: PathBuf, id: String },
}

/// How many names of a long list are shown.
const SHOWN: usize = 3;

fn shown(value: &Option<f64>) -> String {
    value.map_or_else(|| "undefined".into(), |value| value.to_string())
}

fn listed(names: &[String]) -> String {
    let start: Vec<String> = names.iter().take(SHOWN).map(|name| excerpt(name)).collect();
    match names.len().saturating_sub(SHOWN) {
        _ if names.is_empty() => "none".into(),
        0 => start.join(", "),
        more => format!("{} and {more} more", start.join(", ")),
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
