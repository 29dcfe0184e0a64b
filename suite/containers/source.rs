//! A file of weights while it is open: what is read later are the bytes that were hashed first.

use crate::ContainerError;
use crate::kind::{Kind, kind};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Bytes that one checksum is for, and that are read at once.
const BLOCK: usize = 64 << 10;

/// A file that was read once, block by block. Each later reading is held to the checksums.
pub(crate) struct Source {
    path: PathBuf,
    kind: Kind,
    length: u64,
    checksums: Vec<[u8; 32]>,
    file: Mutex<Open>,
}

struct Open {
    file: File,
    /// The block that was read last, and its number.
    last: Option<(u64, Vec<u8>)>,
}

impl Source {
    /// Reads a file through, and adds its bytes to `hash`.
    ///
    /// # Errors
    /// If it cannot be read, or its first bytes are of no file of weights.
    pub fn open(path: &Path, hash: &mut Sha256) -> Result<Self, ContainerError> {
        let failed = |source| ContainerError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = bridle_files::open(path).map_err(failed)?;
        let mut block = Vec::with_capacity(BLOCK);
        let mut next = |block: &mut Vec<u8>| {
            block.clear();
            (&mut file).take(BLOCK as u64).read_to_end(block).map_err(failed)
        };
        next(&mut block)?;
        let kind = kind(&block).map_err(|reason| ContainerError::content(path, reason))?;
        let (mut length, mut checksums) = (0, Vec::new());
        while !block.is_empty() {
            length += block.len() as u64;
            hash.update(&block);
            checksums.push(*blake3::hash(&block).as_bytes());
            next(&mut block)?;
        }
        Ok(Self {
            path: path.to_owned(),
            kind,
            length,
            checksums,
            file: Mutex::new(Open { file, last: None }),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The error of a file whose content is not what it should be.
    pub fn content(&self, reason: impl ToString) -> ContainerError {
        ContainerError::content(&self.path, reason)
    }

    /// Fills `bytes` with those of the file from `start` on.
    ///
    /// # Errors
    /// If the file cannot be read, has not so many bytes, or other ones than when it was opened.
    pub fn read(&self, mut start: u64, mut bytes: &mut [u8]) -> Result<(), ContainerError> {
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        while !bytes.is_empty() {
            let (number, at) = (start / BLOCK as u64, (start % BLOCK as u64) as usize);
            let block = self.block(&mut open, number)?;
            let rest = block.get(at..).filter(|rest| !rest.is_empty());
            let rest = rest.ok_or_else(|| self.content("it ends too early"))?;
            let count = rest.len().min(bytes.len());
            let (now, later) = bytes.split_at_mut(count);
            now.copy_from_slice(&rest[..count]);
            (start, bytes) = (start + count as u64, later);
        }
        Ok(())
    }

    /// The bytes from `start` on, `length` of them.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn bytes(&self, start: u64, length: usize) -> Result<Vec<u8>, ContainerError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(self.content("it ends too early"));
        }
        let mut bytes = vec![0; length];
        self.read(start, &mut bytes)?;
        Ok(bytes)
    }

    /// Lets what is read from now on come from the file, and not from what was read last.
    pub fn forget(&self) {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).last = None;
    }

    fn block<'a>(&self, open: &'a mut Open, number: u64) -> Result<&'a [u8], ContainerError> {
        let Open { file, last } = open;
        if last.as_ref().is_none_or(|(last, _)| *last != number) {
            let checksum = usize::try_from(number)
                .ok()
                .and_then(|number| self.checksums.get(number));
            let checksum = checksum.ok_or_else(|| self.content("it ends too early"))?;
            let mut block = last.take().map(|(_, block)| block).unwrap_or_default();
            block.clear();
            let mut again = || {
                file.seek(SeekFrom::Start(number * BLOCK as u64))?;
                file.take(BLOCK as u64).read_to_end(&mut block)
            };
            again().map_err(|source| ContainerError::Read {
                path: self.path.clone(),
                source,
            })?;
            if blake3::hash(&block).as_bytes() != checksum {
                return Err(self.content("it changed after it was opened"));
            }
            *last = Some((number, block));
        }
        Ok(last.as_ref().map_or(&[], |(_, block)| block))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.path).finish()
    }
}
