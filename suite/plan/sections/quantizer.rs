//! What makes the labels: a kind, and values that the quantizer's own file declares and checks.

use super::{Choices, LeftOut, Section, Stage};
use crate::plan::Core;
use crate::quantizers::QuantizerConfig;
use bridle::quantizer::QuantizerValues;
use bridle_values::check::Checked;

impl Section for QuantizerConfig {
    const STAGE: Stage = Stage::Pretraining;

    fn left_out(choices: &Choices<'_>) -> Vec<LeftOut> {
        Self::left_out(choices.quantizer)
    }

    fn check(&self, _plan: &Core) -> Checked {
        QuantizerValues::check(self)
    }
}
