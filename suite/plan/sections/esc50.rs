//! ESC-50's own section: its clips are shorter than those that the authors' weights were trained
//! on.

use super::{Choices, Input, Section, Stage};
use crate::plan::Core;
use bridle::position::crop_rows;
use bridle_tasks::InputSpec;
use bridle_values::choices;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Esc50 {
    pub position_crop: Esc50Crop,
}

choices! {
    /// Which rows of a longer position table a shorter ESC-50 clip takes.
    "position crop" Esc50Crop {
        /// token j takes the row of token j + 127
        OffByOne = "off-by-one",
        /// token j takes the row of token j + 128, which is 16 whole time steps later
        ByTime = "by-time",
    }
}

impl Section for Esc50 {
    const STAGE: Stage = Stage::Judging;

    fn absent(choices: &Choices<'_>) -> Option<String> {
        choices.not_of_task("esc50")
    }
}

/// Rows of a longer sound's position table: those of tokens `first` and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionCrop {
    pub frames: usize,
    /// The longer sound's token whose row the first token takes.
    pub first: usize,
    /// Tokens of this plan's inputs.
    pub tokens: usize,
    pub of: usize,
}

impl PositionCrop {
    /// Whether the longer table has all these rows.
    pub fn fits(&self) -> bool {
        self.first + self.tokens <= self.of
    }
}

impl Core {
    /// Which rows of a longer position table the tokens take, where weights were given that were
    /// trained on longer sounds.
    pub fn position_crop(&self) -> Option<PositionCrop> {
        let (longer, patch) = (self.init.weights.as_ref()?.frames?, self.model.vit()?.sizes.patch);
        let Input::Fixed(InputSpec::Audio { frames, mels, .. }) = self.data.input else {
            return None;
        };
        let tokens = |frames: usize| (frames / patch) * (mels / patch);
        let crop = self.esc50.as_ref().map(|esc50| esc50.position_crop);
        // row 0 of the table is the class token's
        let first = crop.map_or(0, |crop| crop_rows(1, crop == Esc50Crop::ByTime)[1] - 1);
        (longer > frames).then(|| PositionCrop {
            frames: longer,
            first,
            tokens: tokens(frames),
            of: tokens(longer),
        })
    }
}
