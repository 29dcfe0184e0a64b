//! Paths of records and predictions, atomic writes, and search.

use crate::predictions::{Outputs, Predictions, PredictionsError, Transcripts};
use crate::record::{self, Data, RecordError, RunRecord};
use bridle_files::Temporary;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What goes wrong with files of records.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the folder {} cannot be written", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} does not exist", path.display())]
    Missing { path: PathBuf },
    #[error("no record in {}", paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    Empty { paths: Vec<PathBuf> },
    #[error("{}", path.display())]
    Record { path: PathBuf, source: RecordError },
    #[error("{}", path.display())]
    Predictions { path: PathBuf, source: PredictionsError },
    #[error("{} is no plain file", path.display())]
    NoFile { path: PathBuf },
    #[error("{} are not the predictions of {}: the record holds another SHA-256", path.display(), record.display())]
    OtherPredictions { path: PathBuf, record: PathBuf },
}

impl StoreError {
    /// Whether the machine failed, and nothing is known of the file.
    pub fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Read { source, .. } if bridle_files::is_of_the_machine(source))
    }
}

/// What names the files of a run.
#[derive(Clone, Debug)]
pub struct RunName<'a> {
    pub task: &'a str,
    /// `<method>` or `<method>-<quantizer>`.
    pub label: String,
    pub plan_hash: &'a str,
    pub data: &'a Data,
    pub backend: &'a str,
    pub dtype: &'a str,
    pub seed: u64,
    pub fold: Option<u8>,
}

impl<'a> RunName<'a> {
    pub fn of(record: &'a RunRecord) -> Self {
        Self {
            task: record.task(),
            label: match record.quantizer() {
                Some(quantizer) => format!("{}-{quantizer}", record.method()),
                None => record.method().to_owned(),
            },
            plan_hash: &record.plan_hash,
            data: &record.data,
            backend: &record.backend.name,
            dtype: &record.backend.dtype,
            seed: record.seed,
            fold: record.fold,
        }
    }

    /// The path of its record below the folder of records:
    /// `<task>/<method>[-<quantizer>]/<plan hash>[-<data>]-<backend>-<dtype>-s<seed>[-f<fold>].json`.
    /// `data` is the start of its identity, where plan and task do not say which data it is.
    pub fn path(&self) -> PathBuf {
        let hash: String = self.plan_hash.chars().take(12).collect();
        let data = if self.data.is_own() {
            format!("-{}", self.data.short_identity())
        } else {
            String::new()
        };
        let fold = self.fold.map(|fold| format!("-f{fold}")).unwrap_or_default();
        let (backend, dtype, seed) = (self.backend, self.dtype, self.seed);
        let file = format!("{hash}{data}-{backend}-{dtype}-s{seed}{fold}.json");
        folder(self.task, &self.label).join(file_name(&file))
    }
}

/// The folder of such records below the folder of records: `<task>/<method>[-<quantizer>]`.
pub fn folder(task: &str, label: &str) -> PathBuf {
    [task, label].map(file_name).iter().collect()
}

/// A name as a single path component: a task file may have any name.
fn file_name(name: &str) -> String {
    let keeps = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().map(|c| if keeps(c) { c } else { '-' }).collect();
    if name.starts_with('.') {
        format!("-{name}")
    } else {
        name
    }
}

/// Makes a folder of records if it is missing, and checks that a file can be written there, so that a
/// long run does not fail at its end. Removes what killed programs left there.
pub fn prove_writable(folder: &Path) -> Result<(), StoreError> {
    let path = || folder.to_path_buf();
    bridle_files::prove_writable(folder).map_err(|source| StoreError::NotWritable { path: path(), source })?;
    bridle_files::remove_abandoned(folder, bridle_files::is_temporary);
    Ok(())
}

/// Writes a record and its predictions below `out` and returns the record's path. Replaces those of
/// the same plan, backend, seed and fold. The record names its predictions and is written last, so
/// that no record lacks them.
pub fn write(out: &Path, record: &RunRecord, predictions: Option<&Predictions>) -> Result<PathBuf, StoreError> {
    write_with(out, record, predictions.map(Predictions::to_csv))
}

/// Like [`write()`], with predictions of either form.
pub fn write_outputs(out: &Path, record: &RunRecord, outputs: &Outputs) -> Result<PathBuf, StoreError> {
    match outputs {
        Outputs::Scores(predictions) => write(out, record, Some(predictions)),
        Outputs::Transcripts(transcripts) => write_transcripts(out, record, transcripts),
    }
}

/// Like [`write()`], for a run that recognised speech.
pub fn write_transcripts(out: &Path, record: &RunRecord, transcripts: &Transcripts) -> Result<PathBuf, StoreError> {
    write_with(out, record, Some(transcripts.to_csv()))
}

