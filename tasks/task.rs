//! What a task is: its description, and how it opens.

use serde::{Deserialize, Serialize};

use crate::{DataError, Dataset, InputSpec, Modality, OpenRequest, Progress};

/// What a task's results are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MainMetric {
    /// Share of samples whose highest score is the target's class.
    Top1,
    /// Mean over classes of average precision, for samples of several classes.
    Map,
}

/// A task's description: plain data.
#[derive(Clone, Debug)]
pub struct TaskSpec {
    /// The name given with `--task`.
    pub name: &'static str,
    /// Raised whenever the task's numbers change.
    pub version: u32,
    /// One line for lists.
    pub summary: &'static str,
    pub modality: Modality,
    /// The input unless a plan says otherwise.
    pub input: InputSpec,
    /// Class names; a target is an index into them. Numbers if the data provides the names.
    pub classes: Vec<String>,
    /// Number of cross-validation folds, numbered from 1; `None` if there are train and test.
    pub folds: Option<u8>,
    pub metric: MainMetric,
    /// The address of the original data.
    pub source: &'static str,
    pub licence: &'static str,
    pub citation: &'static str,
}

/// Something to train on and to evaluate.
pub trait Task: Sync {
    fn spec(&self) -> TaskSpec;

    /// Sections of a plan that only tasks use which name them here.
    fn sections(&self) -> &'static [&'static str] {
        &[]
    }

    /// Finds, verifies and prepares the data. Every error is about the data, its folder or the
    /// cache, and names it.
    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError>;
}

impl std::fmt::Debug for dyn Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name)
    }
}
