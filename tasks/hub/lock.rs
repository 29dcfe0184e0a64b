//! The lock file: which revision the first fetch saw and what the hub said of its files; and the
//! lock between processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::FetchError;
use super::listing::{HubFile, HubListing, is_hex};
use crate::Progress;
use crate::files;
use crate::files::archive::members::objection;

/// Bytes of a lock file: those of the longest listing, and some.
const LARGEST: u64 = 256 << 20;

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
        let text = match bridle_files::text(path, LARGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FetchError::disk(path)(error)),
        };
        let bad = |reason: String| {
            let path = path.to_owned();
            FetchError::BadLock { path, reason }
        };
        let lock: Self = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
        // both become parts of paths
        if !is_hex(&lock.revision, 40) {
            return Err(bad(format!("{:?} is no commit", lock.revision)));
        }
        let objection = |file: &LockedFile| Some(format!("{:?}: {}", file.name, objection(&file.name)?));
        match lock.files.iter().find_map(objection) {
            Some(reason) => Err(bad(reason)),
            None => Ok(Some(lock)),
        }
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
        let listed: BTreeMap<&str, &HubFile> = listing.files.iter().map(|file| (file.name.as_str(), file)).collect();
        let locked: BTreeSet<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        let differs = |locked: &&LockedFile| {
            listed.get(locked.name.as_str()).is_none_or(|file| {
                file.size != locked.size || file.oid != locked.oid || hashes_differ(&file.sha256, &locked.sha256)
            })
        };
        let lost = self.files.iter().find(differs).map(|file| file.name.clone());
        let is_new = |file: &&HubFile| !locked.contains(file.name.as_str());
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
