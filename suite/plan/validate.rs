//! What a plan's values must satisfy before any work starts.

use super::{Birq, Decoder, DecoderKind, Finetune, Knn, Mask, MaskKind, Phase, Plan, PlanError, Pretrain, Probe};
use crate::model_file::ModelCard;
use crate::quantizers::QuantizerConfig;
use bridle::quantizer::QuantizerValues;
use bridle_tasks::InputSpec;
use bridle_values::check;

/// The only grid of tokens (time x mel) that the Swin decoder is made for.
const SWIN_GRID: [usize; 3] = [64, 8, 1];

/// Fails with the value's name unless the condition holds.
pub(crate) fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Result<(), PlanError> {
    Ok(check::require(holds, key, why)?)
}

impl Plan {
    /// Checks every value and what must hold between them.
    ///
    /// # Errors
    /// Names the first value that is impossible, and what it must satisfy.
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        at_least_one("data.subset", self.data.subset.unwrap_or(1))?;
        self.validate_input()?;
        let model = &self.model;
        at_least_one("model.depth", model.depth)?;
        at_least_one("model.mlp_ratio", model.mlp_ratio)?;
        transformer("model", model.dim, model.heads)?;
        if let Some(decoder) = &model.decoder {
            self.validate_decoder(decoder)?;
        }
        if let Some(estimator) = &model.estimator {
            at_least_one("model.estimator.depth", estimator.depth)?;
            transformer("model.estimator", estimator.dim, estimator.heads)?;
        }
        if let Some(quantizer) = &self.quantizer {
            quantizer.check()?;
        }
        self.validate_pretraining()?;
        at_least_one("test.clips", self.test_clips())?;
        self.probe.as_ref().map_or(Ok(()), Probe::validate)?;
        self.knn.as_ref().map_or(Ok(()), Knn::validate)?;
        self.finetune.as_ref().map_or(Ok(()), Finetune::validate)
    }

    fn validate_input(&self) -> Result<(), PlanError> {
        let patch = self.model.patch;
        at_least_one("model.patch", patch)?;
        let divides = |key: &str, size: usize| {
            require(size > 0 && size.is_multiple_of(patch), key, || {
                format!("{size} is no multiple of model.patch, {patch}")
            })
        };
        match self.data.input {
            InputSpec::Audio { frames, mels, .. } => divides("data.frames", frames).and(divides("data.mels", mels)),
            InputSpec::Image { side, .. } => divides("data.side", side),
            InputSpec::Video { frames, side, .. } => {
                let tubelet = self.model.tubelet.unwrap_or(1);
                at_least_one("model.tubelet", tubelet)?;
                require(frames > 0 && frames.is_multiple_of(tubelet), "data.frames", || {
                    format!("{frames} is no multiple of model.tubelet, {tubelet}")
                })?;
                divides("data.side", side)
            }
        }
    }

    /// Checks that this plan's inputs are such as the given weights can take.
    ///
    /// # Errors
    /// Names the value that does not fit.
    pub(super) fn validate_init(&self, card: &ModelCard) -> Result<(), PlanError> {
        let same = |key: &str, here: usize, there: usize| {
            require(here == there, key, || {
                format!("{here}, but the weights given with --init were trained on {there}")
            })
        };
        match (&self.data.input, &card.input) {
            (
                InputSpec::Audio { frames, mels, .. },
                InputSpec::Audio {
                    frames: longer,
                    mels: theirs,
                    ..
                },
            ) => {
                same("data.mels", *mels, *theirs)?;
                require(frames <= longer, "data.frames", || {
                    format!("{frames}, but the weights given with --init were trained on {longer}, and on none longer")
                })?;
                let crop = self.position_crop();
                require(crop.is_none_or(|crop| crop.fits()), "data.frames", || {
                    format!("{frames} frames taken from the middle of {longer} go beyond their end")
                })
            }
            (InputSpec::Image { side, .. }, InputSpec::Image { side: theirs, .. }) => same("data.side", *side, *theirs),
            (
                InputSpec::Video { frames, side, .. },
                InputSpec::Video {
                    frames: length,
                    side: theirs,
                    ..
                },
            ) => same("data.side", *side, *theirs).and(same("data.frames", *frames, *length)),
            (here, there) => require(false, "data.kind", || {
                format!(
                    "{:?}, but the weights given with --init were trained on {:?}",
                    here.modality(),
                    there.modality()
                )
                .to_lowercase()
            }),
        }
    }

    fn validate_decoder(&self, decoder: &Decoder) -> Result<(), PlanError> {
        at_least_one("model.decoder.depth", decoder.depth)?;
        transformer("model.decoder", decoder.dim, decoder.heads)?;
        let grid = self.grid();
        require(
            decoder.kind != DecoderKind::Swin || grid == SWIN_GRID,
            "model.decoder.kind",
            || {
                format!(
                    "swin needs a grid of 64 x 8 tokens, this plan has {} x {}; use global",
                    grid[0], grid[1]
                )
            },
        )
    }

    fn validate_pretraining(&self) -> Result<(), PlanError> {
        if let Some(mask) = &self.mask {
            self.validate_mask(mask)?;
        }
        if let Some(birq) = &self.birq {
            birq.validate(self.model.depth, self.quantizer.as_ref())?;
        }
        if let Some(pretrain) = &self.pretrain {
            pretrain.validate()?;
            let one = pretrain.accumulate == 1 || !self.method.masks_frames();
            require(one, "pretrain.accumulate", || {
                format!("method `{}` takes one batch a step", self.method)
            })?;
        }
        if let Some(joint) = &self.joint {
            at_least_one("joint.every", joint.every)?;
            not_negative("joint.weight", joint.weight)?;
        }
        Ok(())
    }
}

