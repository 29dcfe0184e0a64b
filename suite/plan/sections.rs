//! The plan's sections, a file each: values, when a plan has them, what they must satisfy, and what
//! they decide.
//!
//! A new section is a file here, its `mod` line, and a line of the list of [`Core`]. What it does not
//! say for itself has the safe default: a method's section is used by the methods that name it, and
//! every value enters the hashes of its stage. Sections of protocols are in the list of protocols
//! ([`crate::protocol`]).

mod augment;
mod birq;
mod cold_start;
mod data;
mod embeddings;
mod esc50;
mod foreign;
mod init;
mod joint;
mod labels;
mod mask;
mod model;
mod position;
mod pretrain;
mod quantizer;
mod refine;
mod relabel;
mod test;

pub use augment::{Augment, Roll};
pub use cold_start::{ColdStart, ColdStartPosition};
pub use data::{Data, Input};
pub use embeddings::GivenEmbeddings;
pub use esc50::{Esc50, Esc50Crop, PositionCrop};
pub use foreign::GivenEncoder;
pub use init::{GivenWeights, Init};
pub use joint::{CountedFrom, Joint};
pub use labels::GivenLabels;
pub use mask::{Mask, MaskKind, NoiseMeasure};
pub use model::{ConformerSizes, Decoder, Encoder, Estimator, GivenSizes, Sizes, VitSizes};
pub use position::Position;
pub use pretrain::{Phase, PhaseRestart, Pretrain};
pub use refine::{Projection, Refine};
pub use relabel::Relabel;
pub use test::Test;

use super::facts::{EmbeddingsRequest, ForeignRequest, InitRequest, LabelsRequest, LmRequest, TaskFacts};
use super::method::{Method, Takes};
use super::recipe::Recipe;
use crate::quantizers::{QuantizerConfig, QuantizerKind};
use bridle_baselines::birq::BirqConfig;
use bridle_tasks::pipeline::Pipeline;
use bridle_values::check::Checked;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Declares the sections that belong to no protocol.
macro_rules! sections {
    ($($section:ident: $type:ty,)+) => {
        /// Every value of a run but the protocols' own: what data, model and training are made from.
        /// Sections that the method, the task or the protocols do not use are absent.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct Core {
            /// The task's name.
            pub task: String,
            /// What trains the encoder.
            pub method: Method,
            /// The preset that the values came from: a name, not part of the hash.
            pub preset: String,
            /// The recipe that the values came from: a name, not part of the hash. Speech has none.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub recipe: Option<Recipe>,
            /// What makes the labels; none where nothing is pretrained.
            pub quantizer: Option<QuantizerConfig>,
            /// What training starts from.
            #[serde(default, skip_serializing_if = "Init::is_unwritten")]
            pub init: Init,
            /// What the model sees.
            pub data: Data,
            /// Sizes of encoder, decoder and estimator.
            pub model: Encoder,
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $section: Option<$type>,)+
        }

        impl Core {
            /// Its sections, in the order in which plans are printed.
            pub(super) const SECTIONS: &[SectionInfo] = &[
                SectionInfo::of::<QuantizerConfig>("quantizer"),
                SectionInfo::of::<Init>("init"),
                SectionInfo::of::<Data>("data"),
                SectionInfo::of::<Encoder>("model"),
                $(SectionInfo::of::<$type>(stringify!($section)),)+
            ];

            /// Checks every value, and what must hold between them.
            ///
            /// # Errors
            /// Names the first value that is impossible, and what it must satisfy.
            pub(super) fn check(&self) -> Checked {
                self.init.check(self)?;
                self.data.check(self)?;
                self.model.check(self)?;
                check_some(self.quantizer.as_ref(), self)?;
                $(check_some(self.$section.as_ref(), self)?;)+
                Ok(())
            }
        }
    };
}

sections! {
    foreign: GivenEncoder,
    embeddings: GivenEmbeddings,
    labels: GivenLabels,
    position: Position,
    mask: Mask,
    pretrain: Pretrain,
    birq: BirqConfig,
    joint: Joint,
    cold_start: ColdStart,
    refine: Refine,
    relabel: Relabel,
    augment: Augment,
    test: Test,
    esc50: Esc50,
}

/// What a section decides, and so which hashes its values enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The pretrained weights, and with them the run's numbers.
    Pretraining,
    /// The run's numbers after pretraining.
    Judging,
}

/// The choices that decide which sections a plan has.
#[derive(Clone, Copy)]
pub struct Choices<'a> {
    pub method: Method,
    pub quantizer: QuantizerKind,
    /// Whether a protocol trains the encoder on.
    pub judging_trains: bool,
    /// What the task says of itself.
    pub task: &'a TaskFacts,
    pub init: Option<&'a InitRequest>,
    /// An encoder of others.
    pub foreign: Option<&'a ForeignRequest>,
    /// Vectors in place of an encoder.
    pub embeddings: Option<&'a EmbeddingsRequest>,
    /// Labels in place of a tokenizer's.
    pub labels: Option<&'a LabelsRequest>,
    /// A language model for decoding.
    pub lm: Option<&'a LmRequest>,
}

