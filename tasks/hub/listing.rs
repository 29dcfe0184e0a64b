//! Lists a repository at a revision: its commit, then its file tree with lengths and hashes.

use std::io::{self, Read};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::header::LINK;

use super::client::{Client, Reply, bad_answer, joined, refusal, revision_address, text, unreachable};
use super::error::FetchError;
use super::model;
use super::request::{FetchRequest, HubKind, HubSource};
use crate::files::archive::members::objection;

/// Bytes of all answers to one listing together, as they are read. A page of a thousand files has
/// about 300 kB.
const MOST_BYTES: u64 = 64 << 20;
/// Files of one listing. The hub asks for less than 100,000 per repository.
const MOST_FILES: usize = 100_000;
/// A page has a thousand files; more pages than this are a loop.
const MOST_PAGES: usize = 1_000;
/// Bytes of a file's name, the most that file systems take.
const LONGEST_NAME: usize = 4_096;
/// Bytes of one file; more is no data set's.
const LARGEST_FILE: u64 = 1 << 46;

/// A file as the hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HubFile {
    /// Path in the repository.
    pub name: String,
    pub size: u64,
    /// The git object id of the file, or of the pointer to it.
    pub oid: String,
    /// Whether the repository has a git LFS pointer in its place.
    pub pointed: bool,
    /// The hub's sha256, if the listing or the lock file has it.
    pub sha256: Option<String>,
}

/// A repository at one commit.
#[derive(Clone, Debug)]
pub(super) struct HubListing {
    pub revision: String,
    /// The files that the source needs, by name.
    pub files: Vec<HubFile>,
}

/// The hub's JSON for a repository.
#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
}

/// The hub's JSON for a file or folder.
#[derive(Deserialize)]
pub(super) struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Pointed>,
}

/// The hub's JSON for a file in git LFS.
#[derive(Deserialize)]
struct Pointed {
    #[serde(alias = "sha256")]
    oid: Option<String>,
    size: Option<u64>,
}

pub(super) struct Asker<'a> {
    source: &'a HubSource<'a>,
    endpoint: &'a str,
    client: Client,
    /// Bytes that the answers to come may have.
    bytes: u64,
    /// The repository's page, for errors.
    address: String,
}

/// Asks `endpoint` once; the caller pauses and retries.
pub(super) fn list(
    source: &HubSource<'_>,
    revision: &str,
    endpoint: &str,
    request: &FetchRequest,
) -> Result<HubListing, FetchError> {
    let mut asker = Asker::new(source, endpoint, request);
    let revision = asker.commit(revision)?;
    let mut files = asker.tree(&revision)?;
    if source.kind == HubKind::Model {
        let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
        let chosen = model::chosen(source, &names)?;
        files.retain(|file| chosen.contains(&file.name));
    }
    match files.is_empty() {
        true => Err(asker.bad(&format!("no file is like {}", source.files.join(", ")))),
        false => Ok(HubListing { revision, files }),
    }
}

impl<'a> Asker<'a> {
    pub(super) fn new(source: &'a HubSource<'a>, endpoint: &'a str, request: &FetchRequest) -> Self {
        let whole = request.patience.max(Duration::from_secs(1)) * 10;
        Self {
            source,
            endpoint,
            client: Client::new(request, Some(whole)),
            bytes: MOST_BYTES,
            address: format!("{endpoint}/{}", source.page()),
        }
    }

    /// The commit that `revision` is now.
    fn commit(&mut self, revision: &str) -> Result<String, FetchError> {
        let url = revision_address(self.endpoint, self.source, revision);
        let (info, _): (Info, _) = self.ask(&url)?;
        let commit = info.sha.filter(|sha| is_hex(sha, 40));
        commit.ok_or_else(|| self.bad("it names no commit"))
    }

