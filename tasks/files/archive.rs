//! Zip, tar and parquet files, read member by member without unpacking.
//!
//! Opening indexes the names. After that, any number of threads read members by number; each read
//! has a file position of its own.

mod error;
mod file;
mod guard;
mod parquet;
mod tar;
mod zip;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

pub use self::error::ArchiveError;
pub use self::guard::panic_is_caught;
pub(crate) use self::parquet::{ParquetTable, Value};

/// What each archive format provides. Indices are below `len`.
trait Members: Send + Sync {
    fn len(&self) -> usize;
    /// A member's name, with forward slashes.
    fn name(&self, index: usize) -> &str;
    /// A member's size in bytes; `None` if only reading it tells.
    fn size(&self, index: usize) -> Option<u64>;
    fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError>;
}

/// Larger members are refused: no sample is that large, and a damaged archive may claim any size.
const LARGEST: u64 = 2 << 30;

/// An archive of any known format.
pub(crate) struct Archive {
    members: Box<dyn Members>,
    /// Member indices sorted by name, made at the first [`Self::find`].
    by_name: OnceLock<Vec<usize>>,
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
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let members: Box<dyn Members> = match ending.as_deref() {
            Some("zip") => Box::new(zip::Zip::open(path)?),
            Some("tar") => Box::new(tar::Tar::open(path)?),
            Some("parquet") => match ParquetTable::open(path)? {
                table if table.has_files() => Box::new(table),
                _ => return Err(ArchiveError::damaged(path, "none of its columns holds files")),
            },
            _ => return Err(ArchiveError::damaged(path, "it is not a .zip, .tar or .parquet file")),
        };
        let by_name = OnceLock::new();
        Ok(Self { members, by_name })
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

    /// The index of the member called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_name = self.by_name.get_or_init(|| {
            let mut indices: Vec<usize> = (0..self.len()).collect();
            indices.sort_by_key(|&index| self.name(index));
            indices
        });
        let place = by_name.binary_search_by(|&index| self.name(index).cmp(name)).ok()?;
        Some(by_name[place])
    }
}

/// What is wrong with a member's name: it must stay within its archive wherever it is joined to a
/// folder.
pub(crate) fn objection(name: &str) -> Option<&'static str> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
    match name {
        "" => Some("its name is empty"),
        _ if name.starts_with('/') || name.contains(['\\', '\0', ':']) => Some("its name is not a relative path"),
        _ if name.split('/').any(bad_part) => Some("its name leads out of the archive"),
        _ => None,
    }
}

/// Checks that all names are relative, stay within the archive and are distinct.
fn check_names<'a>(path: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), ArchiveError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if let Some(reason) = objection(name) {
            return Err(ArchiveError::member(path, name, reason));
        }
        if !seen.insert(name) {
            return Err(ArchiveError::member(path, name, "its name occurs twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
