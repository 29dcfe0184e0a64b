//! Labels that the encoder's first layers make (`birq`).

use super::model::layer;
use super::{Section, Stage};
use crate::plan::Plan;
use bridle::quantizer::QuantizerValues;
use bridle_values::check::{Checked, not_negative, positive, require};
use serde::{Deserialize, Serialize};

/// BiRQ: the encoder's first layers make labels of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Birq {
    /// Layers that make the enhanced labels (k).
    pub layers: usize,
    /// Temperature of the enhanced labels.
    pub tau: f64,
    /// Weight of the loss with the enhanced labels (w1).
    pub enhanced: f64,
    /// Weight of the loss with the anchor labels (w2).
    pub anchor: f64,
}

impl Section for Birq {
    const STAGE: Stage = Stage::Pretraining;

    fn check(&self, plan: &Plan) -> Checked {
        layer("birq.layers", self.layers, plan.model.depth())?;
        positive("birq.tau", self.tau)?;
        not_negative("birq.enhanced", self.enhanced)?;
        not_negative("birq.anchor", self.anchor)?;
        let levels = plan.quantizer.as_ref().map_or(1, QuantizerValues::codebooks);
        require(levels == 1, "quantizer.levels", || {
            format!("method `birq` has one codebook, not {levels}")
        })
    }
}
