//! A folder or archive of class folders as a task without a task file: everything has its default, and
//! the modality is that of the files.

use std::path::Path;

use super::archived;
use super::file::{Kind, TaskFile, is_archive};
use crate::files::folder::{ends_in, names};
use crate::{DataError, Task};

/// Folders of one class, within splits or not, lie no deeper.
const DEEPEST: usize = 3;

/// Whether this is a folder, or an archive that may replace one.
pub fn is_task_folder(path: &Path) -> bool {
    path.is_dir() || is_archive(path)
}

/// Opens such a folder, as a task file would that gives its name, its modality and nothing else. The
/// modality is that of most files; a task file decides otherwise.
///
/// # Errors
/// If it has no two class folders, no file of any modality, or cannot be read.
pub fn open_task_folder(path: &Path) -> Result<Box<dyn Task>, DataError> {
    let counts = Kind::ALL.map(|kind| count(path, kind));
    let mut most = None;
    for (kind, count) in Kind::ALL.into_iter().zip(counts) {
        let count = count?;
        if count > most.map_or(0, |(_, most)| most) {
            most = Some((kind, count));
        }
    }
    let Some((kind, _)) = most else {
        let reason = "it has no folder of a class with files of sound, pictures or video";
        return Err(DataError::bad_sample(path, reason));
    };
    super::opened(&TaskFile::of_folder(name(path), kind, path)?)
}

/// Files of this kind in the folders of classes.
fn count(path: &Path, kind: Kind) -> Result<usize, DataError> {
    if path.is_dir() {
        below(path, kind, DEEPEST)
    } else {
        // one without class folders of this kind is of another kind, and what it is then says so
        Ok(archived::read(path, kind).map_or(0, |found| found.entries.len()))
    }
}

fn below(folder: &Path, kind: Kind, depth: usize) -> Result<usize, DataError> {
    let mut count = 0;
    for (name, is_folder) in names(folder)? {
        if is_folder && depth > 1 {
            count += below(&folder.join(&name), kind, depth - 1)?;
        } else if !is_folder && ends_in(&name, kind.endings()) {
            count += 1;
        }
    }
    Ok(count)
}

/// The folder's name as the name of a task: letters, digits, - and _, and no name of a built-in task.
fn name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = whole.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.chars().map(plain).take(56).collect();
    let taken = |name: &str| {
        let built_in = crate::tasks().iter().map(|task| task.spec().name);
        built_in
            .chain(crate::speech_tasks().iter().map(|task| task.spec().name))
            .any(|known| known == name)
    };
    if name.is_empty() || taken(&name) {
        format!("{name}-folder")
    } else {
        name
    }
}
