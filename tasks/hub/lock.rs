//! The lock file: which revision the first fetch saw and what the hub said of its files; and the
//! lock between processes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::FetchError;
use super::listing::{HubFile, HubListing};
use crate::Progress;
use crate::files;

/// What the first fetch saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LockFile {
    pub repository: String,
    pub revision: String,
    /// Whether every file is complete and verified; written last.
    pub complete: bool,
    pub files: Vec<LockedFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LockedFile {
    pub name: String,
    pub size: u64,
    /// The git object id of the file or its pointer.
    pub oid: String,
    #[serde(default)]
    pub pointed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl LockFile {
    pub fn new(repository: &str, listing: &HubListing, complete: bool) -> Self {
        let file = |file: &HubFile| LockedFile {
            name: file.name.clone(),
            size: file.size,
            oid: file.oid.clone(),
            pointed: file.pointed,
            sha256: file.sha256.clone(),
        };
        Self {
            repository: repository.to_owned(),
            revision: listing.revision.clone(),
            complete,
            files: listing.files.iter().map(file).collect(),
        }
    }

    /// The listing of the first fetch.
    pub fn listing(&self) -> HubListing {
        let file = |file: &LockedFile| HubFile {
            name: file.name.clone(),
            size: file.size,
            oid: file.oid.clone(),
            pointed: file.pointed,
            sha256: file.sha256.clone(),
        };
        HubListing {
            revision: self.revision.clone(),
            files: self.files.iter().map(file).collect(),
        }
    }

    /// The lock file at `path`, if there is one.
    pub fn read(path: &Path) -> Result<Option<Self>, FetchError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FetchError::disk(path)(error)),
        };
        toml::from_str(&text).map(Some).map_err(|error| FetchError::BadLock {
            path: path.to_owned(),
            reason: error.message().to_owned(),
        })
    }

    /// Writes it under another name, then renames.
    pub fn write(&self, path: &Path) -> Result<(), FetchError> {
        let part = path.with_extension("part");
        let body = toml::to_string(self).expect("a lock file is strings and numbers");
        let text = format!(
            "# Written by the first fetch, from the hub's own words; later fetches keep to it.\n\
             # Remove it to take another revision.\n{body}"
        );
        let write = || {
            let mut file = File::create(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, path)
        };
        write().map_err(FetchError::disk(path))
    }

    /// The first file that differs in `listing`, of the same revision. A hash that only one of both
    /// has is no difference.
    pub fn difference(&self, listing: &HubListing) -> Option<String> {
        let hashes_differ = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        let known = |name: &str| listing.files.iter().find(|file| file.name == name);
        let differs = |locked: &&LockedFile| {
            known(&locked.name).is_none_or(|file| {
                file.size != locked.size || file.oid != locked.oid || hashes_differ(&file.sha256, &locked.sha256)
            })
        };
        let lost = self.files.iter().find(differs).map(|file| file.name.clone());
        let is_new = |file: &&HubFile| !self.files.iter().any(|locked| locked.name == file.name);
        lost.or_else(|| listing.files.iter().find(is_new).map(|file| file.name.clone()))
    }
}

/// Keeps other processes away from the same data set while it lives; `None` if the file system has
/// no locks.
pub(super) fn exclusive(folder: &Path, progress: &dyn Progress) -> Result<Option<File>, FetchError> {
    let path = folder.join("lock");
    let locked = files::lock::exclusive(&path, "waiting for another program that fetches the same", progress);
    locked.map_err(FetchError::disk(&path))
}