impl Plan {
    fn validate_mask(&self, mask: &Mask) -> Result<(), PlanError> {
        let video = matches!(self.data.input, InputSpec::Video { .. });
        require(mask.kind != MaskKind::Tube || video, "mask.kind", || {
            "tube is for video".to_owned()
        })?;
        let (spans, masks_frames) = (mask.kind == MaskKind::Span, self.method.masks_frames());
        require(spans == masks_frames, "mask.kind", || match masks_frames {
            true => format!("method `{}` hides spans", self.method),
            false => format!("method `{}` leaves tokens out, which spans do not", self.method),
        })?;
        if spans {
            at_least_one("mask.span", mask.span.unwrap_or(1))?;
            share("mask.start", mask.start.unwrap_or(0.0))?;
            return not_negative("mask.noise", mask.noise.unwrap_or(0.0));
        }
        let (kept, tokens) = (self.kept_tokens(), self.tokens());
        require((1..tokens).contains(&kept), "mask.ratio", || {
            format!(
                "{} keeps {kept} of {tokens} tokens; some must stay and some must go",
                mask.ratio.unwrap_or(0.0)
            )
        })
    }
}

impl Pretrain {
    pub(crate) fn validate(&self) -> Result<(), PlanError> {
        at_least_one("pretrain.rounds", self.rounds.unwrap_or(1))?;
        at_least_one("pretrain.batch", self.batch)?;
        at_least_one("pretrain.accumulate", self.accumulate)?;
        self.encoder.validate("pretrain.encoder")?;
        self.tokenizer
            .map_or(Ok(()), |phase| phase.validate("pretrain.tokenizer"))?;
        share("pretrain.beta1", self.beta1)?;
        share("pretrain.beta2", self.beta2)?;
        positive("pretrain.epsilon", self.epsilon)?;
        not_negative("pretrain.weight_decay", self.weight_decay)
    }
}

impl Birq {
    pub(crate) fn validate(&self, depth: usize, quantizer: Option<&QuantizerConfig>) -> Result<(), PlanError> {
        require((1..=depth).contains(&self.layers), "birq.layers", || {
            format!("{} is not between 1 and model.depth, {depth}", self.layers)
        })?;
        positive("birq.tau", self.tau)?;
        not_negative("birq.enhanced", self.enhanced)?;
        not_negative("birq.anchor", self.anchor)?;
        let levels = quantizer.map_or(1, QuantizerValues::codebooks);
        require(levels == 1, "quantizer.levels", || {
            format!("method `birq` has one codebook, not {levels}")
        })
    }
}

