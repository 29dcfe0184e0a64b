//! Zip, tar and parquet files, read member by member without unpacking.
//!
//! Opening indexes the names. After that, any number of threads read members by number; each read
//! has a file position of its own.

mod error;
mod file;
mod guard;
pub(crate) mod members;
mod parquet;
mod tar;
mod zip;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use self::members::Members;
use crate::names::composed;

pub use self::error::ArchiveError;
pub(crate) use self::file::read_at;
pub use self::guard::panic_is_caught;
pub(crate) use self::parquet::{ParquetTable, Value};

/// An archive of any known format.
pub(crate) struct Archive {
    members: Box<dyn Members>,
    /// Member indices sorted by name, made at the first [`Self::find`].
    by_name: OnceLock<Vec<usize>>,
    /// Members with accents by their composed names, made likewise.
    by_composed: OnceLock<BTreeMap<String, usize>>,
}

impl Archive {
    /// Opens a `.zip`, `.tar` or `.parquet` file. A tar that holds only tars has the members of
    /// those.
    ///
    /// # Errors
    /// If it cannot be read, has no known format, is damaged or cut off, or has a name that leads
    /// out of it.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        std::fs::metadata(path).map_err(|source| ArchiveError::unreadable(path, source))?;
        let members = Self::members(path).map_err(|error| match (error, foreign_kind(path)) {
            (ArchiveError::Damaged { .. }, Some(kind)) => ArchiveError::damaged(path, format!("it is {kind}")),
            (error, _) => error,
        })?;
        Ok(Self {
            members,
            by_name: OnceLock::new(),
            by_composed: OnceLock::new(),
        })
    }

    fn members(path: &Path) -> Result<Box<dyn Members>, ArchiveError> {
        Ok(match ending(path).as_str() {
            "zip" => Box::new(zip::Zip::open(path)?),
            "tar" => Box::new(tar::Tar::open(path)?),
            "parquet" => match ParquetTable::open(path)? {
                table if table.has_files() => Box::new(table),
                _ => return Err(ArchiveError::damaged(path, "none of its columns holds files")),
            },
            _ => return Err(ArchiveError::damaged(path, "it is not a .zip, .tar or .parquet file")),
        })
    }

    /// The names in an archive that may not be opened, for members that are links, for example;
    /// `None` if it is so damaged that nothing tells them. A table without a column of files has
    /// none.
    pub fn told_names(path: &Path) -> Option<Vec<String>> {
        match ending(path).as_str() {
            "zip" => zip::told_names(path),
            "tar" => tar::told_names(path),
            _ => ParquetTable::open(path)
                .ok()
                .filter(|table| !table.has_files())
                .map(|_| Vec::new()),
        }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The name of a member, with forward slashes. Panics if there is no such member, as `size` and
    /// `read` do.
    pub fn name(&self, index: usize) -> &str {
        self.members.name(index)
    }

    /// The size of a member in bytes; `None` if only reading it tells (parquet).
    pub fn size(&self, index: usize) -> Option<u64> {
        self.members.size(index)
    }

    /// The content of a member; an error names archive and member.
    pub fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError> {
        self.members.read(index)
    }

    /// The index of the member called `name`, if only in the other form of its accents.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_name = self.by_name.get_or_init(|| {
            let mut indices: Vec<usize> = (0..self.len()).collect();
            indices.sort_by_key(|&index| self.name(index));
            indices
        });
        match by_name.binary_search_by(|&index| self.name(index).cmp(name)) {
            Ok(place) => Some(by_name[place]),
            Err(_) if name.is_ascii() => None,
            Err(_) => {
                let by_composed = self.by_composed.get_or_init(|| {
                    let with_accents = (0..self.len()).filter(|&index| !self.name(index).is_ascii());
                    with_accents.map(|index| (composed(self.name(index)), index)).collect()
                });
                by_composed.get(&composed(name)).copied()
            }
        }
    }
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// What a file is that cannot be opened as an archive of its name; `None` if it is of that kind, or
/// unknown.
pub(crate) fn foreign_kind(path: &Path) -> Option<&'static str> {
    let mut start = Vec::new();
    let file = bridle_files::open(path).ok()?;
    file.take(512).read_to_end(&mut start).ok()?;
    let kind = bridle_files::foreign(&start)?;
    let is_its_own = matches!(
        (ending(path).as_str(), kind),
        ("zip", "a zip archive") | ("tar", "a tar archive")
    );
    (!is_its_own).then_some(kind)
}

#[cfg(test)]
mod tests;
