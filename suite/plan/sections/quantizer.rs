//! What makes the labels.

use super::check::{Checked, at_least_one, not_negative, require, share};
use super::{Choices, LeftOut, Section, Stage};
use crate::plan::flat::override_with;
use crate::plan::{Plan, QuantizerKind, Restart, SoftPick, Space, Start};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What makes the labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantizer {
    /// Residual or single codebook; printed as plain `quantizer`.
    pub kind: QuantizerKind,
    /// Codebooks (Q).
    pub levels: usize,
    /// Codes per codebook (K).
    pub codes: usize,
    /// Length of a code vector.
    pub code_dim: usize,
    /// How much of a code vector one EMA step keeps (where codebooks learn).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// Weight of the commitment loss (where codebooks learn).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commitment: Option<f64>,
    /// Where the first code vectors come from (where codebooks learn).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// Iterations of the k-means start (where codebooks learn).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kmeans_iterations: Option<usize>,
    /// Codes chosen per level (rq).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_codes: Option<usize>,
    /// Which codes are chosen when there are several per level (rq).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_pick: Option<SoftPick>,
    /// When unused codes take new vectors (rq).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// The space of lookup, EMA, residual and loss (rq).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
}

impl Section for Quantizer {
    const STAGE: Stage = Stage::Pretraining;

    fn left_out(choices: &Choices<'_>) -> Vec<LeftOut> {
        const RESIDUAL: [&str; 4] = ["soft_codes", "soft_pick", "restart", "space"];
        const LEARNING: [&str; 4] = ["decay", "commitment", "start", "kmeans_iterations"];
        let kind = choices.quantizer;
        let every = |why: String, values: &[&'static str]| -> Vec<LeftOut> {
            values.iter().map(|&value| (value, why.clone())).collect()
        };
        let (single, fixed) = (!kind.has_levels(), !kind.learns());
        let mut unused = Vec::new();
        if single {
            unused.extend(every(format!("quantizer `{kind}` has a single codebook"), &RESIDUAL));
        }
        if fixed {
            let why = format!("quantizer `{kind}` never learns");
            unused.extend(every(why, &[LEARNING, RESIDUAL].concat()));
        }
        unused
    }

    fn check(&self, _plan: &Plan) -> Checked {
        at_least_one("quantizer.levels", self.levels)?;
        require(self.kind.has_levels() || self.levels == 1, "quantizer.levels", || {
            format!("{} has one codebook, not {}", self.kind, self.levels)
        })?;
        require(self.codes >= 2, "quantizer.codes", || {
            format!("{} codes tell nothing apart", self.codes)
        })?;
        at_least_one("quantizer.code_dim", self.code_dim)?;
        at_least_one("quantizer.kmeans_iterations", self.kmeans_iterations.unwrap_or(1))?;
        let soft = self.soft_codes.unwrap_or(1);
        require((1..=self.codes).contains(&soft), "quantizer.soft_codes", || {
            format!("{soft} is not between 1 and quantizer.codes, {}", self.codes)
        })?;
        share("quantizer.decay", self.decay.unwrap_or(0.0))?;
        not_negative("quantizer.commitment", self.commitment.unwrap_or(0.0))
    }
}

/// The preset's values for every quantizer, and over them those for this one (a section of its name).
pub(crate) fn values(kind: QuantizerKind, preset: Value) -> Value {
    let Value::Object(preset) = preset else {
        return json!({"kind": kind});
    };
    let (sections, common): (Map<_, _>, Map<_, _>) = preset.into_iter().partition(|(_, value)| value.is_object());
    let mut values = json!({"kind": kind});
    override_with(&mut values, Value::Object(common));
    if !kind.has_levels() {
        override_with(&mut values, json!({"levels": 1}));
    }
    let own = sections.get(kind.word()).cloned();
    own.into_iter().for_each(|own| override_with(&mut values, own));
    values
}
