//! How a data set is to be opened.

use std::path::PathBuf;

use crate::InputSpec;

/// What is asked of a task when it is opened.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The data set's folder; without it `$BRIDLE_DATA/<task>` is used.
    pub data: Option<PathBuf>,
    /// Never use the network.
    pub offline: bool,
    /// What the model wants to see.
    pub input: InputSpec,
    /// The first so many samples of each class: in each split where train and test are given; over all folds, one fold
    /// after the other in turn, where there are folds (so N = 10 with five folds is two per fold and class).
    pub subset: Option<usize>,
    /// Accept data that is no known variant; samples that cannot be decoded are then skipped and named.
    pub allow_different: bool,
    /// The folder for computed features; made when needed, safe to delete, shared by any number of processes.
    pub cache: PathBuf,
    /// Threads for decoding and features; 0 for one per core.
    pub threads: usize,
    /// How much may be kept.
    pub limits: Limits,
}

/// How many bytes computed inputs may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one data set of media files: if its inputs are more, or more than the cache may hold, none are kept, and each
    /// is decoded whenever it is wanted. That changes no number.
    pub rows: u64,
    /// Of all files of features in the cache together: those not used for longest are removed before new ones are
    /// written, but never one that a program has open, nor the one being written.
    pub cache: u64,
    /// Of decoded videos in memory: what fits is decoded once, the rest at each use. That changes no number.
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
