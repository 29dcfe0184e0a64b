//! LibriSpeech: read English speech with transcripts, 16 kHz (Panayotov et al. 2015).
//!
//! `<part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac` beside `<speaker>-<chapter>.trans.txt`, whose lines are an
//! id and its transcript. Parts are called `train-*`, `dev-*` and `test-*`; where there are no folders of such names, the
//! speakers lie in the data's folder itself, and every third one is for testing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::data::speech::{ENDINGS, FileList, part_by_speaker};
use crate::files::folder::{ends_in, locate, names};
use crate::{DataError, Missing, Progress, Role, Skipped, SpeechRequest, SpeechSet, Utterance, normalise_text};

const NAME: &str = "librispeech";
pub(crate) const VERSION: u32 = 1;
pub(crate) const ORIGINAL: &str = "https://www.openslr.org/12";
/// Names shown of listed utterances that are not there.
const SHOWN: usize = 5;

/// Opens LibriSpeech, or any part of it.
///
/// # Errors
/// About the folder, its transcripts by line, or the cache.
pub fn open_librispeech(request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
    let folder = locate(NAME, request.data.as_deref(), ORIGINAL)?;
    list(&folder)?.open(request, progress)
}

/// The role of a folder of this name.
fn role(name: &str) -> Option<Role> {
    let roles = [("train-", Role::Train), ("dev-", Role::Dev), ("test-", Role::Test)];
    let found = roles.into_iter().find(|(start, _)| name.starts_with(start));
    found.map(|(_, role)| role)
}

fn folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let all = names(folder)?.into_iter().filter(|(_, is_folder)| *is_folder);
    Ok(all.map(|(name, _)| name).collect())
}

fn list(folder: &Path) -> Result<FileList, DataError> {
    let parts = |folder: &Path| -> Result<Vec<String>, DataError> {
        Ok(folders(folder)?
            .into_iter()
            .filter(|name| role(name).is_some())
            .collect())
    };
    // as the archives unpack
    let inner = folder.join("LibriSpeech");
    let (root, parts) = match parts(folder)? {
        none if none.is_empty() && inner.is_dir() => (inner.clone(), parts(&inner)?),
        parts => (folder.to_owned(), parts),
    };
    let mut found = Found(FileList {
        name: NAME,
        version: VERSION,
        source: ORIGINAL.to_owned(),
        root,
        lists: Vec::new(),
        utterances: Vec::new(),
        unusable: Vec::new(),
        missing: Missing::default(),
        splitting: None,
    });
    for part in &parts {
        found.part(part, role(part).unwrap_or(Role::Train))?;
    }
    if parts.is_empty() {
        found.part("", Role::Train)?;
        let utterances = found.0.utterances.iter_mut().map(|(utterance, _)| utterance);
        if found.0.lists.is_empty() {
            return Err(DataError::NotTheTask {
                task: NAME,
                path: folder.to_owned(),
                missing: "<speaker>/<chapter>/<speaker>-<chapter>.trans.txt",
            });
        }
        let splitting = part_by_speaker(utterances).map_err(|reason| DataError::UnknownVariant {
            task: NAME,
            path: folder.to_owned(),
            reason,
        })?;
        found.0.splitting = Some(splitting);
    }
    Ok(found.0)
}

/// What was found so far.
struct Found(FileList);

/// A line of a chapter's transcripts.
struct Line {
    number: u64,
    text: String,
}

impl Found {
    /// Takes in `<root>/<part>/<speaker>/<chapter>`; an empty part is the root itself.
    fn part(&mut self, part: &str, role: Role) -> Result<(), DataError> {
        let below = |folder: &str, name: &str| match folder.is_empty() {
            true => name.to_owned(),
            false => format!("{folder}/{name}"),
        };
        for speaker in folders(&self.0.root.join(part))? {
            let folder = below(part, &speaker);
            for chapter in folders(&self.0.root.join(&folder))? {
                let place = Place {
                    part,
                    role,
                    speaker: &speaker,
                    chapter: &chapter,
                    folder: below(&folder, &chapter),
                };
                self.chapter(&place)?;
            }
        }
        Ok(())
    }

    fn chapter(&mut self, place: &Place) -> Result<(), DataError> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for (name, is_folder) in names(&self.0.root.join(&place.folder))? {
            if is_folder || !ends_in(&name, &ENDINGS) {
                continue;
            }
            let id = name.rsplit_once('.').map_or("", |(id, _)| id).to_owned();
            let file = format!("{}/{name}", place.folder);
            if let Some(other) = files.insert(id, file) {
                return Err(DataError::BadSample {
                    path: self.0.root.join(&place.folder).join(&name),
                    reason: format!("it has the same name as {other}"),
                });
            }
        }
        let list = format!("{}/{}-{}.trans.txt", place.folder, place.speaker, place.chapter);
        let path = self.0.root.join(&list);
        let mut lines = BTreeMap::new();
        if path.is_file() {
            lines = transcripts(&path)?;
            self.0.lists.push(list.clone());
        }
        for (id, file) in files {
            match lines.remove(&id) {
                Some(line) => self.0.utterances.push((place.utterance(id, line, &path)?, file)),
                None => self.0.unusable.push(Skipped {
                    id,
                    reason: format!("it has no transcript in {list}"),
                }),
            }
        }
        self.0.missing.count += lines.len();
        let room = SHOWN.saturating_sub(self.0.missing.first.len());
        self.0.missing.first.extend(lines.into_keys().take(room));
        Ok(())
    }
}

/// Where utterances of one chapter lie.
struct Place<'a> {
    part: &'a str,
    role: Role,
    speaker: &'a str,
    chapter: &'a str,
    folder: String,
}

impl Place<'_> {
    fn utterance(&self, id: String, line: Line, list: &Path) -> Result<Utterance, DataError> {
        let bad = |reason: String| DataError::BadRow {
            path: list.to_owned(),
            line: line.number,
            reason,
        };
        let text = normalise_text(&line.text).map_err(|error| bad(error.to_string()))?;
        if text.is_empty() {
            return Err(bad("the transcript is empty".to_owned()));
        }
        Ok(Utterance {
            id,
            speaker: Some(self.speaker.to_owned()),
            text,
            role: self.role,
            part: self.part.to_owned(),
            spans: Vec::new(),
        })
    }
}

/// The lines of a chapter's transcripts by id.
fn transcripts(path: &Path) -> Result<BTreeMap<String, Line>, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let mut lines = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let (id, text) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let text = text.to_owned();
        if lines.insert(id.to_owned(), Line { number, text }).is_some() {
            return Err(DataError::BadRow {
                path: path.to_owned(),
                line: number,
                reason: format!("'{id}' is listed a second time"),
            });
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