    /// The files that the source needs, page after page.
    pub(super) fn tree(&mut self, commit: &str) -> Result<Vec<HubFile>, FetchError> {
        let api = match self.source.kind {
            HubKind::DataSet => "datasets",
            HubKind::Model => "models",
        };
        let first = format!(
            "{}/api/{api}/{}/tree/{commit}?recursive=true",
            self.endpoint, self.source.repository
        );
        let (mut files, mut next, mut pages) = (Vec::new(), Some(first), 0);
        while let Some(url) = next {
            let (entries, link): (Vec<TreeEntry>, _) = self.ask(&url)?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                files.extend(self.listed(entry)?);
            }
            if files.len() > MOST_FILES {
                return Err(self.bad(&format!("it lists more than {MOST_FILES} files")));
            }
            pages += 1;
            next = match link.as_deref().and_then(next_page) {
                Some(_) if pages == MOST_PAGES => return Err(self.bad("its listing has no end")),
                Some(link) => Some(joined(&url, link).ok_or_else(|| self.bad("its next page is nowhere"))?),
                None => None,
            };
        }
        files.sort_by(|a: &HubFile, b| a.name.cmp(&b.name));
        files.dedup_by(|a, b| a.name == b.name);
        Ok(files)
    }

    pub(super) fn listed(&self, entry: TreeEntry) -> Result<Option<HubFile>, FetchError> {
        let TreeEntry { path: name, oid, .. } = entry;
        // a name is joined to a folder of this machine
        if name.len() > LONGEST_NAME {
            return Err(self.bad(&format!("a file's name has {} bytes", name.len())));
        }
        if let Some(reason) = objection(&name) {
            return Err(self.bad(&format!("{name:?}: {reason}")));
        }
        let asked_for = self.source.files.iter().any(|pattern| fits(pattern, &name));
        let size = entry.lfs.as_ref().and_then(|lfs| lfs.size).unwrap_or(entry.size);
        if asked_for && size > LARGEST_FILE {
            return Err(self.bad(&format!("{name:?} would have {size} bytes")));
        }
        Ok(asked_for.then(|| HubFile {
            name,
            size,
            oid,
            pointed: entry.lfs.is_some(),
            sha256: entry.lfs.and_then(|lfs| lfs.oid).filter(|hash| is_hex(hash, 64)),
        }))
    }

    /// The answer's content, and the address of the next page.
    fn ask<T: DeserializeOwned>(&mut self, url: &str) -> Result<(T, Option<String>), FetchError> {
        let answer = self.client.get(self.endpoint, url.to_owned(), 0, |_, _| Ok(()))?;
        let Reply { url, response } = answer;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(refusal(status, response.headers(), &self.address, self.source));
        }
        let link = text(response.headers(), LINK.as_str()).map(str::to_owned);
        let mut body = Vec::new();
        // whatever the answer's encoding is, these are the bytes that come out of it
        let read = response
            .into_body()
            .into_reader()
            .take(self.bytes + 1)
            .read_to_end(&mut body);
        read.map_err(|error: io::Error| unreachable(&url, &error))?;
        let left = self.bytes.checked_sub(body.len() as u64);
        self.bytes = left.ok_or_else(|| self.bad(&format!("its listing has more than {MOST_BYTES} bytes")))?;
        match serde_json::from_slice(&body) {
            Ok(content) => Ok((content, link)),
            Err(error) => Err(self.bad(&error.to_string())),
        }
    }

    fn bad(&self, reason: &str) -> FetchError {
        bad_answer(&self.address, reason)
    }
}

/// The next page of a `Link` header.
pub(super) fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, words) = part.trim().strip_prefix('<')?.split_once('>')?;
        words.contains("rel=\"next\"").then_some(address)
    })
}

pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `name` matches `pattern`, in which `*` stands for anything.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            let cuts = name.char_indices().map(|(cut, _)| cut).chain([name.len()]);
            cuts.into_iter().any(|cut| fits(rest, &name[cut..]))
        }),
    }
}
