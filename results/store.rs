//! Paths of records and predictions, atomic writes, and search.

use crate::predictions::{Outputs, Predictions, PredictionsError, Transcripts};
use crate::record::{RecordError, RunRecord};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
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
}

/// The path of a record below its folder:
/// `<task>/<method>[-<quantizer>]/<plan hash>-<backend>-<dtype>-s<seed>[-f<fold>].json`.
pub fn path(record: &RunRecord) -> PathBuf {
    let method = match record.quantizer() {
        Some(quantizer) => format!("{}-{quantizer}", record.method()),
        None => record.method().to_string(),
    };
    let hash: String = record.plan_hash.chars().take(12).collect();
    let fold = record.fold.map(|fold| format!("-f{fold}")).unwrap_or_default();
    let (backend, seed) = (&record.backend, record.seed);
    let file = format!("{hash}-{}-{}-s{seed}{fold}.json", backend.name, backend.dtype);
    [record.task(), &method, &file].map(file_name).iter().collect()
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

/// Creates the folder if it is missing and checks that a file can be written there, so that a long
/// run does not fail at its end.
pub fn writable(out: &Path) -> Result<(), StoreError> {
    let probe = out.join(format!(".writable-{}.tmp", std::process::id()));
    let attempt = || {
        fs::create_dir_all(out)?;
        fs::write(&probe, b"probe")?;
        fs::remove_file(&probe)
    };
    attempt().map_err(|source| StoreError::NotWritable {
        path: out.to_path_buf(),
        source,
    })
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
    let record_path = out.join(path(record));
    let predictions_path = record_path.with_extension("predictions.csv");
    let mut record = record.clone();
    let has_predictions = predictions.is_some();
    record.predictions = match (&predictions, predictions_path.file_name()) {
        (Some(_), Some(name)) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    };
    let text = record.to_json().map_err(|source| StoreError::Record {
        path: record_path.clone(),
        source,
    })?;
    if let Some(csv) = predictions {
        let csv = csv.map_err(|source| StoreError::Predictions {
            path: predictions_path.clone(),
            source,
        })?;
        replace(&predictions_path, &csv)?;
    }
    replace(&record_path, text.as_bytes())?;
    if !has_predictions && predictions_path.exists() {
        // left by the run that this one replaces
        fs::remove_file(&predictions_path).map_err(|source| StoreError::Write {
            path: predictions_path.clone(),
            source,
        })?;
    }
    Ok(record_path)
}

/// Replaces a file atomically: writes a temporary file beside it, flushes it to disk, renames it.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let attempt = || {
        fs::create_dir_all(folder)?;
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    attempt().map_err(|source| {
        // nothing more can be done if even the half-written file cannot be removed
        let _ = fs::remove_file(&temporary);
        StoreError::Write {
            path: path.to_path_buf(),
            source,
        }
    })
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
    // text in another encoding is not JSON; replacement characters make the reader report it
    parse(&String::from_utf8_lossy(&bytes)).map_err(|source| StoreError::Record {
        path: path.to_path_buf(),
        source,
    })
}

/// Reads the predictions of the record that lies at `record_path`. None where it has none.
pub fn read_predictions(record_path: &Path, record: &RunRecord) -> Result<Option<Outputs>, StoreError> {
    let Some(name) = &record.predictions else {
        return Ok(None);
    };
    let path = record_path.with_file_name(name);
    let csv = bridle_files::read(&path, LARGEST_PREDICTIONS).map_err(|source| unreadable(&path, source))?;
    Outputs::from_csv(&csv)
        .map(Some)
        .map_err(|source| StoreError::Predictions { path, source })
}

/// Reads every record among these files and folders once, in order of path; folders are searched
/// recursively for `*.json`. Fails if a file is no record, or if there is none at all.
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

fn search(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    let unreadable = |source| unreadable(folder, source);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
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
