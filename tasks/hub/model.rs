//! Models on the hub: `hub:ORG/NAME[/FILE][@REVISION]`, and which files of a repository are settings
//! and weights of its encoder.
//!
//! Of several weights, those that transformers would read win: `model.safetensors`, else its pieces
//! with their index, else `pytorch_model.bin`, else its pieces. Without any of these, a repository has
//! one file of weights, or the file is named.

use std::path::PathBuf;
use std::str::FromStr;

use super::error::FetchError;
use super::listing::fits;
use super::request::{FetchRequest, HubKind, HubSource};
use super::{fetch, located, plan_fetch};
use crate::files::archive::members::objection;
use crate::{FetchPlan, Progress};

/// What a model on the hub begins with on the command line.
const SCHEME: &str = "hub:";
/// Characters of an owner or a repository; the hub allows 96.
const LONGEST: usize = 96;
pub(super) const CONFIG: &str = "config.json";
const SETTINGS: [&str; 2] = [CONFIG, "preprocessor_config.json"];
/// Weights by the names of transformers, those to take first in front: whole, or in pieces.
const WEIGHTS: [&[&str]; 4] = [
    &["model.safetensors"],
    &["model.safetensors.index.json", "model-*-of-*.safetensors"],
    &["pytorch_model.bin"],
    &["pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"],
];
/// Endings of other files of weights.
const ENDINGS: [&str; 5] = [".safetensors", ".pt", ".pth", ".ckpt", ".bin"];
/// What training leaves beside weights, with the same endings.
const OF_TRAINING: [&str; 5] = ["optimizer", "scheduler", "training_args", "rng_state", "scaler"];

/// A model on the hub, as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// `ORG/NAME`.
    pub repository: String,
    /// The file with the weights, if it was named.
    pub file: Option<String>,
    /// A commit, branch or tag; `main` without it.
    pub revision: Option<String>,
}

/// Why a word does not name a model on the hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` does not name a model on the hub: {reason}")]
pub struct HubNameError {
    word: String,
    reason: String,
}

/// A model that lies on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalModel {
    /// The folder of its files, or its one file with weights.
    pub path: PathBuf,
    /// The commit.
    pub revision: String,
}

impl HubModel {
    /// Whether a word names a model on the hub and not a path.
    pub fn is_meant(word: &str) -> bool {
        word.starts_with(SCHEME)
    }

    /// It is at this commit, as a record names it.
    pub fn at(&self, revision: &str) -> String {
        let file = self.file.iter().map(|file| format!("/{file}"));
        format!("{SCHEME}{}{}@{revision}", self.repository, file.collect::<String>())
    }

    fn patterns(&self) -> Vec<&str> {
        let weights = match &self.file {
            Some(file) => vec![&**file],
            None => WEIGHTS.concat().into_iter().chain(OTHERS).collect(),
        };
        SETTINGS.into_iter().chain(weights).collect()
    }

    /// Calls `work` with the repository and the request, both at this model's revision.
    fn with<T>(&self, request: &FetchRequest, work: impl FnOnce(&HubSource<'_>, &FetchRequest) -> T) -> T {
        let source = HubSource {
            kind: HubKind::Model,
            repository: &self.repository,
            revision: None,
            files: &self.patterns(),
            licence: "that of its model card",
            gated: false,
        };
        let revision = self.revision.clone().or_else(|| request.revision.clone());
        work(
            &source,
            &FetchRequest {
                revision,
                ..request.clone()
            },
        )
    }

    /// The model, if it lies on this machine already; its files are not verified.
    ///
    /// # Errors
    /// If the lock file cannot be used.
    pub fn find(&self, request: &FetchRequest) -> Result<Option<LocalModel>, FetchError> {
        self.with(request, |source, request| {
            Ok(located(source, request)?.map(|(folder, revision, names)| {
                let path = match single(names.iter().map(|name| &**name)) {
                    Some(file) => folder.join(file),
                    None => folder,
                };
                LocalModel { path, revision }
            }))
        })
    }

    /// What [`Self::fetch`] would do; changes nothing.
    ///
    /// # Errors
    /// As [`plan_fetch`], and if the repository has no weights or several.
    pub fn plan(&self, request: &FetchRequest) -> Result<FetchPlan, FetchError> {
        self.with(request, plan_fetch)
    }

    /// The model, verified. It is fetched if something of it is not on this machine, or not what it was;
    /// otherwise the hub is not asked.
    ///
    /// # Errors
    /// As [`fetch`], and if the repository has no weights or several.
    pub fn fetch(&self, request: &FetchRequest, progress: &dyn Progress) -> Result<LocalModel, FetchError> {
        let known = self.find(request)?;
        let bring = |offline: bool| {
            self.with(request, |source, request| {
                let request = FetchRequest {
                    offline,
                    ..request.clone()
                };
                fetch(source, &request, progress)
            })
        };
        let verified = match bring(request.offline || known.is_some()) {
            Err(FetchError::Offline { .. }) if !request.offline => bring(false),
            other => other,
        };
        verified?;
        let found = self.find(request)?.or(known);
        Ok(found.expect("a fetch that ended well leaves its lock file"))
    }
}

impl FromStr for HubModel {
    type Err = HubNameError;

