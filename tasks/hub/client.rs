//! The HTTP client for the hub, addresses, and what statuses and failures mean.

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::http::header::RETRY_AFTER;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{RootCerts, TlsConfig};

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

/// A client that waits no longer than the request's patience for anything, and no longer than
/// `whole` for a complete answer. Any status is an answer.
pub(super) fn agent(request: &FetchRequest, redirects: u32, whole: Option<Duration>) -> Agent {
    // the machine's certificates, which include those of its owner's mirrors
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let patience = Some(request.patience);
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(redirects)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .timeout_resolve(patience)
        .timeout_connect(patience)
        .timeout_recv_response(patience)
        .timeout_per_read(patience)
        .timeout_per_write(patience)
        .timeout_global(whole)
        .user_agent(concat!("bridle-bench/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
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
pub(super) fn refusal(status: u16, headers: &HeaderMap, url: &str, source: &HubSource) -> FetchError {
    let url = url.to_owned();
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
        url: url.to_owned(),
        reason: innermost.to_string(),
    }
}

pub(super) fn bad_answer(url: &str, reason: &str) -> FetchError {
    FetchError::BadAnswer {
        url: url.to_owned(),
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
