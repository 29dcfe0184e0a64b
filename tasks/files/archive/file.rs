//! One open file shared by any number of readers, each with its own position.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::error::ArchiveError;

/// Archive directories are read in small pieces; members in large ones that bypass the buffer.
const BUFFER: usize = 16 << 10;

/// A reader of a shared file, or of a part of it. A clone starts at the same position and moves
/// independently.
pub(super) struct SharedFile {
    file: Arc<File>,
    /// The system's number of its first error in reading the file; 0 for none. Readers of archives
    /// turn errors into words.
    fault: Arc<AtomicI32>,
    /// Where the part begins; positions are relative to it.
    start: u64,
    length: u64,
    position: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl SharedFile {
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let open = || {
            let file = bridle_files::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|source| ArchiveError::unreadable(path, source))?;
        Ok(Self {
            file: Arc::new(file),
            fault: Arc::default(),
            start: 0,
            length,
            position: 0,
            buffer: Vec::new(),
            buffer_at: 0,
        })
    }

    /// The part of `length` bytes from `start` on, at `position` of it.
    fn shared(&self, start: u64, length: u64, position: u64) -> Self {
        Self {
            file: Arc::clone(&self.file),
            fault: Arc::clone(&self.fault),
            start,
            length,
            position,
            buffer: Vec::new(),
            buffer_at: 0,
        }
    }

    /// The error of the system behind a failed read, if there was one; else `other`.
    pub fn or_fault(&self, path: &Path, other: ArchiveError) -> ArchiveError {
        match self.fault.load(Ordering::Relaxed) {
            0 => other,
            number => ArchiveError::unreadable(path, io::Error::from_raw_os_error(number)),
        }
    }

    fn read_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
        read_at(&self.file, into, position).inspect_err(|error| {
            let number = error
                .raw_os_error()
                .filter(|_| error.kind() != io::ErrorKind::Interrupted);
            self.fault.fetch_max(number.unwrap_or(0), Ordering::Relaxed);
        })
    }

    /// Bytes of the file when it was opened.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// A reader that starts at `position`.
    pub fn at(&self, position: u64) -> Self {
        self.shared(self.start, self.length, position)
    }

    /// The `length` bytes from `position` as a file of their own; they must be within this one.
    pub fn part(&self, position: u64, length: u64) -> Self {
        self.shared(self.start + position, length, 0)
    }

    /// Reads `length` bytes at `position`, which must be within the file: no memory is allocated
    /// for bytes that do not exist.
    pub fn bytes(&self, position: u64, length: u64) -> io::Result<Vec<u8>> {
        if position.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.at(position).read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The buffered bytes from the position on.
    fn buffered(&self) -> &[u8] {
        let start = self.position.checked_sub(self.buffer_at);
        start.and_then(|start| self.buffer.get(start as usize..)).unwrap_or(&[])
    }
}

impl Clone for SharedFile {
    fn clone(&self) -> Self {
        self.at(self.position)
    }
}

impl Read for SharedFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffered().is_empty() {
            let left = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
            if into.len() >= BUFFER {
                let within = into.len().min(left);
                let read = self.read_at(&mut into[..within], self.start + self.position)?;
                self.position += read as u64;
                return Ok(read);
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(BUFFER.min(left), 0);
            let read = self.read_at(&mut buffer, self.start + self.position)?;
            buffer.truncate(read);
            (self.buffer, self.buffer_at) = (buffer, self.position);
        }
        let read = self.buffered().read(into)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(unix)]
pub(crate) fn read_at(file: &File, into: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, position)
}

#[cfg(windows)]
pub(crate) fn read_at(file: &File, into: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, position)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    #[test]
    fn an_error_of_the_system_is_told_from_damage() {
        // reading a folder is an error of the system
        let file = Arc::new(File::open(std::env::temp_dir()).unwrap());
        let (fault, buffer) = (Arc::default(), Vec::new());
        let file = SharedFile {
            file,
            fault,
            start: 0,
            length: 100,
            position: 0,
            buffer,
            buffer_at: 0,
        };
        let damaged = || ArchiveError::damaged(Path::new("a.zip"), "it is damaged");
        assert!(matches!(
            file.or_fault(Path::new("a.zip"), damaged()),
            ArchiveError::Damaged { .. }
        ));
        // beyond the end is damage
        assert!(SharedFile::bytes(&file, 90, 20).is_err());
        assert!(matches!(
            file.or_fault(Path::new("a.zip"), damaged()),
            ArchiveError::Damaged { .. }
        ));
        assert!(SharedFile::bytes(&file.part(10, 20), 0, 5).is_err());
        assert!(matches!(
            file.or_fault(Path::new("a.zip"), damaged()),
            ArchiveError::Unreadable { .. }
        ));
    }
}
