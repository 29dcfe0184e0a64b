//! The HTTP client for the hub, addresses, and what statuses and failures mean.

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::error::FetchError;
use super::request::{FetchRequest, HubSource};

/// Characters that an address cannot contain.
const NEVER: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}');
/// Characters that end or split a path, or start an escape.
const NOT_IN_NAMES: &AsciiSet = &NEVER.add(b'/').add(b'?').add(b'#').add(b'%').add(b'\\');
const MOST_REDIRECTS: usize = 8;

/// Sends requests and follows redirects: only the endpoint's own server gets the token.
pub(super) struct Client {
    /// By scheme, because each scheme has a proxy of its own.
    http: Agent,
    https: Agent,
    token: Option<String>,
}

/// The answer to a request, after all redirects.
pub(super) struct Reply {
    pub url: String,
    pub response: Response<Body>,
}

impl Client {
    /// A client that waits no longer than the request's patience for anything, and no longer than
    /// `whole` for a complete answer.
    pub fn new(request: &FetchRequest, whole: Option<Duration>) -> Self {
        // the machine's certificates, which include those of its owner's mirrors
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let patience = Some(request.patience);
        let config = |proxy| {
            Agent::config_builder()
                .tls_config(tls.clone())
                .proxy(proxy)
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_resolve(patience)
                .timeout_connect(patience)
                .timeout_recv_response(patience)
                .timeout_per_read(patience)
                .timeout_per_write(patience)
                .timeout_global(whole)
                .user_agent(concat!("bridle-bench/", env!("CARGO_PKG_VERSION")))
                .build()
        };
        let (http, https) = request.proxies.agents(config);
        let token = request.token.clone();
        Self { http, https, token }
    }