impl Choices<'_> {
    /// Whether the task is one of speech.
    pub fn is_speech(&self) -> bool {
        self.task.input.is_speech()
    }

    /// Why plans lack what is of an encoder of this program or of its inputs, if they have none.
    pub fn no_encoder(&self) -> Option<String> {
        let theirs = self
            .foreign
            .map(|_| "the encoder given with --init is of another program");
        let why = theirs.or(self.embeddings.map(|_| "the vectors are given to `judge`"));
        why.map(str::to_owned)
    }

    /// How an encoder of others takes its inputs.
    pub fn pipeline(&self) -> Option<&Pipeline> {
        self.foreign.map(|foreign| foreign.input.pipeline())
    }

    /// Why a task of another kind lacks a section of sound.
    pub fn not_audio(&self) -> Option<String> {
        let modality = self.task.input.modality();
        let other = || format!("task `{}` is {modality}, not audio", self.task.name);
        self.no_encoder().or_else(|| (modality != "audio").then(other))
    }

    /// The reason why this task's plans lack a section that only tasks have which name it.
    fn not_of_task(&self, section: &str) -> Option<String> {
        let named = self.task.sections.contains(&section);
        let unnamed = || format!("task `{}` has no use for it", self.task.name);
        self.no_encoder().or_else(|| (!named).then(unnamed))
    }
}

/// What fixes a value, so that it cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactOf {
    Data,
    Weights,
    Embeddings,
    Labels,
    LanguageModel,
}

impl std::fmt::Display for FactOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Data => "the data",
            Self::Weights => "the weights given with --init",
            Self::Embeddings => "the vectors given with --embeddings",
            Self::Labels => "the labels given with --labels",
            Self::LanguageModel => "the language model given with --lm",
        })
    }
}

/// Part of a section that a plan does not use: the value's name within the section, and why.
pub type LeftOut = (String, String);

/// What every section says of itself. Names of values are those within the section.
pub trait Section {
    /// What it decides.
    const STAGE: Stage;

    /// Values that are only names of others and enter no hash.
    const NAMES: &'static [&'static str] = &[];

    /// Values that plans do not write while they are as here, in JSON, or as the value of this other
    /// name: so plans from before they existed keep their form and hashes.
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[];

    /// Whether a plan that writes no value of the section has it all the same.
    const MAY_BE_UNWRITTEN: bool = false;

    /// Values for presets that have none of this section: a preset's file in short, in which
    /// `[preset.<name>]` holds those of one preset.
    const DEFAULTS: &'static str = "";

    /// Why plans with these choices lack the section; None where they have it. That a method does
    /// not use it need not be said.
    fn absent(_choices: &Choices<'_>) -> Option<String> {
        None
    }

    /// Values that plans with these choices leave out.
    fn left_out(_choices: &Choices<'_>) -> Vec<LeftOut> {
        Vec::new()
    }

    /// Values that the choices decide and the preset cannot change: part of the section, or null.
    fn decided(_choices: &Choices<'_>) -> Value {
        Value::Null
    }

    /// What fixes this value, if anything does.
    fn fact(_value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        None
    }

    /// Checks the values, and what must hold between them and the rest of the plan.
    ///
    /// # Errors
    /// Names the first value that is impossible, and what it must satisfy.
    fn check(&self, _plan: &Core) -> Checked {
        Ok(())
    }
}

/// What is asked of the sections that are values of one protocol.
pub trait Judging: Section {
    /// Whether the protocol trains the encoder on.
    const TRAINS_ENCODER: bool;
    /// The data whose encoders it judges.
    const TAKES: Takes;
    /// Whether a vector of each sample is all that it needs.
    const TAKES_VECTORS: bool = false;
    /// Whether ranks can share its work.
    const OVER_RANKS: bool = false;

    /// Samples of a step that ranks share; None where it does not train by such steps.
    fn shared_batch(&self) -> Option<usize> {
        None
    }
}

/// A section of the list: its name, and what it says of itself.
pub struct SectionInfo {
    pub name: &'static str,
    pub stage: Stage,
    pub names: &'static [&'static str],
    pub unwritten: &'static [(&'static str, &'static str)],
    pub may_be_unwritten: bool,
    pub defaults: &'static str,
    pub absent: fn(&Choices<'_>) -> Option<String>,
    pub left_out: fn(&Choices<'_>) -> Vec<LeftOut>,
    pub decided: fn(&Choices<'_>) -> Value,
    pub fact: fn(&str, &Choices<'_>) -> Option<FactOf>,
}

impl SectionInfo {
    pub const fn of<S: Section>(name: &'static str) -> Self {
        Self {
            name,
            stage: S::STAGE,
            names: S::NAMES,
            unwritten: S::UNWRITTEN,
            may_be_unwritten: S::MAY_BE_UNWRITTEN,
            defaults: S::DEFAULTS,
            absent: S::absent,
            left_out: S::left_out,
            decided: S::decided,
            fact: S::fact,
        }
    }
}

/// Checks a section that may be absent.
pub fn check_some<S: Section>(section: Option<&S>, plan: &Core) -> Checked {
    section.map_or(Ok(()), |section| section.check(plan))
}
