//! LibriSpeech: read English speech with transcripts, 16 kHz (Panayotov et al. 2015).
//!
//! `<part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac` beside
//! `<speaker>-<chapter>.trans.txt`, whose lines are an id and its transcript. Parts are called
//! `train-*`, `dev-*` and `test-*`. Without such folders, the data's folder holds the speakers
//! itself, and every third one is for testing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::data::listing::{Entry, Listing};
use crate::data::speech::open::{ENDINGS, split_by_speaker};
use crate::files::folder::{ends_in, names, stem};
use crate::files::locate::Origin;
use crate::files::table::lines;
use crate::files::tree::Tree;
use crate::{
    DataError, Progress, Role, Skipped, SpeechInput, SpeechRequest, SpeechSet, SpeechSpec, SpeechTask, Utterance,
    normalise_text,
};

const NAME: &str = "librispeech";
const VERSION: u32 = 1;
const ORIGINAL: &str = "https://www.openslr.org/12";
/// How many of the missing utterances are named.
const SHOWN: usize = 5;

/// LibriSpeech, or any part of it.
pub(crate) struct LibriSpeech;

impl SpeechTask for LibriSpeech {
    fn spec(&self) -> SpeechSpec {
        SpeechSpec {
            name: NAME,
            version: VERSION,
            summary: "read English sentences",
            input: SpeechInput::default(),
            source: ORIGINAL,
            licence: "CC BY 4.0",
            citation: "Panayotov, Chen, Povey and Khudanpur 2015, LibriSpeech",
        }
    }

    fn open(&self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        let folder = Origin::folder(NAME, ORIGINAL).locate(request.data.as_deref(), true, progress)?;
        list(&folder)?.open(request, progress)
    }
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

pub(crate) fn list(folder: &Path) -> Result<Listing<Utterance>, DataError> {
    let parts = |folder: &Path| -> Result<Vec<(String, Role)>, DataError> {
        let parts = folders(folder)?.into_iter();
        Ok(parts.filter_map(|name| Some((name.clone(), role(&name)?))).collect())
    };
    // as the archives unpack
    let inner = folder.join("LibriSpeech");
    let (root, parts) = match parts(folder)? {
        none if none.is_empty() && inner.is_dir() => (inner.as_path(), parts(&inner)?),
        parts => (folder, parts),
    };
    let mut listing = Listing::new(NAME, VERSION, ORIGINAL, Tree::folder(root), Vec::new());
    for (part, role) in &parts {
        add_part(&mut listing, part, *role)?;
    }
    if parts.is_empty() {
        add_part(&mut listing, "", Role::Train)?;
        if listing.lists.is_empty() {
            let missing = "<speaker>/<chapter>/<speaker>-<chapter>.trans.txt";
            return Err(DataError::not_the_task(NAME, folder, missing));
        }
        let splitting = split_by_speaker(&mut listing.entries);
        let splitting = splitting.map_err(|reason| DataError::unknown_variant(NAME, folder, reason))?;
        listing.splitting = Some(splitting);
    }
    Ok(listing)
}

/// Adds `<root>/<part>/<speaker>/<chapter>`; an empty part is the root itself.
fn add_part(listing: &mut Listing<Utterance>, part: &str, role: Role) -> Result<(), DataError> {
    let within = if part.is_empty() {
        String::new()
    } else {
        format!("{part}/")
    };
    for speaker in folders(&listing.tree.root().join(part))? {
        for chapter in folders(&listing.tree.root().join(format!("{within}{speaker}")))? {
            let folder = format!("{within}{speaker}/{chapter}");
            let list = format!("{folder}/{speaker}-{chapter}.trans.txt");
            let utterance = |id, text| Utterance {
                id,
                speaker: Some(speaker.clone()),
                text,
                role,
                part: part.to_owned(),
                spans: Vec::new(),
                source: None,
            };
            add_chapter(listing, &folder, list, utterance)?;
        }
    }
    Ok(())
}

/// Adds the utterances of one folder; `utterance` makes one of its id and transcript.
fn add_chapter(
    listing: &mut Listing<Utterance>,
    folder: &str,
    list: String,
    utterance: impl Fn(String, String) -> Utterance,
) -> Result<(), DataError> {
    let tree = Arc::clone(&listing.tree);
    let root = tree.root();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (name, is_folder) in names(&root.join(folder))? {
        if is_folder || !ends_in(&name, &ENDINGS) {
            continue;
        }
        let file = format!("{folder}/{name}");
        if let Some(other) = files.insert(stem(&name).to_owned(), file.clone()) {
            let reason = format!("it has the same name as {other}");
            return Err(DataError::bad_sample(root.join(file), reason));
        }
    }
    let path = root.join(&list);
    let mut lines = if path.is_file() {
        transcripts(&path)?
    } else {
        BTreeMap::new()
    };
    if path.is_file() {
        listing.lists.push(list.clone());
    }
    for (id, file) in files {
        let Some((line, text)) = lines.remove(&id) else {
            let reason = format!("it has no transcript in {list}");
            listing.unusable.push(Skipped { id, reason });
            continue;
        };
        let bad = |reason: String| DataError::bad_row(&path, line, reason);
        let text = normalise_text(&text).map_err(|error| bad(error.to_string()))?;
        if text.is_empty() {
            return Err(bad("the transcript is empty".to_owned()));
        }
        let (sample, file) = (utterance(id, text), Some(file));
        listing.entries.push(Entry { sample, file });
    }
    let missing = &mut listing.missing;
    missing.count += lines.len();
    let room = SHOWN.saturating_sub(missing.first.len());
    missing.first.extend(lines.into_keys().take(room));
    Ok(())
}

/// The lines of a chapter's transcripts by id: (line number, transcript).
fn transcripts(path: &Path) -> Result<BTreeMap<String, (u64, String)>, DataError> {
    let mut transcripts = BTreeMap::new();
    for (number, line) in lines(path)? {
        let (id, text) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        if transcripts.insert(id.to_owned(), (number, text.to_owned())).is_some() {
            return Err(DataError::bad_row(
                path,
                number,
                format!("'{id}' is listed a second time"),
            ));
        }
    }
    Ok(transcripts)
}

#[cfg(test)]
mod tests;
