//! Zip files, stored or deflated: the directory at the end locates each member, whose checksum is
//! verified when it is read.

use std::io::Read;
use std::path::{Path, PathBuf};

use ::zip::result::ZipError;
use ::zip::{CompressionMethod, ZipArchive};

use super::error::ArchiveError;
use super::file::SharedFile;
use super::members::{Members, check_names, check_size};

/// Deflate expands at most by a factor of 1,032; a directory that claims more is wrong.
const DEFLATE_LIMIT: u64 = 1_032;
/// Memory allocated before the first byte is read.
const FIRST_PIECE: u64 = 1 << 20;

struct ZipMember {
    name: String,
    number: usize,
    size: u64,
    method: CompressionMethod,
    /// Why it cannot be read, if it cannot.
    unusable: Option<&'static str>,
}

pub(super) struct Zip {
    path: PathBuf,
    file: SharedFile,
    archive: ZipArchive<SharedFile>,
    members: Vec<ZipMember>,
}

impl Zip {
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = SharedFile::open(path)?;
        let damaged = |error: ZipError| {
            let damaged = ArchiveError::damaged(path, format!("it is no whole zip file: {error}"));
            file.or_fault(path, damaged)
        };
        let mut archive = ZipArchive::new(file.clone()).map_err(damaged)?;
        // of two members with one name, the directory's index has only one
        if archive.has_duplicate_names() {
            return Err(ArchiveError::damaged(path, "a name in it occurs twice"));
        }
        if archive.has_overlapping_files().map_err(damaged)? {
            return Err(ArchiveError::damaged(path, "members of it overlap"));
        }
        let mut members = Vec::new();
        for number in 0..archive.len() {
            let entry = archive.by_index_data(number).map_err(damaged)?;
            let name = entry.name().map_err(damaged)?.into_owned();
            let refused = |reason: &str| Err(ArchiveError::member(path, &name, reason));
            if entry.is_dir() {
                continue;
            }
            let unusable = match () {
                () if entry.is_symlink() => Some("it is a link, which is not followed in an archive"),
                () if entry.encrypted() => Some("it is encrypted"),
                () => None,
            };
            let size = entry.size();
            if size / DEFLATE_LIMIT > entry.compressed_size() {
                return refused("its size is more than its bytes can hold");
            }
            let method = entry.compression();
            members.push(ZipMember {
                name,
                number,
                size,
                method,
                unusable,
            });
        }
        check_names(path, members.iter().map(|member| member.name.as_str()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            archive,
            members,
        })
    }
}

/// The names of all members, whatever they are; `None` if the directory cannot be read.
pub(super) fn told_names(path: &Path) -> Option<Vec<String>> {
    let archive = ZipArchive::new(SharedFile::open(path).ok()?).ok()?;
    let name = |number| Some(archive.by_index_data(number).ok()?.name().ok()?.into_owned());
    (0..archive.len()).map(name).collect()
}

impl Members for Zip {
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
        let failed = |reason: String| {
            let failed = ArchiveError::member(&self.path, &member.name, reason);
            self.file.or_fault(&self.path, failed)
        };
        if let Some(reason) = member.unusable {
            return Err(failed(reason.to_owned()));
        }
        check_size(&member.name, member.size).map_err(failed)?;
        if ![CompressionMethod::Stored, CompressionMethod::Deflated].contains(&member.method) {
            let reason = format!(
                "it is compressed by {}, which is not supported; deflate is",
                member.method
            );
            return Err(failed(reason));
        }
        // a clone shares the directory and has its own position
        let mut archive = self.archive.clone();
        let entry = archive
            .by_index(member.number)
            .map_err(|error| failed(error.to_string()))?;
        let mut bytes = Vec::with_capacity(member.size.min(FIRST_PIECE) as usize);
        let read = entry.take(member.size + 1).read_to_end(&mut bytes);
        read.map_err(|error| failed(format!("it is damaged: {error}")))?;
        match bytes.len() as u64 == member.size {
            true => Ok(bytes),
            false => Err(failed(format!(
                "it has not the {} bytes that the directory says",
                member.size
            ))),
        }
    }
}
