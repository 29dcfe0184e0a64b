//! The data as `check` finds it.

use crate::error::Result;
use crate::progress::TerminalProgress;
use crate::request::RunRequest;
use bridle_tasks::{Census, DataError, DataFacts, Task};

/// What was found of the data set.
pub(super) struct DataReport {
    /// What a record would say about the data.
    pub facts: DataFacts,
    /// Samples in all.
    pub all: usize,
    /// Training samples of the first fold.
    pub training: usize,
    /// Counts, sizes, and statistics of a fixed sample of the inputs.
    pub copy: Census,
    /// What of that is not as it is known of the variant.
    pub differences: Vec<String>,
}

impl DataReport {
    /// Opens the data set as `run` would, but for fetching it, with its features in a folder that is gone afterwards.
    pub fn look(request: &RunRequest, task: &dyn Task) -> Result<Self> {
        let mut open = request.open_request();
        let scratch = std::env::temp_dir().join(format!("bridle-bench-check-{}", std::process::id()));
        open.cache = scratch.clone();
        open.offline = true;
        let look = || {
            let dataset = task.open(&open, &TerminalProgress::default())?;
            let copy = Census::measure(&dataset, &open.input)?;
            Ok::<_, DataError>(Self {
                all: dataset.samples.len(),
                training: dataset.split(request.folds[0]).0.len(),
                facts: dataset.facts,
                differences: copy.verify(true)?,
                copy,
            })
        };
        let found = look();
        // a folder left behind in the system's temporary folder is harmless
        let _ = std::fs::remove_dir_all(scratch);
        Ok(found?)
    }

    /// Refuses a copy that is not what is known of its variant, unless that is allowed.
    pub fn verify(&self, allow_different: bool) -> Result<()> {
        Ok(self.copy.verify(allow_different).map(drop)?)
    }
}
