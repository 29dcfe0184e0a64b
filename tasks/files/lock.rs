//! A lock on a file, so that one program works at a time. The system releases it when the program
//! dies.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::Progress;

/// Takes the lock at `path` and keeps it while the file lives. Reports `waiting` while another
/// program has it. `None` if the file system has no locks.
pub(crate) fn exclusive(path: &Path, waiting: &str, progress: &dyn Progress) -> io::Result<Option<File>> {
    let mut waited = false;
    let lock = bridle_files::lock(path, || {
        waited = true;
        progress.start(waiting, 0);
    });
    if waited {
        progress.finish();
    }
    lock
}
