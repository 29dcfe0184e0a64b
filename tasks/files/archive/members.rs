//! What archive formats have in common: members, and which names they may have.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::ArchiveError;
use crate::files::limits::largest;

/// What each archive format provides. Indices are below `len`.
pub(super) trait Members: Send + Sync {
    fn len(&self) -> usize;
    /// A member's name, with forward slashes.
    fn name(&self, index: usize) -> &str;
    /// A member's size in bytes; `None` if only reading it tells.
    fn size(&self, index: usize) -> Option<u64>;
    fn read(&self, index: usize) -> Result<Vec<u8>, ArchiveError>;
}

/// Bytes of a name; file systems take no more.
const LONGEST_NAME: usize = 4_096;

/// Refuses a member that is larger than any sample of its kind: an archive may claim any size.
pub(super) fn check_size(name: &str, size: u64) -> Result<(), String> {
    match largest(name) {
        limit if size > limit => Err(format!("it has {size} bytes, more than the {limit} of any such sample")),
        _ => Ok(()),
    }
}

/// What is wrong with a member's name: it must stay within its archive wherever it is joined to a
/// folder.
pub(crate) fn objection(name: &str) -> Option<&'static str> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
    match name {
        "" => Some("its name is empty"),
        _ if name.len() > LONGEST_NAME => Some("its name is too long"),
        _ if name.starts_with('/') || name.contains(['\\', '\0']) || has_drive(name) => {
            Some("its name is not a relative path")
        }
        _ if name.split('/').any(bad_part) => Some("its name leads out of the archive"),
        _ => None,
    }
}

/// Whether a path begins with a drive of Windows.
fn has_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Checks that all names are relative, stay within the archive and are distinct.
pub(super) fn check_names<'a>(path: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), ArchiveError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if let Some(reason) = objection(name) {
            return Err(ArchiveError::member(path, name, reason));
        }
        if !seen.insert(name) {
            return Err(ArchiveError::member(path, name, "its name occurs twice"));
        }
    }
    Ok(())
}
