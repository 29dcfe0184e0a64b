//! Presets: named sets of values, one file each, with what they are for and the command that runs
//! them.

use super::flat::{override_with, remove};
use crate::cli::error::UnknownName;
use serde_json::{Value, json};

/// A named set of values.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The word given with `--preset`.
    pub name: &'static str,
    /// The file, in TOML: sections of the plan, then `[modality.*]`, `[recipe.*]`, `[task.*]` and
    /// `[method.*]` sections that override them.
    pub text: &'static str,
    /// The preset over which a file of one's own lays its values.
    pub(super) base: Option<&'static Preset>,
}

/// The preset of a run that names none.
pub const DEFAULT: &str = "mini";

/// One line per preset: `configs/<folder><name>.toml`.
macro_rules! presets {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(Preset { name: $name, text: include_str!(concat!("../configs/", $folder, $name, ".toml")), base: None }),+]
    };
}

/// All presets, from the quickest to the longest.
pub const PRESETS: &[Preset] = presets!["": "smoke", "mini", "paper"];

/// The same names for tasks of speech.
pub const SPEECH_PRESETS: &[Preset] = presets!["speech/": "smoke", "mini", "paper"];

/// The presets for tasks of speech, or for others.
const fn all(speech: bool) -> &'static [Preset] {
    if speech { SPEECH_PRESETS } else { PRESETS }
}

/// Whether a preset has this name.
pub fn is_known(name: &str) -> bool {
    PRESETS.iter().any(|preset| preset.name == name)
}

/// Finds a preset by its name, for a task of speech or another one.
///
/// # Errors
/// If there is none of that name.
pub fn find(name: &str, speech: bool) -> Result<&'static Preset, UnknownName> {
    let presets = all(speech);
    let found = presets.iter().find(|preset| preset.name == name);
    found.ok_or_else(|| UnknownName::new("preset", name, presets.iter().map(|preset| preset.name)))
}

impl Preset {
    /// The file's opening comment: what the preset is for.
    pub fn about(&self) -> String {
        let comment = self.text.lines().take_while(|line| line.starts_with('#'));
        comment
            .map(|line| line.trim_start_matches(['#', ' ']))
            .take_while(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The values for a task: the file's sections, then what it says of the modality, of the recipe,
    /// of the task, and of the method. Of sections that the file does not have, those of `defaults`, which say
    /// more of this preset under `[preset.<name>]`. A file of one's own says the same over its base.
    pub fn values<'a>(
        &self,
        modality: &str,
        recipe: &str,
        task: &str,
        method: &str,
        defaults: impl Iterator<Item = &'a str>,
    ) -> Value {
        let mut values = json!({});
        let built_in = self.base.unwrap_or(self);
        let own = self.base.map(|_| self.text);
        for text in defaults.chain([built_in.text]).chain(own) {
            let file: toml::Table = text.parse().expect("presets and defaults are read by a test");
            let mut tree = serde_json::to_value(file).expect("TOML without dates is JSON");
            for (kind, name) in [
                ("preset", built_in.name),
                ("modality", modality),
                ("recipe", recipe),
                ("task", task),
                ("method", method),
            ] {
                let laid_over = remove(&mut tree, kind).and_then(|mut all| remove(&mut all, name));
                laid_over
                    .into_iter()
                    .for_each(|values| override_with(&mut tree, values));
            }
            override_with(&mut values, tree);
        }
        without_none(&mut values);
        values
    }
}

/// TOML has no null: `"none"` is null, as on the command line.
pub(super) fn without_none(tree: &mut Value) {
    match tree {
        Value::Object(members) => members.values_mut().for_each(without_none),
        Value::String(word) if word == "none" => *tree = Value::Null,
        _ => {}
    }
}

/// Takes the note out of a preset's values that its values for pretraining are for another task's
/// data: `pretrain.on`.
pub(super) fn pretrained_on(values: &mut Value) -> Option<String> {
    remove(values, "pretrain.on")?.as_str().map(str::to_owned)
}
