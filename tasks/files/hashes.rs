//! sha256 of files, remembered by size and modification time, so that reopening hashes only what
//! changed.
//!
//! A remembered hash is trusted. Only a program that sets modification times back can make it
//! wrong, with other content of the same size. Files of pinned variants are therefore always
//! hashed. A file written within the last two seconds is not remembered: on some file systems a
//! second write would leave its time unchanged.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::manifest::{Manifest, ManifestEntry};
use super::sha256::hash_file;
use crate::files::folder::why_unreadable;
use crate::hub::blob_hash;
use crate::{DataError, Progress};

/// The coarsest modification times of any file system in use.
const COARSEST: Duration = Duration::from_secs(2);
const EXTENSION: &str = "hashes";
/// Bytes of what is remembered of one folder.
const LARGEST: u64 = 4 << 30;

/// What changes about a file when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub bytes: u64,
    /// Nanoseconds since 1970.
    modified: i128,
}

impl Stamp {
    /// The stamp of the file at `path`; links are followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        // a pipe would block, and a device would never end
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a plain file"));
        }
        Ok(Self {
            bytes: metadata.len(),
            modified: nanoseconds(metadata.modified()?),
        })
    }
}

fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// Files with their hashes, and their stamps when they were hashed.
pub(crate) struct Hashed {
    pub manifest: Manifest,
    /// In the manifest's order.
    stamps: Vec<Stamp>,
    /// Files that could not be read, and why.
    pub unreadable: BTreeMap<String, String>,
}

impl Hashed {
    /// Panics if the file was not hashed.
    pub fn stamp(&self, name: &str) -> Stamp {
        self.stamps[self.manifest.position(name).expect("the file was hashed")]
    }
}

/// Hashes of one folder's files, kept in a file of the cache.
pub(crate) struct KnownHashes {
    folder: PathBuf,
    /// Where they are kept, if they are.
    path: Option<PathBuf>,
    known: BTreeMap<String, (Stamp, String)>,
}

impl KnownHashes {
    /// Remembers nothing: every file is hashed.
    pub fn none(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            path: None,
            known: BTreeMap::new(),
        }
    }

    /// What `cache` remembers of `folder`; nothing if the record is damaged.
    pub fn read(folder: &Path, cache: &Path) -> Self {
        let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = &blake3::hash(absolute.as_os_str().as_encoded_bytes()).to_hex()[..32];
        let path = cache.join(format!("{name}.{EXTENSION}"));
        let known = bridle_files::text(&path, LARGEST).ok().and_then(|text| parse(&text));
        Self {
            folder: folder.to_owned(),
            path: Some(path),
            known: known.unwrap_or_default(),
        }
    }

    /// Hashes the files `names`, or takes what is remembered of them. Those that cannot be read are
    /// named; a fault of the machine is an error.
    pub fn hash(
        mut self,
        mut names: Vec<String>,
        pool: &ThreadPool,
        progress: &dyn Progress,
    ) -> Result<Hashed, DataError> {
        names.sort();
        let begun = SystemTime::now();
        progress.start("verifying files", names.len() as u64);
        let look = |name: String| {
            let looked = self.look(name);
            progress.advance(1);
            looked
        };
        let looked: Vec<Result<Looked, NotHashed>> = pool.install(|| names.into_par_iter().map(look).collect());
        progress.finish();
        let (mut found, mut unreadable) = (Vec::with_capacity(looked.len()), BTreeMap::new());
        for looked in looked {
            match looked {
                Ok(looked) => found.push(looked),
                Err(NotHashed::Unreadable(name, reason)) => {
                    unreadable.insert(name, reason);
                }
                Err(NotHashed::Failed(error)) => return Err(error),
            }
        }
        let looked = found;
        if looked.iter().any(|file| !file.remembered) {
            self.remember(&looked, begun);
        }
        let (entries, stamps) = looked.into_iter().map(|file| (file.entry, file.stamp)).unzip();
        let manifest = Manifest::of(entries);
        Ok(Hashed {
            manifest,
            stamps,
            unreadable,
        })
    }

    fn look(&self, name: String) -> Result<Looked, NotHashed> {
        let path = self.folder.join(&name);
        let unreadable = |error: io::Error| match bridle_files::is_of_the_machine(&error) {
            true => NotHashed::Failed(DataError::unreadable(&path)(error)),
            false => NotHashed::Unreadable(name.clone(), why_unreadable(&path, &error)),
        };
        let stamp = Stamp::of(&path).map_err(unreadable)?;
        let known = self.known.get(&name).filter(|(known, _)| *known == stamp);
        let (bytes, sha256) = match known {
            Some((_, sha256)) => (stamp.bytes, sha256.clone()),
            None => hash_file(&path).map_err(unreadable)?,
        };
        if let Some(blob) = blob_hash(&path).filter(|blob| blob.len() == sha256.len() && *blob != sha256) {
            let reason = format!("it has sha256 {sha256}, not the {blob} that the hub's cache names");
            return Err(NotHashed::Failed(DataError::bad_sample(path, reason)));
        }
        Ok(Looked {
            remembered: known.is_some(),
            entry: ManifestEntry { name, bytes, sha256 },
            stamp,
        })
    }

    /// Adds what was found to the record. If two programs do so at once, one of the two records
    /// stays.
    fn remember(&mut self, looked: &[Looked], begun: SystemTime) {
        let Some(path) = &self.path else { return };
        let latest = nanoseconds(begun - COARSEST);
        for Looked { entry, stamp, .. } in looked {
            let settled = stamp.modified <= latest && stamp.bytes == entry.bytes;
            if settled && !entry.name.contains(['\n', '\r']) {
                self.known.insert(entry.name.clone(), (*stamp, entry.sha256.clone()));
            } else {
                self.known.remove(&entry.name);
            }
        }
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
            std::fs::write(&part, text(&self.known))?;
            std::fs::rename(&part, path)
        };
        // a failure costs only time: the next opening hashes again
        if write().is_err() {
            let _ = std::fs::remove_file(&part);
        }
    }
}

