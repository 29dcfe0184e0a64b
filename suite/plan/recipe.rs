//! The recipe: one plan value per oddity of the authors' code, so that the effect of each can be measured alone.

use super::Recipe;

/// One oddity: where it stands in the plan and what each recipe makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Oddity {
    /// Dotted name of the plan value.
    pub key: &'static str,
    /// What the authors' code computes.
    pub authors: &'static str,
}

/// All oddities. A plan holds those whose section it has.
pub const ODDITIES: &[Oddity] = &[
    Oddity {
        key: "quantizer.soft_pick",
        authors: "farthest",
    },
    Oddity {
        key: "quantizer.restart",
        authors: "first-forward",
    },
    Oddity {
        key: "quantizer.space",
        authors: "unit-lookup",
    },
    Oddity {
        key: "position.audio_rows",
        authors: "scrambled",
    },
    Oddity {
        key: "cold_start.position",
        authors: "in-label",
    },
    Oddity {
        key: "augment.roll",
        authors: "never",
    },
    Oddity {
        key: "esc50.position_crop",
        authors: "off-by-one",
    },
];

impl Oddity {
    /// The value under a recipe.
    pub fn value(&self, recipe: Recipe) -> &'static str {
        match recipe {
            Recipe::Authors => self.authors,
        }
    }
}
