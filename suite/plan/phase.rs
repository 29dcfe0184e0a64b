//! The phases of pretraining, in the order of training.

use super::method::PhaseKind;
use super::sections::{Core, Phase, Pretrain};

/// Steps of the encoder that a plan should have. On 240 clips of ten classes 300 steps made it worse
/// than the random encoder, and 900 much better.
const STEPS: usize = 900;

/// One phase of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct PhasePlan {
    /// `encoder-1`, `tokenizer-1`, `encoder-2`, .., or `joint-1`.
    pub name: String,
    /// What it trains.
    pub kind: PhaseKind,
    /// Its length and rate.
    pub length: Phase,
}

impl Core {
    /// All phases of pretraining; empty for a method that does not pretrain. Between each two
    /// encoder phases lies one of the tokenizer, if the method has those.
    pub fn phases(&self) -> Vec<PhasePlan> {
        let (Some(pretrain), Some(kind)) = (&self.pretrain, self.method.info().phase) else {
            return Vec::new();
        };
        // an encoder of speech sees every frame, and the hidden ones as noise
        let kind = if self.is_speech() { PhaseKind::Masked } else { kind };
        let word = if kind == PhaseKind::Joint { "joint" } else { "encoder" };
        let phase = |kind, word: &str, number: usize, length: Phase| PhasePlan {
            name: format!("{word}-{number}"),
            kind,
            length,
        };
        let Pretrain {
            rounds,
            encoder,
            tokenizer,
            ..
        } = pretrain;
        (1..=rounds.unwrap_or(1))
            .flat_map(|round| {
                let before = tokenizer.filter(|_| round > 1);
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
}
