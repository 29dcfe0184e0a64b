//! A folder of pictures in ImageNet's layout: one folder per class, each with its files, in two splits or in none.
//!
//! `<root>/{train,val}/<class>/<file>`, or `<root>/<class>/<file>`, all of which is for training. Classes and files are
//! sorted by name, hidden ones passed over, endings compared without case.

use std::path::Path;

use crate::{DataError, Split};

const ENDINGS: [&str; 3] = ["jpeg", "jpg", "png"];
const SPLITS: [(&str, Split); 2] = [("train", Split::Train), ("val", Split::Test)];

/// One picture's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Relative to the root, with forward slashes.
    pub file: String,
    /// Index of its class.
    pub target: usize,
    /// Its part.
    pub split: Split,
}

/// What a folder holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Names of the classes' folders, sorted.
    pub classes: Vec<String>,
    /// Sorted by split, class and name.
    pub files: Vec<Listed>,
}

/// Lists `root`, the folder of `task`. Every class must be in each of the splits and hold a picture.
pub(crate) fn list(root: &Path, task: &'static str) -> Result<Listing, DataError> {
    let splits: Vec<(&str, Split)> = SPLITS
        .into_iter()
        .filter(|(name, _)| root.join(name).is_dir())
        .collect();
    let missing = |missing| DataError::NotTheTask {
        task,
        path: root.to_owned(),
        missing,
    };
    match splits[..] {
        [] => list_splits(root, &[("", Split::Train)]),
        [(_, Split::Train), _] => list_splits(root, &splits),
        [(_, Split::Train)] => Err(missing("val folder beside its train folder")),
        _ => Err(missing("train folder beside its val folder")),
    }
}

fn list_splits(root: &Path, splits: &[(&str, Split)]) -> Result<Listing, DataError> {
    let mut listing = Listing {
        classes: Vec::new(),
        files: Vec::new(),
    };
    for (at, (part, split)) in splits.iter().enumerate() {
        let folder = root.join(part);
        let classes = entries(&folder, |path| path.is_dir())?;
        if at == 0 {
            listing.classes = classes;
        } else {
            same_classes(&folder, &listing.classes, &classes)?;
        }
        for (target, class) in listing.classes.iter().enumerate() {
            let names = entries(&folder.join(class), is_picture)?;
            at_least_one(&folder.join(class), "pictures (jpeg, jpg, png)", names.len())?;
            let within = if part.is_empty() {
                class.clone()
            } else {
                format!("{part}/{class}")
            };
            let listed = |name| Listed {
                file: format!("{within}/{name}"),
                target,
                split: *split,
            };
            listing.files.extend(names.into_iter().map(listed));
        }
    }
    at_least_one(root, "folders of classes", listing.classes.len())?;
    Ok(listing)
}

fn at_least_one(path: &Path, what: &str, found: usize) -> Result<(), DataError> {
    match found {
        0 => Err(DataError::WrongCount {
            path: path.to_owned(),
            what: what.to_owned(),
            expected: 1,
            found,
        }),
        _ => Ok(()),
    }
}

/// Both splits have the same classes; the first that one of them lacks is named.
fn same_classes(folder: &Path, train: &[String], here: &[String]) -> Result<(), DataError> {
    if let Some(class) = train.iter().find(|class| here.binary_search(class).is_err()) {
        let listed_in = "the train folder".to_owned();
        return Err(DataError::MissingFile {
            path: folder.join(class),
            listed_in,
        });
    }
    match here.iter().find(|class| train.binary_search(class).is_err()) {
        Some(class) => {
            let not_in = "the train folder".to_owned();
            Err(DataError::UnlistedFile {
                path: folder.join(class),
                not_in,
            })
        }
        None => Ok(()),
    }
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)) && path.is_file()
}

/// Names in `folder` that are not hidden and of which `wanted` is true, sorted.
fn entries(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || !wanted(&entry.path()) {
            continue;
        }
        let strange = || DataError::BadSample {
            path: entry.path(),
            reason: "its name is not UTF-8".to_owned(),
        };
        names.push(name.into_string().map_err(|_| strange())?);
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        root
    }

    fn files(root: &Path) -> Vec<(String, usize, Split)> {
        let listing = list(root, "task").unwrap();
        listing
            .files
            .into_iter()
            .map(|listed| (listed.file, listed.target, listed.split))
            .collect()
    }

    #[test]
    fn two_splits_are_listed_in_order_and_hidden_and_other_files_passed_over() {
        let root = folder(&[
            "val/b/3.png",
            "val/a/2.JPEG",
            "train/b/z.jpg",
            "train/b/c.Jpg",
            "train/a/1.jpeg",
            "train/a/.x.jpg",
            "train/.cache/1.jpg",
            "train/a/notes.txt",
            "readme.md",
        ]);
        assert_eq!(list(root.path(), "task").unwrap().classes, ["a", "b"]);
        let expected = [
            ("train/a/1.jpeg", 0, Split::Train),
            ("train/b/c.Jpg", 1, Split::Train),
            ("train/b/z.jpg", 1, Split::Train),
            ("val/a/2.JPEG", 0, Split::Test),
            ("val/b/3.png", 1, Split::Test),
        ];
        assert_eq!(
            files(root.path()),
            expected.map(|(file, target, split)| (file.to_owned(), target, split))
        );
    }

    #[test]
    fn classes_alone_are_for_training() {
        let root = folder(&["b/1.png", "a/1.png", "classes.csv"]);
        let expected = [("a/1.png", 0, Split::Train), ("b/1.png", 1, Split::Train)];
        assert_eq!(
            files(root.path()),
            expected.map(|(file, target, split)| (file.to_owned(), target, split))
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |files: &[&str]| {
            let root = folder(files);
            let error = list(root.path(), "imagenet").unwrap_err().to_string();
            error.replace(&root.path().display().to_string(), "SET")
        };
        insta::assert_snapshot!(message(&["train/a/1.jpg"]), @"SET is not the imagenet data: it has no val folder beside its train folder");
        insta::assert_snapshot!(message(&["val/a/1.jpg"]), @"SET is not the imagenet data: it has no train folder beside its val folder");
        insta::assert_snapshot!(message(&["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg"]), @"SET/val/b is missing, though the train folder lists it");
        insta::assert_snapshot!(message(&["train/a/1.jpg", "val/b/1.jpg", "val/a/1.jpg"]), @"SET/val/b is not listed in the train folder");
        insta::assert_snapshot!(message(&["train/a/1.jpg", "val/a/1.gif"]), @"SET/val/a has 0 pictures (jpeg, jpg, png), not 1");
        insta::assert_snapshot!(message(&["1.jpg"]), @"SET has 0 folders of classes, not 1");
    }
}
