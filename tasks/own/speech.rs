//! Speech of the user: a task file with a csv of `path,text` and optional `split`, `speaker` and
//! `source`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use csv::StringRecord;
use serde::Deserialize;

use super::SOURCE;
use super::table::source_name;
use crate::data::listing::{Entry, Listing};
use crate::data::speech::open::{ENDINGS, split_by_speaker};
use crate::files::folder::{ListedPaths, ends_in, exists};
use crate::files::table::{self, CsvTable};
use crate::files::tree::Tree;
use crate::{
    DataError, Progress, Role, SpeechInput, SpeechRequest, SpeechSet, SpeechSpec, SpeechTask, Utterance, normalise_text,
};

const VERSION: u32 = 1;
/// Without splits and speakers, every fifth utterance is for testing.
const EVERY: usize = 5;

struct OwnSpeech {
    name: &'static str,
    /// The table; paths in it are relative to its folder.
    csv: PathBuf,
}

impl SpeechTask for OwnSpeech {
    fn spec(&self) -> SpeechSpec {
        SpeechSpec {
            name: self.name,
            version: VERSION,
            summary: "own speech, from a task file",
            input: SpeechInput::default(),
            source: SOURCE,
            licence: SOURCE,
            citation: SOURCE,
        }
    }

    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        list(self.name, &self.csv)?.open(request, progress)
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

/// The task of a task file of speech; `None` for another modality.
///
/// # Errors
/// If the file cannot be read, or says speech but cannot be used.
pub fn open_speech_file(path: &Path) -> Result<Option<Box<dyn SpeechTask>>, DataError> {
    let text = table::text(path)?;
    let is_speech = text.parse::<toml::Table>().is_ok_and(|file| {
        let modality = file.get("modality").and_then(toml::Value::as_str);
        modality == Some("speech")
    });
    if !is_speech {
        return Ok(None);
    }
    let file: SpeechFile = toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = 1 + text[..before].matches('\n').count() as u64;
        DataError::bad_row(path, line, error.message())
    })?;
    let fits = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '-' || symbol == '_';
    if file.name.is_empty() || !file.name.chars().all(fits) {
        let reason = format!("the name `{}` is not of letters, digits, - and _", file.name);
        return Err(DataError::bad_row(path, 1, reason));
    }
    Ok(Some(Box::new(OwnSpeech {
        // lives as long as the program, like the names of built-in tasks
        name: String::leak(file.name),
        csv: path.parent().unwrap_or(Path::new("")).join(file.csv),
    })))
}

struct Columns {
    path: usize,
    text: usize,
    split: Option<usize>,
    speaker: Option<usize>,
    source: Option<usize>,
}

pub(crate) fn list(name: &'static str, csv: &Path) -> Result<Listing<Utterance>, DataError> {
    let table = CsvTable::read(csv)?;
    let columns = Columns {
        path: table.required(csv, "path")?,
        text: table.required(csv, "text")?,
        split: table.column(csv, "split")?,
        speaker: table.column(csv, "speaker")?,
        source: table.column(csv, "source")?,
    };
    let root = csv.parent().unwrap_or(Path::new(""));
    let mut listing = Listing::new(name, VERSION, "one's own", Tree::folder(root), Vec::new());
    listing.lists = csv
        .file_name()
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let (mut seen, mut listed) = (BTreeSet::new(), ListedPaths::new(root));
    for (line, record) in &table.rows {
        let bad = |reason: String| DataError::bad_row(csv, *line, reason);
        let sample = columns.utterance(record, &mut listed).map_err(bad)?;
        let file = sample.id.clone();
        if !seen.insert(file.clone()) {
            return Err(bad(format!("'{file}' is listed a second time")));
        }
        let file = exists(&root.join(&file)).then_some(file);
        listing.entries.push(Entry { sample, file });
    }
    if columns.split.is_none() {
        let splitting = match columns.speaker {
            Some(_) => split_by_speaker(&mut listing.entries),
            None => split_by_number(&mut listing.entries),
        };
        listing.splitting = Some(splitting.map_err(|reason| DataError::bad_row(csv, 1, reason))?);
    }
    Ok(listing)
}

impl Columns {
    /// The utterance of one row; its id is its file.
    fn utterance(&self, record: &StringRecord, listed: &mut ListedPaths) -> Result<Utterance, String> {
        let path = &record[self.path];
        let outside = || format!("'{path}' leads out of the table's folder");
        let file = listed.within(path).ok_or_else(outside)?;
        if file.is_empty() {
            return Err("the path is empty".to_owned());
        }
        if !ends_in(&file, &ENDINGS) {
            return Err(format!("'{file}' is not called .{}", ENDINGS.join(" or .")));
        }
        let text = normalise_text(&record[self.text]).map_err(|error| error.to_string())?;
        if text.is_empty() {
            return Err("the transcript is empty".to_owned());
        }
        let (role, part) = match self.split.map(|column| &record[column]) {
            None | Some("train") => (Role::Train, "train"),
            Some("dev" | "val" | "valid" | "validation") => (Role::Dev, "dev"),
            Some("test") => (Role::Test, "test"),
            Some(other) => return Err(format!("the split '{other}' is not train, dev or test")),
        };
        Ok(Utterance {
            id: file,
            speaker: self.speaker.map(|column| record[column].to_owned()),
            text,
            role,
            part: part.to_owned(),
            spans: Vec::new(),
            source: self.source.and_then(|column| source_name(&record[column])),
        })
    }
}

fn split_by_number(entries: &mut [Entry<Utterance>]) -> Result<String, String> {
    if entries.len() < 2 {
        return Err("a single utterance cannot be both for training and for testing".to_owned());
    }
    let last = entries.len() - 1;
    for (number, Entry { sample, .. }) in entries.iter_mut().enumerate() {
        if number % EVERY == EVERY - 1 || (last < EVERY - 1 && number == last) {
            (sample.role, sample.part) = (Role::Test, "test".to_owned());
        }
    }
    Ok("every fifth utterance is for testing, the last where there are fewer".to_owned())
}

/// Opens the table `csv` as the tests of speech data need it.
#[cfg(test)]
pub(crate) fn open_table(csv: &Path, request: &SpeechRequest) -> Result<SpeechSet, DataError> {
    list("own", csv)?.open(request, &())
}
