//! What a data set is opened with.

use std::path::PathBuf;

use crate::InputSpec;

/// How to open a task's data.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The data set's folder; without it, `$BRIDLE_DATA/<task>`.
    pub data: Option<PathBuf>,
    /// Never use the network.
    pub offline: bool,
    pub input: InputSpec,
    /// Only the first so many samples of each class: in each split, or over all folds with the
    /// folds in turn (10 with five folds are two per fold and class).
    pub subset: Option<usize>,
    /// Accepts data that is no known variant; unusable samples are then skipped and named.
    pub allow_different: bool,
    /// The folder for computed features: created when needed, safe to delete, shared by any number
    /// of processes.
    pub cache: PathBuf,
    /// Threads for decoding and features; 0 for one per core.
    pub threads: usize,
    pub limits: Limits,
}

/// How many bytes computed inputs may take. The limits change no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one data set. If its inputs are more, or more than the cache may hold, none are stored,
    /// and each is decoded at each use.
    pub rows: u64,
    /// Of all feature files in the cache together. The least recently used are removed before new
    /// ones are written, but none that a program has open.
    pub cache: u64,
    /// Of decoded videos in memory: what fits is decoded once, the rest at each use.
    pub videos: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 8 << 30,
            cache: 64 << 30,
            videos: 4 << 30,
        }
    }
}
