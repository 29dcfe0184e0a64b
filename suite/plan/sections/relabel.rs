//! Labels from a layer of a first pretraining (`relabel`).

use super::model::layer;
use super::{Section, Stage};
use crate::plan::Core;
use bridle_values::check::{Checked, at_least_one, require};
use serde::{Deserialize, Serialize};

/// HuBERT's second iteration: k-means over the features of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relabel {
    /// Layers below the features.
    pub layer: usize,
    /// Clusters, which are the codes of the labels.
    pub clusters: usize,
    pub iterations: usize,
}

impl Section for Relabel {
    const STAGE: Stage = Stage::Pretraining;

    fn check(&self, plan: &Core) -> Checked {
        layer("relabel.layer", self.layer, plan.model.depth())?;
        require(self.clusters >= 2, "relabel.clusters", || {
            format!("{} clusters tell nothing apart", self.clusters)
        })?;
        at_least_one("relabel.iterations", self.iterations)
    }
}
