//! Labels before the tokenizer was ever trained.

use super::{Section, Stage};
use bridle_values::choices;
use serde::{Deserialize, Serialize};

/// The cold start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColdStart {
    pub position: ColdStartPosition,
}

choices! {
    /// Whether cold-start labels see the tokens' positions.
    "cold-start position" ColdStartPosition {
        /// position is added before the label is made
        InLabel = "in-label",
        /// labels from content alone
        Out = "out",
    }
}

impl Section for ColdStart {
    const STAGE: Stage = Stage::Pretraining;
}
