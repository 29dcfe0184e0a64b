//! What is in a folder of media files.

use std::path::{Component, Path};

use crate::DataError;

/// The names in a folder, sorted, without hidden ones: (name, whether it is a folder).
pub(crate) fn names(folder: &Path) -> Result<Vec<(String, bool)>, DataError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::unreadable(folder))? {
        let entry = entry.map_err(DataError::unreadable(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // links are followed: a data set is often assembled from them
        names.push((name, entry.path().is_dir()));
    }
    names.retain(|(name, _)| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// Whether a file's extension, in any case, is one of these.
pub(crate) fn ends_in(name: &str, endings: &[&str]) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// A file's name without its extension.
pub(crate) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The files `<root>/<under>/<class>/<file>`: (class, its files relative to `root`). Both are
/// sorted by name, and classes without such files are left out.
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

/// A relative path with forward slashes that stays within its folder; `None` if it leads out. Empty
/// for the folder itself.
pub(crate) fn inner_path(path: &Path) -> Option<String> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let parts = parts.map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}
