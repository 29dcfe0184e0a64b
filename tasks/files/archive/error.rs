//! What can be wrong with an archive. Every message names the archive, and the member if there is
//! one.

use std::path::{Path, PathBuf};

/// An unusable archive or member.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// Cut off, altered, or of an unknown format.
    #[error("{}: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// A member that is not what the archive says, or not allowed.
    #[error("{}, {member}: {reason}", path.display())]
    Member {
        path: PathBuf,
        member: String,
        reason: String,
    },
}

impl ArchiveError {
    pub(super) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn member(path: &Path, member: &str, reason: impl Into<String>) -> Self {
        Self::Member {
            path: path.to_owned(),
            member: short(member),
            reason: reason.into(),
        }
    }

    /// The same error, for an archive that is the member `name` of another.
    pub(super) fn within(self, name: &str) -> Self {
        match self {
            Self::Damaged { path, reason } => Self::member(&path, name, reason),
            Self::Member { path, member, reason } => Self::member(&path, &format!("{name}/{member}"), reason),
            other => other,
        }
    }

    /// The reason only, for callers who name archive and member themselves.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Unreadable { source, .. } => format!("it cannot be read: {source}"),
            Self::Damaged { reason, .. } | Self::Member { reason, .. } => reason,
        }
    }
}

/// A member's name as messages show it: of one line, and not endless.
fn short(name: &str) -> String {
    const MOST: usize = 200;
    let shown = name.chars().take(MOST).map(|c| if c.is_control() { '?' } else { c });
    let rest = if name.chars().nth(MOST).is_some() { "..." } else { "" };
    shown.chain(rest.chars()).collect()
}
