//! Folders of media files: where a data set's lies, and what is in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::DataError;

/// The names in a folder, sorted, but for hidden ones: (name, whether it is a folder).
pub(crate) fn names(folder: &Path) -> Result<Vec<(String, bool)>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // through links: a data set is often put together of them
        names.push((name, entry.path().is_dir()));
    }
    names.retain(|(name, _)| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// Whether a file's ending, in any case, is one of these.
pub(crate) fn ends_in(name: &str, endings: &[&str]) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The files of a folder of one folder per class: (class, its files, relative to `root`), for `<root>/<under>/<class>`.
/// Classes and files are sorted by name, and a class without such files is left out.
pub(crate) fn class_folders(
    root: &Path,
    under: &str,
    endings: &[&str],
) -> Result<Vec<(String, Vec<String>)>, DataError> {
    let mut classes = Vec::new();
    for (class, _) in names(&root.join(under))?.into_iter().filter(|(_, folder)| *folder) {
        let folder = if under.is_empty() {
            class.clone()
        } else {
            format!("{under}/{class}")
        };
        let wanted = |(name, is_folder): &(String, bool)| !is_folder && ends_in(name, endings);
        let files = names(&root.join(&folder))?.into_iter().filter(wanted);
        let files: Vec<String> = files.map(|(name, _)| format!("{folder}/{name}")).collect();
        if !files.is_empty() {
            classes.push((class, files));
        }
    }
    Ok(classes)
}

/// A data set's folder: the one given, else the one within `$BRIDLE_DATA`.
pub(crate) fn locate(task: &'static str, given: Option<&Path>, original: &'static str) -> Result<PathBuf, DataError> {
    located(task, given, std::env::var_os("BRIDLE_DATA").as_deref(), original)
}

fn located(
    task: &'static str,
    given: Option<&Path>,
    all: Option<&OsStr>,
    original: &'static str,
) -> Result<PathBuf, DataError> {
    let path = match (given, all.filter(|value| !value.is_empty())) {
        (Some(given), _) => given.to_owned(),
        (None, Some(all)) => Path::new(all).join(task),
        (None, None) => {
            let fetch = "";
            return Err(DataError::NoFolderGiven { task, original, fetch });
        }
    };
    if path.is_dir() {
        Ok(path)
    } else {
        Err(DataError::NoFolder { task, path, original })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    #[test]
    fn the_folder_given_comes_before_that_of_all_data_and_one_of_them_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("esc50")).unwrap();
        let all = Some(folder.path().as_os_str());
        let locate = |given: Option<&Path>, all| located("esc50", given, all, "the.org/esc");
        let error = |given, all| locate(given, all).unwrap_err().to_string();
        assert_eq!(
            locate(Some(folder.path()), Some(OsStr::new("nowhere"))).unwrap(),
            folder.path()
        );
        assert_eq!(locate(None, all).unwrap(), folder.path().join("esc50"));
        insta::assert_snapshot!(error(Some(Path::new("no/such/folder")), all), @"the esc50 data folder no/such/folder does not exist; the original is at the.org/esc");
        insta::assert_snapshot!(error(None, Some(OsStr::new("nowhere"))), @"the esc50 data folder nowhere/esc50 does not exist; the original is at the.org/esc");
        let none = "no folder for the esc50 data was given and $BRIDLE_DATA is not set";
        assert!(error(None, None).starts_with(none) && error(None, Some(OsStr::new(""))).starts_with(none));
    }
}
