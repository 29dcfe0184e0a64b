//! One's own utterances: a csv of `path,text`, and perhaps `split` and `speaker`; paths are relative to its folder.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use crate::data::speech::{ENDINGS, FileList, part_by_speaker};
use crate::files::folder::ends_in;
use crate::{DataError, Missing, Progress, Role, Skipped, SpeechRequest, SpeechSet, Utterance, normalise_text};

pub(crate) const VERSION: u32 = 1;
/// Where neither splits nor speakers are named, every so manyth utterance is for testing.
const EVERY: usize = 5;

/// Opens the utterances of a table, under this name. `split` is train, dev (or val) or test. Without it speakers are kept apart, and without
/// those every fifth utterance is for testing.
///
/// # Errors
/// About the table, by line; about its files or the cache.
pub fn open_speech_table(
    name: &'static str,
    csv: &Path,
    request: &SpeechRequest,
    progress: &dyn Progress,
) -> Result<SpeechSet, DataError> {
    read(name, csv)?.open(request, progress)
}

/// The columns of a table.
struct Columns {
    path: usize,
    text: usize,
    split: Option<usize>,
    speaker: Option<usize>,
}

fn read(name: &'static str, csv: &Path) -> Result<FileList, DataError> {
    let bad = |line: u64, reason: String| DataError::BadRow {
        path: csv.to_owned(),
        line,
        reason,
    };
    let bytes = std::fs::read(csv).map_err(|source| DataError::Unreadable {
        path: csv.to_owned(),
        source,
    })?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&bytes[..]);
    let position = |error: &csv::Error| error.position().map_or(1, csv::Position::line);
    let headers = reader
        .headers()
        .map_err(|error| bad(position(&error), error.to_string()))?;
    let column = |name: &str| headers.iter().position(|header| header == name);
    let needed = |name: &str| column(name).ok_or_else(|| bad(1, format!("there is no column '{name}'")));
    let columns = Columns {
        path: needed("path")?,
        text: needed("text")?,
        split: column("split"),
        speaker: column("speaker"),
    };
    let root = csv.parent().unwrap_or(Path::new("")).to_owned();
    let mut list = FileList {
        name,
        version: VERSION,
        source: "one's own".to_owned(),
        root,
        lists: csv
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .into_iter()
            .collect(),
        utterances: Vec::new(),
        unusable: Vec::new(),
        missing: Missing::default(),
        splitting: None,
    };
    let mut seen = BTreeSet::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(position(&error), error.to_string()))?;
        let line = record.position().map_or(1, csv::Position::line);
        let (utterance, file) = columns.utterance(&record).map_err(|reason| bad(line, reason))?;
        if !seen.insert(file.clone()) {
            return Err(bad(line, format!("'{file}' is listed a second time")));
        }
        match list.root.join(&file).is_file() {
            true => list.utterances.push((utterance, file)),
            false => list.unusable.push(Skipped {
                id: utterance.id,
                reason: "there is no such file".to_owned(),
            }),
        }
    }
    if columns.split.is_none() {
        let splitting = part(&mut list.utterances, columns.speaker.is_some()).map_err(|reason| bad(1, reason))?;
        list.splitting = Some(splitting);
    }
    Ok(list)
}

impl Columns {
    fn utterance(&self, record: &csv::StringRecord) -> Result<(Utterance, String), String> {
        let file = within(&record[self.path])?;
        if !ends_in(&file, &ENDINGS) {
            return Err(format!("'{file}' is not called .{}", ENDINGS.join(" or .")));
        }
        let text = normalise_text(&record[self.text]).map_err(|error| error.to_string())?;
        if text.is_empty() {
            return Err("the transcript is empty".to_owned());
        }
        let role = match self.split.map(|column| &record[column]) {
            None | Some("train") => Role::Train,
            Some("dev" | "val" | "valid" | "validation") => Role::Dev,
            Some("test") => Role::Test,
            Some(other) => return Err(format!("the split '{other}' is not train, dev or test")),
        };
        let part = ["train", "dev", "test"][role as usize].to_owned();
        let speaker = self.speaker.map(|column| record[column].to_owned());
        let utterance = Utterance {
            id: file.clone(),
            speaker,
            text,
            role,
            part,
            spans: Vec::new(),
        };
        Ok((utterance, file))
    }
}

/// A path that stays below the table's folder.
fn within(path: &str) -> Result<String, String> {
    let parts = Path::new(path).components().filter(|part| *part != Component::CurDir);
    let parts = parts.map(|part| match part {
        Component::Normal(name) => Ok(name.to_string_lossy()),
        _ => Err(format!("'{path}' leads out of the table's folder")),
    });
    let joined = parts.collect::<Result<Vec<_>, _>>()?.join("/");
    match joined.is_empty() {
        true => Err("the path is empty".to_owned()),
        false => Ok(joined),
    }
}

/// Parts utterances that no column parts.
fn part(utterances: &mut [(Utterance, String)], by_speaker: bool) -> Result<String, String> {
    if by_speaker {
        return part_by_speaker(utterances.iter_mut().map(|(utterance, _)| utterance));
    }
    if utterances.len() < 2 {
        return Err("a single utterance cannot be both for training and for testing".to_owned());
    }
    let last = utterances.len() - 1;
    for (number, (utterance, _)) in utterances.iter_mut().enumerate() {
        if number % EVERY == EVERY - 1 || (last < EVERY - 1 && number == last) {
            (utterance.role, utterance.part) = (Role::Test, "test".to_owned());
        }
    }
    Ok("every fifth utterance is for testing, the last where there are fewer".to_owned())
}
