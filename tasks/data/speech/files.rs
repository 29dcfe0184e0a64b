//! Sound files of utterances, decoded whenever they are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Listed, Listing, Role, Sound, SpeechRequest, SpeechSet, Utterance};
use crate::files::folder::ends_in;
use crate::files::hashes::{KnownHashes, Stamp};
use crate::{DataError, Missing, Progress, RESAMPLER_VERSION, Skipped, cache, decode, resample};

/// Endings of sound files.
pub(crate) const ENDINGS: [&str; 2] = ["flac", "wav"];

/// One file, as it was when it was hashed.
pub(crate) struct SoundFile {
    /// Relative to the root.
    pub name: String,
    /// Its size and time of change.
    pub stamp: Stamp,
}

/// One file for each utterance.
pub(crate) struct SoundFiles {
    pub root: PathBuf,
    pub files: Vec<SoundFile>,
}

impl Sound for SoundFiles {
    fn key(&self) -> String {
        format!("files resampler {RESAMPLER_VERSION}")
    }

    fn wave(&self, index: usize, sample_rate: u32) -> Result<Vec<f32>, String> {
        let path = self.path(index);
        match Stamp::of(&path) {
            Ok(stamp) if stamp == self.files[index].stamp => read(&path, sample_rate),
            Ok(_) => Err("it was changed since the data was opened".to_owned()),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }

    fn path(&self, index: usize) -> PathBuf {
        self.root.join(&self.files[index].name)
    }
}

/// A sound file as one channel at `sample_rate` hertz; a sample that is no number is an error.
pub(crate) fn read(path: &Path, sample_rate: u32) -> Result<Vec<f32>, String> {
    let content = std::fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let wave = decode(content, &ending).map_err(|error| error.to_string())?;
    match wave.samples.iter().position(|sample| !sample.is_finite()) {
        Some(place) => Err(format!(
            "sample {place} is {}, not a finite number",
            wave.samples[place]
        )),
        None => Ok(resample(wave.samples, wave.sample_rate, sample_rate)),
    }
}

/// A data set of sound files, before they were hashed.
pub(crate) struct FileList {
    /// The task's name.
    pub name: &'static str,
    /// The task's version.
    pub version: u32,
    /// Where the original lies.
    pub source: String,
    /// The folder that file names are relative to.
    pub root: PathBuf,
    /// Files that say what there is, relative to the root.
    pub lists: Vec<String>,
    /// Utterances with their files.
    pub utterances: Vec<(Utterance, String)>,
    /// Utterances that cannot be used.
    pub unusable: Vec<Skipped>,
    /// Listed utterances without a file.
    pub missing: Missing,
    /// How utterances came into their parts, where the data does not say.
    pub splitting: Option<String>,
}

impl FileList {
    /// Hashes the files and opens the data set.
    pub fn open(mut self, request: &SpeechRequest, progress: &dyn Progress) -> Result<SpeechSet, DataError> {
        if let Some(n) = request.subset {
            let mut taken: BTreeMap<String, usize> = BTreeMap::new();
            self.utterances.retain(|(utterance, _)| {
                let taken = taken.entry(utterance.part.clone()).or_insert(0);
                *taken += 1;
                *taken <= n
            });
        }
        let pool = cache::pool(request.threads)?;
        let names: BTreeSet<String> = self.utterances.iter().map(|(_, file)| file.clone()).collect();
        let names = names.into_iter().chain(self.lists).collect();
        let remembered = KnownHashes::read(&self.root, &request.cache.join(self.name));
        let (manifest, stamps) = remembered.manifest(names, &pool, progress)?;
        let (mut listed, mut files) = (Vec::new(), Vec::new());
        for (utterance, name) in self.utterances {
            let place = manifest.position(&name).expect("every utterance's file was hashed");
            let file = manifest.get(&name).expect("every utterance's file was hashed");
            // flac takes about half of what it holds
            let packing = if ends_in(&name, &["flac"]) { 2 } else { 1 };
            listed.push(Listed {
                utterance,
                content: file.sha256.clone(),
                bytes: packing * file.bytes,
            });
            let stamp = stamps[place];
            files.push(SoundFile { name, stamp });
        }
        let listing = Listing {
            name: self.name,
            version: self.version,
            source: self.source,
            root: self.root.clone(),
            utterances: listed,
            unusable: self.unusable,
            missing: self.missing,
            splitting: self.splitting,
            manifest_sha256: manifest.sha256(),
            sound: Box::new(SoundFiles { root: self.root, files }),
        };
        listing.open(request, progress)
    }
}

/// Makes every third speaker by name one for testing, the last where there are two; says so.
///
/// # Errors
/// If there are fewer than two speakers.
pub(crate) fn part_by_speaker<'a>(utterances: impl Iterator<Item = &'a mut Utterance>) -> Result<String, String> {
    let utterances: Vec<&mut Utterance> = utterances.collect();
    let speakers: BTreeSet<String> = utterances.iter().filter_map(|one| one.speaker.clone()).collect();
    if speakers.len() < 2 {
        return Err(format!(
            "nothing says what is for training and what for testing, and {} speaker cannot be parted",
            speakers.len()
        ));
    }
    let number = |speaker: &Option<String>| speakers.iter().position(|known| Some(known) == speaker.as_ref());
    for utterance in utterances {
        let is_test = match number(&utterance.speaker) {
            Some(number) if speakers.len() == 2 => number == 1,
            Some(number) => number % 3 == 2,
            None => false,
        };
        let (role, part) = if is_test {
            (Role::Test, "test")
        } else {
            (Role::Train, "train")
        };
        (utterance.role, utterance.part) = (role, part.to_owned());
    }
    Ok("every third speaker by name is for testing".to_owned())
}
