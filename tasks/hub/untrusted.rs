//! Laws of what a hub answers, of lock files, and of addresses and variables.
#![allow(clippy::unwrap_used)] // a failed unwrap is a broken law

use std::time::Duration;

use super::client::{joined, same_server};
use super::request::expanded;
use super::*;
use crate::files::archive::members::objection;

const SOURCE: HubSource = HubSource {
    kind: HubKind::DataSet,
    repository: "someone/sounds",
    revision: None,
    files: &["data/*.bin", "*"],
    licence: "none",
    gated: false,
};

/// A page of a listing: names stay within the folder that they are joined to.
pub(crate) fn page(bytes: &[u8]) {
    let Ok(entries) = serde_json::from_slice::<Vec<listing::TreeEntry>>(bytes) else {
        return;
    };
    if entries.is_empty() {
        return;
    }
    let request = FetchRequest {
        to: None,
        cache: PathBuf::new(),
        endpoints: Vec::new(),
        token: None,
        proxies: Proxies::default(),
        revision: None,
        offline: true,
        connections: 1,
        patience: Duration::ZERO,
        pause: Duration::ZERO,
    };
    let asker = listing::Asker::new(&SOURCE, "http://127.0.0.1:9", &request);
    for entry in entries {
        if let Ok(Some(file)) = asker.listed(entry) {
            assert_eq!(objection(&file.name), None, "{:?}", file.name);
            assert!(file.sha256.is_none_or(|hash| is_hex(&hash, 64)));
        }
    }
}

/// A lock file is one that can be written and read again, of names that stay within.
pub(crate) fn lock_file(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock.toml");
    std::fs::write(&path, bytes).unwrap();
    match LockFile::read(&path) {
        Ok(lock) => {
            let lock = lock.unwrap();
            assert!(is_hex(&lock.revision, 40));
            assert!(lock.files.iter().all(|file| objection(&file.name).is_none()));
            assert_eq!(lock.difference(&lock.listing()), None);
            lock.write(&path).unwrap();
            assert_eq!(LockFile::read(&path).unwrap(), Some(lock));
        }
        Err(error) => assert!(error.to_string().contains("lock.toml"), "{error}"),
    }
}

/// A redirect leads to an address of http, and no address is shown with its user, password or query.
/// A variable that is not set stays as it is written.
pub(crate) fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let base = "https://hub:8443/datasets/a/resolve/c/x.bin";
    if let Some(to) = joined(base, &text) {
        let uri: ureq::http::Uri = to.parse().unwrap();
        assert!(
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some(),
            "{to}"
        );
        assert!(same_server(&to, &to), "{to}");
        let shown = shown(&to);
        assert!(
            !shown.contains(['?', '#']) && to.contains(uri.host().unwrap()),
            "{shown}"
        );
        // the user is what precedes the last @ of the server's name
        let server = shown.split('/').nth(2).unwrap();
        assert!(!server.contains('@'), "{shown}");
    }
    let _ = listing::next_page(&text);
    assert_eq!(expanded(&text.replace('~', ""), |_| None), text.replace('~', ""));
    Proxies::read(|name| (name != "no_proxy").then(|| text.to_string()));
    Proxies::read(|_| Some(text.to_string()));
}
