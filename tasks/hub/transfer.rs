//! The bytes of one file: asked for from where the last try stopped, verified when all are there, renamed last.
//!
//! Not through hf-hub: its download compares no hash, goes on from a part wherever the server says its answer begins,
//! and waits on a silent connection without end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, HeaderMap, LOCATION, RANGE};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::client::{agent, bad_answer, below, joined, refusal, same_server, text, unreachable};
use super::listing::{Listed, is_hex};
use super::verify::{right_at, verify};
use super::{FetchError, FetchRequest, HubSource};
use crate::Progress;

/// Tries in a row that bring nothing before a fetch gives up.
const TRIES: u32 = 6;
/// Tries in all, of a file that comes in crumbs.
const MOST_TRIES: u32 = 200;
/// Pauses double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A longer pause than this, asked for by the hub, is the user's to wait.
const LONGEST_WAIT: u64 = 300;
/// A connection that brings fewer bytes than this within the request's patience is given up for a new one.
const LEAST: u64 = 16 << 10;
const MOST_REDIRECTS: usize = 8;
const PIECE: usize = 64 << 10;

/// Gets files of one repository at one commit.
pub(super) struct Transfer<'a> {
    pub source: &'a HubSource,
    pub revision: &'a str,
    pub request: &'a FetchRequest,
    agent: Agent,
}

/// What came for a question, from the last of the addresses that redirects led to.
struct Answer {
    url: String,
    response: Response<Body>,
    /// The sha256 that the hub says the file has, where it says one.
    linked: Option<String>,
}

impl<'a> Transfer<'a> {
    pub fn new(source: &'a HubSource, revision: &'a str, request: &'a FetchRequest) -> Self {
        Self {
            source,
            revision,
            request,
            // redirects are followed here: the hub's own headers come with the first answer, and the token is for it alone
            agent: agent(request, 0, None),
        }
    }

    /// Brings `file` to `path` by way of `part`, and gives its sha256.
    pub fn bring(
        &self,
        file: &Listed,
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

    /// Appends what is missing to `part`. Gives the sha256 that the hub says the file has, where it says one.
    fn go_on(
        &self,
        file: &Listed,
        endpoint: &str,
        part: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<String>, FetchError> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).write(true).open(part);
        let mut into = opened.map_err(FetchError::disk(part))?;
        let mut have = length(part);
        // whole already, but killed before it got its name
        if have == file.size && right_at(part, file).is_some() {
            return Ok(None);
        }
        if have >= file.size {
            into.set_len(0).map_err(FetchError::disk(part))?;
            have = 0;
        }
        let (repository, revision) = (self.source.repository, self.revision);
        let base = format!("{endpoint}/datasets/{repository}/resolve/{revision}");
        let answer = self.ask(below(&base, &file.name), have)?;
        let linked = answer.linked.clone();
        let at = starts_at(&answer, have, file)?;
        into.set_len(at).map_err(FetchError::disk(part))?;
        into.seek(SeekFrom::Start(at)).map_err(FetchError::disk(part))?;
        self.copy(answer, &mut into, file.size - at, part, progress)?;
        into.sync_all().map_err(FetchError::disk(part))?;
        Ok(linked)
    }

    /// Asks for the bytes from `have` on, and follows redirects.
    fn ask(&self, first: String, have: u64) -> Result<Answer, FetchError> {
        let (mut url, mut linked) = (first.clone(), None);
        for _ in 0..=MOST_REDIRECTS {
            // a range is one of the file's own bytes
            let mut ask = self.agent.get(&url).header(ACCEPT_ENCODING, "identity");
            if have > 0 {
                ask = ask.header(RANGE, format!("bytes={have}-"));
            }
            if let Some(token) = self.request.token.as_ref().filter(|_| same_server(&url, &first)) {
                ask = ask.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = ask.call().map_err(|error| unreachable(&url, &error))?;
            let (status, headers) = (response.status(), response.headers());
            self.check_commit(headers, &url)?;
            linked = linked.or_else(|| hash_header(headers));
            if status.is_redirection() {
                let to = text(headers, LOCATION.as_str()).and_then(|to| joined(&url, to));
                url = to.ok_or_else(|| bad_answer(&url, "a redirect without an address"))?;
            } else if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok(Answer { url, response, linked });
            } else {
                return Err(refusal(status.as_u16(), headers, &url, self.source));
            }
        }
        Err(bad_answer(&url, "too many redirects"))
    }

    /// A hub that serves another commit than the one asked for is not believed.
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
        answer: Answer,
        into: &mut File,
        missing: u64,
        part: &Path,
        progress: &dyn Progress,
    ) -> Result<(), FetchError> {
        let Answer { url, response, .. } = answer;
        let mut bytes = response.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        let (mut left, mut of_late, mut since) = (missing, 0, Instant::now());
        while left > 0 {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
            let read = bytes.read(&mut piece[..wanted]);
            let read = read.map_err(|error| unreachable(&url, &error))?;
            if read == 0 {
                let reason = format!("the connection ended {left} bytes too early");
                return Err(FetchError::Unreachable { url, reason });
            }
            into.write_all(&piece[..read]).map_err(FetchError::disk(part))?;
            left -= read as u64;
            of_late += read as u64;
            progress.advance(read as u64);
            if since.elapsed() >= self.request.patience {
                if of_late < LEAST && left > 0 {
                    let reason = format!("only {of_late} bytes in {:.0} s", since.elapsed().as_secs_f64());
                    return Err(FetchError::Unreachable { url, reason });
                }
                (of_late, since) = (0, Instant::now());
            }
        }
        Ok(())
    }
}

/// From which byte on the answer brings the file.
fn starts_at(answer: &Answer, have: u64, file: &Listed) -> Result<u64, FetchError> {
    let Answer { url, response, .. } = answer;
    let promised = |at: u64| match response.body().content_length() {
        Some(length) if at + length != file.size => Err(FetchError::WrongContent {
            file: file.name.clone(),
            url: url.clone(),
            expected: format!("{} bytes", file.size),
            found: format!("{} bytes", at + length),
        }),
        _ => Ok(at),
    };
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let range = text(response.headers(), CONTENT_RANGE.as_str());
            match range {
                Some(range) if range == format!("bytes {have}-{}/{}", file.size - 1, file.size) => promised(have),
                _ => Err(bad_answer(url, "another range than was asked for")),
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE => Err(bad_answer(url, "a range of the file is not to be had")),
        // ranges are not everybody's: the whole file comes again
        _ => promised(0),
    }
}

/// Gives the verified part its name; what it is written to first reaches the disk.
fn finish(part: &Path, path: &Path) -> Result<(), FetchError> {
    std::fs::rename(part, path).map_err(FetchError::disk(path))
}

/// Waits before the next try: as long as the hub asks, else twice as long each time.
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

/// The sha256 of a file that the hub keeps beside git.
fn hash_header(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, "x-linked-etag")?.trim_matches('"');
    is_hex(tag, 64).then(|| tag.to_owned())
}
