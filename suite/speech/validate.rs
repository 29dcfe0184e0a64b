//! What values of a plan for speech can be, checked before any work.

use super::plan::{CtcTraining, Decoding, Refine, SpeechPlan};
use crate::plan::resolve::PlanError;
use crate::plan::validate::{at_least_one, not_negative, positive, require, share};
use crate::plan::{Mask, MaskKind, Method, Phase};
use bridle::quantizer::QuantizerValues;

impl SpeechPlan {
    /// Checks all values.
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        self.validate_model()?;
        if let Some(quantizer) = &self.quantizer {
            quantizer.check()?;
        }
        if let Some(mask) = &self.mask {
            validate_mask(mask)?;
        }
        if let Some(pretrain) = &self.pretrain {
            pretrain.validate()?;
            let message = || "speech takes one batch a step, and keeps what its blocks compute".to_owned();
            require(pretrain.accumulate == 1, "pretrain.accumulate", message)?;
            require(!pretrain.checkpoint, "pretrain.checkpoint", message)?;
        }
        if let Some(birq) = &self.birq {
            birq.validate(self.model.depth, self.quantizer.as_ref())?;
        }
        if let Some(refine) = &self.refine {
            refine.validate(self.method, self.model.depth)?;
        }
        self.validate_relabel()?;
        let trainings = [("probe", &self.probe), ("finetune", &self.finetune)];
        for (section, training) in trainings {
            training
                .as_ref()
                .map_or(Ok(()), |training| training.validate(section))?;
        }
        self.decoding.validate()
    }

    fn validate_model(&self) -> Result<(), PlanError> {
        let (input, model) = (&self.data.input, &self.model);
        at_least_one("data.stacked", input.stacked)?;
        at_least_one("data.mels", input.mels)?;
        at_least_one("model.depth", model.depth)?;
        at_least_one("model.heads", model.heads)?;
        at_least_one("model.ff_ratio", model.ff_ratio)?;
        at_least_one("model.estimator_depth", model.estimator_depth.unwrap_or(1))?;
        at_least_one("model.window", model.window.unwrap_or(1))?;
        // rotary positions turn pairs of a head's numbers
        require(
            model.dim > 0 && model.dim.is_multiple_of(2 * model.heads),
            "model.dim",
            || format!("{} is no multiple of twice model.heads, {}", model.dim, model.heads),
        )?;
        require(model.kernel % 2 == 1, "model.kernel", || {
            format!("{} has no middle; it must be odd", model.kernel)
        })
    }

    fn validate_relabel(&self) -> Result<(), PlanError> {
        let rounds = self.pretrain.as_ref().and_then(|pretrain| pretrain.rounds);
        require(
            self.method != Method::Relabel || rounds == Some(2),
            "pretrain.rounds",
            || "method `relabel` has 2 rounds: random labels, then those of the first encoder".to_owned(),
        )?;
        let Some(relabel) = &self.relabel else { return Ok(()) };
        let depth = self.model.depth;
        require((1..=depth).contains(&relabel.layer), "relabel.layer", || {
            format!("{} is not between 1 and model.depth, {depth}", relabel.layer)
        })?;
        require(relabel.clusters >= 2, "relabel.clusters", || {
            format!("{} clusters tell nothing apart", relabel.clusters)
        })?;
        at_least_one("relabel.iterations", relabel.iterations)
    }
}

fn validate_mask(mask: &Mask) -> Result<(), PlanError> {
    require(mask.kind == MaskKind::Span, "mask.kind", || {
        "frames are hidden by spans".to_owned()
    })?;
    at_least_one("mask.span", mask.span.unwrap_or(1))?;
    share("mask.start", mask.start.unwrap_or(0.0))?;
    not_negative("mask.noise", mask.noise.unwrap_or(0.0))
}

impl Refine {
    fn validate(&self, method: Method, depth: usize) -> Result<(), PlanError> {
        require(self.centroids_every != Some(0), "refine.centroids_every", || {
            "must be at least 1, or none".to_owned()
        })?;
        let codes = "refine.distilled_codes";
        require(self.distilled_codes.is_none_or(|codes| codes >= 2), codes, || {
            "must be at least 2, or none".to_owned()
        })?;
        require(
            self.distilled_codes.is_none() || method == Method::BestRq,
            codes,
            || format!("method `{method}` has no place for a second book; `best-rq` has"),
        )?;
        let layer = self.distilled_layer;
        require((1..=depth).contains(&layer), "refine.distilled_layer", || {
            format!("{layer} is not between 1 and model.depth, {depth}")
        })?;
        share("refine.distilled_from", self.distilled_from)?;
        not_negative("refine.distilled_weight", self.distilled_weight)
    }
}

impl CtcTraining {
    fn validate(&self, section: &str) -> Result<(), PlanError> {
        let key = |name: &str| format!("{section}.{name}");
        let length = Phase {
            epochs: self.epochs,
            rate: self.rate,
            warmup_epochs: self.warmup_epochs,
        };
        length.validate(section)?;
        require(
            self.head_epochs.unwrap_or(0) <= self.epochs,
            &key("head_epochs"),
            || format!("more than {section}.epochs, {}", self.epochs),
        )?;
        at_least_one(&key("batch"), self.batch)?;
        at_least_one(&key("utterances"), self.utterances.unwrap_or(1))?;
        share(&key("beta1"), self.beta1)?;
        share(&key("beta2"), self.beta2)?;
        positive(&key("epsilon"), self.epsilon)?;
        not_negative(&key("weight_decay"), self.weight_decay)?;
        share(&key("mask_start"), self.mask_start)?;
        at_least_one(&key("mask_span"), self.mask_span)?;
        share(&key("warp"), self.warp)
    }
}

impl Decoding {
    fn validate(&self) -> Result<(), PlanError> {
        for (key, value) in [
            ("decoding.lm_weight", self.lm_weight),
            ("decoding.word_bonus", self.word_bonus),
        ] {
            require(value.is_finite(), key, || format!("{value} is no number"))?;
        }
        require(self.beam > 0 || self.lm_sha256.is_none(), "decoding.beam", || {
            "a language model needs a beam search: at least 1".to_owned()
        })
    }
}
