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
    /// Strength of the normal noise in place of hidden tokens, over that of the data (span).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    /// What `noise` says of it. Plans omit the variance, which is what plans without this value
    /// meant.
    #[serde(default = "NoiseMeasure::earlier", skip_serializing_if = "NoiseMeasure::is_variance")]
    pub noise_is: NoiseMeasure,
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

choices! {
    /// What the strength of the noise is given as.
    "measure of noise" NoiseMeasure {
        /// the standard deviation, as in BEST-RQ ("0 mean and 0.1 standard deviation", section 3)
        Deviation = "deviation",
        /// the variance, as in plans of earlier versions
        Variance = "variance",
    }
}

impl NoiseMeasure {
    const fn earlier() -> Self {
        Self::Variance
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
    fn is_variance(&self) -> bool {
        *self == Self::Variance
    }
}

impl Mask {
    /// Standard deviation of the noise over that of the data.
    pub fn deviation(&self) -> f64 {
        let noise = self.noise.unwrap_or(0.0);
        match self.noise_is {
            NoiseMeasure::Deviation => noise,
            NoiseMeasure::Variance => noise.sqrt(),
        }
    }
}

impl Section for Mask {
    const STAGE: Stage = Stage::Pretraining;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("noise_is", "\"variance\"")];

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
        require(self.noise_is.is_variance(), "mask.noise_is", || {
            format!("method `{method}` leaves tokens out and puts no noise in their place")
        })?;
        let (kept, tokens) = (plan.kept_tokens(), plan.tokens());
        require((1..tokens).contains(&kept), "mask.ratio", || {
            format!(
                "{} keeps {kept} of {tokens} tokens; some must stay and some must go",
                self.ratio.unwrap_or(0.0)
            )
        })
    }
}
