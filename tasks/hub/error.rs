//! What can go wrong during a fetch. Every message names the address or the file.

use std::path::PathBuf;

/// Why a fetch did not complete. `url` is the requested address, `lock` the lock file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer: no network, no such host, or a connection that breaks off.
    #[error("cannot reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The hub wants a token, or the token's owner has not accepted the terms (401, 403).
    #[error(
        "{url} is not open to this user (status {status}): accept the terms of {repository} there, and set HF_TOKEN; \
         the hub answers so too if there is no such repository"
    )]
    Refused {
        url: String,
        repository: String,
        status: u16,
    },
    /// There is no such repository, revision or file (404).
    #[error("{url} does not exist")]
    NotFound { url: String },
    /// A model's repository has no file of weights that this program reads.
    #[error("{repository} has no weights in safetensors or in PyTorch's form")]
    NoWeights { repository: String },
    /// A model's repository has several, and no name says which is meant.
    #[error("{repository} has several files with weights: {files}")]
    SeveralWeights {
        repository: String,
        files: String,
        /// One of them.
        example: String,
    },
    /// The hub asks for a longer pause than a fetch waits (429).
    #[error("{url} asks for a pause of {seconds} s; fetch again after it")]
    Limited { url: String, seconds: u64 },
    /// The hub repeatedly answers with an error status.
    #[error("{url} answers with status {status}")]
    Status { url: String, status: u16 },
    /// An answer that makes no sense.
    #[error("{url} answers with what cannot be used: {reason}")]
    BadAnswer { url: String, reason: String },
    /// The content is not what the hub's own listing says.
    #[error("{file} as it comes from {url} has {found}, not {expected}")]
    WrongContent {
        file: String,
        url: String,
        expected: String,
        found: String,
    },
    /// The revision is no longer the one that was fetched first.
    #[error("{repository} has moved from revision {locked} to {now}; {} keeps to the first", lock.display())]
    Moved {
        repository: String,
        locked: String,
        now: String,
        lock: PathBuf,
    },
    /// The hub lists other content for the same revision that was fetched first.
    #[error("{repository} lists {file} differently than at the first fetch, which {} keeps", lock.display())]
    Differs {
        repository: String,
        file: String,
        lock: PathBuf,
    },
    /// Whoever watches did not agree to fetch so much.
    #[error("{repository} is {:.1} GB to fetch, which nobody agreed to", *bytes as f64 / 1e9)]
    NotAgreed { repository: String, bytes: u64 },
    /// The network is forbidden and files are missing.
    #[error("{repository} is not wholly in {} and the network is not to be used: {reason}", path.display())]
    Offline {
        repository: String,
        path: PathBuf,
        reason: String,
    },
    #[error("{}: {reason}", path.display())]
    BadLock { path: PathBuf, reason: String },
    /// A file or folder that cannot be read or written.
    #[error("cannot use {}", path.display())]
    Disk { path: PathBuf, source: std::io::Error },
}

impl FetchError {
    /// Whether another attempt, or a mirror, may succeed.
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
