//! Limits the size of the cache: the least recently used features go first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::EXTENSION;

struct FeatureFile {
    used: SystemTime,
    path: PathBuf,
    bytes: u64,
}

/// Marks an open feature file as used now, and as in use while it is open: a shared lock that
/// [`make_room`] respects.
pub(super) fn mark_used(file: &File) {
    // a file without lock or time may be removed too early, which costs only a computation: what is
    // mapped stays readable
    let _ = file.try_lock_shared();
    let _ = file.set_modified(SystemTime::now());
}

/// Removes feature files from all folders of `cache`, least recently used first, until `bytes` more
/// fit into `limit`. Files open in any program stay. Two programs that do so at once remove too
/// much at worst.
pub(super) fn make_room(cache: &Path, bytes: u64, limit: u64) {
    let mut kept = kept(cache);
    let mut total = kept.iter().map(|file| file.bytes).sum::<u64>().saturating_add(bytes);
    kept.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
    for file in kept {
        if total <= limit {
            return;
        }
        if remove_unused(&file.path) {
            total -= file.bytes;
        }
    }
}

fn kept(cache: &Path) -> Vec<FeatureFile> {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries(cache).flat_map(|folder| entries(&folder.path()).collect::<Vec<_>>());
    let of_file = |file: std::fs::DirEntry| {
        let (path, metadata) = (file.path(), file.metadata().ok()?);
        let is_features = path.extension().is_some_and(|extension| extension == EXTENSION);
        is_features.then_some(FeatureFile {
            used: metadata.modified().ok()?,
            path,
            bytes: metadata.len(),
        })
    };
    files.filter_map(of_file).collect()
}

/// Whether the file was removed. Without file locks, a file counts as in use.
fn remove_unused(path: &Path) -> bool {
    let Ok(file) = bridle_files::open(path) else {
        return false;
    };
    file.try_lock().is_ok() && std::fs::remove_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    /// Five files of 100 bytes, a used longest ago, in two folders.
    fn cache() -> tempfile::TempDir {
        let cache = tempfile::tempdir().unwrap();
        for (age, name) in [(5, "x/a"), (4, "y/b"), (3, "x/c"), (2, "y/d"), (1, "x/e")] {
            let path = cache.path().join(format!("{name}.{EXTENSION}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, [0; 100]).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100 * age))
                .unwrap();
        }
        std::fs::write(cache.path().join("x/other.survey"), [0; 1_000]).unwrap();
        cache
    }

    fn left(cache: &Path) -> String {
        let names: BTreeSet<_> = kept(cache)
            .iter()
            .map(|file| file.path.file_stem().unwrap().to_owned())
            .collect();
        names.iter().map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn just_enough_of_the_longest_unused_go() {
        for (bytes, limit, expected) in [
            (0, 500, "abcde"),
            (1, 500, "bcde"),
            (100, 500, "bcde"),
            (101, 500, "cde"),
            (500, 500, ""),
            (900, 500, ""),
            (0, u64::MAX, "abcde"),
            (u64::MAX, 500, ""),
        ] {
            let cache = cache();
            make_room(cache.path(), bytes, limit);
            assert_eq!(left(cache.path()), expected, "{bytes} of {limit}");
            assert!(cache.path().join("x/other.survey").exists());
        }
    }

    #[test]
    fn a_file_in_use_stays_and_a_used_one_is_young() {
        let cache = cache();
        let path = |name: &str| cache.path().join(format!("{name}.{EXTENSION}"));
        let in_use = File::open(path("x/a")).unwrap();
        mark_used(&in_use);
        mark_used(&File::open(path("y/b")).unwrap());
        make_room(cache.path(), 300, 500);
        assert_eq!(left(cache.path()), "ab");
        drop(in_use);
        make_room(cache.path(), 500, 500);
        assert_eq!(left(cache.path()), "");
    }
}
