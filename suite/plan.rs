//! The plan: every value that decides a run's numbers, resolved before work starts, printed, hashed
//! and recorded.
//!
//! A plan is built from a preset, the recipe, the task's facts and `--set` (`resolve.rs`), checked
//! by its [`sections`] and never changed afterwards. Outside the program it is a flat map of dotted
//! names ([`flat`]): the names printed by `check` are the names that `--set` takes and that a
//! record holds. Seeds, folds, paths, backend and threads are not part of it.

mod error;
pub mod explain;
pub mod facts;
pub(crate) mod flat;
pub(crate) mod hash;
pub mod method;
mod phase;
pub mod preset;
mod preset_file;
pub mod recipe;
mod request;
mod resolve;
pub mod sections;
mod set;
pub mod survey;
mod task;
#[cfg(test)]
mod tests;
pub mod written;

pub use error::PlanError;
pub use facts::{EmbeddingsRequest, ForeignRequest, InitRequest, LabelsRequest, LmRequest, TaskFacts};
pub(crate) use flat::override_with;
pub use flat::{Difference, Flat, PlanReadError, corrected_changes, difference, display_value, value_of};
pub use hash::decides;
pub use method::{Method, PhaseKind, Takes};
pub use phase::{Codebooks, PhasePlan};
pub use recipe::Recipe;
pub use request::PlanRequest;
pub use sections::*;
pub use task::AnyTask;
pub use written::Written;

pub use crate::protocol::Protocol;
pub use crate::quantizers::QuantizerKind;
pub use bridle::config::{AudioRows, DecoderKind};

use crate::protocol;
use bridle_results::record::RunRecord;
use bridle_values::check::Checked;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Every value of a run. Sections that the method, the task or the protocols do not use are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// All but the protocols' values.
    #[serde(flatten)]
    pub core: Core,
    /// How the encoder is judged, in the order given.
    pub protocols: Vec<Protocol>,
    /// The values of the protocols.
    #[serde(flatten)]
    pub evaluation: protocol::Sections,
}

/// A plan is used as its core where protocols play no part.
impl std::ops::Deref for Plan {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// All sections, in the order in which plans are printed.
fn sections() -> impl Iterator<Item = &'static SectionInfo> {
    Core::SECTIONS.iter().chain(protocol::Sections::ALL)
}

/// The section that a dotted name belongs to, and the name within it.
fn section_of(key: &str) -> Option<(&'static SectionInfo, &str)> {
    let (section, value) = key.split_once('.').unwrap_or((key, ""));
    Some((sections().find(|info| info.name == section)?, value))
}

impl Plan {
    /// Checks every value, and what must hold between them.
    ///
    /// # Errors
    /// Names the first value that is impossible, and what it must satisfy.
    fn validate(&self) -> Checked {
        self.core.check()?;
        self.evaluation.check(self)
    }

    /// `<method>` or `<method>-<quantizer>`, or the name that was given to embeddings: the row of a
    /// table and the folder of a record.
    pub fn label(&self) -> String {
        match (&self.quantizer, &self.embeddings) {
            (Some(quantizer), _) => format!("{}-{}", self.method, quantizer.kind()),
            (None, Some(embeddings)) => embeddings.name.clone(),
            (None, None) => self.method.to_string(),
        }
    }

    /// The same plan on labels of a file that is not here, by their SHA-256.
    pub fn with_labels(mut self, path: &Path, sha256: &str, transductive: bool) -> Self {
        self.core.labels = Some(GivenLabels {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: sha256.to_owned(),
            transductive,
        });
        self
    }

    /// The same plan on the variant of the data that was found.
    pub fn with_variant(mut self, variant: &str) -> Self {
        self.core.data.variant = Some(variant.to_owned());
        self
    }

    /// Whether a record is of this plan, on whatever variant of the data it was.
    pub fn is_of(&self, record: &RunRecord) -> bool {
        record.plan_hash == self.clone().with_variant(&record.data.variant).plan_hash()
    }
}
