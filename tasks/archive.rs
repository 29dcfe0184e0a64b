//! Named files of a data set wherever they lie: in a folder, a zip, a tar, or a column of a parquet file.
//!
//! Nothing is unpacked. Opening makes an index of the names; after that any number of threads read by number, each read
//! on its own, without a shared position in the file.

mod error;
mod file;
mod folder;
mod guard;
mod parquet;
mod tar;
mod zip;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use self::error::ArchiveError;
pub use self::guard::panic_is_caught;
pub use self::parquet::{Table, Value};

/// What `Collection` asks of each form. Numbers are below `len`.
trait Archive: Send + Sync {
    /// The file or folder.
    fn path(&self) -> &Path;
    /// Number of members.
    fn len(&self) -> usize;
    /// A member's name, with forward slashes.
    fn name(&self, index: usize) -> &str;
    /// A member's bytes; `None` where only reading it tells.
    fn size(&self, index: usize) -> Option<u64>;
    /// A member's content.
    fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError>;
}

/// Members larger than this are refused: no sample of any data set is, and damage may claim any size.
const LARGEST: u64 = 2 << 30;

/// Names, in a fixed order, of files that can be read at random.
pub struct Collection {
    archives: Vec<Box<dyn Archive>>,
    /// The number of the first member of each archive.
    starts: Vec<usize>,
    len: usize,
    /// Numbers in the order of the names, made when a name is looked for.
    by_name: OnceLock<Vec<usize>>,
}

/// Members of a webdataset sample: ending (such as `jpg` or `seg.png`) and number.
pub type Parts = Vec<(String, usize)>;

impl Collection {
    /// The files below a folder, or the members of a `.zip`, `.tar` or `.parquet` file; of a tar of nothing but tars,
    /// the members of those.
    ///
    /// # Errors
    /// If it cannot be read, is of no known form, is damaged or cut off, or has a name that leads out of it.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        Ok(Self::of(vec![open(path)?]))
    }

    /// The members of several archives, one after the other, as data sets cut into shards have them.
    ///
    /// # Errors
    /// As [`Self::open`], for the first archive that fails.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self, ArchiveError> {
        Ok(Self::of(paths.iter().map(|path| open(path)).collect::<Result<_, _>>()?))
    }

    fn of(archives: Vec<Box<dyn Archive>>) -> Self {
        let mut len = 0;
        let mut starts = Vec::with_capacity(archives.len());
        for archive in &archives {
            starts.push(len);
            len += archive.len();
        }
        let by_name = OnceLock::new();
        Self {
            archives,
            starts,
            len,
            by_name,
        }
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The name of file `index`, with forward slashes. Panics if there is no such file.
    pub fn name(&self, index: usize) -> &str {
        let (archive, index) = self.locate(index);
        archive.name(index)
    }

    /// The size of file `index` in bytes; `None` where only reading it tells (parquet). Panics if there is no such file.
    pub fn size(&self, index: usize) -> Option<u64> {
        let (archive, index) = self.locate(index);
        archive.size(index)
    }

    /// The folder or archive that holds file `index`. Panics if there is no such file.
    pub fn archive(&self, index: usize) -> &Path {
        self.locate(index).0.path()
    }

    /// The content of file `index`. Panics if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or is not what the archive says of it; archive and file are named.
    pub fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError> {
        let (archive, index) = self.locate(index);
        archive.read(index)
    }

    /// The number of the file called `name`, the first where shards repeat it.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_name = self.by_name.get_or_init(|| {
            let mut numbers: Vec<usize> = (0..self.len).collect();
            numbers.sort_by_key(|&index| self.name(index));
            numbers
        });
        let first = by_name.partition_point(|&index| self.name(index) < name);
        by_name.get(first).copied().filter(|&index| self.name(index) == name)
    }

    /// Files that belong together, as webdataset names them: all that is before the first dot of the file's name is the
    /// sample's, the rest the part's. Samples come in the order of their first file.
    ///
    /// # Errors
    /// If a sample has a part twice.
    pub fn samples(&self) -> Result<Vec<(String, Parts)>, ArchiveError> {
        let mut samples: Vec<(String, Parts)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for index in 0..self.len {
            let (stem, ending) = stem(self.name(index));
            let place = *places.entry(stem.to_owned()).or_insert_with(|| {
                samples.push((stem.to_owned(), Parts::new()));
                samples.len() - 1
            });
            let parts = &mut samples[place].1;
            if parts.iter().any(|(known, _)| known == ending) {
                let reason = format!("the sample '{stem}' has a part '{ending}' already");
                return Err(ArchiveError::member(self.archive(index), self.name(index), reason));
            }
            parts.push((ending.to_owned(), index));
        }
        Ok(samples)
    }

    fn locate(&self, index: usize) -> (&dyn Archive, usize) {
        assert!(index < self.len, "file {index} of {}", self.len);
        let archive = self.starts.partition_point(|&start| start <= index) - 1;
        (self.archives[archive].as_ref(), index - self.starts[archive])
    }
}

fn open(path: &Path) -> Result<Box<dyn Archive>, ArchiveError> {
    let facts = std::fs::metadata(path).map_err(|source| ArchiveError::unreadable(path, source))?;
    if facts.is_dir() {
        return Ok(Box::new(folder::Folder::open(path)?));
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("zip") => Ok(Box::new(zip::Zip::open(path)?)),
        Some("tar") => Ok(Box::new(tar::Tar::open(path)?)),
        Some("parquet") => {
            let table = Table::open(path)?;
            let files = table.has_files().then_some(table);
            Ok(Box::new(files.ok_or_else(|| {
                ArchiveError::damaged(path, "none of its columns holds files")
            })?))
        }
        _ => Err(ArchiveError::damaged(
            path,
            "it is neither a folder nor a .zip, .tar or .parquet file",
        )),
    }
}

/// Splits a name at the first dot of its last part.
fn stem(name: &str) -> (&str, &str) {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[file..].find('.') {
        Some(dot) => (&name[..file + dot], &name[file + dot + 1..]),
        None => (name, ""),
    }
}

/// What is wrong with a member's name: it must stay within its archive wherever it is joined to a folder.
pub(crate) fn objection(name: &str) -> Option<&'static str> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
    match name {
        "" => Some("its name is empty"),
        _ if name.starts_with('/') || name.contains(['\\', '\0', ':']) => Some("its name is not a relative path"),
        _ if name.split('/').any(bad_part) => Some("its name leads out of the archive"),
        _ => None,
    }
}

/// Holds the names of an archive to what they must be: relative, within it, each once.
fn check_names<'a>(path: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), ArchiveError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if let Some(reason) = objection(name) {
            return Err(ArchiveError::member(path, name, reason));
        }
        if !seen.insert(name) {
            return Err(ArchiveError::member(path, name, "its name is there a second time"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
