//! Presets: named sets of values, one file each, with what they are for and the command that runs them.

use super::flat::merge;
use crate::error::UnknownName;
use serde_json::Value;

/// A named set of values.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The word given with `--preset`.
    pub name: &'static str,
    /// The file, in TOML: sections of the plan, then `[modality.*]`, `[task.*]` and `[method.*]` sections laid over them.
    pub text: &'static str,
}

/// The preset of a run that names none.
pub const DEFAULT: &str = "mini";

/// One line per preset: `configs/<folder><name>.toml`.
macro_rules! presets {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(Preset { name: $name, text: include_str!(concat!("../configs/", $folder, $name, ".toml")) }),+]
    };
}

/// All presets, from the quickest to the longest.
pub const PRESETS: &[Preset] = presets!["": "smoke", "mini", "paper"];

/// The same names for tasks of speech.
pub const SPEECH_PRESETS: &[Preset] = presets!["speech/": "smoke", "mini", "paper"];

/// Finds a preset by its name.
///
/// # Errors
/// If there is none of that name.
pub fn find(name: &str) -> Result<&'static Preset, UnknownName> {
    find_in(PRESETS, name)
}

/// The same for tasks of speech.
///
/// # Errors
/// If there is none of that name.
pub fn find_speech(name: &str) -> Result<&'static Preset, UnknownName> {
    find_in(SPEECH_PRESETS, name)
}

fn find_in(presets: &'static [Preset], name: &str) -> Result<&'static Preset, UnknownName> {
    let known = || presets.iter().map(|preset| preset.name);
    presets
        .iter()
        .find(|preset| preset.name == name)
        .ok_or_else(|| UnknownName::new("preset", name, known()))
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

    /// The values for a task: the file's sections, then what it says of the modality, of the task, and of the method.
    pub fn values(&self, modality: &str, task: &str, method: &str) -> Value {
        let file: toml::Table = self.text.parse().expect("the presets are read by a test");
        let mut tree = serde_json::to_value(file).expect("TOML without dates is JSON");
        let mut over = |kind: &str, name: &str| {
            let laid = tree.get_mut(kind).and_then(|all| all.get_mut(name)).map(Value::take);
            laid.into_iter().for_each(|laid| merge(&mut tree, laid));
        };
        over("modality", modality);
        over("task", task);
        over("method", method);
        let sections = tree.as_object_mut().expect("a TOML file is a table");
        sections.shift_remove("modality");
        sections.shift_remove("task");
        sections.shift_remove("method");
        without_none(&mut tree);
        tree
    }
}

/// TOML has no word for nothing: `"none"` stands for it, as on the command line.
fn without_none(tree: &mut Value) {
    match tree {
        Value::Object(members) => members.values_mut().for_each(without_none),
        Value::String(word) if word == "none" => *tree = Value::Null,
        _ => {}
    }
}
