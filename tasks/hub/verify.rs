//! Whether a file's content is what the hub says: by sha256, or by git object id.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::client::shown;
use super::error::FetchError;
use super::listing::HubFile;
use crate::files::sha256::hex;

const PIECE: usize = 64 << 10;

pub(super) struct Seen {
    pub sha256: String,
    /// git's object id.
    pub oid: String,
}

/// Verifies a complete part; a wrong part is removed.
pub(super) fn verify(file: &HubFile, linked: Option<&str>, part: &Path, endpoint: &str) -> Result<String, FetchError> {
    let seen = look(part, file.size).map_err(FetchError::disk(part))?;
    let found = seen.map(|seen| (is_right(file, linked, &seen), seen.sha256));
    match found {
        Some((true, sha256)) => Ok(sha256),
        other => {
            std::fs::remove_file(part).map_err(FetchError::disk(part))?;
            let known = file.sha256.as_deref().or(linked);
            let expected = known.map_or_else(
                || format!("the content of {}", file.oid),
                |hash| format!("sha256 {hash}"),
            );
            Err(FetchError::WrongContent {
                file: file.name.clone(),
                url: shown(endpoint),
                expected,
                found: other.map_or("another length".to_owned(), |(_, hash)| format!("sha256 {hash}")),
            })
        }
    }
}

/// The sha256 of the file at `path`, if it is correct.
pub(super) fn right_at(path: &Path, file: &HubFile) -> Option<String> {
    let seen = look(path, file.size).ok().flatten()?;
    is_right(file, None, &seen).then_some(seen.sha256)
}

/// Hashes a file; `None` if it has another length.
pub(super) fn look(path: &Path, size: u64) -> std::io::Result<Option<Seen>> {
    let mut file = bridle_files::open(path)?;
    if file.metadata()?.len() != size {
        return Ok(None);
    }
    let mut sha256 = Sha256::new();
    let mut oid = sha1::Sha1::new();
    oid.update(format!("blob {size}\0"));
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        sha256.update(&piece[..read]);
        oid.update(&piece[..read]);
    }
    Ok(Some(Seen {
        sha256: hex(&sha256.finalize()),
        oid: hex(&oid.finalize()),
    }))
}

/// By the hub's sha256 if it is known; otherwise by git object id, of the file or of the pointer
/// that git LFS would make of it.
fn is_right(file: &HubFile, linked: Option<&str>, seen: &Seen) -> bool {
    let known = [file.sha256.as_deref(), linked.filter(|_| file.pointed)];
    let mut known = known.into_iter().flatten().peekable();
    if known.peek().is_some() {
        return known.all(|hash| hash.eq_ignore_ascii_case(&seen.sha256));
    }
    if !file.pointed {
        return file.oid == seen.oid;
    }
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
        seen.sha256, file.size
    );
    let mut oid = sha1::Sha1::new();
    oid.update(format!("blob {}\0{pointer}", pointer.len()));
    file.oid == hex(&oid.finalize())
}
