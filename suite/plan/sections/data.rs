//! The task's data as the model sees it.

use super::{Choices, FactOf, Section, Stage};
use crate::plan::Core;
use bridle_tasks::pipeline::Pipeline;
use bridle_tasks::{InputSpec, Modality, SpeechInput};
use bridle_values::check::{Checked, at_least_one};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The task's data as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    #[serde(flatten)]
    pub input: Input,
    /// The task's version; it changes when the task's numbers do.
    pub version: u32,
    /// Only the first samples of each class, this many; None: all.
    pub subset: Option<usize>,
    /// The variant of the data set; None until the data set is opened.
    pub variant: Option<String>,
}

/// What the model sees of one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An input of one shape.
    Fixed(InputSpec),
    /// An utterance of any length.
    Speech(SpeechInput),
    /// The same as an encoder of others takes it.
    Heard(Pipeline),
}

/// The word of utterances in `data.kind`.
const SPEECH: &str = "speech";

impl Input {
    /// Whether it is an utterance.
    pub const fn is_speech(&self) -> bool {
        matches!(self, Self::Speech(_) | Self::Heard(_))
    }

    /// `audio`, `image`, `video` or `speech`.
    pub fn modality(&self) -> &'static str {
        match self {
            Self::Fixed(input) => word(input.modality()),
            Self::Heard(pipeline) if pipeline.modality() != Modality::Audio => word(pipeline.modality()),
            Self::Speech(_) | Self::Heard(_) => SPEECH,
        }
    }
}

const fn word(modality: Modality) -> &'static str {
    match modality {
        Modality::Audio => "audio",
        Modality::Image => "image",
        Modality::Video => "video",
    }
}

#[derive(Serialize)]
struct WithKind<T> {
    kind: &'static str,
    #[serde(flatten)]
    input: T,
}

/// An utterance as an encoder of others takes it.
#[derive(Serialize)]
struct Heard<'a> {
    pipeline: &'a Pipeline,
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(input) => input.serialize(serializer),
            Self::Speech(input) => WithKind { kind: SPEECH, input }.serialize(serializer),
            Self::Heard(pipeline) => {
                let input = Heard { pipeline };
                WithKind { kind: SPEECH, input }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = Value::deserialize(deserializer)?;
        let found = if values["kind"] == SPEECH {
            let pipeline = values.as_object_mut().and_then(|values| {
                values.remove("kind");
                values.remove("pipeline")
            });
            match pipeline {
                Some(pipeline) => serde_json::from_value(pipeline).map(Self::Heard),
                None => serde_json::from_value(values).map(Self::Speech),
            }
        } else {
            serde_json::from_value(values).map(Self::Fixed)
        };
        found.map_err(D::Error::custom)
    }
}

impl Section for Data {
    const STAGE: Stage = Stage::Pretraining;

    fn fact(value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        matches!(value, "kind" | "version" | "variant").then_some(FactOf::Data)
    }

    fn check(&self, _plan: &Core) -> Checked {
        at_least_one("data.subset", self.subset.unwrap_or(1))?;
        match &self.input {
            Input::Fixed(_) | Input::Heard(_) => Ok(()), // in patches or frames, which are of the model
            Input::Speech(input) => {
                at_least_one("data.stacked", input.stacked)?;
                at_least_one("data.mels", input.mels)
            }
        }
    }
}

impl Core {
    /// Whether it is of utterances of any length and their transcripts.
    pub const fn is_speech(&self) -> bool {
        self.data.input.is_speech()
    }

    /// The form of inputs of one shape. Panics for speech.
    pub fn fixed_input(&self) -> &InputSpec {
        match &self.data.input {
            Input::Fixed(input) => input,
            Input::Speech(_) | Input::Heard(_) => unreachable!("utterances have no fixed shape"),
        }
    }

    /// The form of utterances; of those for an encoder of others, by which their lengths are known. Panics for
    /// all but speech.
    pub fn speech_input(&self) -> SpeechInput {
        match &self.data.input {
            Input::Speech(input) => *input,
            Input::Heard(pipeline) => SpeechInput {
                sample_rate: pipeline.sample_rate().expect("utterances are sounds"),
                ..SpeechInput::default()
            },
            Input::Fixed(_) => unreachable!("only speech has utterances"),
        }
    }

    /// How an encoder of others takes its inputs; None if there is no such encoder.
    pub fn pipeline(&self) -> Option<&Pipeline> {
        match &self.data.input {
            Input::Heard(pipeline) => Some(pipeline),
            Input::Fixed(InputSpec::Pipeline(fixed)) => Some(fixed.pipeline()),
            Input::Fixed(_) | Input::Speech(_) => None,
        }
    }

    /// Numbers of one of the model's frames. Panics for all but speech.
    pub fn width(&self) -> usize {
        let input = self.speech_input();
        input.stacked * input.mels
    }
}
