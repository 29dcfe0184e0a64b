//! Pipelines against other people's code, the laws that hold for any sound or picture, what
//! configurations say, and data sets opened with pipelines.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod configurations;
mod data_sets;
mod fixtures;
mod golden;
mod laws;

use std::path::PathBuf;

/// The committed inputs that `tests/encoders/pipelines.py` made.
fn core() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/encoders/pipelines"))
}
