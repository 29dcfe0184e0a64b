//! Finds the clips of a copy: files named by YouTube id, in any folder or archive below the data
//! set's.

use std::collections::BTreeMap;
use std::path::Path;

use super::segments::ID;
use crate::DataError;
use crate::files::archive::{ParquetTable, Value};
use crate::files::folder::{ends_in, names};
use crate::files::tree::{Tree, Unopened};

const ENDINGS: [&str; 6] = ["wav", "flac", "ogg", "oga", "wave", LEAST];
/// Used only if a clip exists in no other format: mp3 encoders remove the highest tones.
const LEAST: &str = "mp3";
/// Shards: webdataset tars, or tables with a column of files.
const ARCHIVES: [&str; 3] = ["tar", "zip", "parquet"];
/// The column of a table that has the ids.
const ID_COLUMN: &str = "video_id";
/// Depth of folders, so that a link to a parent folder ends.
const DEPTH: usize = 4;

pub(super) struct ClipFiles {
    pub tree: Tree,
    /// The file of each clip, by id.
    pub by_id: BTreeMap<String, String>,
    unopened: Vec<Unopened>,
}

impl ClipFiles {
    /// Of several files for one id, the first by name that is no mp3 wins.
    fn add(&mut self, id: &str, file: &str) {
        let rank = |file: &str| (ends_in(file, &[LEAST]), file.to_owned());
        let kept = self.by_id.entry(id.to_owned()).or_insert_with(|| file.to_owned());
        if rank(file) < rank(kept) {
            file.clone_into(kept);
        }
    }

    /// Fails if an archive is needed that cannot be opened: it names a clip of the lists, or it is
    /// damaged and clips are missing.
    pub fn check_archives(self, is_listed: impl Fn(&str) -> bool, is_missing: bool) -> Result<Tree, DataError> {
        let is_clip = |file: &String| {
            let name = file.rsplit('/').next().unwrap_or(file);
            ends_in(name, &ENDINGS) && ids(name).any(&is_listed)
        };
        let is_needed = |archive: &Unopened| match &archive.names {
            Some(names) => names.iter().any(is_clip),
            None => is_missing,
        };
        match self.unopened.into_iter().find(is_needed) {
            Some(archive) => Err(archive.error),
            None => Ok(self.tree),
        }
    }

    fn add_named(&mut self, file: &str) {
        let name = file.rsplit('/').next().unwrap_or(file);
        if ends_in(name, &ENDINGS) {
            ids(name).for_each(|id| self.add(id, file));
        }
    }
}

/// The clips below `folder`. An archive that cannot be opened may be one of something else.
pub(super) fn find(folder: &Path) -> Result<ClipFiles, DataError> {
    let files = below(folder)?;
    let named = files.iter().filter(|file| ends_in(file, &ARCHIVES)).cloned();
    let (tree, unopened) = Tree::open_all(folder, named);
    let mut clips = ClipFiles {
        tree,
        by_id: BTreeMap::new(),
        unopened,
    };
    files.iter().for_each(|file| clips.add_named(file));
    let archives: Vec<String> = clips.tree.archives().map(str::to_owned).collect();
    for archive in &archives {
        let members: Vec<String> = clips.tree.members(archive).collect();
        match told_ids(&folder.join(archive))? {
            Some(ids) => ids.iter().zip(&members).for_each(|(id, file)| clips.add(id, file)),
            None => members.iter().for_each(|file| clips.add_named(file)),
        }
    }
    Ok(clips)
}

/// The ids of a table's rows, if it has them.
fn told_ids(path: &Path) -> Result<Option<Vec<String>>, DataError> {
    if !ends_in(&path.to_string_lossy(), &["parquet"]) {
        return Ok(None);
    }
    let table = ParquetTable::open(path)?;
    if !table.columns().contains(&ID_COLUMN) {
        return Ok(None);
    }
    let bad = |row: usize| DataError::bad_row(path, row as u64 + 1, format!("its {ID_COLUMN} is no text"));
    let id = |(row, value)| match value {
        Value::Text(id) => Ok(id),
        _ => Err(bad(row)),
    };
    table
        .column(ID_COLUMN)?
        .into_iter()
        .enumerate()
        .map(id)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Every file below a folder, relative to it.
fn below(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut files = Vec::new();
    let mut open = vec![(String::new(), DEPTH)];
    while let Some((within, depth)) = open.pop() {
        for (name, is_folder) in names(&folder.join(&within))? {
            let path = if within.is_empty() {
                name
            } else {
                format!("{within}/{name}")
            };
            match (is_folder, depth) {
                (true, 0) => {}
                (true, depth) => open.push((path, depth - 1)),
                (false, _) => files.push(path),
            }
        }
    }
    Ok(files)
}

/// The ids that a file may be named by: `<id>.wav`, `Y<id>.wav`, and both with times after the id
/// (`<id>_30000_40000`, `<id>_30.000`). An id may itself begin with Y and contain underscores, so
/// there can be two.
fn ids(name: &str) -> impl Iterator<Item = &str> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    [Some(stem), stem.strip_prefix('Y')]
        .into_iter()
        .flatten()
        .filter_map(|stem| {
            let (id, rest) = stem.split_at_checked(ID)?;
            (rest.is_empty() || rest.starts_with(['_', '.', '-', ' '])).then_some(id)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_the_names_that_copies_use() {
        let of = |name| ids(name).collect::<Vec<_>>();
        assert_eq!(of("-0RWZT-miFs.wav"), ["-0RWZT-miFs"]);
        assert_eq!(of("Y-0RWZT-miFs.wav"), ["-0RWZT-miFs"]);
        assert_eq!(of("-0RWZT-miFs_420000_430000.flac"), ["-0RWZT-miFs"]);
        assert_eq!(of("Y-0RWZT-miFs_420.000.ogg"), ["-0RWZT-miFs"]);
        assert_eq!(of("YabcdefghiJ.wav"), ["YabcdefghiJ"]);
        assert_eq!(of("Yabcdefghij_30000.wav"), ["Yabcdefghij", "abcdefghij_"][..1]);
        assert_eq!(of("Yabcdefghi__.wav"), ["Yabcdefghi_", "abcdefghi__"]);
        assert!(of("notes.wav").is_empty() && of("éééééé.wav").is_empty());
    }
}