    /// `hub:ORG/NAME`, `hub:ORG/NAME@REVISION`, or `hub:ORG/NAME/FILE` with or without a revision.
    fn from_str(word: &str) -> Result<Self, HubNameError> {
        let wrong = |reason: &str| HubNameError {
            word: word.chars().take(200).flat_map(char::escape_debug).collect(),
            reason: reason.to_owned(),
        };
        let rest = word.strip_prefix(SCHEME).unwrap_or(word);
        let (path, revision) = match rest.split_once('@') {
            Some((path, revision)) => (path, Some(revision)),
            None => (rest, None),
        };
        let mut parts = path.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else {
            return Err(wrong("it has no owner and name"));
        };
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = |name: &str| {
            let ends = name.starts_with(['-', '.']) || name.ends_with(['-', '.']);
            (1..=LONGEST).contains(&name.len()) && name.chars().all(is_letter) && !ends && !name.contains("..")
        };
        if !is_name(owner) || !is_name(name) {
            return Err(wrong("owner and name are letters, digits, `-`, `_` and `.`"));
        }
        let file = parts.next();
        if let Some(reason) = file.and_then(objection) {
            return Err(wrong(&format!("of its file, {reason}")));
        }
        if file.is_some_and(|file| file.contains(['*', '?', '#'])) {
            return Err(wrong("a file is named whole"));
        }
        let is_revision = |revision: &str| {
            let strange =
                |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '*' | '~' | '^' | ':');
            objection(revision).is_none() && !revision.contains(strange)
        };
        if revision.is_some_and(|revision| !is_revision(revision)) {
            return Err(wrong("what follows `@` is no commit, branch or tag"));
        }
        Ok(Self {
            repository: format!("{owner}/{name}"),
            file: file.map(str::to_owned),
            revision: revision.map(str::to_owned),
        })
    }
}

impl std::fmt::Display for HubModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.iter().map(|file| format!("/{file}"));
        let revision = self.revision.iter().map(|revision| format!("@{revision}"));
        let words: String = file.chain(revision).collect();
        write!(f, "{SCHEME}{}{words}", self.repository)
    }
}

/// Patterns of weights by names of nobody's.
const OTHERS: [&str; 5] = ["*.safetensors", "*.pt", "*.pth", "*.ckpt", "*.bin"];

/// Whether a file may be weights whose name is not transformers' own.
fn is_other(name: &str) -> bool {
    !name.contains('/')
        && ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !OF_TRAINING.iter().any(|start| name.starts_with(start))
}

/// The names to take of those that fit a model's patterns; with a file that was named, all of them.
///
/// # Errors
/// If none of them has weights, or several do and none comes first.
pub(super) fn chosen(source: &HubSource<'_>, names: &[&str]) -> Result<Vec<String>, FetchError> {
    let is_settings = |name: &&&str| SETTINGS.contains(*name);
    let settings = names.iter().filter(is_settings);
    let rest: Vec<&&str> = names.iter().filter(|name| !is_settings(name)).collect();
    let of = |patterns: &[&str]| -> Vec<&&str> {
        let like = |name: &&&str| patterns.iter().any(|pattern| fits(pattern, name)) && !name.contains('/');
        rest.iter().copied().filter(like).collect()
    };
    let is_there = |patterns: &&[&str]| rest.iter().any(|name| **name == patterns[0]);
    let named = source.files.len() == SETTINGS.len() + 1;
    let weights = match WEIGHTS.iter().copied().find(is_there) {
        _ if named => rest,
        Some(patterns) => of(patterns),
        None => rest.into_iter().filter(|name| is_other(name)).collect(),
    };
    let repository = || source.repository.to_owned();
    let is_whole = named || weights.len() == 1 || weights.iter().any(|name| name.ends_with(".index.json"));
    match &weights[..] {
        [] => Err(FetchError::NoWeights {
            repository: repository(),
        }),
        [first, ..] if !is_whole => Err(FetchError::SeveralWeights {
            repository: repository(),
            example: (**first).to_owned(),
            files: weights
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", "),
        }),
        _ => Ok(settings.chain(weights).map(|name| (*name).to_owned()).collect()),
    }
}

