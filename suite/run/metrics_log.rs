//! The log of a run's training, `metrics.jsonl`: one JSON object a line, appended at every step
//! worth a line.
//!
//! A resumed run cuts the log back to its checkpoint, so that the file reads as if nothing had
//! happened.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An open log.
#[derive(Debug)]
pub struct MetricsLog {
    /// None where another rank writes the log.
    file: Option<File>,
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
        let kept = match last_step {
            Some(last_step) => lines_up_to(path, last_step).map_err(failed("read"))?,
            None => Vec::new(),
        };
        // a new file in place of the old one: nothing is written through a link that lies there
        bridle_files::replace(path, &kept).map_err(failed("cut"))?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed("open"))?;
        Ok(Self {
            file: Some(file),
            path: path.to_owned(),
        })
    }

    /// A log of which nothing is written, since another rank writes it.
    pub fn unwritten() -> Self {
        Self {
            file: None,
            path: PathBuf::new(),
        }
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
        self.file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(&line))
            .map_err(failed)
    }
}

/// The leading whole lines whose step is at most `last_step`; none if there is no plain file.
fn lines_up_to(path: &Path, last_step: u64) -> io::Result<Vec<u8>> {
    let is_file = path.symlink_metadata().is_ok_and(|kind| kind.is_file());
    let text = if is_file { std::fs::read(path)? } else { Vec::new() };
    let is_kept = |line: &&[u8]| {
        line.ends_with(b"\n") && serde_json::from_slice::<Stamp>(line).is_ok_and(|stamp| stamp.step <= last_step)
    };
    Ok(text
        .split_inclusive(|&byte| byte == b'\n')
        .take_while(is_kept)
        .collect::<Vec<_>>()
        .concat())
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

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("metrics.jsonl"));
        std::fs::write(&victim, "{\"step\":1}\nprecious").unwrap();
        for (link, last_step) in [("soft", None), ("soft", Some(3)), ("hard", None), ("hard", Some(3))] {
            let _ = std::fs::remove_file(&path);
            match link {
                "soft" => std::os::unix::fs::symlink(&victim, &path).unwrap(),
                _ => std::fs::hard_link(&victim, &path).unwrap(),
            }
            let mut log = MetricsLog::open(&path, last_step).unwrap();
            log.append(4, &json!({"loss": 2.0})).unwrap();
            assert_eq!(
                std::fs::read_to_string(&victim).unwrap(),
                "{\"step\":1}\nprecious",
                "{link}"
            );
        }
    }
}
