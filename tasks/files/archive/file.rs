//! One open file shared by any number of readers, each with its own position.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::error::ArchiveError;

/// Archive directories are read in small pieces; members in large ones that bypass the buffer.
const BUFFER: usize = 16 << 10;

/// A reader of a shared file, or of a part of it. A clone starts at the same position and moves
/// independently.
pub(super) struct SharedFile {
    file: Arc<File>,
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
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|source| ArchiveError::unreadable(path, source))?;
        Ok(Self::new(Arc::new(file), 0, length, 0))
    }

    fn new(file: Arc<File>, start: u64, length: u64, position: u64) -> Self {
        let (buffer, buffer_at) = (Vec::new(), 0);
        Self {
            file,
            start,
            length,
            position,
            buffer,
            buffer_at,
        }
    }

    /// Bytes of the file when it was opened.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// A reader that starts at `position`.
    pub fn at(&self, position: u64) -> Self {
        Self::new(Arc::clone(&self.file), self.start, self.length, position)
    }

    /// The `length` bytes from `position` as a file of their own; they must be within this one.
    pub fn part(&self, position: u64, length: u64) -> Self {
        Self::new(Arc::clone(&self.file), self.start + position, length, 0)
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
                let read = read_at(&self.file, &mut into[..within], self.start + self.position)?;
                self.position += read as u64;
                return Ok(read);
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(BUFFER.min(left), 0);
            let read = read_at(&self.file, &mut buffer, self.start + self.position)?;
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
fn read_at(file: &File, into: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, position)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, position)
}
