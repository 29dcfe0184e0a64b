//! The files below a folder, in the order of their names.

use std::path::{Path, PathBuf};

use super::{Archive, ArchiveError, LARGEST};

/// Folders deeper than this are taken for a loop of links.
const DEEPEST: usize = 32;

pub(super) struct Folder {
    path: PathBuf,
    members: Vec<(String, u64)>,
}

impl Folder {
    /// Lists every file; hidden ones are not looked at.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let mut members = Vec::new();
        list(path, "", 0, &mut members)?;
        members.sort();
        Ok(Self {
            path: path.to_owned(),
            members,
        })
    }
}

fn list(folder: &Path, within: &str, depth: usize, members: &mut Vec<(String, u64)>) -> Result<(), ArchiveError> {
    let unreadable = |source| ArchiveError::unreadable(folder, source);
    if depth > DEEPEST {
        return Err(ArchiveError::damaged(folder, "its folders are too deep"));
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| ArchiveError::damaged(&path, "its name is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{within}{name}");
        // through links, which hubs' caches are made of
        let facts = std::fs::metadata(&path).map_err(|source| ArchiveError::unreadable(&path, source))?;
        match facts.is_dir() {
            true => list(&path, &format!("{name}/"), depth + 1, members)?,
            false => members.push((name, facts.len())),
        }
    }
    Ok(())
}

impl Archive for Folder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.members[index].0
    }

    fn size(&self, index: usize) -> Option<u64> {
        Some(self.members[index].1)
    }

    fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError> {
        let (name, size) = &self.members[index];
        if *size > LARGEST {
            let reason = format!("it has {size} bytes, more than any sample");
            return Err(ArchiveError::member(&self.path, name, reason));
        }
        let path = self.path.join(name);
        std::fs::read(&path).map_err(|source| ArchiveError::Unreadable { path, source })
    }
}
