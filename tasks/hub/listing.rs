//! Lists a repository at a revision. hf-hub builds the request for the commit; the file tree, which
//! hf-hub does not know, has lengths and hashes.

use std::io::BufReader;
use std::time::Duration;

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, LINK};

use super::client::{agent, bad_answer, joined, refusal, same_server, text, unreachable};
use super::error::FetchError;
use super::request::{FetchRequest, HubSource};
use crate::files::archive::members::objection;

const MOST_REDIRECTS: u32 = 8;
/// A page has a thousand files; more pages than this are a loop.
const MOST_PAGES: usize = 10_000;
/// Bytes of one answer.
const LARGEST: u64 = 256 << 20;

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
struct TreeEntry {
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

struct Asker<'a> {
    source: &'a HubSource,
    endpoint: &'a str,
    token: Option<&'a str>,
    agent: Agent,
    /// The repository's page, for errors.
    address: String,
}

/// Asks `endpoint` once; the caller pauses and retries.
pub(super) fn list(
    source: &HubSource,
    revision: &str,
    endpoint: &str,
    request: &FetchRequest,
) -> Result<HubListing, FetchError> {
    let whole = request.patience.max(Duration::from_secs(1)) * 10;
    let asker = Asker {
        source,
        endpoint,
        token: request.token.as_deref(),
        agent: agent(request, MOST_REDIRECTS, Some(whole)),
        address: format!("{endpoint}/datasets/{}", source.repository),
    };
    let revision = asker.commit(revision, request)?;
    let files = asker.tree(&revision)?;
    match files.is_empty() {
        true => Err(asker.bad(&format!("no file is like {}", source.files.join(", ")))),
        false => Ok(HubListing { revision, files }),
    }
}

impl Asker<'_> {
    /// The commit that `revision` is now.
    fn commit(&self, revision: &str, request: &FetchRequest) -> Result<String, FetchError> {
        let builder = ApiBuilder::from_cache(Cache::new(request.cache.clone()));
        let api = builder.with_endpoint(self.endpoint.to_owned()).build();
        let api = api.map_err(|error| unreachable(&self.address, &error))?;
        let repository = self.source.repository.to_owned();
        let repository = Repo::with_revision(repository, RepoType::Dataset, revision.to_owned());
        let question = api.repo(repository).info_request();
        // hf-hub builds the request, the client here sends it: hf-hub would wait forever
        let question = question.uri_ref().ok_or_else(|| self.bad("it is no address"))?;
        let (info, _): (Info, _) = self.ask(&question.to_string())?;
        let commit = info.sha.filter(|sha| is_hex(sha, 40));
        commit.ok_or_else(|| self.bad("it names no commit"))
    }

    /// The files that the source needs, page after page.
    fn tree(&self, commit: &str) -> Result<Vec<HubFile>, FetchError> {
        let (endpoint, repository) = (self.endpoint, self.source.repository);
        let first = format!("{endpoint}/api/datasets/{repository}/tree/{commit}?recursive=true");
        let (mut files, mut next, mut pages) = (Vec::new(), Some(first), 0);
        while let Some(url) = next {
            let (entries, link): (Vec<TreeEntry>, _) = self.ask(&url)?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                files.extend(self.listed(entry)?);
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

    fn listed(&self, entry: TreeEntry) -> Result<Option<HubFile>, FetchError> {
        let TreeEntry { path: name, oid, .. } = entry;
        // a name is joined to a folder of this machine
        if let Some(reason) = objection(&name) {
            return Err(self.bad(&format!("{name:?}: {reason}")));
        }
        let asked_for = self.source.files.iter().any(|pattern| fits(pattern, &name));
        Ok(asked_for.then(|| HubFile {
            name,
            size: entry.lfs.as_ref().and_then(|lfs| lfs.size).unwrap_or(entry.size),
            oid,
            pointed: entry.lfs.is_some(),
            sha256: entry.lfs.and_then(|lfs| lfs.oid).filter(|hash| is_hex(hash, 64)),
        }))
    }

    /// The answer's content, and the address of the next page.
    fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<(T, Option<String>), FetchError> {
        let mut question = self.agent.get(url);
        if let Some(token) = self.token.filter(|_| same_server(url, self.endpoint)) {
            question = question.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = question.call().map_err(|error| unreachable(&self.address, &error))?;
        if !answer.status().is_success() {
            return Err(refusal(
                answer.status().as_u16(),
                answer.headers(),
                &self.address,
                self.source,
            ));
        }
        let link = text(answer.headers(), LINK.as_str()).map(str::to_owned);
        let body = answer.into_body().into_with_config().limit(LARGEST).reader();
        match serde_json::from_reader(BufReader::new(body)) {
            Ok(content) => Ok((content, link)),
            Err(error) if error.is_io() => Err(unreachable(&self.address, &error)),
            Err(error) => Err(self.bad(&error.to_string())),
        }
    }

    fn bad(&self, reason: &str) -> FetchError {
        bad_answer(&self.address, reason)
    }
}

/// The next page of a `Link` header.
fn next_page(link: &str) -> Option<&str> {
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
