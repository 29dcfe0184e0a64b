//! What each value of a plan means: the tables `explain.toml` and `authors.toml`, in one home for the
//! command `explain`, the check of preset files and the tests of presets.

use super::error::PLAN_VALUE;
use super::recipe::{ODDITIES, Oddity};
use super::sections::{
    ColdStartPosition, CountedFrom, Esc50Crop, MaskKind, NoiseMeasure, PhaseRestart, Projection, Roll,
};
use super::{AudioRows, DecoderKind, Method, PlanError, Protocol, QuantizerKind, Recipe};
use crate::protocol::{FinetuneLoss, Rest, Sampler, Symbols};
use bridle::codebook::{SoftPick, Start};
use bridle::init::PatchInit;
use bridle::rq::{Restart, Space};
use bridle_values::UnknownName;
use serde::Deserialize;
use serde_json::Value;
use std::sync::LazyLock;

/// What the values of these names mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    pub keys: Vec<String>,
    /// In a sentence or two.
    pub meaning: String,
    /// What it may be, unless that is a list of words.
    pub range: Option<String>,
    /// The paper or page that it comes from.
    pub source: Option<String>,
}

/// Values of one of the authors' scripts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What resolves to its plan with preset `paper`, as `key=value` with spaces between.
    pub names: String,
    pub values: Vec<ScriptValue>,
}

/// A value, and the file and line where the authors have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptValue {
    pub key: String,
    pub value: Value,
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explanations {
    value: Vec<Explanation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripts {
    script: Vec<Script>,
}

static EXPLANATIONS: LazyLock<Explanations> =
    LazyLock::new(|| toml::from_str(include_str!("explain.toml")).expect("the table is read by a test"));
static SCRIPTS: LazyLock<Scripts> =
    LazyLock::new(|| toml::from_str(include_str!("authors.toml")).expect("the table is read by a test"));

/// All names, in the order of the table.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let all = EXPLANATIONS.value.iter().flat_map(|value| &value.keys);
    all.map(String::as_str)
}

/// What the value of this name means.
///
/// # Errors
/// If no plan has it, with the name that is nearest.
pub fn find(key: &str) -> Result<&'static Explanation, PlanError> {
    let mut all = EXPLANATIONS.value.iter();
    let found = all.find(|value| value.keys.iter().any(|known| known == key));
    found.ok_or_else(|| UnknownName::new(PLAN_VALUE, key, keys()).into())
}

/// The authors' scripts.
pub fn scripts() -> &'static [Script] {
    &SCRIPTS.script
}

/// What the recipes make of this value, if it is an oddity of the authors' code.
pub fn oddity(key: &str) -> Option<&'static Oddity> {
    ODDITIES.iter().find(|oddity| oddity.key == key)
}

/// A word that a value may be, and what it means.
pub type Word = (&'static str, &'static str);

/// The words of these lists, by the names of values that take them.
macro_rules! words {
    ($key:ident: $($($name:literal)|+ => $choice:ty,)+) => {
        match $key {
            $($($name)|+ => <$choice>::ALL.iter().map(|choice| (choice.word(), choice.about())).collect(),)+
            "quantizer" => QuantizerKind::all().map(|kind| (kind.word(), kind.about())).collect(),
            _ => Vec::new(),
        }
    };
}

/// The words that the value of this name may be; none where it is no word of a list.
pub fn words(key: &str) -> Vec<Word> {
    words! { key:
        "method" => Method,
        "recipe" => Recipe,
        "protocols" => Protocol,
        "quantizer.start" | "pretrain.encoder.start" | "pretrain.tokenizer.start" => Start,
        "quantizer.soft_pick" => SoftPick,
        "quantizer.restart" => Restart,
        "quantizer.space" => Space,
        "init.patch" => PatchInit,
        "model.decoder.kind" => DecoderKind,
        "position.audio_rows" => AudioRows,
        "mask.kind" => MaskKind,
        "mask.noise_is" => NoiseMeasure,
        "pretrain.encoder.restart" | "pretrain.tokenizer.restart" => PhaseRestart,
        "joint.counted_from" => CountedFrom,
        "cold_start.position" => ColdStartPosition,
        "refine.projection" => Projection,
        "augment.roll" => Roll,
        "esc50.position_crop" => Esc50Crop,
        "knn.rest" => Rest,
        "finetune.loss" => FinetuneLoss,
        "finetune.sampler" => Sampler,
        "finetune.symbols" | "probe.symbols" | "attentive.symbols" => Symbols,
    }
}
