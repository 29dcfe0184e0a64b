//! Reads files that others wrote: only regular files, and no more of them than a limit.
//!
//! A named pipe or a terminal may never end, and a device or a file with holes may be larger than
//! memory. Links are followed.

use crate::foreign::foreign;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a text: a list of samples, a table of labels, a model of language.
pub const TEXT: u64 = 512 << 20;

/// Most bytes of settings: a plan, a task file, a gate.
pub const SETTINGS: u64 = 16 << 20;

/// Opens a regular file.
///
/// # Errors
/// If there is no such file, it cannot be opened, or it is something else: a folder, a named pipe, a
/// socket or a device.
pub fn open(path: &Path) -> io::Result<File> {
    // opening a named pipe would wait for somebody who writes to it
    regular(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// The content of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`], and if the file is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
    // a file that grows meanwhile is too large too
    file.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes),
    }
}

/// As [`read`], for text in UTF-8.
///
/// # Errors
/// As [`read`], and if the content is no UTF-8.
pub fn text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let kind = foreign(error.as_bytes()).unwrap_or("not text in UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, format!("it is {kind}"))
    })
}

/// Whether an error says that the machine failed, not that the file is wrong: no memory, no room, no
/// descriptors, a time-out, a disk or a network that fails.
pub fn is_of_the_machine(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    /// ELOOP, links in a circle, whose kind has no stable name.
    const CIRCLE: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };
    match error.kind() {
        Kind::NotFound
        | Kind::PermissionDenied
        | Kind::AlreadyExists
        | Kind::DirectoryNotEmpty
        | Kind::ReadOnlyFilesystem
        | Kind::CrossesDevices
        | Kind::TooManyLinks
        | Kind::IsADirectory
        | Kind::NotADirectory
        | Kind::InvalidData
        | Kind::InvalidInput
        | Kind::UnexpectedEof
        | Kind::Unsupported
        | Kind::InvalidFilename => false,
        // what a reader says of the content, or of a file beyond its limit, has no number of the system
        Kind::Other | Kind::FileTooLarge => error.raw_os_error().is_some(),
        _ => error.raw_os_error() != Some(CIRCLE),
    }
}

fn regular(facts: &std::fs::Metadata) -> io::Result<()> {
    if facts.is_file() {
        Ok(())
    } else if facts.is_dir() {
        Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder, not a file",
        ))
    } else {
        let reason = "it is no regular file, but a pipe, a socket or a device";
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }
}

/// The error of a file with more than `limit` bytes.
pub fn too_large(limit: u64) -> io::Error {
    let reason = format!("it has more than {limit} bytes, the most that such a file may have");
    io::Error::new(io::ErrorKind::FileTooLarge, reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    #[test]
    fn a_regular_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"abc");
        assert_eq!(text(&path, 3).unwrap(), "abc");
        assert_eq!(read(&path, 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(text(&path, 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, [0x1f, 0x8b, 8]).unwrap();
        assert!(text(&path, 3).unwrap_err().to_string().contains("gunzip"));
        // holes take no room on the disk, but would in memory
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        assert_eq!(read(&path, TEXT).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(folder.path(), 3).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(
            read(&folder.path().join("b"), 3).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &link] {
            let error = read(path, 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
            assert!(!is_of_the_machine(&error));
        }
    }

    #[cfg(unix)]
    #[test]
    fn faults_of_the_machine_are_told_from_wrong_files() {
        // EMFILE, ENOSPC, ENOMEM, EIO, ETIMEDOUT, ESTALE, ENFILE, EDQUOT, EFBIG
        for number in [24, 28, 12, 5, 110, 116, 23, 122, 27] {
            assert!(is_of_the_machine(&io::Error::from_raw_os_error(number)), "{number}");
        }
        // ENOENT, EACCES, EISDIR, EROFS, EEXIST
        for number in [2, 13, 21, 30, 17] {
            assert!(!is_of_the_machine(&io::Error::from_raw_os_error(number)), "{number}");
        }
        assert!(!is_of_the_machine(&io::Error::other("a bad sample")) && !is_of_the_machine(&too_large(10)));
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        assert!(!is_of_the_machine(&File::open(&link).unwrap_err()));
    }
}
