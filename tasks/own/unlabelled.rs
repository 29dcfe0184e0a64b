//! A folder of files without classes: inputs for an encoder, and no more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::file::{Kind, Reading, STRIDE};
use super::{SOURCE, VERSION};
use crate::data::listing::{Entry, Listing};
use crate::files::folder::{ends_in, names};
use crate::files::tree::Tree;
use crate::{DataError, Dataset, Modality, OpenRequest, Progress, Split, Target};

/// What such data is called.
const NAME: &str = "files";

/// Opens every file of the request's kind of input in a folder and the folders below it. A sample's
/// id is its path from the folder, with forward slashes; samples are in the order of their ids and
/// have no classes. Hidden files and files of other kinds are left out. Unusable files are skipped
/// and named, at most one or 1 %.
///
/// # Errors
/// If the folder cannot be read or has no such file, or if too many files are unusable.
pub fn open_files(folder: &Path, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
    let kind = match request.input.modality() {
        Modality::Audio => Kind::Audio,
        Modality::Image => Kind::Image,
        Modality::Video => Kind::Video,
    };
    let mut found = Vec::new();
    below(folder, "", kind.endings(), &mut BTreeSet::new(), &mut found)?;
    if found.is_empty() {
        let endings = kind.endings().join(", ");
        return Err(DataError::bad_sample(folder, format!("it has no file of {endings}")));
    }
    found.sort();
    let entry = |file: String| Entry::new(file.clone(), Some(file), Target::Classes(Vec::new()), Split::Test);
    let entries = found.into_iter().map(entry).collect();
    let reading = Reading {
        kind,
        stride: STRIDE,
        mirror: false,
    };
    let media = reading.media(NAME, &request.input, request.limits.videos)?;
    let request = OpenRequest {
        allow_different: true,
        ..request.clone()
    };
    Listing::new(NAME, VERSION, SOURCE, Tree::folder(folder), entries).open(Vec::new(), media, &request, progress)
}

/// Adds the files below `root`/`under` that end so. Links are followed, but not to a folder on the
/// way to where they lie.
fn below(
    root: &Path,
    under: &str,
    endings: &[&str],
    above: &mut BTreeSet<PathBuf>,
    found: &mut Vec<String>,
) -> Result<(), DataError> {
    let folder = root.join(under);
    let place = folder.canonicalize().map_err(DataError::unreadable(&folder))?;
    if !above.insert(place.clone()) {
        return Ok(());
    }
    for (name, is_folder) in names(&folder)? {
        let path = if under.is_empty() {
            name
        } else {
            format!("{under}/{name}")
        };
        if is_folder {
            below(root, &path, endings, above, found)?;
        } else if ends_in(&path, endings) {
            found.push(path);
        }
    }
    above.remove(&place);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use std::fs::{create_dir_all, write};

    fn listed(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        below(root, "", Kind::Audio.endings(), &mut BTreeSet::new(), &mut found).unwrap();
        found.sort();
        found
    }

    #[test]
    #[cfg(unix)]
    fn files_at_any_depth_are_found_once_and_links_in_a_circle_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        create_dir_all(root.join("a/b")).unwrap();
        for file in [
            "1.wav",
            "a/2.FLAC",
            "a/b/3.ogg",
            "a/.4.wav",
            "a/notes.txt",
            "a/b/picture.png",
        ] {
            write(root.join(file), "").unwrap();
        }
        let expected = ["1.wav", "a/2.FLAC", "a/b/3.ogg"];
        assert_eq!(listed(root), expected);
        std::os::unix::fs::symlink(root, root.join("a/b/up")).unwrap();
        assert_eq!(listed(root), expected);
        // another folder with a link to it is there twice, by either name
        std::os::unix::fs::symlink(root.join("a/b"), root.join("c")).unwrap();
        assert_eq!(listed(root), ["1.wav", "a/2.FLAC", "a/b/3.ogg", "c/3.ogg"]);
    }
}
