//! Reads a record of any schema version, and says what is wrong with a file that is none.

use super::{RunRecord, SCHEMA};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The text is not JSON.
    #[error("not a record: not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but without the mark of a record.
    #[error("not a record: JSON without a `schema` number")]
    NoSchema,
    /// A schema version that this program does not know.
    #[error("a record of schema {found}, but this program knows schema 1 to {SCHEMA}")]
    UnknownSchema {
        /// The version found.
        found: u64,
    },
    /// A field is missing or of another type.
    #[error("a record of schema {schema} with a missing or wrong field")]
    Field {
        /// The version found.
        schema: u64,
        /// The field, and where.
        source: serde_json::Error,
    },
    /// A score has no value and no reason.
    #[error("the score {protocol} {metric} has neither a value nor a reason for having none")]
    NoReason {
        /// The score's protocol.
        protocol: String,
        /// The score's metric.
        metric: String,
    },
    /// A number that JSON cannot hold.
    #[error("the record cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
}

impl RunRecord {
    /// The record in this text. Every schema version up to [`SCHEMA`] is read.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        parse(text)
    }
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
