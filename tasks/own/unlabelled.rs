//! Files without classes, those of a folder or of a list: inputs for an encoder, and no more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::file::{Kind, Reading, STRIDE};
use super::{SOURCE, VERSION};
use crate::data::listing::{Entry, Listing};
use crate::files::folder::{ListedPaths, ends_in, names};
use crate::files::tree::Tree;
use crate::{DataError, Dataset, Modality, OpenRequest, Progress, Split, Target};

/// What such data is called.
const NAME: &str = "files";

/// Opens every file of the request's kind of input in a folder and the folders below it, or those that
/// a text names, one a line. A sample's id is its path from the folder, or from the text's, with
/// forward slashes; samples are in the order of their ids and have no classes. Hidden files and files
/// of other kinds in a folder are left out. Unusable files are skipped and named, at most one or 1 %.
///
/// # Errors
/// If the folder or text cannot be read or has no such file, a line names none, or too many files are
/// unusable.
pub fn open_files(files: &Path, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
    let kind = match request.input.modality() {
        Modality::Audio => Kind::Audio,
        Modality::Image => Kind::Image,
        Modality::Video => Kind::Video,
    };
    let (folder, mut found) = if files.is_file() {
        (parent(files), listed(files, kind.endings())?)
    } else {
        let mut found = Vec::new();
        below(files, "", kind.endings(), &mut BTreeSet::new(), &mut found)?;
        (files, found)
    };
    if found.is_empty() {
        let endings = kind.endings().join(", ");
        return Err(DataError::bad_sample(files, format!("it has no file of {endings}")));
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

/// The folder of a file.
fn parent(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The files that a text names, by their paths from its folder.
fn listed(text: &Path, endings: &[&str]) -> Result<Vec<String>, DataError> {
    let lines = bridle_files::text(text, bridle_files::TEXT).map_err(DataError::unreadable(text))?;
    let (mut paths, mut found) = (ListedPaths::new(parent(text)), BTreeSet::new());
    for (number, line) in lines.lines().enumerate() {
        let bad = |reason: String| DataError::bad_row(text, number as u64 + 1, reason);
        if line.trim().is_empty() {
            continue;
        }
        let outside = || bad(format!("`{line}` leads out of the list's folder"));
        let path = paths.within(line.trim()).ok_or_else(outside)?;
        if !ends_in(&path, endings) {
            return Err(bad(format!("`{line}` is no file of {}", endings.join(", "))));
        }
        if !found.insert(path) {
            return Err(bad(format!("`{line}` is listed a second time")));
        }
    }
    Ok(found.into_iter().collect())
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

    fn all_below(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        below(root, "", Kind::Audio.endings(), &mut BTreeSet::new(), &mut found).unwrap();
        found.sort();
        found
    }

    #[test]
    fn a_list_names_files_from_its_own_folder_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        create_dir_all(folder.path().join("a")).unwrap();
        write(folder.path().join("a/2.wav"), "").unwrap();
        let of = |text: &str| {
            write(&list, text).unwrap();
            listed(&list, Kind::Audio.endings()).map_err(|error| error.to_string())
        };
        assert_eq!(of("b.flac\r\n\na/../a/2.wav\n").unwrap(), ["a/2.wav", "b.flac"]);
        for (text, why) in [
            ("a/2.wav\n../1.wav", "leads out"),
            ("a/2.txt", "no file of wav"),
            ("a/2.wav\n./a/2.wav", "a second time"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(why) && error.contains("list.txt"), "{error}");
        }
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
        assert_eq!(all_below(root), expected);
        std::os::unix::fs::symlink(root, root.join("a/b/up")).unwrap();
        assert_eq!(all_below(root), expected);
        // another folder with a link to it is there twice, by either name
        std::os::unix::fs::symlink(root.join("a/b"), root.join("c")).unwrap();
        assert_eq!(all_below(root), ["1.wav", "a/2.FLAC", "a/b/3.ogg", "c/3.ogg"]);
    }
}
