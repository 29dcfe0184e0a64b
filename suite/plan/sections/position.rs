//! The position table (audio).

use super::{Choices, FactOf, Section, Stage};
use crate::plan::AudioRows;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The position table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub audio_rows: AudioRows,
}

impl Section for Position {
    const STAGE: Stage = Stage::Pretraining;

    fn absent(choices: &Choices<'_>) -> Option<String> {
        choices.not_audio()
    }

    fn decided(choices: &Choices<'_>) -> Value {
        let rows = choices.init.and_then(|init| init.audio_rows);
        rows.map_or(Value::Null, |rows| json!({"audio_rows": rows}))
    }

    fn fact(value: &str, choices: &Choices<'_>) -> Option<FactOf> {
        (value == "audio_rows" && choices.init.is_some()).then_some(FactOf::Weights)
    }
}
