//! The recipe: one plan value per oddity of the authors' code, so that the effect of each can be
//! measured alone.

use bridle_values::choices;
use serde_json::Value;

choices! {
    /// A named set of values for what the authors' code does oddly.
    "recipe" Recipe {
        /// what the authors' code computes, oddities included
        Authors = "authors",
        /// the same with each plain slip mended, none of which is assumed to help, and what a preset says of it
        Corrected = "corrected",
    }
}

/// One oddity: where it stands in the plan and what each recipe makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Oddity {
    /// Dotted name of the plan value.
    pub key: &'static str,
    /// What the authors' code computes.
    authors: &'static str,
    /// What was plainly meant.
    corrected: &'static str,
}

const fn oddity(key: &'static str, authors: &'static str, corrected: &'static str) -> Oddity {
    Oddity {
        key,
        authors,
        corrected,
    }
}

/// All oddities. A plan has those of its sections.
pub const ODDITIES: &[Oddity] = &[
    oddity("quantizer.soft_pick", "farthest", "nearest"),
    oddity("quantizer.restart", "first-forward", "by-usage"),
    oddity("quantizer.space", "unit-lookup", "raw"),
    oddity("position.audio_rows", "scrambled", "token-order"),
    oddity("cold_start.position", "in-label", "out"),
    oddity("augment.roll", "never", "uniform"),
    oddity("init.patch", "pytorch", "glorot"),
    oddity("esc50.position_crop", "off-by-one", "by-time"),
    oddity("finetune.token_mask", "0.0", "0.2"),
    oddity("finetune.batch_mixup", "false", "true"),
    // only the mixing that is built and never applied would smooth
    oddity("finetune.label_smoothing", "0.0", "0.1"),
];

impl Oddity {
    /// The value under a recipe: a number or a flag where it reads as one, else a word.
    pub fn value(&self, recipe: Recipe) -> Value {
        let text = match recipe {
            Recipe::Authors => self.authors,
            Recipe::Corrected => self.corrected,
        };
        serde_json::from_str(text).unwrap_or_else(|_| text.into())
    }
}
