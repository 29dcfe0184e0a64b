//! Files that were hashed. One that changed since is an error when it is read.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::folder::why_unreadable;
use super::hashes::{Hashed, Stamp};
use super::tree::{Raw, Tree};
use crate::error::SampleError;

struct VerifiedFile {
    /// As the tree names it.
    name: String,
    /// Its stamp, or that of its archive, when it was hashed.
    stamp: Stamp,
    bytes: Option<u64>,
}

/// One file per sample, or why there is none.
pub(crate) struct VerifiedFiles {
    tree: Arc<Tree>,
    files: Vec<Result<VerifiedFile, String>>,
}

impl VerifiedFiles {
    /// Panics if a file or its archive was not to be hashed.
    pub fn new<'a>(tree: Arc<Tree>, hashed: &Hashed, names: impl Iterator<Item = Option<&'a String>>) -> Self {
        let file = |name: &String| {
            let holder = tree.holder(name);
            if let Some(reason) = hashed.unreadable.get(holder) {
                return Err(reason.clone());
            }
            let stamp = hashed.stamp(holder);
            let is_plain = holder == name;
            Ok(VerifiedFile {
                name: name.clone(),
                stamp,
                bytes: if is_plain { Some(stamp.bytes) } else { tree.size(name) },
            })
        };
        let none = || Err("there is no such file".to_owned());
        let files = names.map(|name| name.map_or_else(none, file)).collect();
        Self { tree, files }
    }

    /// The sizes of all files that exist, if all are known.
    pub fn bytes(&self) -> Option<Vec<u64>> {
        self.files.iter().flatten().map(|file| file.bytes).collect()
    }

    /// Removes the files with these indices, which must be sorted.
    pub fn remove(&mut self, indices: &[usize]) {
        let mut index = 0..;
        self.files
            .retain(|_| index.next().is_none_or(|index| indices.binary_search(&index).is_err()));
    }

    pub fn path(&self, index: usize) -> PathBuf {
        let name = self.files[index].as_ref().map_or("", |file| &file.name);
        self.tree.root().join(name)
    }

    /// The content of file `index`, which must be unchanged since it was hashed.
    pub fn read(&self, index: usize) -> Result<Raw, SampleError> {
        let file = self.files[index].as_ref().map_err(String::clone)?;
        let holder = self.tree.holder(&file.name);
        let path = self.tree.root().join(holder);
        match Stamp::of(&path) {
            Ok(stamp) if stamp == file.stamp => self.tree.raw(&file.name),
            Ok(_) => {
                let what = if holder == file.name { "it" } else { "its archive" };
                Err(SampleError::Changed(format!(
                    "{what} was changed since the data was opened"
                )))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(SampleError::Changed(why_unreadable(&path, &error)))
            }
            Err(error) => Err(SampleError::unreadable(&error)),
        }
    }
}
