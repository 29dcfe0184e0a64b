//! A data set's files, plain in its folder or in archives there. Archives are hashed as whole
//! files.
//!
//! A file in an archive is named as if the archive were a folder: `shards/0.tar/clip.flac`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use bridle_files::Temporary;

use crate::DataError;
use crate::error::SampleError;
use crate::files::archive::Archive;
use crate::files::folder::{exists, why_unreadable};
use crate::files::hashes::Stamp;
use crate::files::limits::largest;

/// The file of a sample, before it is decoded.
pub(crate) enum Raw {
    File(PathBuf),
    /// A file in an archive, with its name there.
    Member {
        name: String,
        content: Vec<u8>,
    },
}

impl Raw {
    /// The content, and the extension of the name.
    pub fn read(self) -> Result<(Vec<u8>, String), SampleError> {
        match self {
            Self::File(path) => {
                let limit = largest(&path.to_string_lossy());
                let content = bridle_files::read(&path, limit).map_err(|error| SampleError::unreadable(&error))?;
                Ok((content, ending(&path)))
            }
            Self::Member { name, content } => {
                let ending = ending(Path::new(&name));
                Ok((content, ending))
            }
        }
    }

    /// As a file on disk, for programs that read nothing else.
    pub fn on_disk(self) -> Result<OnDisk, SampleError> {
        match self {
            Self::File(path) => Ok(OnDisk::Own(path)),
            Self::Member { name, content } => lend(&ending(Path::new(&name)), &content).map_err(|error| {
                let folder = std::env::temp_dir();
                let reason = format!(
                    "it cannot be copied out of its archive to {}: {error}",
                    folder.display()
                );
                SampleError::Machine(reason)
            }),
        }
    }
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file on disk. A copy is removed when this is dropped.
pub(crate) enum OnDisk {
    Own(PathBuf),
    /// A copy of a file in an archive.
    Lent(Temporary),
}

impl OnDisk {
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) => path,
            Self::Lent(copy) => copy.path(),
        }
    }

    /// Whether it is a copy of a file in an archive.
    pub fn is_lent(&self) -> bool {
        matches!(self, Self::Lent(_))
    }
}

/// Begins the name of every copy in the system's temporary folder.
const COPY: &str = "bridle-bench-";

/// Copies `content` into the system's temporary folder.
fn lend(ending: &str, content: &[u8]) -> std::io::Result<OnDisk> {
    let mut copy = Temporary::create(&std::env::temp_dir(), |unique| format!("{COPY}{unique}.{ending}"))?;
    copy.file().write_all(content)?;
    Ok(OnDisk::Lent(copy))
}

/// Removes copies of files in archives that killed programs left in the system's temporary folder.
pub fn remove_abandoned_copies() {
    let is_copy = |name: &str| {
        let numbers = name
            .strip_prefix(COPY)
            .and_then(|rest| rest.split_once('.'))
            .map(|(numbers, _)| numbers);
        let parts = numbers.and_then(|numbers| numbers.split_once('-'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        parts.is_some_and(|(program, number)| is_number(program) && is_number(number))
    };
    bridle_files::remove_abandoned(&std::env::temp_dir(), is_copy);
}

/// An archive that cannot be opened.
pub(crate) struct Unopened {
    /// What its files are called, if that can be told.
    pub names: Option<Vec<String>>,
    pub error: DataError,
}

/// A folder, and those of its archives that are read.
pub(crate) struct Tree {
    root: PathBuf,
    archives: BTreeMap<String, Archive>,
}

impl Tree {
    /// Plain files only.
    pub fn folder(root: &Path) -> Self {
        let (root, archives) = (root.to_owned(), BTreeMap::new());
        Self { root, archives }
    }

    /// The folder `root` with these of its archives, named relative to it.
    pub fn open(root: &Path, archives: Vec<String>) -> Result<Self, DataError> {
        let open = |name: String| Ok((name.clone(), Archive::open(&root.join(name))?));
        let archives = archives.into_iter().map(open).collect::<Result<_, DataError>>()?;
        let root = root.to_owned();
        Ok(Self { root, archives })
    }

    /// The folder `root` with those of its archives that can be opened, and why the others cannot.
    pub fn open_all(root: &Path, archives: impl Iterator<Item = String>) -> (Self, Vec<Unopened>) {
        let (mut opened, mut unopened) = (BTreeMap::new(), Vec::new());
        for name in archives {
            let path = root.join(&name);
            match Archive::open(&path) {
                Ok(archive) => {
                    opened.insert(name, archive);
                }
                Err(error) => unopened.push(Unopened {
                    names: Archive::told_names(&path),
                    error: error.into(),
                }),
            }
        }
        let (root, archives) = (root.to_owned(), opened);
        (Self { root, archives }, unopened)
    }

    /// The names of its archives.
    pub fn archives(&self) -> impl Iterator<Item = &str> {
        self.archives.keys().map(String::as_str)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files of the archive `name`, in its own order.
    pub fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let archive = self.archives.get(name);
        let numbers = 0..archive.map_or(0, Archive::len);
        numbers.filter_map(move |number| Some(format!("{name}/{}", archive?.name(number))))
    }

    /// The plain file that contains `file`: itself, or its archive.
    pub fn holder<'a>(&self, file: &'a str) -> &'a str {
        self.split(file).map_or(file, |(archive, _)| archive)
    }

    /// The name of `file` within its archive, if it is in one.
    pub fn within<'a>(&self, file: &'a str) -> Option<&'a str> {
        self.split(file).map(|(_, member)| member)
    }

    /// Whether there is such a file. A plain one may turn out to be unreadable.
    pub fn has(&self, file: &str) -> bool {
        match self.split(file) {
            Some((archive, member)) => self.archives[archive].find(member).is_some(),
            None => exists(&self.root.join(file)),
        }
    }

    /// The size of a file in an archive, if the archive says.
    pub fn size(&self, file: &str) -> Option<u64> {
        let (archive, member) = self.split(file)?;
        let archive = &self.archives[archive];
        archive.size(archive.find(member)?)
    }

    /// The content of `file`, or its path if it is plain.
    pub fn raw(&self, file: &str) -> Result<Raw, SampleError> {
        let Some((archive, member)) = self.split(file) else {
            let path = self.root.join(file);
            Stamp::of(&path).map_err(|error| why_unreadable(&path, &error))?;
            return Ok(Raw::File(path));
        };
        let archive = &self.archives[archive];
        let number = archive.find(member).ok_or("the archive has no such file")?;
        let content = archive.read(number)?;
        let name = member.to_owned();
        Ok(Raw::Member { name, content })
    }

    pub fn read(&self, file: &str) -> Result<Vec<u8>, DataError> {
        let content = self.raw(file).and_then(Raw::read);
        content
            .map(|(content, _)| content)
            .map_err(|error| error.at(self.root.join(file)))
    }

    /// Archive and name within it.
    fn split<'a>(&self, file: &'a str) -> Option<(&'a str, &'a str)> {
        // fast path for data sets of plain files
        if self.archives.is_empty() {
            return None;
        }
        let slashes = file.match_indices('/').map(|(at, _)| at);
        let mut parts = slashes.map(|at| (&file[..at], &file[at + 1..]));
        parts.find(|(archive, _)| self.archives.contains_key(*archive))
    }
}

#[cfg(test)]
mod tests;
