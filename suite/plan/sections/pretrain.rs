//! Lengths, rates and the optimizer of pretraining.

use super::{Section, Stage};
use crate::plan::{Core, Method};
use bridle::optimizer::AdamWConfig;
use bridle_values::check::{Checked, at_least_one, positive, require};
use serde::{Deserialize, Serialize};

/// Pretraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pretrain {
    /// Encoder phases, with a tokenizer phase between each two (interleaving only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
    /// Samples of a batch; of an optimizer step, unless it takes several.
    pub batch: usize,
    /// Batches per optimizer step: gradients are summed, so memory is that of one batch. Plans omit
    /// 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Whether transformer blocks keep only their input for the backward pass: less memory, more
    /// time. Plans omit false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub checkpoint: bool,
    /// Whether to train on the inputs of test samples too, never on their classes. Scores are then
    /// transductive.
    pub transductive: bool,
    /// One encoder phase, or the whole of joint training.
    pub encoder: Phase,
    /// One tokenizer phase (interleaving only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<Phase>,
    #[serde(flatten)]
    pub adamw: AdamWConfig,
}

impl Pretrain {
    /// Samples of an optimizer step.
    pub const fn step_samples(&self) -> usize {
        self.batch * self.accumulate
    }
}

const fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
const fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as above
const fn is_one(count: &usize) -> bool {
    *count == 1
}

/// Length and rate of one phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub epochs: usize,
    /// Learning rate after the warm-up; a cosine leads from there to 0.
    pub rate: f64,
    /// Length of the linear warm-up, in epochs.
    pub warmup_epochs: f64,
}

impl Section for Pretrain {
    const STAGE: Stage = Stage::Pretraining;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("accumulate", "1"), ("checkpoint", "false")];

    fn check(&self, plan: &Core) -> Checked {
        at_least_one("pretrain.rounds", self.rounds.unwrap_or(1))?;
        at_least_one("pretrain.batch", self.batch)?;
        at_least_one("pretrain.accumulate", self.accumulate)?;
        self.encoder.check("pretrain.encoder")?;
        self.tokenizer
            .map_or(Ok(()), |phase| phase.check("pretrain.tokenizer"))?;
        self.adamw.check("pretrain")?;
        let (method, speech) = (plan.method, plan.is_speech());
        let one = self.accumulate == 1 || !(speech || method.masks_frames());
        require(one, "pretrain.accumulate", || {
            format!("method `{method}` takes one batch a step here")
        })?;
        require(!(speech && self.checkpoint), "pretrain.checkpoint", || {
            "an encoder of speech keeps what its blocks compute".to_owned()
        })?;
        let rounds = method != Method::Relabel || self.rounds == Some(2);
        require(rounds, "pretrain.rounds", || {
            "method `relabel` has 2 rounds: random labels, then those of the first encoder".to_owned()
        })
    }
}

impl Phase {
    pub fn check(&self, section: &str) -> Checked {
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