impl Phase {
    pub(crate) fn validate(&self, section: &str) -> Result<(), PlanError> {
        at_least_one(&format!("{section}.epochs"), self.epochs)?;
        positive(&format!("{section}.rate"), self.rate)?;
        let warmup = self.warmup_epochs;
        require(
            (0.0..=self.epochs as f64).contains(&warmup),
            &format!("{section}.warmup_epochs"),
            || format!("{warmup} is not between 0 and {section}.epochs, {}", self.epochs),
        )
    }
}

impl Probe {
    fn validate(&self) -> Result<(), PlanError> {
        at_least_one("probe.epochs", self.epochs)?;
        at_least_one("probe.batch", self.batch)?;
        require(!self.rates.is_empty(), "probe.rates", || {
            "the list of rates is empty".to_owned()
        })?;
        self.rates.iter().try_for_each(|&rate| positive("probe.rates", rate))?;
        not_negative("probe.weight_decay", self.weight_decay)?;
        held_out("probe.holdout", self.holdout)
    }
}

impl Knn {
    fn validate(&self) -> Result<(), PlanError> {
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

impl Finetune {
    fn validate(&self) -> Result<(), PlanError> {
        let length = Phase {
            epochs: self.epochs,
            rate: self.rate,
            warmup_epochs: self.warmup_epochs,
        };
        length.validate("finetune")?;
        not_negative("finetune.least_rate", self.least_rate)?;
        at_least_one("finetune.batch", self.batch)?;
        share("finetune.beta1", self.beta1)?;
        share("finetune.beta2", self.beta2)?;
        positive("finetune.epsilon", self.epsilon)?;
        not_negative("finetune.weight_decay", self.weight_decay)?;
        share("finetune.drop_path", self.drop_path)?;
        share("finetune.label_smoothing", self.label_smoothing)?;
        positive("finetune.mixup_alpha", self.mixup_alpha)?;
        positive("finetune.cutmix_alpha", self.cutmix_alpha)?;
        share("finetune.token_mask", self.token_mask.unwrap_or(0.0))?;
        let decay = self.layer_decay;
        require(decay > 0.0 && decay <= 1.0, "finetune.layer_decay", || {
            format!("{decay} is not above 0 and at most 1")
        })?;
        for (key, chance) in [("finetune.mixup", self.mixup), ("finetune.cutmix", self.cutmix)] {
            require((0.0..=1.0).contains(&chance), key, || {
                format!("{chance} is no probability")
            })?;
        }
        Ok(())
    }
}

fn held_out(key: &str, share: f64) -> Result<(), PlanError> {
    require(share > 0.0 && share < 1.0, key, || {
        format!("{share} is not a share between 0 and 1")
    })
}

/// Width and heads of a transformer; the sine-cosine position table needs a width in quarters.
fn transformer(section: &str, dim: usize, heads: usize) -> Result<(), PlanError> {
    at_least_one(&format!("{section}.heads"), heads)?;
    require(dim > 0 && dim.is_multiple_of(heads), &format!("{section}.dim"), || {
        format!("{dim} is no multiple of {section}.heads, {heads}")
    })?;
    require(dim.is_multiple_of(4), &format!("{section}.dim"), || {
        format!("{dim} is no multiple of 4")
    })
}

pub(crate) fn at_least_one(key: &str, value: usize) -> Result<(), PlanError> {
    require(value >= 1, key, || "must be at least 1".to_owned())
}

pub(crate) fn positive(key: &str, value: f64) -> Result<(), PlanError> {
    require(value.is_finite() && value > 0.0, key, || {
        format!("{value} is not above 0")
    })
}

pub(crate) fn not_negative(key: &str, value: f64) -> Result<(), PlanError> {
    require(value.is_finite() && value >= 0.0, key, || format!("{value} is below 0"))
}

pub(crate) fn share(key: &str, value: f64) -> Result<(), PlanError> {
    require((0.0..1.0).contains(&value), key, || {
        format!("{value} is not in 0 up to but without 1")
    })
}
