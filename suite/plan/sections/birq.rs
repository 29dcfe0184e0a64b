//! Labels that the encoder's first layers make (`birq`). The method's own file has the values.

use super::model::layer;
use super::{Section, Stage};
use crate::plan::Core;
use bridle::quantizer::QuantizerValues;
use bridle_baselines::birq::BirqConfig;
use bridle_values::check::{Checked, not_negative, positive, require};

impl Section for BirqConfig {
    const STAGE: Stage = Stage::Pretraining;

    fn check(&self, plan: &Core) -> Checked {
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
