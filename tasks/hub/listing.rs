//! What a repository holds at a revision, asked through hf-hub.

use std::time::Duration;

use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClient, HFClientSync, HFError, split_id};

use super::{FetchError, FetchRequest, Source};
use crate::archive::objection;

/// A file as the hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its path in the repository.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// git's name for what the repository holds: the file, or the pointer to it.
    pub oid: String,
    /// Whether the repository holds a pointer (git LFS) to it.
    pub pointed: bool,
    /// The hub's own hash, where the listing or the lock file has it.
    pub sha256: Option<String>,
}

/// A repository at one commit.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// The commit.
    pub revision: String,
    /// The files that the source asks for, by name.
    pub files: Vec<Listed>,
}

/// Asks `endpoint` once; pauses and further tries are the caller's, because hf-hub's own retries know no Retry-After.
pub(super) fn list(
    source: &Source,
    revision: &str,
    endpoint: &str,
    request: &FetchRequest,
) -> Result<Listing, FetchError> {
    let address = format!("{endpoint}/datasets/{}", source.repository);
    let told = |error| told(error, &address, source);
    let client = client(endpoint, request).map_err(told)?;
    let (owner, name) = split_id(source.repository);
    let repository = client.dataset(owner, name);
    let info = repository.info().revision(revision).send().map_err(told)?;
    let bad = |reason: String| FetchError::BadAnswer {
        url: address.clone(),
        reason,
    };
    let commit = info.sha.filter(|sha| is_hex(sha, 40));
    let commit = commit.ok_or_else(|| bad("it names no commit".to_owned()))?;
    let entries = repository.list_tree().revision(commit.as_str()).recursive(true);
    let mut files = Vec::new();
    for entry in entries.send().map_err(told)? {
        let RepoTreeEntry::File {
            oid, size, path, lfs, ..
        } = entry
        else {
            continue;
        };
        // a name is joined to a folder of this machine
        if let Some(reason) = objection(&path) {
            return Err(bad(format!("{path:?}: {reason}")));
        }
        if source.files.iter().any(|pattern| fits(pattern, &path)) {
            let pointed = lfs.is_some();
            let size = lfs.as_ref().and_then(|lfs| lfs.size).unwrap_or(size);
            let sha256 = lfs.and_then(|lfs| lfs.sha256).filter(|hash| is_hex(hash, 64));
            let name = path;
            files.push(Listed {
                name,
                size,
                oid,
                pointed,
                sha256,
            });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    match files.is_empty() {
        true => Err(bad(format!("no file is like {}", source.files.join(", ")))),
        false => Ok(Listing {
            revision: commit,
            files,
        }),
    }
}

fn client(endpoint: &str, request: &FetchRequest) -> Result<HFClientSync, HFError> {
    // hf-hub's client would wait for ever
    let http = reqwest::Client::builder()
        .connect_timeout(request.patience)
        .read_timeout(request.patience)
        .timeout(request.patience.max(Duration::from_secs(1)) * 10)
        .build()?;
    let builder = HFClient::builder().client(http).endpoint(endpoint);
    let builder = builder.retry_max_attempts(0).cache_enabled(false);
    match &request.token {
        Some(token) => builder.token(token.as_str()),
        None => builder,
    }
    .build_sync()
}

fn told(error: HFError, address: &str, source: &Source) -> FetchError {
    let url = address.to_owned();
    let repository = source.repository.to_owned();
    let of_status = |status: u16| match status {
        401 | 403 => FetchError::Refused {
            url: url.clone(),
            repository: repository.clone(),
            status,
        },
        404 => FetchError::NotFound { url: url.clone() },
        _ => FetchError::Status {
            url: url.clone(),
            status,
        },
    };
    match error {
        HFError::AuthRequired { .. } => of_status(401),
        HFError::Forbidden { .. } => of_status(403),
        HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } | HFError::EntryNotFound { .. } => {
            of_status(404)
        }
        HFError::RateLimited {
            retry_after: Some(pause),
            ..
        } => FetchError::Limited {
            url,
            seconds: pause.as_secs(),
        },
        HFError::RateLimited { .. } => of_status(429),
        HFError::Http { context } => of_status(context.status.as_u16()),
        HFError::Request { source, .. } if source.is_decode() => FetchError::BadAnswer {
            url,
            reason: source.to_string(),
        },
        HFError::Request { source, .. } => FetchError::Unreachable {
            url,
            reason: source.to_string(),
        },
        other => FetchError::BadAnswer {
            url,
            reason: other.to_string(),
        },
    }
}

pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `name` is like `pattern`, in which `*` stands for anything.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            let cuts = name.char_indices().map(|(cut, _)| cut).chain([name.len()]);
            cuts.into_iter().any(|cut| fits(rest, &name[cut..]))
        }),
    }
}
