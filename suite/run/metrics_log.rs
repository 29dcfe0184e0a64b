//! The log of a run's training, `metrics.jsonl`: one JSON object a line, appended at every step
//! worth a line.
//!
//! A resumed run cuts the log back to its checkpoint, so that the file reads as if nothing had
//! happened.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// An open log.
#[derive(Debug)]
pub struct MetricsLog {
    file: File,
    path: PathBuf,
}

/// What every line has: the optimizer step, counted over all phases of the run.
#[derive(Deserialize)]
struct Stamp {
    step: u64,
}

/// A line as written: the step first, then the caller's fields.
#[derive(Serialize)]
struct Line<'a, T> {
    step: u64,
    #[serde(flatten)]
    fields: &'a T,
}

/// The log could not be opened, cut or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} the training log `{}`", path.display())]
pub struct LogError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl LogError {
    /// The log's folder could not be made.
    pub fn folder(path: &Path, source: io::Error) -> Self {
        Self {
            verb: "make the folder of",
            path: path.to_owned(),
            source,
        }
    }
}

impl MetricsLog {
    /// Opens the log at `path`, keeping the lines of steps up to and including `last_step` of an
    /// earlier run; `None` starts an empty log. Lines after that step and a line torn by a crash
    /// are cut off.
    ///
    /// # Errors
    /// If the file cannot be read, cut or created.
    pub fn open(path: &Path, last_step: Option<u64>) -> Result<Self, LogError> {
        let failed = |verb| {
            move |source| LogError {
                verb,
                path: path.to_owned(),
                source,
            }
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed("open"))?;
        let keep = match last_step {
            Some(last_step) => length_up_to(&file, last_step).map_err(failed("read"))?,
            None => 0,
        };
        file.set_len(keep).map_err(failed("cut"))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Appends one line: `{"step": .., <fields>}`, where `fields` is a struct or map. It is in the
    /// file when this returns.
    ///
    /// # Errors
    /// If the disk is full or the file is gone.
    pub fn append<T: Serialize>(&mut self, step: u64, fields: &T) -> Result<(), LogError> {
        let failed = |source| LogError {
            verb: "write",
            path: self.path.clone(),
            source,
        };
        let mut line = serde_json::to_vec(&Line { step, fields }).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        // one write call, so that a kill leaves at most one torn line, at the end
        self.file.write_all(&line).map_err(failed)
    }
}

/// Bytes of the leading whole lines whose step is at most `last_step`.
fn length_up_to(file: &File, last_step: u64) -> io::Result<u64> {
    let mut reader = BufReader::new(file);
    let (mut keep, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        let kept = line.ends_with(b"\n") && serde_json::from_slice::<Stamp>(&line).is_ok_and(|s| s.step <= last_step);
        if !kept {
            return Ok(keep);
        }
        keep += length as u64;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resumed_log_equals_an_unbroken_one() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &Path, last_step, steps: std::ops::Range<u64>| {
            let mut log = MetricsLog::open(path, last_step).unwrap();
            steps.for_each(|step| log.append(step, &json!({"loss": step as f64 / 3.0})).unwrap());
        };
        let (unbroken, broken) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl"));
        write(&unbroken, None, 0..20);
        write(&broken, None, 0..13);
        OpenOptions::new()
            .append(true)
            .open(&broken)
            .unwrap()
            .write_all(b"{\"step\":13,\"lo")
            .unwrap();
        write(&broken, Some(9), 10..20);
        assert_eq!(std::fs::read(&unbroken).unwrap(), std::fs::read(&broken).unwrap());
    }

    #[test]
    fn a_fresh_log_forgets_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        MetricsLog::open(&path, None)
            .unwrap()
            .append(1, &json!({"loss": 2.0}))
            .unwrap();
        MetricsLog::open(&path, None).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
