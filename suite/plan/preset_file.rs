//! A preset file of one's own, given by its path: it lays its values over a built-in preset, and may
//! have the same sections as that.
//!
//! ```toml
//! base = "smoke"          # the preset that it changes; without this line `mini`
//!
//! [pretrain.encoder]
//! epochs = 3
//!
//! [method.birq.mask]      # also [modality.*], [recipe.*] and [task.*]
//! span = 16
//! ```

use super::preset::{self, Preset};
use super::{AnyTask, Method, PlanError, QuantizerKind, Recipe, explain};
use bridle_values::UnknownName;
use std::path::Path;
use toml::Value;

/// What a file may lay values over, each by name.
const LAID_OVER: [&str; 4] = ["modality", "recipe", "task", "method"];
/// The kinds of data.
const MODALITIES: [&str; 4] = ["audio", "image", "video", "speech"];

/// Whether this is the path of a preset file and no name.
pub(super) fn is_path(word: &str) -> bool {
    Path::new(word).extension().is_some_and(|extension| extension == "toml")
}

/// Reads a preset file. It lives as long as the program, like the built-in presets.
///
/// # Errors
/// If the file cannot be read, is no TOML, or names a preset, modality, task, method or value that
/// there is not.
pub(super) fn open(path: &str, speech: bool) -> Result<&'static Preset, PlanError> {
    let (path, place) = (Path::new(path), path.to_owned());
    let wrong = |why: String| PlanError::NoPreset {
        place: place.clone(),
        why,
    };
    let text = bridle_files::text(path, bridle_files::SETTINGS).map_err(|source| PlanError::Unreadable {
        place: place.clone(),
        source,
    })?;
    let mut file: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let base = match file.remove("base") {
        None => preset::DEFAULT.to_owned(),
        Some(Value::String(name)) => name,
        Some(_) => return Err(wrong("`base` is no name of a preset".to_owned())),
    };
    let base = preset::find(&base, speech).map_err(|unknown| PlanError::from(unknown).in_file(&place))?;
    check(&file, "").map_err(|unknown| unknown.in_file(&place))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Box::leak(Box::new(Preset {
        name: name.leak(),
        text: file.to_string().leak(),
        base: Some(base),
    })))
}

/// Checks that every name in a section of the file is one; `path` is the section's, empty at the top.
fn check(section: &toml::Table, path: &str) -> Result<(), PlanError> {
    for (name, value) in section {
        match value {
            Value::Table(named) if path.is_empty() && LAID_OVER.contains(&name.as_str()) => {
                named
                    .iter()
                    .try_for_each(|(word, values)| laid_over(name, word, values))?;
            }
            // values of one kind of quantizer
            Value::Table(own) if path == "quantizer" && name.parse::<QuantizerKind>().is_ok() => check(own, path)?,
            Value::Table(inner) => check(inner, &below(path, name))?,
            _ => drop(explain::find(&below(path, name))?),
        }
    }
    Ok(())
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Checks what the file says of one modality, recipe, task or method.
fn laid_over(kind: &str, word: &str, values: &Value) -> Result<(), PlanError> {
    match kind {
        "modality" if !MODALITIES.contains(&word) => {
            return Err(UnknownName::new("modality", word, MODALITIES).into());
        }
        "recipe" => drop(word.parse::<Recipe>()?),
        "task" => drop(AnyTask::find(word)?),
        "method" => drop(word.parse::<Method>()?),
        _ => {}
    }
    match values {
        Value::Table(values) => check(values, ""),
        _ => Err(PlanError::NoPreset {
            place: format!("{kind}.{word}"),
            why: "it holds no sections".to_owned(),
        }),
    }
}
