//! A snapshot that another program put into the hub's cache, as huggingface_hub lays it out:
//! `refs/<branch>` names a commit, `snapshots/<commit>` has its files, each a link to
//! `blobs/<hash>`. It is read only.

use std::path::{Path, PathBuf};

use super::listing::{fits, is_hex};
use super::model;
use super::request::{HubKind, HubSource};
use super::verify::look;
use crate::files::archive::members::objection;
use crate::files::folder::names;

/// Folders within folders of a snapshot; more are a circle of links.
const DEEPEST: usize = 8;
/// Bytes of a file that holds a commit.
const LONGEST_REF: u64 = 1 << 10;

/// A snapshot with every file that the source needs, as far as its names say.
pub(super) struct Snapshot {
    pub revision: String,
    pub folder: PathBuf,
    /// The files that the source needs, with their sizes, by name.
    pub files: Vec<(String, u64)>,
}

impl Snapshot {
    /// The snapshot of `wanted`, a commit or a branch, in the cache's folder of the repository;
    /// `None` if there is none or it lacks something.
    pub fn find(source: &HubSource<'_>, repository: &Path, wanted: &str) -> Option<Self> {
        let revision = match is_hex(wanted, 40) {
            true => wanted.to_owned(),
            false => {
                if objection(wanted).is_some() {
                    return None;
                }
                let text = bridle_files::text(&repository.join("refs").join(wanted), LONGEST_REF).ok()?;
                Some(text.trim().to_owned()).filter(|commit| is_hex(commit, 40))?
            }
        };
        let folder = repository.join("snapshots").join(&revision);
        let mut all = Vec::new();
        list(&folder, "", DEEPEST, &mut all)?;
        let needed = all
            .into_iter()
            .filter(|name| source.files.iter().any(|pattern| fits(pattern, name)));
        let mut files = Vec::new();
        for name in needed {
            // a link whose blob is missing makes the snapshot incomplete
            let facts = std::fs::metadata(folder.join(&name))
                .ok()
                .filter(|facts| facts.is_file())?;
            files.push((name, facts.len()));
        }
        if source.kind == HubKind::Model {
            let names: Vec<&str> = files.iter().map(|(name, _)| &**name).collect();
            let chosen = model::chosen(source, &names).ok()?;
            files.retain(|(name, _)| chosen.contains(name));
        }
        let names = || files.iter().map(|(name, _)| name.as_str());
        let each = |pattern: &&str| names().any(|name| fits(pattern, name));
        let is_whole = match source.kind {
            HubKind::DataSet => source.files.iter().all(each),
            // a snapshot may lack settings because nobody asked for them yet
            HubKind::Model => names().any(|name| name == model::CONFIG),
        };
        (is_whole && shards_are_whole(names())).then_some(Self {
            revision,
            folder,
            files,
        })
    }

    /// The first file whose content is not what the name of its blob says. A file that is no link
    /// to a blob says nothing.
    pub fn first_wrong(&self, advance: impl Fn(u64)) -> Option<String> {
        let is_wrong = |(name, size): &&(String, u64)| {
            advance(*size);
            let path = self.folder.join(name);
            let Some(hash) = blob_hash(&path) else { return false };
            match look(&path, *size) {
                Ok(Some(seen)) => hash != seen.sha256 && hash != seen.oid,
                _ => true,
            }
        };
        self.files.iter().find(is_wrong).map(|(name, _)| name.clone())
    }
}

/// Adds the files in the folder `under` of the snapshot, and those below it.
fn list(snapshot: &Path, under: &str, depth: usize, files: &mut Vec<String>) -> Option<()> {
    for (name, is_folder) in names(&snapshot.join(under)).ok()? {
        let name = match under {
            "" => name,
            _ => format!("{under}/{name}"),
        };
        match is_folder {
            true => list(snapshot, &name, depth.checked_sub(1)?, files)?,
            false => files.push(name),
        }
    }
    Some(())
}

/// The hash that names the blob to which the link at `path` leads: sha256, or git's id of a file
/// that is not in git LFS.
pub(crate) fn blob_hash(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok()?;
    let name = target.file_name()?.to_str()?.to_lowercase();
    let is_blob = target.parent()?.file_name()? == "blobs" && (is_hex(&name, 64) || is_hex(&name, 40));
    is_blob.then_some(name)
}

/// Whether there are as many shards as their names say: `train-00000-of-00002.parquet`.
fn shards_are_whole<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = std::collections::BTreeMap::new();
    for (start, index, of) in names.filter_map(shard) {
        let indices: &mut std::collections::BTreeSet<u64> = seen.entry((start, of)).or_default();
        indices.insert(index);
    }
    seen.iter().all(|((_, of), indices)| indices.len() as u64 == *of)
}

/// The part of a name before the number of the shard, that number, and how many there are.
fn shard(name: &str) -> Option<(&str, u64, u64)> {
    let (before, after) = name.rsplit_once("-of-")?;
    let (start, index) = before.rsplit_once('-')?;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    Some((start, index.parse().ok()?, after[..end].parse().ok()?))
}
