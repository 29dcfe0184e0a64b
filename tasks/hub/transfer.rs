//! Downloads one file: resumed where the last attempt stopped, verified when complete, renamed
//! last.
//!
//! hf-hub's own download compares no hash, resumes a part wherever the server says its answer
//! begins, and waits forever on a silent connection.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_RANGE, HeaderMap};

use super::client::{Client, Reply, bad_answer, below, refusal, shown, text, unreachable};
use super::error::FetchError;
use super::listing::{HubFile, is_hex};
use super::request::{FetchRequest, HubSource};
use super::verify::{right_at, verify};
use crate::Progress;

/// Attempts in a row without progress before a fetch gives up.
const TRIES: u32 = 6;
/// Attempts in all.
const MOST_TRIES: u32 = 200;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// If the hub asks for a longer pause, the fetch ends.
const LONGEST_WAIT: u64 = 300;
/// A connection that transfers fewer bytes within the request's patience is replaced.
const LEAST: u64 = 16 << 10;
const PIECE: usize = 64 << 10;

/// Downloads files of one repository at one commit.
pub(super) struct Transfer<'a> {
    pub source: &'a HubSource<'a>,
    pub revision: &'a str,
    pub request: &'a FetchRequest,
    client: Client,
}

impl<'a> Transfer<'a> {
    pub fn new(source: &'a HubSource<'a>, revision: &'a str, request: &'a FetchRequest) -> Self {
        Self {
            source,
            revision,
            request,
            client: Client::new(request, None),
        }
    }

    /// Downloads `file` to `path` through `part` and returns its sha256.
    pub fn bring(
        &self,
        file: &HubFile,
        path: &Path,
        part: &Path,
        progress: &dyn Progress,
    ) -> Result<String, FetchError> {
        for folder in [path, part].iter().filter_map(|path| path.parent()) {
            std::fs::create_dir_all(folder).map_err(FetchError::disk(folder))?;
        }
        let (mut idle, mut tries) = (0, 0);
        loop {
            let endpoint = &self.request.endpoints[tries as usize % self.request.endpoints.len()];
            let before = length(part);
            let error = match self.go_on(file, endpoint, part, progress).and_then(|linked| {
                let sha256 = verify(file, linked.as_deref(), part, endpoint)?;
                finish(part, path)?;
                Ok(sha256)
            }) {
                Ok(sha256) => return Ok(sha256),
                Err(error) => error,
            };
            tries += 1;
            idle = if length(part) > before { 0 } else { idle + 1 };
            if !error.may_pass() || idle >= TRIES || tries >= MOST_TRIES {
                return Err(error);
            }
            pause(&error, idle, self.request)?;
        }
    }

