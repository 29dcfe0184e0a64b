//! Tasks of speech: what each says of itself, and how it opens. A new one is a type here or in a file of its own, and one
//! line in [`speech_tasks`].

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    DataError, DigitSizes, Progress, SpeechInput, SpeechRequest, SpeechSet, open_digits, open_librispeech,
    open_speech_table,
};

/// A speech task's description: plain data.
#[derive(Clone, Debug)]
pub struct SpeechSpec {
    /// The name given with `--task`.
    pub name: &'static str,
    /// Raised whenever the task's numbers change.
    pub version: u32,
    /// One line for lists.
    pub summary: &'static str,
    /// The input unless a plan says otherwise.
    pub input: SpeechInput,
    /// Where the original lies.
    pub source: &'static str,
    /// The data's licence.
    pub licence: &'static str,
    /// Whom to cite.
    pub citation: &'static str,
}

/// Something to recognise words in.
pub trait SpeechTask: Sync {
    /// The description.
    fn spec(&self) -> SpeechSpec;

    /// Finds and prepares the data. Every error is about the data, its folder or the cache, and names it.
    ///
    /// # Errors
    /// As said.
    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError>;
}

impl std::fmt::Debug for dyn SpeechTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name)
    }
}

/// Every speech task, in a fixed order.
pub fn speech_tasks() -> &'static [&'static dyn SpeechTask] {
    &[&Digits, &LibriSpeech]
}

/// Connected digits, put together from the Free Spoken Digit Dataset.
struct Digits;

impl SpeechTask for Digits {
    fn spec(&self) -> SpeechSpec {
        SpeechSpec {
            name: "digits",
            version: crate::digits::VERSION,
            summary: "3 to 7 spoken digits a sentence, put together from recordings; speakers kept apart",
            input: SpeechInput::default(),
            source: crate::digits::ORIGINAL,
            licence: "CC BY-SA 4.0",
            citation: "Jackson et al., Free Spoken Digit Dataset",
        }
    }

    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        open_digits(DigitSizes::default(), request, progress)
    }
}

/// LibriSpeech, or any part of it.
struct LibriSpeech;

impl SpeechTask for LibriSpeech {
    fn spec(&self) -> SpeechSpec {
        SpeechSpec {
            name: "librispeech",
            version: crate::librispeech::VERSION,
            summary: "read English sentences",
            input: SpeechInput::default(),
            source: crate::librispeech::ORIGINAL,
            licence: "CC BY 4.0",
            citation: "Panayotov, Chen, Povey and Khudanpur 2015, LibriSpeech",
        }
    }

    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        open_librispeech(request, progress)
    }
}

/// A task file of speech: a table of sounds and transcripts.
struct Own {
    name: &'static str,
    table: PathBuf,
}

impl SpeechTask for Own {
    fn spec(&self) -> SpeechSpec {
        SpeechSpec {
            name: self.name,
            version: crate::own::speech::VERSION,
            summary: "own speech, told by a task file",
            input: SpeechInput::default(),
            source: "the user's own",
            licence: "the user's own",
            citation: "the user's own",
        }
    }

    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        open_speech_table(self.name, &self.table, request, progress)
    }
}

/// The keys of a task file of speech.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpeechFile {
    name: String,
    #[serde(rename = "modality")]
    _modality: Speech,
    csv: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speech {
    Speech,
}

/// The task of a task file, if that is one of speech; a file of another modality is `None`.
///
/// # Errors
/// If it says speech and cannot be read as such.
pub fn open_speech_file(path: &Path) -> Result<Option<Box<dyn SpeechTask>>, DataError> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(None);
    };
    let is_speech = text.parse::<toml::Table>().is_ok_and(|file| {
        let modality = file.get("modality").and_then(toml::Value::as_str);
        modality == Some("speech")
    });
    if !is_speech {
        return Ok(None);
    }
    let bad = |line: u64, reason: String| DataError::BadRow {
        path: path.to_owned(),
        line,
        reason,
    };
    let file: SpeechFile = toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = 1 + text[..before].matches('\n').count() as u64;
        bad(line, error.message().to_owned())
    })?;
    let fits = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '-' || symbol == '_';
    if file.name.is_empty() || !file.name.chars().all(fits) {
        return Err(bad(
            1,
            format!("the name `{}` is not of letters, digits, - and _", file.name),
        ));
    }
    Ok(Some(Box::new(Own {
        // a description lives as long as the program, as those of the built-in tasks do
        name: String::leak(file.name),
        table: path.parent().unwrap_or(Path::new("")).join(file.csv),
    })))
}
