//! A lock on a file, so that one program works at a time. The system releases it when the program
//! dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::Progress;

/// Takes the lock at `path` and keeps it while the file lives. Reports `waiting` while another
/// program has it. `None` if the file system has no locks.
pub(crate) fn exclusive(path: &Path, waiting: &str, progress: &dyn Progress) -> io::Result<Option<File>> {
    // a named pipe would be opened forever
    if std::fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let outcome = match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            progress.start(waiting, 0);
            let outcome = file.lock();
            progress.finish();
            outcome
        }
        Err(TryLockError::Error(source)) => Err(source),
        Ok(()) => Ok(()),
    };
    match outcome {
        Ok(()) => Ok(Some(file)),
        Err(source) if source.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(source) => Err(source),
    }
}