    /// Appends what is missing to `part`. Returns the sha256 that the hub states, if it does.
    fn go_on(
        &self,
        file: &HubFile,
        endpoint: &str,
        part: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<String>, FetchError> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).write(true).open(part);
        let mut into = opened.map_err(FetchError::disk(part))?;
        let mut have = length(part);
        // complete, but interrupted before it was renamed
        if have == file.size && right_at(part, file).is_some() {
            return Ok(None);
        }
        if have >= file.size {
            into.set_len(0).map_err(FetchError::disk(part))?;
            have = 0;
        }
        let base = format!("{endpoint}/{}/resolve/{}", self.source.page(), self.revision);
        let (answer, linked) = self.ask(endpoint, below(&base, &file.name), have)?;
        let at = starts_at(&answer, have, file)?;
        into.set_len(at).map_err(FetchError::disk(part))?;
        into.seek(SeekFrom::Start(at)).map_err(FetchError::disk(part))?;
        self.copy(answer, &mut into, file.size - at, part, progress)?;
        into.sync_all().map_err(FetchError::disk(part))?;
        Ok(linked)
    }

    /// Requests the bytes from `have` on. Also returns the sha256 that the hub states, if it does.
    fn ask(&self, endpoint: &str, first: String, have: u64) -> Result<(Reply, Option<String>), FetchError> {
        // the hub's own headers come with the first answer
        let mut linked = None;
        let reply = self.client.get(endpoint, first, have, |url, headers| {
            self.check_commit(headers, url)?;
            linked = linked.take().or_else(|| hash_header(headers));
            Ok(())
        })?;
        let status = reply.response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok((reply, linked));
        }
        Err(refusal(
            status.as_u16(),
            reply.response.headers(),
            &reply.url,
            self.source,
        ))
    }

    /// Rejects a hub that serves another commit than the requested one.
    fn check_commit(&self, headers: &HeaderMap, url: &str) -> Result<(), FetchError> {
        match text(headers, "x-repo-commit") {
            Some(commit) if commit != self.revision => Err(bad_answer(
                url,
                &format!("it is of revision {commit}, not {}", self.revision),
            )),
            _ => Ok(()),
        }
    }

    fn copy(
        &self,
        answer: Reply,
        into: &mut File,
        missing: u64,
        part: &Path,
        progress: &dyn Progress,
    ) -> Result<(), FetchError> {
        let Reply { url, response } = answer;
        let mut bytes = response.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        let (mut left, mut of_late, mut since) = (missing, 0, Instant::now());
        while left > 0 {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
            let read = bytes.read(&mut piece[..wanted]);
            let read = read.map_err(|error| unreachable(&url, &error))?;
            if read == 0 {
                let reason = format!("the connection ended {left} bytes too early");
                return Err(FetchError::Unreachable {
                    url: shown(&url),
                    reason,
                });
            }
            into.write_all(&piece[..read]).map_err(FetchError::disk(part))?;
            left -= read as u64;
            of_late += read as u64;
            progress.advance(read as u64);
            if since.elapsed() >= self.request.patience {
                if of_late < LEAST && left > 0 {
                    let reason = format!("only {of_late} bytes in {:.0} s", since.elapsed().as_secs_f64());
                    return Err(FetchError::Unreachable {
                        url: shown(&url),
                        reason,
                    });
                }
                (of_late, since) = (0, Instant::now());
            }
        }
        Ok(())
    }
}

/// The first byte that the answer contains.
fn starts_at(answer: &Reply, have: u64, file: &HubFile) -> Result<u64, FetchError> {
    let Reply { url, response } = answer;
    let promised = |at: u64| match response.body().content_length() {
        Some(length) if at.checked_add(length) != Some(file.size) => Err(FetchError::WrongContent {
            file: file.name.clone(),
            url: shown(url),
            expected: format!("{} bytes", file.size),
            found: format!("{} bytes", at.saturating_add(length)),
        }),
        _ => Ok(at),
    };
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let range = text(response.headers(), CONTENT_RANGE.as_str());
            match range {
                Some(range) if range == format!("bytes {have}-{}/{}", file.size.saturating_sub(1), file.size) => {
                    promised(have)
                }
                _ => Err(bad_answer(url, "another range than was asked for")),
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE => Err(bad_answer(url, "a range of the file is not to be had")),
        // not every server supports ranges: the file comes again from the start
        _ => promised(0),
    }
}

/// Renames the verified part.
fn finish(part: &Path, path: &Path) -> Result<(), FetchError> {
    std::fs::rename(part, path).map_err(FetchError::disk(path))
}

/// Waits before the next attempt: as long as the hub asks, or twice as long each time.
pub(super) fn pause(error: &FetchError, idle: u32, request: &FetchRequest) -> Result<(), FetchError> {
    let doubled = request.pause * 2_u32.saturating_pow(idle.min(10));
    let wait = match error {
        FetchError::Limited { url, seconds } if *seconds > LONGEST_WAIT => {
            let (url, seconds) = (url.clone(), *seconds);
            return Err(FetchError::Limited { url, seconds });
        }
        FetchError::Limited { seconds, .. } => Duration::from_secs(*seconds),
        _ => doubled.min(LONGEST_PAUSE),
    };
    std::thread::sleep(wait);
    Ok(())
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |facts| facts.len())
}

/// The sha256 of a file in git LFS.
fn hash_header(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, "x-linked-etag")?.trim_matches('"');
    is_hex(tag, 64).then(|| tag.to_owned())
}
