//! Tar files: one pass over the headers locates each member, which is then read in place.
//!
//! A tar that contains only tars, such as ImageNet's, has the members of the inner ones, each below
//! its inner tar's name.

use std::path::{Path, PathBuf};

use super::error::ArchiveError;
use super::file::SharedFile;
use super::members::{LARGEST, Members, check_names};

const BLOCK: u64 = 512;
const ENDING: &str = ".tar";

struct TarMember {
    name: String,
    position: u64,
    size: u64,
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
        if !members.is_empty() && members.iter().all(|member| member.name.ends_with(ENDING)) {
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
    let damaged = |error: std::io::Error| ArchiveError::damaged(path, format!("its headers are damaged: {error}"));
    let mut archive = ::tar::Archive::new(file.clone());
    let (mut members, mut end) = (Vec::new(), 0);
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let name = match std::str::from_utf8(&entry.path_bytes()) {
            Ok(name) => name.trim_start_matches("./").trim_end_matches('/').to_owned(),
            Err(_) => return Err(ArchiveError::damaged(path, "a name in it is not UTF-8")),
        };
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
        // links and devices would need unpacking; sparse files lie in pieces
        if !kind.is_file() && !kind.is_contiguous() {
            return Err(ArchiveError::member(path, &name, "it is not a plain file"));
        }
        members.push(TarMember { name, position, size });
    }
    // only the missing block of zeros reveals a tar that is cut off between two members
    match file.bytes(end, BLOCK) {
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
            size: member.size,
        }));
    }
    Ok(members)
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
        if member.size > LARGEST {
            return Err(failed(format!("it has {} bytes, more than any sample", member.size)));
        }
        let bytes = self.file.bytes(member.position, member.size);
        bytes.map_err(|error| failed(format!("it cannot be read: {error}")))
    }
}
