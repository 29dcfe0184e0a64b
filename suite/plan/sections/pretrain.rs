//! Lengths, rates and the optimizer of pretraining.

use super::{Choices, LeftOut, Section, Stage};
use crate::plan::{Core, Method};
use crate::quantizers::QuantizerKind;
use bridle::codebook::Start;
use bridle::optimizer::AdamWConfig;
use bridle::quantizer::QuantizerValues as _;
use bridle_values::check::{Checked, at_least_one, positive, require};
use bridle_values::choices;
use serde::{Deserialize, Serialize};

/// Pretraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pretrain {
    /// Encoder phases, with a tokenizer phase between each two (interleaving only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
    /// Whether a tokenizer phase makes new labels between two encoder phases. If not, all of these
    /// train on the first labels. Plans omit true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub relabel: bool,
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

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
const fn is_true(value: &bool) -> bool {
    *value
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

/// Length and rate of one phase, and what it does with its codebooks: each of the authors' phases is a
/// process with flags of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub epochs: usize,
    /// Learning rate after the warm-up; a cosine leads from there to 0.
    pub rate: f64,
    /// Length of the linear warm-up, in epochs.
    pub warmup_epochs: f64,
    /// How its codebooks start. Plans omit what `quantizer.start` says. Codebooks that an earlier phase
    /// started uniformly start again where this one asks for k-means, since the authors keep the flag
    /// that they have started only where k-means was asked for (model/rq_quantizations.py:58).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// What `quantizer.restart` means to it. Plans omit `once`, which is what plans without this value
    /// meant.
    #[serde(default = "PhaseRestart::earlier", skip_serializing_if = "PhaseRestart::is_once")]
    pub restart: PhaseRestart,
    /// Codes taken per level. Plans omit what `quantizer.soft_codes` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_codes: Option<usize>,
}

choices! {
    /// Whether a phase restarts unused codes.
    "restart of a phase" PhaseRestart {
        /// as quantizer.restart says; first-forward is the phase's own, as in the authors' code
        On = "on",
        /// never
        Off = "off",
        /// as quantizer.restart says; first-forward is that of new codebooks, as in plans of earlier versions
        Once = "once",
    }
}

impl PhaseRestart {
    const fn earlier() -> Self {
        Self::Once
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
    fn is_once(&self) -> bool {
        *self == Self::Once
    }
}

impl Section for Pretrain {
    const STAGE: Stage = Stage::Pretraining;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[
        ("relabel", "true"),
        ("accumulate", "1"),
        ("checkpoint", "false"),
        ("encoder.start", "quantizer.start"),
        ("encoder.restart", "\"once\""),
        ("encoder.soft_codes", "quantizer.soft_codes"),
        ("tokenizer.start", "quantizer.start"),
        ("tokenizer.restart", "\"once\""),
        ("tokenizer.soft_codes", "quantizer.soft_codes"),
    ];
    // --restart_unused_codes is a flag that turns restarts off, and submit_pt_encoder.sh:37 passes it
    const DEFAULTS: &'static str = "
        [modality.audio.pretrain.encoder]
        restart = \"off\"
        [modality.audio.method.bridle-joint.pretrain.encoder]
        restart = \"on\"
        [modality.image.pretrain.encoder]
        restart = \"on\"
        [modality.video.pretrain.encoder]
        restart = \"on\"
    ";

    fn left_out(choices: &Choices<'_>) -> Vec<LeftOut> {
        let Some(why) = without_phases(choices.method, choices.quantizer) else {
            return Vec::new();
        };
        let values = ["start", "restart", "soft_codes"];
        let of = |phase: &'static str| values.map(|value| (format!("{phase}.{value}"), why.clone()));
        ["encoder", "tokenizer"].into_iter().flat_map(of).collect()
    }

    fn check(&self, plan: &Core) -> Checked {
        at_least_one("pretrain.rounds", self.rounds.unwrap_or(1))?;
        at_least_one("pretrain.batch", self.batch)?;
        at_least_one("pretrain.accumulate", self.accumulate)?;
        self.encoder.check("pretrain.encoder")?;
        self.encoder.check_codebooks("pretrain.encoder", plan)?;
        if let Some(tokenizer) = &self.tokenizer {
            tokenizer.check("pretrain.tokenizer")?;
            tokenizer.check_codebooks("pretrain.tokenizer", plan)?;
        }
        self.adamw.check("pretrain")?;
        let (method, speech) = (plan.method, plan.is_speech());
        let one = self.accumulate == 1 || !(speech || method.masks_frames());
        require(one, "pretrain.accumulate", || {
            format!("method `{method}` takes one batch a step here")
        })?;
        require(!(speech && self.checkpoint), "pretrain.checkpoint", || {
            "an encoder of speech keeps what its blocks compute".to_owned()
        })?;
        let has_tokenizer = self.rounds.is_some() && self.tokenizer.is_some();
        require(self.relabel || has_tokenizer, "pretrain.relabel", || {
            format!("method `{method}` has no tokenizer phase to leave out")
        })?;
        let rounds = method != Method::Relabel || self.rounds == Some(2);
        require(rounds, "pretrain.rounds", || {
            "method `relabel` has 2 rounds: random labels, then those of the first encoder".to_owned()
        })
    }
}

/// Why phases of this method with this quantizer have no values of their own for codebooks; None where
/// they do.
fn without_phases(method: Method, quantizer: QuantizerKind) -> Option<String> {
    if !method.info().uses.contains(&"cold_start") {
        return Some(format!("method `{method}` trains no codebooks in phases"));
    }
    // the start of the authors' single codebook is written into their code (model/tokenizer.py:71)
    let why = || format!("quantizer `{quantizer}` is the same in every phase");
    (!quantizer.has("restart")).then(why)
}

impl Phase {
    /// A phase of this length whose codebooks are as the section `quantizer` says.
    pub const fn of_length(epochs: usize, rate: f64, warmup_epochs: f64) -> Self {
        Self {
            epochs,
            rate,
            warmup_epochs,
            start: None,
            restart: PhaseRestart::earlier(),
            soft_codes: None,
        }
    }

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

    fn check_codebooks(&self, section: &str, plan: &Core) -> Checked {
        let Some(quantizer) = &plan.quantizer else {
            return Ok(());
        };
        if let Some(why) = without_phases(plan.method, quantizer.kind()) {
            for (value, set) in [
                ("start", self.start.is_some()),
                ("restart", !self.restart.is_once()),
                ("soft_codes", self.soft_codes.is_some()),
            ] {
                require(!set, &format!("{section}.{value}"), || why.clone())?;
            }
        }
        let (soft, codes) = (self.soft_codes.unwrap_or(1), quantizer.codebook_size());
        require((1..=codes).contains(&soft), &format!("{section}.soft_codes"), || {
            format!("{soft} is not between 1 and quantizer.codes, {codes}")
        })
    }
}