/// The one file with weights where it must be named; none where the folder says itself which it is.
fn single<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let is_own = |name: &str| WEIGHTS.iter().any(|patterns| patterns[0] == name);
    let names: Vec<&str> = names.filter(|name| !SETTINGS.contains(name)).collect();
    let has_own = names.iter().any(|name| is_own(name));
    names.first().copied().filter(|_| !has_own)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    #[test]
    fn a_word_names_a_repository_a_file_and_a_revision() {
        let model = |word: &str| word.parse::<HubModel>();
        for (word, repository, file, revision) in [
            ("hub:facebook/dinov2-base", "facebook/dinov2-base", None, None),
            ("hub:a/b.c@v1.0", "a/b.c", None, Some("v1.0")),
            ("hub:a/b@refs/pr/3", "a/b", None, Some("refs/pr/3")),
            ("hub:a/b/BEATs.pt@main", "a/b", Some("BEATs.pt"), Some("main")),
            ("hub:a/b/weights/x.pt", "a/b", Some("weights/x.pt"), None),
        ] {
            let found = model(word).unwrap();
            assert_eq!(
                (&*found.repository, found.file.as_deref()),
                (repository, file),
                "{word}"
            );
            assert_eq!(
                (found.revision.as_deref(), found.to_string()),
                (revision, word.to_owned())
            );
        }
        for word in [
            "hub:",
            "hub:bert",
            "hub:/b",
            "hub:a/",
            "hub:a/..",
            "hub:../b",
            "hub:.a/b",
            "hub:a/b..c",
            "hub:a b/c",
            "hub:a/b@",
            "hub:a/b@..",
            "hub:a/b@x/../y",
            "hub:a/b@a b",
            "hub:a/b@/x",
            "hub:a/b/",
            "hub:a/b/../c",
            "hub:a/b//c",
            "hub:a/b/*.pt",
            "hub:a/b?x=1",
            "hub:a/b#c",
            "hub:a/b\u{1b}[2J",
            "hub:é/b",
            "hub:https://hub/a/b",
        ] {
            let told = model(word)
                .map(|model| format!("{word:?} names {model}"))
                .unwrap_err()
                .to_string();
            assert!(
                told.contains("does not name a model on the hub") && !told.contains('\u{1b}'),
                "{told}"
            );
        }
        assert!(model(&format!("hub:{}/b", "a".repeat(97))).is_err());
    }

    #[test]
    fn of_several_weights_those_that_transformers_reads_win() {
        let of = |file: Option<&str>, names: &[&str]| {
            let model = HubModel {
                repository: "a/b".to_owned(),
                file: file.map(str::to_owned),
                revision: None,
            };
            let request = FetchRequest::from_environment();
            model.with(&request, |source, _| {
                let fit = |name: &&&str| source.files.iter().any(|pattern| fits(pattern, name));
                let names: Vec<&str> = names.iter().filter(fit).copied().collect();
                chosen(source, &names)
            })
        };
        let pieces = [
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
        ];
        let all = [
            &[
                "README.md",
                "config.json",
                "model.safetensors",
                "pytorch_model.bin",
                "tf_model.h5",
                "onnx/model.onnx",
            ],
            &pieces[..],
        ]
        .concat();
        assert_eq!(of(None, &all).unwrap(), ["config.json", "model.safetensors"]);
        assert_eq!(of(None, &pieces).unwrap(), pieces);
        let bin = [
            "pytorch_model.bin",
            "training_args.bin",
            "optimizer.pt",
            "config.json",
            "onnx/model.safetensors",
        ];
        assert_eq!(of(None, &bin).unwrap(), ["config.json", "pytorch_model.bin"]);
        assert_eq!(
            of(None, &["BEATs.pt", "LICENSE", "optimizer.pt"]).unwrap(),
            ["BEATs.pt"]
        );
        let told = of(None, &["BEATs_iter1.pt", "BEATs_iter3.pt"]).unwrap_err().to_string();
        assert!(told.contains("`BEATs_iter1.pt`, `BEATs_iter3.pt`"), "{told}");
        assert_eq!(
            of(Some("BEATs_iter3.pt"), &["BEATs_iter1.pt", "BEATs_iter3.pt"]).unwrap(),
            ["BEATs_iter3.pt"]
        );
        for names in [
            &["README.md", "config.json"][..],
            &["tf_model.h5"],
            &["a/b.pt"],
            &["training_args.bin"],
            &[],
        ] {
            assert!(
                matches!(of(None, names), Err(FetchError::NoWeights { .. })),
                "{names:?}"
            );
        }
        assert!(matches!(of(Some("x.pt"), &["y.pt"]), Err(FetchError::NoWeights { .. })));
    }
}
