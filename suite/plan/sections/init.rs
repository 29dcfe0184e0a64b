//! What training starts from: weights that were given in place of pretraining (`--init`), or first
//! weights.

use super::{Choices, FactOf, Input, LeftOut, Section, Stage};
use crate::plan::{Core, InitRequest};
use bridle::init::PatchInit;
use bridle_tasks::InputSpec;
use bridle_values::check::{Checked, require};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What training starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Init {
    #[serde(flatten)]
    pub weights: Option<GivenWeights>,
    /// First weights of patch embeddings. Plans omit Glorot's, which is what plans without this value
    /// meant; encoders of speech have no patches.
    #[serde(default = "earlier", skip_serializing_if = "is_earlier")]
    pub patch: PatchInit,
}

const fn earlier() -> PatchInit {
    PatchInit::Glorot
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
fn is_earlier(patch: &PatchInit) -> bool {
    *patch == earlier()
}

impl Default for Init {
    /// What plans without this section meant.
    fn default() -> Self {
        Self {
            weights: None,
            patch: earlier(),
        }
    }
}

impl Init {
    /// Whether plans leave the section out.
    pub(super) fn is_unwritten(&self) -> bool {
        *self == Self::default()
    }
}

/// Weights that were given with `--init`. Their sizes and the order of their position rows are
/// values of the plan too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenWeights {
    /// Their file's name, without its folder: a name, not part of the hash.
    pub name: String,
    pub sha256: String,
    /// Frames of the inputs that they were trained on (audio); of more, this plan's inputs take
    /// their rows of positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Whether they may have seen the inputs of test samples, never their classes. Scores are then
    /// transductive.
    pub transductive: bool,
}

impl Section for Init {
    const STAGE: Stage = Stage::Pretraining;
    const NAMES: &'static [&'static str] = &["name"];
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("patch", "\"glorot\"")];
    const MAY_BE_UNWRITTEN: bool = true;

    fn absent(choices: &Choices<'_>) -> Option<String> {
        let why = || "an encoder of speech has no patches".to_owned();
        choices.is_speech().then(why).or_else(|| choices.no_encoder())
    }

    fn left_out(choices: &Choices<'_>) -> Vec<LeftOut> {
        let patch = || ("patch".to_owned(), "the weights are given with --init".to_owned());
        choices.init.map(|_| patch()).into_iter().collect()
    }

    fn check(&self, plan: &Core) -> Checked {
        let drawn = self.weights.is_none() && !plan.is_speech();
        require(drawn || is_earlier(&self.patch), "init.patch", || {
            let why = if plan.is_speech() {
                "an encoder of speech has no patches"
            } else {
                "the weights are given with --init"
            };
            why.to_owned()
        })
    }

    fn decided(choices: &Choices<'_>) -> Value {
        let Some(init) = choices.init else {
            return Value::Null;
        };
        let mut values = json!({"name": init.name, "sha256": init.sha256, "transductive": false});
        if let InputSpec::Audio { frames, .. } = init.input {
            values["frames"] = frames.into();
        }
        values
    }

    fn fact(value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        matches!(value, "name" | "sha256" | "frames").then_some(FactOf::Weights)
    }
}

impl Core {
    /// Checks that the given weights can take this plan's inputs.
    ///
    /// # Errors
    /// Names the value that does not fit.
    pub(in crate::plan) fn check_weights(&self, init: &InitRequest) -> Checked {
        let same = |key: &str, here: usize, there: usize| {
            require(here == there, key, || {
                format!("{here}, but the weights given with --init were trained on {there}")
            })
        };
        let (modality, theirs) = (self.data.input.modality(), Input::Fixed(init.input.clone()).modality());
        require(modality == theirs, "data.kind", || {
            format!("{modality}, but the weights given with --init were trained on {theirs}")
        })?;
        match (self.fixed_input(), &init.input) {
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
            (InputSpec::Pipeline(_), _) | (_, InputSpec::Pipeline(_)) => require(false, "data.kind", || {
                "pipeline, which encoders of others take, and no weights given with --init".to_owned()
            }),
            _ => unreachable!("both are of one modality"),
        }
    }
}
