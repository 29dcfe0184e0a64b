//! Refinements of random labels (`best-rq` and `relabel` on speech; arXiv 2606.30671).

use super::model::layer;
use super::{Section, Stage};
use crate::plan::{Core, Method};
use bridle_values::check::{Checked, not_negative, require, share};
use bridle_values::choices;
use serde::{Deserialize, Serialize};

/// Refinements of the random quantizer (arXiv 2606.30671).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refine {
    pub projection: Projection,
    /// Steps between two moves of each code to the centroid of its frames; None: never.
    pub centroids_every: Option<u64>,
    /// Codes of a second codebook that learns from the encoder (`best-rq`); None: no second
    /// codebook.
    pub distilled_codes: Option<usize>,
    /// Layers below the features that it learns from.
    pub distilled_layer: usize,
    /// Fraction of training after which it starts to learn.
    pub distilled_from: f64,
    /// Weight of its loss. Only this loss moves the codebook and AdamW normalises gradients, so it
    /// hardly matters.
    pub distilled_weight: f64,
}

choices! {
    /// Where a random quantizer's projection comes from.
    "projection" Projection {
        /// Xavier's uniform draw
        Xavier = "xavier",
        /// the leading principal components of the training frames
        Pca = "pca",
    }
}

impl Section for Refine {
    const STAGE: Stage = Stage::Pretraining;

    fn check(&self, plan: &Core) -> Checked {
        require(self.centroids_every != Some(0), "refine.centroids_every", || {
            "must be at least 1, or none".to_owned()
        })?;
        let (key, method) = ("refine.distilled_codes", plan.method);
        require(self.distilled_codes.is_none_or(|codes| codes >= 2), key, || {
            "must be at least 2, or none".to_owned()
        })?;
        require(self.distilled_codes.is_none() || method == Method::BestRq, key, || {
            format!("method `{method}` has no place for a second book; `best-rq` has")
        })?;
        layer("refine.distilled_layer", self.distilled_layer, plan.model.depth())?;
        share("refine.distilled_from", self.distilled_from)?;
        not_negative("refine.distilled_weight", self.distilled_weight)
    }
}
