//! The data as `check` finds it.

use crate::error::Result;
use crate::progress::TerminalProgress;
use crate::request::RunRequest;
use bridle_tasks::DataFacts;

/// What was found of the data set.
pub(super) struct DataReport {
    /// What a record would say about the data.
    pub facts: DataFacts,
    /// Samples in all.
    pub all: usize,
    /// Training samples of the first fold.
    pub training: usize,
}

impl DataReport {
    /// Opens the data set as `run` would, with its features in a folder that is gone afterwards.
    pub fn look(request: &RunRequest) -> Result<Self> {
        let mut open = request.open_request();
        let scratch = std::env::temp_dir().join(format!("bridle-bench-check-{}", std::process::id()));
        open.cache = scratch.clone();
        let opened = request.task.open(&open, &TerminalProgress::default());
        let found = opened.map(|dataset| Self {
            all: dataset.samples.len(),
            training: dataset.split(request.folds[0]).0.len(),
            facts: dataset.facts,
        });
        // a folder left behind in the system's temporary folder is harmless
        let _ = std::fs::remove_dir_all(scratch);
        Ok(found?)
    }
}
