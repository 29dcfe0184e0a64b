//! Where a data set or model is on the hub, and how to fetch it.

use std::path::PathBuf;
use std::time::Duration;

use hf_hub::{Repo, RepoType};

use super::proxy::Proxies;

/// Bytes of a login's token.
const LONGEST_TOKEN: u64 = 64 << 10;

/// What a repository of the hub is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubKind {
    DataSet,
    /// Of its files, only settings and weights are needed; see `model.rs`.
    Model,
}

/// A data set or model on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubSource<'a> {
    pub kind: HubKind,
    /// `owner/name` of the repository.
    pub repository: &'a str,
    /// The commit, if it was ever seen. Without one, the first fetch takes the current `main` and
    /// locks it.
    pub revision: Option<&'a str>,
    /// The files that are needed; `*` matches anything.
    pub files: &'a [&'a str],
    pub licence: &'a str,
    /// Whether a token is needed, whose owner accepted the terms.
    pub gated: bool,
}

impl HubSource<'_> {
    /// The repository's page below a hub's address.
    pub(super) fn page(&self) -> String {
        match self.kind {
            HubKind::DataSet => format!("datasets/{}", self.repository),
            HubKind::Model => self.repository.to_owned(),
        }
    }

    /// What the hub's own programs call it.
    pub(super) fn repo(&self, revision: String) -> Repo {
        let kind = match self.kind {
            HubKind::DataSet => RepoType::Dataset,
            HubKind::Model => RepoType::Model,
        };
        Repo::with_revision(self.repository.to_owned(), kind, revision)
    }
}

#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// A folder for the files; without it, the hub's cache.
    pub to: Option<PathBuf>,
    pub cache: PathBuf,
    /// The hub and its mirrors, used in turn; each receives the token.
    pub endpoints: Vec<String>,
    pub token: Option<String>,
    pub proxies: Proxies,
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
    /// Reads the variables of the hub's own programs as they do: `HF_HOME`, `HF_HUB_CACHE`,
    /// `HF_HUB_OFFLINE`, `HF_ENDPOINT` (several addresses, separated by commas, are the hub and its
    /// mirrors), `HF_TOKEN` or the token of a login; and those of proxies.
    pub fn from_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&str]| names.iter().find_map(|name| value(name));
        let folder = |names: &[&str]| first(names).map(|path| PathBuf::from(expanded(&path, &variable)));
        let user = || std::env::home_dir().unwrap_or_default().join(".cache");
        let home = folder(&["HF_HOME"])
            .unwrap_or_else(|| folder(&["XDG_CACHE_HOME"]).unwrap_or_else(user).join("huggingface"));
        let file = folder(&["HF_TOKEN_PATH"]).unwrap_or_else(|| home.join("token"));
        let login = || bridle_files::text(&file, LONGEST_TOKEN).ok();
        let token = first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).or_else(login);
        let token = token
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        let is_set = |name: &str| value(name).is_some_and(|value| is_true(&value));
        let endpoints = value("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            to: None,
            cache: folder(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).unwrap_or_else(|| home.join("hub")),
            endpoints: addresses(&endpoints),
            token: token.filter(|_| !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            proxies: Proxies::read(&variable),
            revision: None,
            offline: first(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]).is_some_and(|value| is_true(&value))
                || is_set("HF_DATASETS_OFFLINE"),
            connections: 4,
            patience: Duration::from_secs(60),
            pause: Duration::from_millis(500),
        }
    }
}

/// The words that switch a variable on; every other word leaves it off.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

/// A path in which a leading `~` is the home folder, and `$NAME` or `${NAME}` a variable's value;
/// what is not set stays as it is written.
pub(crate) fn expanded(path: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let home = || variable("HOME").filter(|home| !home.is_empty());
    let home = || home().or_else(|| Some(std::env::home_dir()?.to_string_lossy().into_owned()));
    let rest = path
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match rest.and_then(|rest| Some((rest, home()?))) {
        Some((rest, home)) => format!("{}{rest}", home.trim_end_matches('/')),
        None => path.to_owned(),
    };
    let mut parts = path.split('$');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let braced = part.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let plain = || part.split_at(part.find(|c| !is_word(c)).unwrap_or(part.len()));
        let (name, rest) = braced.unwrap_or_else(plain);
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => all.extend([value.as_str(), rest]),
            None => all.extend(["$", part]),
        }
    }
    all
}

fn addresses(text: &str) -> Vec<String> {
    let addresses = text.split(',').map(|address| address.trim().trim_end_matches('/'));
    addresses
        .filter(|address| !address.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    fn read(variables: &[(&str, &str)]) -> FetchRequest {
        FetchRequest::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_network_is_forbidden_by_the_words_of_the_hubs_own_programs() {
        for word in ["1", "on", "Yes", "TRUE", "true"] {
            assert!(read(&[("HF_HUB_OFFLINE", word)]).offline, "{word}");
        }
        for word in ["0", "false", "no", "off", "2", "", " ", "1 "] {
            assert!(!read(&[("HF_HUB_OFFLINE", word)]).offline, "{word}");
        }
        assert!(read(&[("TRANSFORMERS_OFFLINE", "1")]).offline && read(&[("HF_DATASETS_OFFLINE", "yes")]).offline);
        // the first that says anything decides
        assert!(!read(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).offline);
    }

    #[test]
    fn a_tilde_is_the_home_folder_and_variables_are_replaced() {
        let home = ("HOME", "/home/me");
        let cache = |value| read(&[home, ("DISK", "/disk"), ("HF_HOME", value)]).cache;
        assert_eq!(cache("~/x"), PathBuf::from("/home/me/x/hub"));
        assert_eq!(cache("~"), PathBuf::from("/home/me/hub"));
        assert_eq!(cache("$DISK/${DISK}x/$NONE$"), PathBuf::from("/disk//diskx/$NONE$/hub"));
        assert_eq!(cache("/a~/~"), PathBuf::from("/a~/~/hub"));
        for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"] {
            assert_eq!(
                read(&[home, (name, "~/y")]).cache,
                PathBuf::from("/home/me/y"),
                "{name}"
            );
        }
        let xdg = read(&[home, ("XDG_CACHE_HOME", "~/z")]);
        assert_eq!(xdg.cache, PathBuf::from("/home/me/z/huggingface/hub"));
    }

    #[test]
    fn a_token_comes_from_the_environment_or_a_login_unless_it_is_not_to_be_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "login\n").unwrap();
        let path = ("HF_TOKEN_PATH", path.to_str().unwrap());
        let token = |variables: &[(&str, &str)]| read(variables).token;
        assert_eq!(token(&[path]).as_deref(), Some("login"));
        assert_eq!(token(&[path, ("HF_TOKEN", " own ")]).as_deref(), Some("own"));
        assert_eq!(
            token(&[path, ("HUGGING_FACE_HUB_TOKEN", "old")]).as_deref(),
            Some("old")
        );
        assert_eq!(token(&[path, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
    }
}
