//! What can be wrong with an archive; every message names it, and the member where there is one.

use std::path::{Path, PathBuf};

use crate::DataError;

/// An archive, or a file in it, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system does not give it.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Cut off, altered, or of no known form.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file in an archive that is not as the archive says, or may not be as it is.
    #[error("{}, {member}: {reason}", path.display())]
    Member {
        /// The archive.
        path: PathBuf,
        /// The file in it.
        member: String,
        /// What is wrong with it.
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
            member: member.replace(char::is_control, "?"),
            reason: reason.into(),
        }
    }

    /// The same of an archive that is the member `name` of another.
    pub(super) fn within(self, name: &str) -> Self {
        match self {
            Self::Damaged { path, reason } => Self::member(&path, name, reason),
            Self::Member { path, member, reason } => Self::member(&path, &format!("{name}/{member}"), reason),
            other => other,
        }
    }

    /// What is wrong, for those who name archive and member themselves.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Unreadable { source, .. } => format!("it cannot be read: {source}"),
            Self::Damaged { reason, .. } | Self::Member { reason, .. } => reason,
        }
    }
}

impl From<ArchiveError> for DataError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Unreadable { path, source } => Self::Unreadable { path, source },
            ArchiveError::Damaged { path, reason } => Self::BadSample { path, reason },
            ArchiveError::Member { path, member, reason } => Self::BadSample {
                path: path.join(member),
                reason,
            },
        }
    }
}
