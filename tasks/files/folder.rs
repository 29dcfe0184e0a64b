//! What is in a folder of media files.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::DataError;
use crate::names::composed;

/// What stands for the bytes of a name that are not UTF-8.
const NOT_UTF_8: char = char::REPLACEMENT_CHARACTER;

/// The names in a folder, sorted, without hidden ones: (name, whether it is a folder). A folder
/// whose name is not UTF-8 is an error; a file with such a name is found to be unusable when it is
/// read.
pub(crate) fn names(folder: &Path) -> Result<Vec<(String, bool)>, DataError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::unreadable(folder))? {
        let entry = entry.map_err(DataError::unreadable(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        // links are followed: a data set is often assembled from them
        let is_folder = entry.path().is_dir();
        if is_folder && entry.file_name().to_str().is_none() {
            return Err(DataError::bad_sample(folder.join(name), "its name is not UTF-8"));
        }
        names.push((name, is_folder));
    }
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

/// The first file in a folder that is packed in a form that is not read.
fn packed_in(folder: &Path) -> Option<String> {
    const PACKED: [&str; 7] = ["gz", "tgz", "bz2", "xz", "zst", "7z", "rar"];
    let names = names(folder).ok()?.into_iter();
    let mut packed = names.filter(|(name, is_folder)| !is_folder && ends_in(name, &PACKED));
    packed.next().map(|(name, _)| name)
}

impl DataError {
    /// The folder holds something else; a packed file in it is named.
    pub(crate) fn not_the_task(task: &'static str, path: &Path, missing: &'static str) -> Self {
        let (path, packed) = (path.to_owned(), packed_in(path));
        Self::NotTheTask {
            task,
            path,
            missing,
            packed,
        }
    }
}

/// The files `<root>/<under>/<class>/<file>`: (class, its files relative to `root`). Both are
/// sorted by name, and classes without such files are left out.
pub(crate) fn class_folders(
    root: &Path,
    under: &str,
    endings: &[&str],
) -> Result<Vec<(String, Vec<String>)>, DataError> {
    let mut classes = Vec::new();
    for (class, is_folder) in names(&root.join(under))? {
        let place = root.join(under).join(&class);
        if !is_folder {
            // it could be the folder of a class
            if !place.exists() && !ends_in(&class, endings) && exists(&place) {
                return Err(DataError::bad_sample(place, "its link leads nowhere"));
            }
            continue;
        }
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

/// Whether something has this name, if only a link that leads nowhere.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Why a file cannot be used that could not be opened or read.
pub(crate) fn why_unreadable(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound if path.to_string_lossy().contains(NOT_UTF_8) => {
            "its name is not UTF-8".to_owned()
        }
        std::io::ErrorKind::NotFound if exists(path) => "its link leads nowhere".to_owned(),
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("it cannot be read: {error}"),
    }
}

/// Paths that a list names, in a data set's folder or archive.
pub(crate) struct ListedPaths {
    root: PathBuf,
    /// The root's own path; `None` if it has none.
    canonical: Option<PathBuf>,
    /// Whether a folder on the way to a path is the root.
    is_root: BTreeMap<PathBuf, bool>,
    /// Names in a folder by their composed form.
    spelled: BTreeMap<PathBuf, BTreeMap<String, String>>,
}

impl ListedPaths {
    pub fn new(root: &Path) -> Self {
        let place = if root == Path::new("") { Path::new(".") } else { root };
        Self {
            root: root.to_owned(),
            canonical: place.canonicalize().ok(),
            is_root: BTreeMap::new(),
            spelled: BTreeMap::new(),
        }
    }

    /// A path relative to the root, with forward slashes; `None` if it leads out. It may be listed
    /// relative to the root or absolute, through links and with `..`: it is inside if it is so on
    /// the disk. Accents may be written in another form than on the disk.
    pub fn within(&mut self, listed: &str) -> Option<String> {
        let inner = self.inside(listed)?;
        let differs = !inner.is_ascii() && !exists(&self.root.join(&inner));
        Some(if differs {
            self.as_on_disk(&inner).unwrap_or(inner)
        } else {
            inner
        })
    }

    fn as_on_disk(&mut self, inner: &str) -> Option<String> {
        let mut found = String::new();
        for part in inner.split('/') {
            let folder = self.root.join(&found);
            let spelled = self.spelled.entry(folder.clone()).or_insert_with(|| {
                let there = std::fs::read_dir(&folder).into_iter().flatten().flatten();
                let names = there.filter_map(|entry| entry.file_name().into_string().ok());
                names.map(|name| (composed(&name), name)).collect()
            });
            let between = if found.is_empty() { "" } else { "/" };
            found = format!("{found}{between}{}", spelled.get(&composed(part))?);
        }
        Some(found)
    }

    fn inside(&mut self, listed: &str) -> Option<String> {
        let listed = Path::new(listed);
        if let Some(inner) = inner_path(listed.strip_prefix(&self.root).unwrap_or(listed)) {
            return Some(inner);
        }
        let path = self.root.join(listed);
        let above = path.ancestors().skip(1).find(|above| self.leads_to_root(above))?;
        inner_path(path.strip_prefix(above).ok()?)
    }

    fn leads_to_root(&mut self, folder: &Path) -> bool {
        if let Some(known) = self.is_root.get(folder) {
            return *known;
        }
        let is_root = self.canonical.is_some() && folder.canonicalize().ok() == self.canonical;
        self.is_root.insert(folder.to_owned(), is_root);
        is_root
    }
}

/// A relative path with forward slashes that stays within its folder; `None` if it leads out. Empty
/// for the folder itself.
fn inner_path(path: &Path) -> Option<String> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let parts = parts.map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    #[test]
    fn accents_may_be_in_the_other_form_in_a_list() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("Me\u{301}sange")).unwrap();
        std::fs::write(folder.path().join("Me\u{301}sange/\u{e9}.wav"), "").unwrap();
        let mut listed = ListedPaths::new(folder.path());
        let on_disk = Some("Me\u{301}sange/\u{e9}.wav");
        assert_eq!(listed.within("M\u{e9}sange/e\u{301}.wav").as_deref(), on_disk);
        assert_eq!(listed.within("Me\u{301}sange/\u{e9}.wav").as_deref(), on_disk);
        assert_eq!(
            listed.within("M\u{e9}sange/\u{e8}.wav").as_deref(),
            Some("M\u{e9}sange/\u{e8}.wav")
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_listed_path_is_inside_if_it_is_so_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("a")).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), data.join("elsewhere")).unwrap();
        let absolute = |path: &str| folder.path().join(path).display().to_string();
        for root in [
            data.clone(),
            folder.path().join("link"),
            data.join("a/.."),
            data.join("a/../../data"),
        ] {
            let mut listed = ListedPaths::new(&root);
            for path in ["a/1.wav", "./a/1.wav", "../data/a/1.wav", "a/../a/1.wav"] {
                assert_eq!(
                    listed.within(path).as_deref(),
                    Some("a/1.wav"),
                    "{path} in {}",
                    root.display()
                );
            }
            for path in [
                "data/a/1.wav",
                "link/a/1.wav",
                "data/../data/a/1.wav",
                "data/elsewhere/data/a/1.wav",
            ] {
                let inside = listed.within(&absolute(path));
                assert!(
                    inside.is_some_and(|inside| root.join(inside).starts_with(&root)),
                    "{path}"
                );
            }
            for path in ["../1.wav", "/1.wav", "a/../../1.wav", ".."] {
                assert_eq!(listed.within(path), None, "{path} in {}", root.display());
            }
        }
    }
}
