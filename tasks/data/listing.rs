//! Data sets that are a list of media files: from the list to an opened data set.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::subset::subset;
use crate::cache::{self, Outcome, Prepared, Row, Work};
use crate::data::dataset::{Inputs, counts};
use crate::files::hashes::{KnownHashes, Stamp};
use crate::files::manifest::{DIFFERENT, Manifest};
use crate::files::tree::Tree;
use crate::media::{Files, Media, MediaFile};
use crate::{DataError, DataFacts, Dataset, Missing, OpenRequest, Progress, Sample, Skipped, Split, Target};

/// One sample and its file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Names the sample.
    pub id: String,
    /// Relative to the list's root, or as the tree names it; `None` if the sample is listed and its file is not there.
    pub file: Option<String>,
    /// Its class or classes.
    pub target: Target,
    /// Its part.
    pub split: Split,
    /// Its fold, from 1.
    pub fold: Option<u8>,
}

impl From<Entry> for Sample {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            target: entry.target,
            fold: entry.fold,
            split: entry.split,
        }
    }
}

/// What a list says of a data set.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// The task's name.
    pub name: String,
    /// The task's version.
    pub version: u32,
    /// Where the original lies.
    pub source: String,
    /// Which known form this is; `None` for different data.
    pub variant: Option<&'static str>,
    /// The folder that file names are relative to.
    pub root: PathBuf,
    /// Files that say what there is, relative to the root.
    pub lists: Vec<String>,
    /// The samples.
    pub entries: Vec<Entry>,
    /// Class names.
    pub classes: Vec<String>,
    /// Samples that were listed and left out.
    pub missing: Missing,
    /// How samples came into their splits, where the data does not say.
    pub splitting: Option<String>,
}

impl Listing {
    /// The input of entry `index` for judging, before its normalisation.
    pub fn view(&self, tree: &Tree, media: &dyn Media, index: usize) -> Result<Vec<f32>, String> {
        let file = self.entries[index].file.as_ref().ok_or("there is no such file")?;
        media.view(tree.raw(file)?)
    }

    /// Opens a data set whose files all lie plainly in its folder.
    pub fn open(
        self,
        media: Box<dyn Media>,
        request: &OpenRequest,
        progress: &dyn Progress,
    ) -> Result<Dataset, DataError> {
        let tree = Arc::new(Tree::folder(&self.root));
        self.open_from(tree, media, request, progress)
    }

    /// Every input, computed or from the cache, or, if they are more than may be kept, looked at once and decoded when
    /// they are wanted. Samples that cannot be used are errors in a known variant, and otherwise skipped and named, up to
    /// one or 1 %.
    pub fn open_from(
        mut self,
        tree: Arc<Tree>,
        media: Box<dyn Media>,
        request: &OpenRequest,
        progress: &dyn Progress,
    ) -> Result<Dataset, DataError> {
        if let Some(n) = request.subset {
            self.entries = subset(std::mem::take(&mut self.entries), n);
        }
        let pool = cache::pool(request.threads)?;
        let folder = request.cache.join(&self.name);
        let files = self.entries.iter().filter_map(|entry| entry.file.as_ref());
        let holders: BTreeSet<&str> = files.map(|file| tree.holder(file)).collect();
        let lists = self.lists.iter().map(String::as_str);
        let names: BTreeSet<String> = holders.into_iter().chain(lists).map(str::to_owned).collect();
        let remembered = KnownHashes::read(&self.root, &folder);
        let (manifest, stamps) = remembered.manifest(names.into_iter().collect(), &pool, progress)?;
        let row = request.input.shape().iter().product();
        let bytes = (self.entries.len() * row * size_of::<f32>()) as u64;
        let work = Work {
            folder: &folder,
            key: &self.key(&tree, &manifest, media.as_ref(), request),
            what: "decoding samples",
            samples: self.entries.len(),
            row,
            keep: bytes <= request.limits.rows.min(request.limits.cache),
            limit: request.limits.cache,
        };
        let files = self.files(tree, media, &manifest, &stamps);
        let prepared = cache::open_or_compute(&work, &pool, progress, |index| match files.view(index) {
            Ok(values) => Ok(Outcome::Row(Row::measured(values, |values| {
                files.media().normalise(values)
            }))),
            Err(reason) if request.allow_different => Ok(Outcome::Skipped(reason)),
            Err(reason) => {
                let entry = &self.entries[index];
                let path = self.root.join(entry.file.as_ref().unwrap_or(&entry.id));
                Err(DataError::BadSample { path, reason })
            }
        })?;
        self.check_skipped(&prepared)?;
        Ok(self.dataset(prepared, work.keep, files, manifest.sha256(), request))
    }

