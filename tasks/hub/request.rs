//! Where a data set is on the hub, and how to fetch it.

use std::path::PathBuf;
use std::time::Duration;

/// A data set on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubSource {
    /// `owner/name` of the data set's repository.
    pub repository: &'static str,
    /// The commit, if it was ever seen. Without one, the first fetch takes the current `main` and
    /// locks it.
    pub revision: Option<&'static str>,
    /// The files that are needed; `*` matches anything.
    pub files: &'static [&'static str],
    pub licence: &'static str,
    /// Whether a token is needed, whose owner accepted the terms.
    pub gated: bool,
}

#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// A folder for the files; without it, the hub's cache.
    pub to: Option<PathBuf>,
    pub cache: PathBuf,
    /// The hub and its mirrors, used in turn; each receives the token.
    pub endpoints: Vec<String>,
    pub token: Option<String>,
    /// Replaces the source's revision.
    pub revision: Option<String>,
    pub offline: bool,
    /// Files fetched at a time.
    pub connections: usize,
    /// How long a connection may stay silent.
    pub patience: Duration,
    /// The first pause before another attempt; each pause doubles the one before.
    pub pause: Duration,
}

impl FetchRequest {
    /// Reads the variables of the hub's own programs: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`
    /// (several addresses, separated by commas, are the hub and its mirrors), and `HF_TOKEN` or the
    /// token of a login.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoints = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let folder = |name| variable(name).map(PathBuf::from);
        let user = || std::env::home_dir().unwrap_or_default().join(".cache");
        let home =
            folder("HF_HOME").unwrap_or_else(|| folder("XDG_CACHE_HOME").unwrap_or_else(user).join("huggingface"));
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let login = || std::fs::read_to_string(file).ok();
        let token = variable("HF_TOKEN").or_else(login).map(|token| token.trim().to_owned());
        Self {
            to: None,
            cache: cache.unwrap_or_else(|| home.join("hub")),
            endpoints: addresses(&endpoints),
            token: token.filter(|token| !token.is_empty()),
            revision: None,
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0"),
            connections: 4,
            patience: Duration::from_secs(60),
            pause: Duration::from_millis(500),
        }
    }
}

fn addresses(text: &str) -> Vec<String> {
    let addresses = text.split(',').map(|address| address.trim().trim_end_matches('/'));
    addresses
        .filter(|address| !address.is_empty())
        .map(str::to_owned)
        .collect()
}
