//! Values of nearest neighbours.

use super::{Judging, Section, Stage};
use crate::plan::{Plan, Takes};
use bridle_values::check::{Checked, at_least_one, held_out, positive, require};
use serde::{Deserialize, Serialize};

/// Nearest neighbours among frozen, mean-pooled features, by cosine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knn {
    /// Closed list of numbers of neighbours; one is chosen on held-out training samples, never on
    /// the test samples.
    pub neighbours: Vec<usize>,
    /// A vote weighs exp(cosine / temperature).
    pub temperature: f64,
    /// Share of the training samples held out to choose the number.
    pub holdout: f64,
    /// Whether each feature is brought to mean 0 and deviation 1, as measured on the training
    /// samples.
    pub standardise: bool,
}

impl Section for Knn {
    const STAGE: Stage = Stage::Judging;

    fn check(&self, _plan: &Plan) -> Checked {
        require(!self.neighbours.is_empty(), "knn.neighbours", || {
            "the list of numbers is empty".to_owned()
        })?;
        self.neighbours
            .iter()
            .try_for_each(|&count| at_least_one("knn.neighbours", count))?;
        positive("knn.temperature", self.temperature)?;
        held_out("knn.holdout", self.holdout)
    }
}

impl Judging for Knn {
    const TRAINS_ENCODER: bool = false;
    const TAKES: Takes = Takes::Fixed;
}
