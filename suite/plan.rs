//! The plan: every value that decides a run's numbers, resolved before work starts, printed, hashed
//! and recorded.
//!
//! A plan is built from a preset, the recipe, the task's facts and `--set` (`resolve.rs`), checked
//! by its [`sections`] and never changed afterwards. Outside the program it is a flat map of dotted
//! names ([`flat`]): the names printed by `check` are the names that `--set` takes and that a
//! record holds. Seeds, folds, paths, backend and threads are not part of it.

mod error;
pub(crate) mod flat;
pub(crate) mod hash;
pub mod method;
mod phase;
pub mod preset;
pub mod recipe;
mod registry;
mod request;
mod resolve;
pub mod sections;
mod set;
mod task;
#[cfg(test)]
mod tests;

pub use error::PlanError;
pub use flat::{Difference, Flat, PlanReadError, difference, display_value};
pub use method::{Method, Takes};
pub use phase::{PhaseKind, PhasePlan};
pub use recipe::Recipe;
pub use registry::Plan;
pub use request::{InitRequest, LmRequest, PlanRequest};
pub use sections::*;
pub use task::{AnyTask, TaskFacts};

pub use crate::protocol::Protocol;
pub use crate::quantizers::QuantizerKind;
pub use bridle::config::{AudioRows, DecoderKind};

impl Plan {
    /// `<method>` or `<method>-<quantizer>`: the row of a table and the folder of a record.
    pub fn label(&self) -> String {
        match &self.quantizer {
            Some(quantizer) => format!("{}-{}", self.method, quantizer.kind()),
            None => self.method.to_string(),
        }
    }

    /// The same plan on the variant of the data that was found.
    pub fn with_variant(mut self, variant: &str) -> Self {
        self.data.variant = Some(variant.to_owned());
        self
    }
}
