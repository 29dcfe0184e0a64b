//! Which tokens the encoder does not see.

use super::{Section, Stage};
use crate::plan::Core;
use bridle_values::check::{Checked, at_least_one, not_negative, require, share};
use bridle_values::choices;
use serde::{Deserialize, Serialize};

/// Which tokens the encoder does not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mask {
    pub kind: MaskKind,
    /// Share of tokens removed (random, tube).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Probability that a span starts at a token (span).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// Tokens of a span (span).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<usize>,
    /// Variance of the noise in place of hidden tokens, over that of the data (span).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
}

choices! {
    /// The shape of the mask.
    "mask" MaskKind {
        /// single tokens
        Random = "random",
        /// the same places in all frames
        Tube = "tube",
        /// spans of tokens in their order, with noise in their place
        Span = "span",
    }
}

impl Section for Mask {
    const STAGE: Stage = Stage::Pretraining;

    fn check(&self, plan: &Core) -> Checked {
        let (kind, method) = (self.kind, plan.method);
        let hides = plan.is_speech() || method.masks_frames();
        let video = plan.data.input.modality() == "video";
        require(kind != MaskKind::Tube || video, "mask.kind", || {
            "tube is for video".to_owned()
        })?;
        require((kind == MaskKind::Span) == hides, "mask.kind", || {
            if hides {
                "frames are hidden by spans".to_owned()
            } else {
                format!("method `{method}` leaves tokens out, which spans do not")
            }
        })?;
        if kind == MaskKind::Span {
            at_least_one("mask.span", self.span.unwrap_or(1))?;
            share("mask.start", self.start.unwrap_or(0.0))?;
            return not_negative("mask.noise", self.noise.unwrap_or(0.0));
        }
        let (kept, tokens) = (plan.kept_tokens(), plan.tokens());
        require((1..tokens).contains(&kept), "mask.ratio", || {
            format!(
                "{} keeps {kept} of {tokens} tokens; some must stay and some must go",
                self.ratio.unwrap_or(0.0)
            )
        })
    }
}
