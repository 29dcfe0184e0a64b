//! The bytes of one file: asked for from where the last try stopped, verified when all are there, renamed last.
//!
//! Not through hf-hub 1.0: its download starts anew at every try, compares neither length nor hash, takes the body of
//! an error for the file's, and waits on a silent connection without end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{StatusCode, Url, redirect};

use super::listing::{Listed, is_hex};
use super::verify::{right_at, verify};
use super::{FetchError, FetchRequest, Source};
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
    pub source: &'a Source,
    pub revision: &'a str,
    pub request: &'a FetchRequest,
    client: Client,
}

impl<'a> Transfer<'a> {
    pub fn new(source: &'a Source, revision: &'a str, request: &'a FetchRequest) -> Result<Self, FetchError> {
        // redirects are followed here: the hub's own headers come with the first answer, and the token is for it alone
        let builder = Client::builder().redirect(redirect::Policy::none());
        let builder = builder
            .connect_timeout(request.patience)
            .timeout(request.patience)
            .user_agent(concat!("bridle-bench/", env!("CARGO_PKG_VERSION")));
        let client = builder.build().map_err(|error| FetchError::Unreachable {
            url: request.endpoints.join(", "),
            reason: chain(&error),
        })?;
        Ok(Self {
            source,
            revision,
            request,
            client,
        })
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
        let url = self.address(file, endpoint)?;
        let (answer, linked) = self.ask(url, have)?;
        let at = self.starts_at(&answer, have, file)?;
        into.set_len(at).map_err(FetchError::disk(part))?;
        into.seek(SeekFrom::Start(at)).map_err(FetchError::disk(part))?;
        self.copy(answer, &mut into, file.size - at, part, progress)?;
        into.sync_all().map_err(FetchError::disk(part))?;
        Ok(linked)
    }

    fn address(&self, file: &Listed, endpoint: &str) -> Result<Url, FetchError> {
        let base = format!(
            "{endpoint}/datasets/{}/resolve/{}",
            self.source.repository, self.revision
        );
        let bad = |reason: String| FetchError::BadAnswer {
            url: base.clone(),
            reason,
        };
        let mut url = Url::parse(&base).map_err(|error| bad(error.to_string()))?;
        let mut segments = url
            .path_segments_mut()
            .map_err(|()| bad("it is no address".to_owned()))?;
        segments.extend(file.name.split('/'));
        drop(segments);
        Ok(url)
    }

    /// Asks for the bytes from `have` on, and follows redirects.
    fn ask(&self, url: Url, have: u64) -> Result<(Response, Option<String>), FetchError> {
        let origin = url.origin();
        let (mut url, mut linked) = (url, None);
        for _ in 0..=MOST_REDIRECTS {
            let mut ask = self.client.get(url.clone());
            if have > 0 {
                ask = ask.header(RANGE, format!("bytes={have}-"));
            }
            if let Some(token) = self.request.token.as_ref().filter(|_| url.origin() == origin) {
                ask = ask.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let answer = ask.send().map_err(|error| unreachable(&url, &error))?;
            self.check_commit(answer.headers(), &url)?;
            linked = linked.or_else(|| hash_header(answer.headers()));
            if !answer.status().is_redirection() {
                return Ok((self.check_status(answer, &url)?, linked));
            }
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let next = to.and_then(|to| url.join(to).ok());
            url = next.ok_or_else(|| bad_answer(&url, "a redirect without an address"))?;
        }
        Err(bad_answer(&url, "too many redirects"))
    }

    fn check_status(&self, answer: Response, url: &Url) -> Result<Response, FetchError> {
        let (url, status) = (url.to_string(), answer.status().as_u16());
        let repository = self.source.repository.to_owned();
        match status {
            200..=299 | 416 => Ok(answer),
            401 | 403 => Err(FetchError::Refused {
                url,
                repository,
                status,
            }),
            404 => Err(FetchError::NotFound { url }),
            429 | 503 => match retry_after(answer.headers()) {
                Some(seconds) => Err(FetchError::Limited { url, seconds }),
                None => Err(FetchError::Status { url, status }),
            },
            _ => Err(FetchError::Status { url, status }),
        }
    }

    /// A hub that serves another commit than the one asked for is not believed.
    fn check_commit(&self, headers: &HeaderMap, url: &Url) -> Result<(), FetchError> {
        match text(headers, "x-repo-commit") {
            Some(commit) if commit != self.revision => Err(bad_answer(
                url,
                &format!("it is of revision {commit}, not {}", self.revision),
            )),
            _ => Ok(()),
        }
    }

    /// From which byte on the answer brings the file.
    fn starts_at(&self, answer: &Response, have: u64, file: &Listed) -> Result<u64, FetchError> {
        let url = answer.url();
        let promised = |at: u64| match answer.content_length() {
            Some(length) if at + length != file.size => Err(FetchError::WrongContent {
                file: file.name.clone(),
                url: url.to_string(),
                expected: format!("{} bytes", file.size),
                found: format!("{} bytes", at + length),
            }),
            _ => Ok(at),
        };
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = text(answer.headers(), CONTENT_RANGE.as_str());
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

    fn copy(
        &self,
        mut answer: Response,
        into: &mut File,
        missing: u64,
        part: &Path,
        progress: &dyn Progress,
    ) -> Result<(), FetchError> {
        let url = answer.url().clone();
        let mut piece = vec![0; PIECE];
        let (mut left, mut of_late, mut since) = (missing, 0, Instant::now());
        while left > 0 {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
            let read = answer
                .read(&mut piece[..wanted])
                .map_err(|error| unreachable(&url, &error))?;
            if read == 0 {
                let reason = format!("the connection ended {left} bytes too early");
                return Err(FetchError::Unreachable {
                    url: url.to_string(),
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
                        url: url.to_string(),
                        reason,
                    });
                }
                (of_late, since) = (0, Instant::now());
            }
        }
        Ok(())
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

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The sha256 of a file that the hub keeps beside git.
fn hash_header(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, "x-linked-etag")?.trim_matches('"');
    is_hex(tag, 64).then(|| tag.to_owned())
}

/// In seconds; the form with a date is left to the doubling pauses.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    text(headers, RETRY_AFTER.as_str())?.trim().parse().ok()
}

fn unreachable(url: &Url, error: &dyn std::error::Error) -> FetchError {
    FetchError::Unreachable {
        url: url.to_string(),
        reason: chain(error),
    }
}

fn bad_answer(url: &Url, reason: &str) -> FetchError {
    FetchError::BadAnswer {
        url: url.to_string(),
        reason: reason.to_owned(),
    }
}

/// The innermost words, which name the cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
