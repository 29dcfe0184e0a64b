//! ImageNet's folder layout: `<root>/{train,val}/<class>/<file>`, or `<root>/<class>/<file>`, all
//! for training.
//!
//! Classes and files are sorted by name, hidden ones skipped, extensions compared without case.

use std::path::Path;

use super::{Contents, NAME};
use crate::data::listing::Entry;
use crate::files::folder::{ends_in, names};
use crate::files::tree::Tree;
use crate::{DataError, Split, Target};

pub(super) const ENDINGS: [&str; 3] = ["jpeg", "jpg", "png"];
const SPLITS: [(&str, Split); 2] = [("train", Split::Train), ("val", Split::Test)];

/// Lists `root`. Every class must be in each of the splits and hold a picture.
pub(super) fn list(root: &Path) -> Result<Contents, DataError> {
    let splits = SPLITS.into_iter().filter(|(name, _)| root.join(name).is_dir());
    let splits: Vec<(&str, Split)> = splits.collect();
    let missing = |missing| DataError::not_the_task(NAME, root, missing);
    match splits[..] {
        [] => list_splits(root, &[("", Split::Train)]),
        [(_, Split::Train), _] => list_splits(root, &splits),
        [(_, Split::Train)] => Err(missing("val folder beside its train folder")),
        _ => Err(missing("train folder beside its val folder")),
    }
}

fn list_splits(root: &Path, splits: &[(&str, Split)]) -> Result<Contents, DataError> {
    let (mut classes, mut entries) = (Vec::new(), Vec::new());
    for (at, (part, split)) in splits.iter().enumerate() {
        let folder = root.join(part);
        let here = names(&folder)?.into_iter().filter(|(_, is_folder)| *is_folder);
        let here: Vec<String> = here.map(|(name, _)| name).collect();
        if at == 0 {
            classes = here;
        } else {
            check_same(&folder, &classes, &here)?;
        }
        for (target, class) in classes.iter().enumerate() {
            let pictures = names(&folder.join(class))?.into_iter();
            let pictures = pictures.filter(|(name, is_folder)| !is_folder && ends_in(name, &ENDINGS));
            let pictures: Vec<(String, bool)> = pictures.collect();
            check_some(&folder.join(class), "pictures (jpeg, jpg, png)", pictures.len())?;
            entries.extend(pictures.into_iter().map(|(name, _)| {
                let file = format!("{part}/{class}/{name}").trim_start_matches('/').to_owned();
                Entry::new(file.clone(), Some(file), Target::Class(target), *split)
            }));
        }
    }
    check_some(root, "folders of classes", classes.len())?;
    Ok(Contents {
        form: "ilsvrc2012",
        tree: Tree::folder(root),
        lists: Vec::new(),
        entries,
        classes,
    })
}

fn check_some(path: &Path, what: &str, found: usize) -> Result<(), DataError> {
    match found {
        0 => Err(DataError::wrong_count(path, what, 1, found)),
        _ => Ok(()),
    }
}

/// Both splits must have the same classes; the first that one of them lacks is named.
fn check_same(folder: &Path, train: &[String], here: &[String]) -> Result<(), DataError> {
    let list = || "the train folder".to_owned();
    if let Some(class) = train.iter().find(|class| here.binary_search(class).is_err()) {
        let (path, listed_in) = (folder.join(class), list());
        return Err(DataError::MissingFile { path, listed_in });
    }
    if let Some(class) = here.iter().find(|class| train.binary_search(class).is_err()) {
        let (path, not_in) = (folder.join(class), list());
        return Err(DataError::UnlistedFile { path, not_in });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use crate::Sample;

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
        let file = |entry: Entry<Sample>| {
            let target = entry.sample.target.classes()[0];
            (entry.file.unwrap(), target, entry.sample.split)
        };
        list(root).unwrap().entries.into_iter().map(file).collect()
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
        assert_eq!(list(root.path()).unwrap().classes, ["a", "b"]);
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
            let error = list(root.path()).map(|_| ()).unwrap_err().to_string();
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
