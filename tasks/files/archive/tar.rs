//! Tar files: one pass over the headers locates each member, which is then read in place.
//!
//! A tar that contains only tars, such as ImageNet's, has the members of the inner ones, each below
//! its inner tar's name.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ::tar::EntryType;

use super::error::ArchiveError;
use super::file::SharedFile;
use super::members::{Members, check_names, check_size};

const BLOCK: u64 = 512;
const ENDING: &str = ".tar";

/// Bytes of all headers of one member, with long names and extensions (GNU, PAX).
const MOST_HEADERS: u64 = 256 << 10;

/// An archive's file, of which no more may be read than a member's headers.
struct Headers {
    file: SharedFile,
    left: Rc<Cell<u64>>,
}

impl Read for Headers {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left.get()).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(io::Error::other("a name or an extension in it is too long"));
        }
        let within = into.len().min(left);
        let read = self.file.read(&mut into[..within])?;
        self.left.set(self.left.get() - read as u64);
        Ok(read)
    }
}

impl Seek for Headers {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

struct TarMember {
    name: String,
    position: u64,
    size: u64,
    /// Why it cannot be read, if it cannot.
    unusable: Option<&'static str>,
}

impl TarMember {
    fn is_tar(&self) -> bool {
        self.name.ends_with(ENDING) && self.unusable.is_none()
    }
}

pub(super) struct Tar {
    path: PathBuf,
    file: SharedFile,
    members: Vec<TarMember>,
}

impl Tar {
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = SharedFile::open(path)?;
        let mut members = index(path, &file)?;
        if !members.is_empty() && members.iter().all(TarMember::is_tar) {
            members = of_inner(path, &file, &members)?;
        }
        check_names(path, members.iter().map(|member| member.name.as_str()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            members,
        })
    }
}

fn index(path: &Path, file: &SharedFile) -> Result<Vec<TarMember>, ArchiveError> {
    let damaged = |error: io::Error| {
        let damaged = ArchiveError::damaged(path, format!("its headers are damaged: {error}"));
        file.or_fault(path, damaged)
    };
    let left = Rc::new(Cell::new(MOST_HEADERS));
    let mut archive = ::tar::Archive::new(Headers {
        file: file.clone(),
        left: Rc::clone(&left),
    });
    let (mut members, mut end) = (Vec::new(), 0);
    for entry in archive.entries_with_seek().map_err(damaged)? {
        left.set(MOST_HEADERS);
        let entry = entry.map_err(damaged)?;
        let bytes = entry.path_bytes();
        let is_utf_8 = std::str::from_utf8(&bytes).is_ok();
        let name = String::from_utf8_lossy(&bytes);
        let name = name.trim_start_matches("./").trim_end_matches('/').to_owned();
        let (position, size) = (entry.raw_file_position(), entry.size());
        let padded = size.checked_next_multiple_of(BLOCK);
        end = match padded.and_then(|padded| position.checked_add(padded)) {
            Some(end) if end <= file.len() => end,
            _ => return Err(ArchiveError::member(path, &name, "the archive is cut off within it")),
        };
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        let unusable = match kind {
            _ if !is_utf_8 => Some("its name is not UTF-8"),
            kind if kind.is_file() || kind.is_contiguous() => None,
            EntryType::Symlink | EntryType::Link => Some("it is a link, which is not followed in an archive"),
            EntryType::GNUSparse => Some("it is a file with holes, which is not read from a tar"),
            _ => Some("it is not a plain file"),
        };
        members.push(TarMember {
            name,
            position,
            size,
            unusable,
        });
    }
    // only the missing block of zeros reveals a tar that is cut off between two members
    match SharedFile::bytes(file, end, BLOCK) {
        Ok(block) if block.iter().all(|&byte| byte == 0) => Ok(members),
        _ => Err(ArchiveError::damaged(path, "it is cut off: its end mark is missing")),
    }
}

/// The members of tars within a tar: `n01440764/n01440764_18.JPEG` is in the inner `n01440764.tar`.
fn of_inner(path: &Path, file: &SharedFile, tars: &[TarMember]) -> Result<Vec<TarMember>, ArchiveError> {
    let mut members = Vec::new();
    for tar in tars {
        let inner = index(path, &file.part(tar.position, tar.size)).map_err(|error| error.within(&tar.name))?;
        let folder = tar.name.trim_end_matches(ENDING);
        members.extend(inner.into_iter().map(|member| TarMember {
            name: format!("{folder}/{}", member.name),
            position: tar.position + member.position,
            ..member
        }));
    }
    Ok(members)
}

/// The names of all members, whatever they are; `None` if it is cut off or damaged.
pub(super) fn told_names(path: &Path) -> Option<Vec<String>> {
    let mut archive = ::tar::Archive::new(SharedFile::open(path).ok()?);
    let entries = archive.entries_with_seek().ok()?;
    let name = |entry: std::io::Result<::tar::Entry<'_, _>>| {
        Some(String::from_utf8_lossy(&entry.ok()?.path_bytes()).into_owned())
    };
    entries.map(name).collect()
}

impl Members for Tar {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.members[index].name
    }

    fn size(&self, index: usize) -> Option<u64> {
        Some(self.members[index].size)
    }

    fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError> {
        let member = &self.members[index];
        let failed = |reason: String| ArchiveError::member(&self.path, &member.name, reason);
        if let Some(reason) = member.unusable {
            return Err(failed(reason.to_owned()));
        }
        check_size(&member.name, member.size).map_err(failed)?;
        let bytes = SharedFile::bytes(&self.file, member.position, member.size);
        bytes.map_err(|error| {
            self.file
                .or_fault(&self.path, failed(format!("it cannot be read: {error}")))
        })
    }
}