    fn files(&self, tree: Arc<Tree>, media: Box<dyn Media>, manifest: &Manifest, stamps: &[Stamp]) -> Files {
        let of_name = |name: &String| {
            let holder = tree.holder(name);
            let stamp = stamps[manifest.position(holder).expect("every entry's file was hashed")];
            let alone = holder == name;
            MediaFile {
                name: name.clone(),
                stamp,
                bytes: if alone { Some(stamp.bytes) } else { tree.size(name) },
            }
        };
        let files = self.entries.iter().map(|entry| entry.file.as_ref().map(of_name));
        let files = files.collect();
        Files::new(media, tree, files)
    }

    /// Names all that decides the inputs: task, how they are computed, and the content of every file in order.
    fn key(&self, tree: &Tree, manifest: &Manifest, media: &dyn Media, request: &OpenRequest) -> String {
        let input = serde_json::to_string(&request.input).expect("an input is numbers");
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{} {} {} {input}\n", self.name, self.version, media.key()).as_bytes());
        for entry in &self.entries {
            let file = entry.file.as_deref().unwrap_or_default();
            let content = manifest.get(tree.holder(file)).map_or("", |file| &file.sha256);
            let within = tree
                .within(file)
                .map_or_else(String::new, |member| format!("/{member}"));
            hasher.update(format!("{content}{within} {}\n", entry.id).as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    fn check_skipped(&self, prepared: &Prepared) -> Result<(), DataError> {
        let (skipped, of) = (prepared.skipped.len(), self.entries.len());
        match prepared.skipped.first() {
            Some((first, reason)) if (skipped > 1 && skipped * 100 > of) || skipped == of => {
                Err(DataError::TooManySkipped {
                    path: self.root.clone(),
                    skipped,
                    of,
                    first: self.entries[*first].id.clone(),
                    reason: reason.clone(),
                })
            }
            None if of == 0 => {
                let what = "samples".to_owned();
                Err(DataError::WrongCount {
                    path: self.root.clone(),
                    what,
                    expected: 1,
                    found: 0,
                })
            }
            _ => Ok(()),
        }
    }

    fn dataset(
        self,
        prepared: Prepared,
        keep: bool,
        files: Files,
        manifest_sha256: String,
        request: &OpenRequest,
    ) -> Dataset {
        let Prepared {
            rows,
            skipped,
            mean,
            std,
        } = prepared;
        let name = |(index, reason): &(usize, String)| Skipped {
            id: self.entries[*index].id.clone(),
            reason: reason.clone(),
        };
        let named: Vec<Skipped> = skipped.iter().map(name).collect();
        let inputs = Inputs::Files(files.without(&skipped), keep.then_some(rows));
        let left_out: BTreeSet<usize> = skipped.into_iter().map(|(index, _)| index).collect();
        let entries = self.entries.into_iter().enumerate();
        let samples: Vec<Sample> = entries
            .filter(|(index, _)| !left_out.contains(index))
            .map(|(_, entry)| entry.into())
            .collect();
        // what is known of its files, if nothing else, is that they can be used
        let variant = self.variant.filter(|_| named.is_empty()).unwrap_or(DIFFERENT);
        let (constant_mean, constant_std) = request.input.constants();
        let facts = DataFacts {
            task: self.name,
            version: self.version,
            variant: variant.to_owned(),
            source: self.source,
            manifest_sha256,
            counts: counts(&samples),
            subset: request.subset,
            skipped: named,
            missing: self.missing,
            splitting: self.splitting,
            measured_mean: mean,
            measured_std: std,
            constant_mean,
            constant_std,
        };
        Dataset::new(facts, samples, self.classes, request.input.shape(), inputs)
    }
}
