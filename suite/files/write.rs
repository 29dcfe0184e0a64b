//! Files that are whole or not there: replaced by rename, temporary until then, and locked while
//! somebody works on them. Nothing here follows a link that lies where a file is written.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Replaces a file as a whole: writes a temporary file beside it, flushes that to disk and renames
/// it. Makes the folder if it is missing.
///
/// # Errors
/// If the disk is full or the folder cannot be written; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Temporary::holding(path, bytes)?.rename_to(path)
}

/// A new, empty file at `path`, in place of what lies there.
///
/// # Errors
/// If the folder cannot be written, or a folder lies there.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Makes the folder if it is missing, and checks that a file can be written there.
///
/// # Errors
/// If it cannot.
pub fn prove_writable(folder: &Path) -> io::Result<()> {
    Temporary::holding(&folder.join("writable"), b"probe").map(drop)
}

/// A file under a temporary name, which is removed when this is dropped.
///
/// It is locked, and the system releases the lock of a program that dies. So a temporary file
/// without a lock is abandoned, whichever machine its program ran on.
#[derive(Debug)]
pub struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    /// An empty file in `folder`, named by `name` from a text that differs at every call.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn create(folder: &Path, name: impl Fn(&str) -> String) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(name(&format!("{}-{number}", std::process::id())));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            // whoever removes abandoned files may see this one before it is locked
            let is_taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
            if !is_taken && path.symlink_metadata().is_ok() {
                return Ok(Self { file, path });
            }
        }
    }

    /// A file beside `path` with this content, flushed to disk.
    ///
    /// # Errors
    /// If the disk is full or the folder cannot be made or written.
    pub fn holding(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut temporary = Self::create(folder, |unique| format!(".{name}.{unique}.tmp"))?;
        temporary.file.write_all(bytes)?;
        temporary.file.sync_all()?;
        Ok(temporary)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name for good, in place of the one that has it.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn rename_to(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // after a rename there is nothing to remove; after a failure nothing more can be done
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes from this folder the temporary files of programs that have died; `is_temporary` tells
/// them by their names. What cannot be removed stays.
pub fn remove_abandoned(folder: &Path, is_temporary: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !entry.file_name().to_str().is_some_and(&is_temporary) {
            continue;
        }
        let is_free = |file: File| file.try_lock().is_ok().then_some(file);
        if let Some(_lock) = File::open(entry.path()).ok().and_then(is_free) {
            // for tidiness only
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether this is how a temporary file beside another one is called: hidden, and ending in the number
/// of its program, perhaps with a number of its own, and `.tmp`.
pub fn is_temporary(name: &str) -> bool {
    let Some((before, number)) = name.strip_suffix(".tmp").and_then(|name| name.rsplit_once(['.', '-'])) else {
        return false;
    };
    before.starts_with('.') && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Takes the lock at `path`, which lasts while the file lives, and ends with the program. Calls
/// `waiting` before it waits for another program. None if the file system has no locks.
///
/// # Errors
/// If the file cannot be made, or the system refuses.
pub fn lock(path: &Path, waiting: impl FnOnce()) -> io::Result<Option<File>> {
    if path.is_symlink() {
        fs::remove_file(path)?;
    }
    // a named pipe would be opened forever
    if path.metadata().is_ok_and(|facts| !facts.is_file()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let outcome = match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            waiting();
            file.lock()
        }
        Err(TryLockError::Error(source)) => Err(source),
        Ok(()) => Ok(()),
    };
    match outcome {
        Ok(()) => Ok(Some(file)),
        Err(source) if source.kind() == ErrorKind::Unsupported => Ok(None),
        Err(source) => Err(source),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_replaced_file_is_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/a.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["a.json"]);
        prove_writable(path.parent().unwrap()).unwrap();
        assert_eq!(names(path.parent().unwrap()), ["a.json"]);
        assert!(replace(&path.join("c"), b"a file is no folder").is_err());
    }

    #[test]
    fn abandoned_files_go_and_those_in_use_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let in_use = Temporary::holding(&folder.join("a.json"), b"half").unwrap();
        for name in [
            ".a.json.17.tmp",
            ".a.json.17-3.tmp",
            ".writable-5.tmp",
            "mine.5.tmp",
            ".a.tmp",
        ] {
            fs::write(folder.join(name), "left").unwrap();
        }
        remove_abandoned(folder, is_temporary);
        let own = in_use.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(names(folder), [&own[..], ".a.tmp", "mine.5.tmp"]);
        drop(in_use);
        assert_eq!(names(folder), [".a.tmp", "mine.5.tmp"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_is_replaced_and_its_target_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("log"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(!link.is_symlink());
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        create(&link).unwrap().write_all(b"new").unwrap();
        assert!(!link.is_symlink());
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        drop(lock(&link, || ()).unwrap());
        assert!(!link.is_symlink() && !folder.path().join("nowhere").exists());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_lock_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path, || panic!("nobody has it")).unwrap().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| lock(&path, || sender.send(()).unwrap()).unwrap().is_some());
            receiver.recv().unwrap();
            drop(held);
            assert!(second.join().unwrap());
        });
    }
}