/// Why a file was not hashed.
enum NotHashed {
    /// Its name, and why it cannot be read.
    Unreadable(String, String),
    Failed(DataError),
}

struct Looked {
    entry: ManifestEntry,
    stamp: Stamp,
    remembered: bool,
}

/// A line `<sha256> <bytes> <modification time> <name>` per file, then the blake3 of those lines.
pub(crate) fn text(known: &BTreeMap<String, (Stamp, String)>) -> String {
    let line = |(name, (stamp, sha256)): (&String, &(Stamp, String))| {
        format!("{sha256} {} {} {name}\n", stamp.bytes, stamp.modified)
    };
    let mut text: String = known.iter().map(line).collect();
    let hash = blake3::hash(text.as_bytes()).to_hex();
    text.push_str(hash.as_str());
    text
}

pub(crate) fn parse(text: &str) -> Option<BTreeMap<String, (Stamp, String)>> {
    let (lines, hash) = text.split_at_checked(text.len().checked_sub(64)?)?;
    if blake3::hash(lines.as_bytes()).to_hex().as_str() != hash {
        return None;
    }
    let parse_line = |line: &str| {
        let mut parts = line.splitn(4, ' ');
        let sha256 = parts.next()?.to_owned();
        let (bytes, modified) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((parts.next()?.to_owned(), (Stamp { bytes, modified }, sha256)))
    };
    lines.split_terminator('\n').map(parse_line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use std::fs::File;

    use super::*;
    use crate::cache::pool;

    /// A folder with the files a, b and c, written some time ago.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            write(&folder.path().join(name), name, 100);
        }
        folder
    }

    fn write(path: &Path, content: &str, seconds_ago: u64) {
        std::fs::write(path, content).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago))
            .unwrap();
    }

    fn manifest(folder: &Path, cache: &Path, names: &[&str]) -> Manifest {
        let names = names.iter().map(|name| name.to_string()).collect();
        let remembered = KnownHashes::read(folder, cache);
        remembered.hash(names, &pool(2).unwrap(), &()).unwrap().manifest
    }

    /// What the cache remembers, by name.
    fn names(folder: &Path, cache: &Path) -> Vec<String> {
        KnownHashes::read(folder, cache).known.into_keys().collect()
    }

    #[test]
    fn what_is_remembered_is_what_hashing_gives() {
        let (folder, cache) = (folder(), tempfile::tempdir().unwrap());
        let all = ["b", "a", "c"].map(str::to_owned).to_vec();
        let hashed = KnownHashes::none(folder.path())
            .hash(all, &pool(1).unwrap(), &())
            .unwrap()
            .manifest;
        let open = || manifest(folder.path(), cache.path(), &["b", "a", "c"]);
        assert_eq!(open(), hashed);
        assert_eq!(names(folder.path(), cache.path()), ["a", "b", "c"]);
        assert_eq!(open(), hashed);
        // a part of the folder neither loses nor gains the rest
        manifest(folder.path(), cache.path(), &["b"]);
        assert_eq!(names(folder.path(), cache.path()), ["a", "b", "c"]);
    }

    #[test]
    fn a_change_of_size_or_time_is_hashed_again_and_only_such_a_change() {
        let (folder, cache) = (folder(), tempfile::tempdir().unwrap());
        let open = || manifest(folder.path(), cache.path(), &["a", "b", "c"]);
        let first = open();
        let (b, time) = (folder.path().join("b"), || {
            std::fs::metadata(folder.path().join("b")).unwrap().modified()
        });
        let before = time().unwrap();
        write(&b, "B", 50);
        let second = open();
        assert_ne!(second.get("b"), first.get("b"));
        assert_eq!(second.get("a"), first.get("a"));
        // the one change that is believed not to be one, as the first lines of this file say
        std::fs::write(&b, "b").unwrap();
        File::options()
            .write(true)
            .open(&b)
            .unwrap()
            .set_modified(before)
            .unwrap();
        assert_eq!(open(), first);
        std::fs::write(&b, "x").unwrap();
        File::options()
            .write(true)
            .open(&b)
            .unwrap()
            .set_modified(before)
            .unwrap();
        assert_eq!(open(), first, "the file was hashed though nothing said that it changed");
    }

    #[test]
    fn a_file_of_this_moment_is_not_remembered() {
        let (folder, cache) = (folder(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("c"), "new").unwrap();
        manifest(folder.path(), cache.path(), &["a", "c"]);
        assert_eq!(names(folder.path(), cache.path()), ["a"]);
    }

    #[test]
    fn a_damaged_memory_is_none() {
        let (folder, cache) = (folder(), tempfile::tempdir().unwrap());
        let open = || manifest(folder.path(), cache.path(), &["a", "b", "c"]);
        let (expected, path) = (open(), KnownHashes::read(folder.path(), cache.path()).path.unwrap());
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x01;
            std::fs::write(&path, bytes).unwrap();
            assert!(names(folder.path(), cache.path()).is_empty(), "byte {at}");
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(open(), expected);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}
