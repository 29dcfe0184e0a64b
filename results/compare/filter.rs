//! Filters of records, `key=value`: by a property of the record or by any value of its plan.

use super::CompareError;
use crate::record::{RunRecord, display_value};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A condition on a record: its value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    key: String,
    value: String,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form key=value")]
pub struct NoFilter(String);

impl FromStr for Filter {
    type Err = NoFilter;

    fn from_str(text: &str) -> Result<Self, NoFilter> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self {
                key: key.trim().into(),
                value: value.trim().into(),
            }),
            _ => Err(NoFilter(text.into())),
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// Keys beside the values of the plan.
const KEYS: [&str; 9] = [
    "task",
    "method",
    "quantizer",
    "plan",
    "backend",
    "dtype",
    "seed",
    "fold",
    "protocol",
];

impl Filter {
    /// Whether the record has this value; a plan's hash may be abbreviated to its start.
    fn is_of(&self, record: &RunRecord) -> bool {
        let is = |word: &str| self.value == word;
        match &self.key[..] {
            "task" => is(record.task()),
            "method" => is(record.method()),
            "quantizer" => is(record.quantizer().unwrap_or("none")),
            "plan" => !self.value.is_empty() && record.plan_hash.starts_with(&self.value),
            "backend" => is(&record.backend.name),
            "dtype" => is(&record.backend.dtype),
            "seed" => is(&record.seed.to_string()),
            "fold" => is(&record.fold.map_or_else(|| "none".into(), |fold| fold.to_string())),
            "protocol" => record.scores.iter().any(|score| is(&score.protocol)),
            key => record.plan.get(key).is_some_and(|value| self.means(value)),
        }
    }

    /// Whether a plan's value is this word, or the same number written differently.
    fn means(&self, value: &Value) -> bool {
        let number = || {
            self.value
                .parse()
                .is_ok_and(|number: f64| value.as_f64() == Some(number))
        };
        display_value(value) == self.value || number()
    }
}

/// Keeps the records that have, for each key that filters name, one of its values; and of their
/// scores only those of the requested protocols. `path` is where they come from.
///
/// # Errors
/// If no record is left, or a filter's key is unknown.
pub fn kept(
    path: &Path,
    records: Vec<(PathBuf, RunRecord)>,
    filters: &[Filter],
) -> Result<Vec<(PathBuf, RunRecord)>, CompareError> {
    let in_plans = records.iter().flat_map(|(_, record)| record.plan.keys());
    let known: BTreeSet<&str> = KEYS.into_iter().chain(in_plans.map(String::as_str)).collect();
    if let Some(filter) = filters.iter().find(|filter| !known.contains(&filter.key[..])) {
        return Err(CompareError::UnknownKey {
            key: filter.key.clone(),
            known: known.into_iter().map(String::from).collect(),
        });
    }
    let keys: BTreeSet<&str> = filters.iter().map(|filter| &filter.key[..]).collect();
    let one_of = |key: &&str, record: &RunRecord| {
        let mut alternatives = filters.iter().filter(|filter| filter.key == **key);
        alternatives.any(|filter| filter.is_of(record))
    };
    let mut kept = records;
    kept.retain(|(_, record)| keys.iter().all(|key| one_of(key, record)));
    if keys.contains("protocol") {
        let is_asked = |protocol: &str| filters.iter().any(|f| f.key == "protocol" && f.value == protocol);
        for (_, record) in &mut kept {
            record.scores.retain(|score| is_asked(&score.protocol));
        }
    }
    if kept.is_empty() {
        return Err(CompareError::NothingKept {
            path: path.into(),
            filters: filters.iter().map(ToString::to_string).collect(),
        });
    }
    Ok(kept)
}
