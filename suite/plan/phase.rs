//! The phases of pretraining, in the order of training.

use super::method::PhaseKind;
use super::sections::{Core, Phase, PhaseRestart, Pretrain};
use crate::quantizers::QuantizerConfig;
use bridle::codebook::Start;
use bridle::rq::Restart;
use serde_json::json;

/// The quantizer's value that says how codebooks start.
const START: &str = "start";

/// Steps of the encoder that a plan should have. On 240 clips of ten classes 300 steps made it worse
/// than the random encoder, and 900 much better.
const STEPS: usize = 900;

/// Tokens that masking should leave to the encoder. On spoken digits of 32 tokens, encoders that were
/// trained on 6 of them came out below the random one, and those trained on 16 above it.
const VISIBLE: usize = 16;

/// One phase of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct PhasePlan {
    /// `encoder-1`, `tokenizer-1`, `encoder-2`, .., or `joint-1`.
    pub name: String,
    /// What it trains.
    pub kind: PhaseKind,
    /// Its length and rate.
    pub length: Phase,
    /// The quantizer's values in it.
    pub quantizer: Option<QuantizerConfig>,
    pub codebooks: Codebooks,
}

/// The codebooks that a phase begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codebooks {
    /// New ones, which its first forward starts.
    New,
    /// Those of the phase before, which its first forward starts again, by k-means; or as they are, but
    /// for new vectors in place of codes that it leaves unused (`uniform`).
    Again(Start),
    /// Those of the phase before.
    Kept,
}

impl Core {
    /// All phases of pretraining; empty for a method that does not pretrain. Between each two
    /// encoder phases lies one of the tokenizer, if the method has those and makes new labels.
    pub fn phases(&self) -> Vec<PhasePlan> {
        let (Some(pretrain), Some(kind)) = (&self.pretrain, self.method.info().phase) else {
            return Vec::new();
        };
        // an encoder of speech sees every frame, and the hidden ones as noise
        let kind = if self.is_speech() { PhaseKind::Masked } else { kind };
        let word = if kind == PhaseKind::Joint { "joint" } else { "encoder" };
        let mut started = None;
        let mut phase = |kind, word: &str, number: usize, length: Phase| {
            // a tokenizer phase starts from fresh codebooks (the authors' loader drops the old)
            let new = kind == PhaseKind::Tokenizer || number == 1;
            let codebooks = self.codebooks(&length, new, started);
            let quantizer = self.phase_quantizer(&length, codebooks);
            if let Codebooks::New | Codebooks::Again(Start::Kmeans) = codebooks {
                started = quantizer.as_ref().and_then(|quantizer| quantizer.get(START));
            }
            PhasePlan {
                name: format!("{word}-{number}"),
                kind,
                length,
                quantizer,
                codebooks,
            }
        };
        let Pretrain {
            rounds,
            relabel,
            encoder,
            tokenizer,
            ..
        } = pretrain;
        (1..=rounds.unwrap_or(1))
            .flat_map(|round| {
                let before = tokenizer.filter(|_| *relabel && round > 1);
                let before = before.map(|length| phase(PhaseKind::Tokenizer, "tokenizer", round - 1, length));
                before.into_iter().chain([phase(kind, word, round, *encoder)])
            })
            .collect()
    }

    /// What to say if the encoder is trained for fewer steps than [`STEPS`] on so many training
    /// samples. Preset smoke is made to run, not to learn.
    pub fn few_steps(&self, samples: usize) -> Option<String> {
        let pretrain = self.pretrain.as_ref().filter(|_| self.preset != "smoke")?;
        let epochs: usize = self
            .phases()
            .iter()
            .filter(|phase| phase.kind != PhaseKind::Tokenizer)
            .map(|phase| phase.length.epochs)
            .sum();
        let an_epoch = (samples / pretrain.step_samples()).max(1);
        let (steps, more) = (
            epochs * an_epoch,
            STEPS.div_ceil(an_epoch * pretrain.rounds.unwrap_or(1)),
        );
        (steps < STEPS).then(|| {
            format!(
                "{steps} steps of the encoder in all are few, and may leave it worse than a random one; {STEPS} were enough on a \
                 small set: --set pretrain.encoder.epochs={more}"
            )
        })
    }

    /// The ratio that leaves the encoder [`VISIBLE`] tokens, or half of them, if the plan's own leaves fewer than half as
    /// many although more could be left. Preset smoke is made to run, not to learn.
    pub fn enough_visible(&self) -> Option<f64> {
        let ratio = self.mask.as_ref().filter(|_| self.preset != "smoke")?.ratio?;
        // in hundredths
        let most = (100 - (100 * VISIBLE).div_ceil(self.tokens()).min(50)) as f64 / 100.0;
        (2 * self.kept_tokens() < VISIBLE && ratio > most).then_some(most)
    }

    /// What to say of a mask that leaves too few tokens.
    pub fn few_visible(&self) -> Option<String> {
        let (most, ratio) = (self.enough_visible()?, self.mask.as_ref()?.ratio?);
        let (kept, tokens) = (self.kept_tokens(), self.tokens());
        Some(format!(
            "mask.ratio={ratio} leaves the encoder {kept} of {tokens} tokens, which are few, and may leave it worse than a random \
             one: --set mask.ratio={most}"
        ))
    }

    /// The quantizer's values where labels are predicted, from which the encoder's head has its size.
    pub fn label_quantizer(&self) -> Option<QuantizerConfig> {
        self.phase_quantizer(&self.pretrain.as_ref()?.encoder, Codebooks::Kept)
    }

    fn phase_quantizer(&self, phase: &Phase, codebooks: Codebooks) -> Option<QuantizerConfig> {
        let start = match codebooks {
            Codebooks::New | Codebooks::Kept => phase.start,
            Codebooks::Again(start) => Some(start),
        };
        let off = (phase.restart == PhaseRestart::Off).then_some(Restart::Off);
        let values = [
            (START, start.map(|start| json!(start))),
            ("restart", off.map(|off| json!(off))),
            ("soft_codes", phase.soft_codes.map(|count| json!(count))),
        ];
        let own = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Some(self.quantizer.as_ref()?.with(own))
    }

    /// What a phase begins with, given how the codebooks at hand were started.
    fn codebooks(&self, phase: &Phase, new: bool, started: Option<Start>) -> Codebooks {
        let of_all = self.quantizer.as_ref();
        let start = phase.start.or_else(|| of_all?.get(START));
        let restart: Option<Restart> = of_all.and_then(|quantizer| quantizer.get("restart"));
        let keeps_labels = self.pretrain.as_ref().is_some_and(|pretrain| !pretrain.relabel);
        if new {
            Codebooks::New
        } else if keeps_labels {
            Codebooks::Kept
        } else if started == Some(Start::Uniform) && start == Some(Start::Kmeans) {
            Codebooks::Again(Start::Kmeans)
        } else if phase.restart == PhaseRestart::On && restart == Some(Restart::FirstForward) {
            Codebooks::Again(Start::Uniform)
        } else {
            Codebooks::Kept
        }
    }
}