    /// Requests the bytes of `first` from `from` on. `seen` is called with each answer on the way,
    /// redirects included. Any status that is no redirect is an answer.
    pub fn get(
        &self,
        endpoint: &str,
        first: String,
        from: u64,
        mut seen: impl FnMut(&str, &HeaderMap) -> Result<(), FetchError>,
    ) -> Result<Reply, FetchError> {
        let mut url = first;
        for _ in 0..=MOST_REDIRECTS {
            let agent = match url.get(..6) {
                Some(scheme) if scheme.eq_ignore_ascii_case("https:") => &self.https,
                _ => &self.http,
            };
            // limits and ranges count the bytes as they are
            let mut ask = agent.get(&url).header(ACCEPT_ENCODING, "identity");
            if from > 0 {
                ask = ask.header(RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| same_server(&url, endpoint)) {
                ask = ask.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = ask.call().map_err(|error| unreachable(&url, &error))?;
            let (status, headers) = (response.status(), response.headers());
            seen(&url, headers)?;
            if !status.is_redirection() {
                return Ok(Reply { url, response });
            }
            let to = text(headers, LOCATION.as_str()).and_then(|to| joined(&url, to));
            url = to.ok_or_else(|| bad_answer(&url, "a redirect without an address"))?;
        }
        Err(bad_answer(&url, "too many redirects"))
    }
}

/// The address of a file below `base`.
pub(super) fn below(base: &str, name: &str) -> String {
    let encoded = name.split('/').map(|part| utf8_percent_encode(part, NOT_IN_NAMES));
    encoded.fold(base.to_owned(), |address, part| format!("{address}/{part}"))
}

/// Where a redirect to `location` from `base` leads; `None` if nowhere.
pub(super) fn joined(base: &str, location: &str) -> Option<String> {
    let from: Uri = base.parse().ok()?;
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let location = utf8_percent_encode(location.trim(), NEVER).to_string();
    // a query may contain an address too
    let is_whole = |(scheme, _): (&str, &str)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let whole = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.split_once("://").is_some_and(is_whole) {
        location
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let to: Uri = whole.parse().ok()?;
    (matches!(to.scheme_str(), Some("http" | "https")) && to.host().is_some()).then_some(whole)
}

/// The address of a revision's facts, which may be a branch with slashes.
pub(super) fn revision_address(endpoint: &str, source: &HubSource<'_>, revision: &str) -> String {
    let revision = utf8_percent_encode(revision, NOT_IN_NAMES).to_string();
    format!("{endpoint}/api/{}", source.repo(revision).api_url())
}

/// An address as errors and plans show it: without user, password and query, which may hold secrets.
pub(super) fn shown(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = address
        .split_once("//")
        .map_or(("", address), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    match scheme {
        "" => format!("{server}{path}"),
        _ => format!("{scheme}//{server}{path}"),
    }
}

/// Whether two addresses are on the same server, so that what one may know the other may too.
pub(super) fn same_server(a: &str, b: &str) -> bool {
    let server = |address: &str| {
        let address: Uri = address.parse().ok()?;
        let scheme = address.scheme_str()?.to_lowercase();
        let port = address.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some((scheme, address.host()?.to_lowercase(), port))
    };
    server(a).is_some() && server(a) == server(b)
}

/// The error that an unsuccessful status means.
pub(super) fn refusal(status: u16, headers: &HeaderMap, url: &str, source: &HubSource<'_>) -> FetchError {
    let url = shown(url);
    // the hub says so of a repository that is not there, with the status of one that is not open
    if text(headers, "x-error-code").is_some_and(|code| code.ends_with("NotFound")) {
        return FetchError::NotFound { url };
    }
    match (status, retry_after(headers)) {
        (401 | 403, _) => FetchError::Refused {
            url,
            repository: source.repository.to_owned(),
            status,
        },
        (404, _) => FetchError::NotFound { url },
        (429 | 503, Some(seconds)) => FetchError::Limited { url, seconds },
        _ => FetchError::Status { url, status },
    }
}

/// In seconds; a date is ignored in favour of doubling pauses.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    text(headers, RETRY_AFTER.as_str())?.trim().parse().ok()
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn unreachable(url: &str, error: &dyn std::error::Error) -> FetchError {
    // the innermost error names the cause
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    FetchError::Unreachable {
        url: shown(url),
        reason: innermost.to_string(),
    }
}

pub(super) fn bad_answer(url: &str, reason: &str) -> FetchError {
    FetchError::BadAnswer {
        url: shown(url),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_folders_and_cannot_leave_the_path() {
        let address = below("https://hub/datasets/a/b/resolve/c", "data/5% off? #1 ü.bin");
        assert_eq!(
            address,
            "https://hub/datasets/a/b/resolve/c/data/5%25%20off%3F%20%231%20%C3%BC.bin"
        );
    }

    #[test]
    fn a_redirect_leads_where_its_words_say() {
        let base = "https://hub:8443/datasets/a/resolve/c/x.bin?download=true";
        let leads = |location, to: &str| assert_eq!(joined(base, location).as_deref(), Some(to), "{location}");
        leads("http://cdn/x y.bin?sign=a%2Fb", "http://cdn/x%20y.bin?sign=a%2Fb");
        leads("//cdn/x.bin", "https://cdn/x.bin");
        leads("/datasets/b/x.bin", "https://hub:8443/datasets/b/x.bin");
        leads("/login?to=https://hub/x", "https://hub:8443/login?to=https://hub/x");
        leads("y.bin", "https://hub:8443/datasets/a/resolve/c/y.bin");
        for nowhere in ["ftp://cdn/x.bin", "file:///etc/passwd", "http://"] {
            assert_eq!(joined(base, nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (address, seen) in [
            ("http://user:pa@ss@hub:8/a/b?sign=x", "http://hub:8/a/b"),
            ("https://token@hub", "https://hub"),
            ("user:pass@hub/a@b", "hub/a@b"),
            ("//user:pass@hub/x", "hub/x"),
            ("https://hub/datasets/a/b#c", "https://hub/datasets/a/b"),
        ] {
            assert_eq!(shown(address), seen);
        }
        let error = std::io::Error::other("gone");
        for error in [
            unreachable("http://u:SECRET@hub/x", &error),
            bad_answer("http://u:SECRET@hub/x", "no"),
        ] {
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn a_server_is_its_scheme_name_and_port() {
        assert!(same_server("https://Hub/a", "https://hub:443/b"));
        for other in [
            "http://hub/a",
            "https://hub:8443/a",
            "https://hub.evil/a",
            "https://hub@evil/a",
            "hub",
        ] {
            assert!(!same_server("https://hub/a", other), "{other}");
        }
    }
}