fn write_with(
    out: &Path,
    record: &RunRecord,
    predictions: Option<Result<Vec<u8>, PredictionsError>>,
) -> Result<PathBuf, StoreError> {
    let record_path = out.join(RunName::of(record).path());
    let predictions_path = record_path.with_extension("predictions.csv");
    let csv = predictions.transpose().map_err(|source| StoreError::Predictions {
        path: predictions_path.clone(),
        source,
    })?;
    let name = predictions_path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let record = RunRecord {
        predictions: name.filter(|_| csv.is_some()),
        predictions_sha256: csv.as_deref().map(record::sha256),
        content_sha256: None,
        ..record.clone()
    };
    let text = record.with_hash().and_then(|record| record.to_json());
    let text = text.map_err(|source| StoreError::Record {
        path: record_path.clone(),
        source,
    })?;
    // both are on disk before the first is renamed, so that hardly anything can come between; what
    // comes between all the same is told by the hash in the record
    let temporary = |path: &Path, bytes: &[u8]| Temporary::holding(path, bytes).map_err(unwritable(path));
    let new_record = temporary(&record_path, text.as_bytes())?;
    if let Some(csv) = &csv {
        let new_predictions = temporary(&predictions_path, csv)?;
        new_predictions
            .rename_to(&predictions_path)
            .map_err(unwritable(&predictions_path))?;
    }
    new_record.rename_to(&record_path).map_err(unwritable(&record_path))?;
    if csv.is_none() && predictions_path.exists() {
        // left by the run that this one replaces
        fs::remove_file(&predictions_path).map_err(unwritable(&predictions_path))?;
    }
    Ok(record_path)
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Write { path, source }
}

/// Replaces a file as a whole; see [`bridle_files::replace`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    bridle_files::replace(path, bytes).map_err(unwritable(path))
}

pub fn read(path: &Path) -> Result<RunRecord, StoreError> {
    read_as(path, RunRecord::from_json)
}

/// Bytes of a record.
const LARGEST_RECORD: u64 = 256 << 20;
/// Bytes of the predictions of one record; those of ImageNet take half a gigabyte.
const LARGEST_PREDICTIONS: u64 = 8 << 30;

fn unreadable(path: &Path, source: io::Error) -> StoreError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::NotFound => StoreError::Missing { path },
        _ => StoreError::Read { path, source },
    }
}

fn read_as<T>(path: &Path, parse: impl Fn(&str) -> Result<T, RecordError>) -> Result<T, StoreError> {
    let bytes = bridle_files::read(path, LARGEST_RECORD).map_err(|source| unreadable(path, source))?;
    // text in another encoding is not JSON; replacement characters make the reader report it. Some
    // editors put a byte-order mark first
    parse(String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}')).map_err(|source| StoreError::Record {
        path: path.to_path_buf(),
        source,
    })
}

/// Reads the predictions of the record that lies at `record_path`. None where it has none.
///
/// # Errors
/// If the file is missing, no plain file, not the one that was written with the record, or no
/// predictions.
pub fn read_predictions(record_path: &Path, record: &RunRecord) -> Result<Option<Outputs>, StoreError> {
    let Some(name) = &record.predictions else {
        return Ok(None);
    };
    let path = record_path.with_file_name(name);
    // neither a link, which could lead anywhere, nor a device without end
    let kind = fs::symlink_metadata(&path).map_err(|source| unreadable(&path, source))?;
    if !kind.is_file() {
        return Err(StoreError::NoFile { path });
    }
    let csv = bridle_files::read(&path, LARGEST_PREDICTIONS).map_err(|source| unreadable(&path, source))?;
    if record
        .predictions_sha256
        .as_ref()
        .is_some_and(|sha256| *sha256 != record::sha256(&csv))
    {
        return Err(StoreError::OtherPredictions {
            path,
            record: record_path.to_path_buf(),
        });
    }
    Outputs::from_csv(&csv)
        .map(Some)
        .map_err(|source| StoreError::Predictions { path, source })
}

/// Reads every record among these files and folders once, in order of path; folders are searched
/// recursively for `*.json`, hidden files and folders, envelopes and JSON Schemas left out. Fails if a file is no
/// record, or if there is none at all.
pub fn find(paths: &[PathBuf]) -> Result<Vec<(PathBuf, RunRecord)>, StoreError> {
    find_as(paths, RunRecord::from_json)
}

/// Like [`find`], with another reader of records.
pub(crate) fn find_as<T>(
    paths: &[PathBuf],
    parse: impl Fn(&str) -> Result<T, RecordError>,
) -> Result<Vec<(PathBuf, T)>, StoreError> {
    let read = |file: PathBuf| read_as(&file, &parse).map(|record| (file, record));
    files(paths)?.into_iter().map(read).collect()
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for path in paths {
        let kind = fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if kind.is_dir() {
            search(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    if files.is_empty() {
        return Err(StoreError::Empty { paths: paths.to_vec() });
    }
    Ok(files)
}

/// How files end that are JSON and no records: those of `regress --write-envelope`, and JSON Schemas.
const NO_RECORDS: [&[u8]; 2] = [b".envelope.json", b".schema.json"];

fn search(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    let unreadable = |source| unreadable(folder, source);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        // such as `._x.json`, which macOS leaves on other file systems
        if name.starts_with(b".") || NO_RECORDS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        // a link to a folder is not followed: it could lead back here
        if entry.file_type().map_err(unreadable)?.is_dir() {
            search(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
