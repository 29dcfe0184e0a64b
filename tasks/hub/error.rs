//! What can go wrong while a data set is fetched; every message names the address or the file.

use std::path::PathBuf;

/// A fetch that did not end with every file whole.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer: no network, no such host, or a connection that breaks off.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The client's words.
        reason: String,
    },
    /// The hub wants a token, or the token's owner has not accepted the data set's terms (401, 403).
    #[error(
        "{url} is not open to this user (status {status}): accept the terms of {repository} there, and set HF_TOKEN"
    )]
    Refused {
        /// What was asked for.
        url: String,
        /// The repository.
        repository: String,
        /// 401 or 403.
        status: u16,
    },
    /// There is no such repository, revision or file (404).
    #[error("{url} does not exist")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The hub asks for a longer pause than a fetch waits (429).
    #[error("{url} asks for a pause of {seconds} s; fetch again after it")]
    Limited {
        /// What was asked for.
        url: String,
        /// The pause.
        seconds: u64,
    },
    /// The hub answers, but not with what was asked for, however often it is asked.
    #[error("{url} answers with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// An answer that makes no sense.
    #[error("{url} answers with what cannot be used: {reason}")]
    BadAnswer {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The content is not what the hub's own listing says.
    #[error("{file} as it comes from {url} has {found}, not {expected}")]
    WrongContent {
        /// The file in the repository.
        file: String,
        /// Where it came from.
        url: String,
        /// A length or hash.
        expected: String,
        /// A length or hash.
        found: String,
    },
    /// The revision is no longer the one that was fetched first.
    #[error("{repository} has moved from revision {locked} to {now}; {} keeps to the first", lock.display())]
    Moved {
        /// The repository.
        repository: String,
        /// The revision of the first fetch.
        locked: String,
        /// What the hub has now.
        now: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// The hub lists other content for the very revision that was fetched first.
    #[error("{repository} lists {file} differently than at the first fetch, which {} keeps", lock.display())]
    Differs {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// The network is forbidden and the files are not all there.
    #[error("{repository} is not wholly in {} and the network is not to be used: {reason}", path.display())]
    Offline {
        /// The repository.
        repository: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A lock file that cannot be used.
    #[error("{}: {reason}", path.display())]
    BadLock {
        /// The lock file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder that cannot be read or written.
    #[error("cannot use {}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl FetchError {
    /// Whether another try, or a mirror, may do better.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Limited { .. } | Self::BadAnswer { .. } | Self::WrongContent { .. } => {
                true
            }
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    pub(super) fn disk(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
