//! Reads a record of any schema version, and reports what is wrong with a malformed one.

use super::{RunRecord, SCHEMA};
use crate::shown::excerpt;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("not a record: not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("not a record: JSON without a `schema` number")]
    NoSchema,
    #[error("a record of schema {found}, but this program knows schema 1 to {SCHEMA}")]
    UnknownSchema { found: u64 },
    #[error("a record of schema {schema} with a missing or wrong field")]
    Field { schema: u64, source: serde_json::Error },
    #[error("the score {protocol} {metric} has neither a value nor a reason for having none")]
    NoReason { protocol: String, metric: String },
    #[error("`predictions` names no file beside the record: {}", excerpt(name))]
    PredictionsName { name: String },
    #[error("the record cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
}

impl RunRecord {
    /// The record in this text. Every schema version up to [`SCHEMA`] is read.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        let record: Self = parse(text)?;
        match &record.predictions {
            Some(name) if !is_plain(name) => Err(RecordError::PredictionsName { name: name.clone() }),
            _ => Ok(record),
        }
    }
}

/// Whether this is the name of a file, and no path on any system.
fn is_plain(name: &str) -> bool {
    let is_part = !matches!(name, "" | "." | "..");
    is_part && !name.contains(['/', '\\', ':', '\0'])
}

/// The record in this text, or a part of it.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, RecordError> {
    let value: Value = serde_json::from_str(text).map_err(RecordError::NotJson)?;
    let schema = value
        .get("schema")
        .and_then(Value::as_u64)
        .ok_or(RecordError::NoSchema)?;
    match schema {
        1 | 2 => serde_json::from_str(text).map_err(|source| RecordError::Field { schema, source }),
        found => Err(RecordError::UnknownSchema { found }),
    }
}
