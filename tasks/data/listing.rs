//! A data set as a list of samples and their files. The list is hashed, named by its content, and
//! opened.
//!
//! `Listing<Sample>` opens as a [`crate::Dataset`], `Listing<Utterance>` as a [`crate::SpeechSet`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rayon::ThreadPool;

use crate::cache::Prepared;
use crate::files::hashes::{Hashed, KnownHashes};
use crate::files::tree::Tree;
use crate::files::verified::VerifiedFiles;
use crate::{DataError, DataFacts, Missing, Progress, Sample, Skipped, Split, Target};

/// The variant name of data that is no known variant.
pub(crate) const DIFFERENT: &str = "different";

/// What a list is of.
pub(crate) trait Listed {
    /// What several are called in messages.
    const PLURAL: &'static str;

    fn id(&self) -> &str;

    /// The split, fold or part that [`DataFacts::counts`] counts it in.
    fn part(&self) -> String;
}

/// A sample or utterance with its file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<S> {
    pub sample: S,
    /// As the tree names it; `None` if the file does not exist.
    pub file: Option<String>,
}

impl Entry<Sample> {
    pub fn new(id: String, file: Option<String>, target: Target, split: Split) -> Self {
        let (fold, source) = (None, None);
        let sample = Sample {
            id,
            target,
            fold,
            split,
            source,
        };
        Self { sample, file }
    }
}

/// What a task knows of its data before it reads a sample.
#[derive(Clone)]
pub(crate) struct Listing<S> {
    pub task: &'static str,
    pub version: u32,
    /// The address of the original data.
    pub source: String,
    /// The known variant; `None` for different data.
    pub variant: Option<&'static str>,
    pub tree: Arc<Tree>,
    /// Further files that decide what the data is, such as tables; relative to the tree's root.
    pub lists: Vec<String>,
    pub entries: Vec<Entry<S>>,
    /// Samples known to be unusable before any file is read.
    pub unusable: Vec<Skipped>,
    /// Listed samples that this copy lacks.
    pub missing: Missing,
    /// How samples were assigned to splits, if the data does not say.
    pub splitting: Option<String>,
}

impl<S: Listed> Listing<S> {
    /// Different data, none of it missing or unusable, and no lists.
    pub fn new(task: &'static str, version: u32, source: &str, tree: Tree, entries: Vec<Entry<S>>) -> Self {
        Self {
            task,
            version,
            source: source.to_owned(),
            variant: None,
            tree: Arc::new(tree),
            lists: Vec::new(),
            entries,
            unusable: Vec::new(),
            missing: Missing::default(),
            splitting: None,
        }
    }

    /// Hashes all files, or only those that `cache` does not remember. Without a `cache`, all.
    pub fn hash(&self, cache: Option<&Path>, pool: &ThreadPool, progress: &dyn Progress) -> Result<Hashed, DataError> {
        let files = self.entries.iter().filter_map(|entry| entry.file.as_ref());
        let holders = files.map(|file| self.tree.holder(file));
        let names: BTreeSet<&str> = holders.chain(self.lists.iter().map(String::as_str)).collect();
        let names = names.into_iter().map(str::to_owned).collect();
        let root = self.tree.root();
        let known = match cache {
            Some(cache) => KnownHashes::read(root, &cache.join(self.task)),
            None => KnownHashes::none(root),
        };
        let hashed = known.hash(names, pool, progress)?;
        match self
            .lists
            .iter()
            .find_map(|list| Some((list, hashed.unreadable.get(list)?)))
        {
            Some((list, reason)) => Err(DataError::bad_sample(root.join(list), reason.clone())),
            None => Ok(hashed),
        }
    }

    /// What decides each entry's input: the sha256 of its file, and its name within an archive.
    pub fn contents<'a>(&'a self, hashed: &'a Hashed) -> impl Iterator<Item = String> + 'a {
        self.entries.iter().map(|entry| {
            let file = entry.file.as_deref().unwrap_or_default();
            let hash = hashed
                .manifest
                .get(self.tree.holder(file))
                .map(|file| file.sha256.clone());
            let within = self.tree.within(file).map(|member| format!("/{member}"));
            hash.unwrap_or_default() + &within.unwrap_or_default()
        })
    }

    pub fn verified(&self, hashed: &Hashed) -> VerifiedFiles {
        let names = self.entries.iter().map(|entry| entry.file.as_ref());
        VerifiedFiles::new(Arc::clone(&self.tree), hashed, names)
    }

    /// Names everything that decides the inputs: the task, `how` they are computed, and each
    /// entry's content in order.
    pub fn key(&self, how: &str, contents: impl Iterator<Item = String>) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{} {} {how}\n", self.task, self.version).as_bytes());
        for (entry, content) in self.entries.iter().zip(contents) {
            hasher.update(format!("{content} {}\n", entry.sample.id()).as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// At most one sample, or 1 %, may be skipped, and one must be left.
    pub fn check_skipped(&self, skipped: &[Skipped]) -> Result<(), DataError> {
        let of = self.entries.len() + self.unusable.len();
        match skipped.first() {
            Some(first) if (skipped.len() > 1 && skipped.len() * 100 > of) || skipped.len() == of => {
                Err(DataError::TooManySkipped {
                    path: self.tree.root().to_owned(),
                    skipped: skipped.len(),
                    of,
                    first: first.id.clone(),
                    reason: first.reason.clone(),
                })
            }
            None if of == 0 => Err(DataError::wrong_count(self.tree.root(), S::PLURAL, 1, 0)),
            _ => Ok(()),
        }
    }

    /// The facts of opened data with these `samples`; `constants` are the normalisation's mean and
    /// standard deviation.
    pub fn facts<'a>(
        &self,
        manifest_sha256: String,
        samples: impl Iterator<Item = &'a S>,
        skipped: Vec<Skipped>,
        prepared: &Prepared,
        subset: Option<usize>,
        constants: (f64, f64),
    ) -> DataFacts
    where
        S: 'a,
    {
        // if nothing else is known of a variant's files, it is that all of them can be used
        let variant = self.variant.filter(|_| skipped.is_empty()).unwrap_or(DIFFERENT);
        DataFacts {
            task: self.task.to_owned(),
            version: self.version,
            variant: variant.to_owned(),
            source: self.source.clone(),
            manifest_sha256,
            counts: counts(samples),
            subset,
            skipped,
            missing: self.missing.clone(),
            splitting: self.splitting.clone(),
            measured_mean: prepared.mean,
            measured_std: prepared.std,
            constant_mean: constants.0,
            constant_std: constants.1,
        }
    }
}

/// Samples per split, fold or part.
pub(crate) fn counts<'a, S: Listed + 'a>(samples: impl Iterator<Item = &'a S>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    samples.for_each(|sample| *counts.entry(sample.part()).or_insert(0) += 1);
    counts
}
