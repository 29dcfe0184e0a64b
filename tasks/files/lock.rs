//! One program at a time: a lock on a file, which the system frees when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::Progress;

/// Takes the lock at `path`, telling `waiting` while another program has it; `None` where the file system has no locks.
/// It is held while the file lives.
pub(crate) fn exclusive(path: &Path, waiting: &str, progress: &dyn Progress) -> io::Result<Option<File>> {
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
