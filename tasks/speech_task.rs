//! What a speech task is: its description, and how it opens.

use crate::{DataError, Progress, SpeechInput, SpeechRequest, SpeechSet};

/// A speech task's description: plain data.
#[derive(Clone, Debug)]
pub struct SpeechSpec {
    /// The name given with `--task`.
    pub name: &'static str,
    /// Raised whenever the task's numbers change.
    pub version: u32,
    /// One line for lists.
    pub summary: &'static str,
    /// The input unless a plan says otherwise.
    pub input: SpeechInput,
    /// The address of the original data.
    pub source: &'static str,
    pub licence: &'static str,
    pub citation: &'static str,
}

/// Something to recognise words in.
pub trait SpeechTask: Sync {
    fn spec(&self) -> SpeechSpec;

    /// Finds and prepares the data.
    ///
    /// # Errors
    /// Every error is about the data, its folder or the cache, and names it.
    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError>;
}

impl std::fmt::Debug for dyn SpeechTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name)
    }
}
