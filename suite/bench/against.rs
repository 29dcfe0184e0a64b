//! Ratios to an earlier report, ours or the peer's: both have the same keys.

use super::report::{Config, Report, Row};
use super::setup::{Kind, Setup};
use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use bridle_results::table::{Cell, Heading, Table};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What decides the work. `size` is a name for values, and the counts of parameters follow from them.
const DECIDING: [&str; 18] = [
    "dim",
    "depth",
    "heads",
    "decoder",
    "decoder_dim",
    "decoder_depth",
    "decoder_heads",
    "estimator_dim",
    "estimator_depth",
    "quantizer",
    "codes",
    "code_dim",
    "levels",
    "input",
    "tokens",
    "batch",
    "mask_ratio",
    "vectors",
];

/// Why an earlier report cannot be compared with.
#[derive(Debug, thiserror::Error)]
pub enum AgainstError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no report.
    #[error("{} is no report of `bench` or of its PyTorch peer", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where it fails.
        source: serde_json::Error,
    },
    /// It did other work.
    #[error("{} did other work: {key} {theirs} instead of {ours}", .path.display())]
    OtherWork {
        /// The file.
        path: PathBuf,
        /// The value that differs.
        key: &'static str,
        /// Here.
        ours: String,
        /// There.
        theirs: String,
    },
    /// It has none of the tasks.
    #[error("{} has none of these tasks", .path.display())]
    NothingInCommon {
        /// The file.
        path: PathBuf,
    },
}

impl From<AgainstError> for Failure {
    fn from(error: AgainstError) -> Self {
        let hint = match &error {
            AgainstError::OtherWork { .. } => {
                "the same --size, --input, --batch, --decoder..., --quantizer... for both"
            }
            _ => "`bridle-bench bench --format json > FILE` writes one",
        };
        Failure::new(Exit::WrongUse, error).with_hint(hint)
    }
}

/// An earlier report, as far as it is compared.
#[derive(Clone, Debug)]
pub struct Against {
    path: PathBuf,
    report: Earlier,
}

#[derive(Clone, Debug, Deserialize)]
struct Earlier {
    config: Map<String, Value>,
    #[serde(default)]
    runtime: Map<String, Value>,
    results: BTreeMap<String, Times>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Times {
    median_s: f64,
    min_s: f64,
    max_s: f64,
}

impl Against {
    /// Reads a report.
    ///
    /// # Errors
    /// If it cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, AgainstError> {
        let text = bridle_files::text(path, bridle_files::SETTINGS);
        let text = text.map_err(|source| AgainstError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let report = serde_json::from_str(&text);
        let report = report.map_err(|source| AgainstError::Malformed {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            report,
        })
    }

    /// Whether it did the work of `setup`, and at least one of its tasks.
    ///
    /// # Errors
    /// If a value that decides the work differs, or no task is in both.
    pub fn require_comparable(&self, setup: &Setup) -> Result<(), AgainstError> {
        let config = json!(Config::new(setup));
        for key in DECIDING {
            let theirs = self.report.config.get(key).unwrap_or(&Value::Null);
            if !same(&config[key], theirs) {
                let (path, ours, theirs) = (self.path.clone(), config[key].to_string(), theirs.to_string());
                return Err(AgainstError::OtherWork {
                    path,
                    key,
                    ours,
                    theirs,
                });
            }
        }
        if !setup.kinds.iter().any(|&kind| self.times(kind).is_some()) {
            return Err(AgainstError::NothingInCommon {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    /// A row for each task that both have: how many times faster `report` is, by medians.
    pub fn table(&self, report: &Report) -> Table {
        let span = |median: f64, min: f64, max: f64| {
            let text = format!("{median:.4} ({min:.4} to {max:.4})");
            Cell::new(text, json!({"median_s": median, "min_s": min, "max_s": max}))
        };
        let both = report
            .results
            .iter()
            .filter_map(|(kind, row)| Some((kind, row, self.times(*kind)?)));
        let rows = both.map(|(kind, ours, theirs)| {
            let ratio = theirs.median_s / ours.median_s;
            vec![
                Cell::word(kind.word()),
                span(ours.median_s, ours.min_s, ours.max_s),
                span(theirs.median_s, theirs.min_s, theirs.max_s),
                Cell::new(format!("{ratio:.2}"), ratio),
            ]
        });
        Table {
            title: format!("against {}", self.path.display()),
            header: vec![
                Heading::word("task"),
                Heading::new("seconds here:\nmedian (least to most)", "ours"),
                Heading::new("seconds there:\nmedian (least to most)", "theirs"),
                Heading::new("times\nfaster", "ratio"),
            ],
            rows: rows.collect(),
            notes: vec![
                "times faster: their median over ours".to_owned(),
                format!(
                    "here: {}; there: {}",
                    told(&json!(report.runtime)),
                    told(&json!(self.report.runtime))
                ),
            ],
        }
    }

    /// How many times faster these times of `kind` are, by medians; None if it has no such task.
    pub(super) fn ratio(&self, kind: Kind, row: &Row) -> Option<f64> {
        Some(self.times(kind)?.median_s / row.median_s)
    }

    /// What it was measured with.
    pub(super) fn about(&self) -> String {
        format!("{} ({})", self.path.display(), told(&json!(self.report.runtime)))
    }

    fn times(&self, kind: Kind) -> Option<Times> {
        self.report.results.get(kind.word()).copied()
    }
}

/// Numbers by value: 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// What may differ between the two sides and still be compared.
fn told(runtime: &Value) -> String {
    let said = ["torch", "backend", "device", "dtype", "compile", "threads"]
        .into_iter()
        .filter_map(|key| {
            let value = runtime.get(key).filter(|value| !value.is_null())?;
            Some(format!(
                "{key} {}",
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            ))
        });
    said.collect::<Vec<_>>().join(", ")
}
