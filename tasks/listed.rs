//! Data sets that are a list of media files: from the list to an opened data set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bridle_seed::Stream;

use crate::dataset::counts;
use crate::store::{self, Outcome, Prepared, Row, Work};
use crate::variant::{DIFFERENT, Manifest};
use crate::{DataError, DataFacts, Dataset, Missing, OpenRequest, Progress, Sample, Skipped, Split, Target};

/// How a kind of media becomes a model input.
pub(crate) trait Media: Sync {
    /// Names all but the file and the request's input that decides the numbers.
    fn key(&self) -> String;

    /// The input of one file before its normalisation: that for judging, or one for training, drawn from the stream.
    fn view(&self, file: &Path, augment: Option<&mut Stream>) -> Result<Vec<f32>, String>;

    /// The normalisation, in place.
    fn normalise(&self, values: &mut [f32]);
}

/// One sample and its file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Names the sample.
    pub id: String,
    /// Relative to the list's root; `None` if the sample is listed and its file is not there.
    pub file: Option<String>,
    /// Its class or classes.
    pub target: Target,
    /// Its part.
    pub split: Split,
    /// Its fold, from 1.
    pub fold: Option<u8>,
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
    /// The input of entry `index` before its normalisation.
    pub fn view(&self, media: &dyn Media, index: usize, augment: Option<&mut Stream>) -> Result<Vec<f32>, String> {
        let file = self.entries[index].file.as_ref().ok_or("there is no such file")?;
        media.view(&self.root.join(file), augment)
    }

    /// Every input, computed or from the cache. Samples that cannot be used are errors in a known variant, and
    /// otherwise skipped and named, up to one or 1 %.
    pub fn open(
        mut self,
        media: &dyn Media,
        request: &OpenRequest,
        progress: &dyn Progress,
    ) -> Result<Dataset, DataError> {
        if let Some(n) = request.subset {
            self.entries = subset(std::mem::take(&mut self.entries), n);
        }
        let pool = store::pool(request.threads)?;
        let files = self
            .entries
            .iter()
            .filter_map(|entry| entry.file.clone())
            .chain(self.lists.iter().cloned());
        let manifest = Manifest::of_files(
            &self.root,
            files.collect::<BTreeSet<_>>().into_iter().collect(),
            &pool,
            progress,
        )?;
        let work = Work {
            folder: &request.cache.join(&self.name),
            key: &self.key(&manifest, media, request),
            what: "decoding samples",
            samples: self.entries.len(),
            row: request.input.shape().iter().product(),
        };
        let prepared = store::open_or_compute(&work, &pool, progress, |index| match self.view(media, index, None) {
            Ok(values) => Ok(Outcome::Row(Row::measured(values, |values| media.normalise(values)))),
            Err(reason) if request.allow_different => Ok(Outcome::Skipped(reason)),
            Err(reason) => {
                let entry = &self.entries[index];
                let path = self.root.join(entry.file.as_ref().unwrap_or(&entry.id));
                Err(DataError::BadSample { path, reason })
            }
        })?;
        self.check_skipped(&prepared)?;
        Ok(self.dataset(prepared, manifest.sha256(), request))
    }

    /// Names all that decides the inputs: task, how they are computed, and the content of every file in order.
    fn key(&self, manifest: &Manifest, media: &dyn Media, request: &OpenRequest) -> String {
        let input = serde_json::to_string(&request.input).expect("an input is numbers");
        let mut text = format!("{} {} {} {input}\n", self.name, self.version, media.key());
        for entry in &self.entries {
            let content = entry
                .file
                .as_ref()
                .and_then(|file| manifest.get(file))
                .map_or("", |file| &file.sha256);
            text.push_str(&format!("{content} {}\n", entry.id));
        }
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
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

    fn dataset(self, prepared: Prepared, manifest_sha256: String, request: &OpenRequest) -> Dataset {
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
        let left_out: BTreeSet<usize> = skipped.into_iter().map(|(index, _)| index).collect();
        let usable = self
            .entries
            .into_iter()
            .enumerate()
            .filter(|(index, _)| !left_out.contains(index));
        let samples: Vec<Sample> = usable
            .map(
                |(
                    _,
                    Entry {
                        id,
                        target,
                        split,
                        fold,
                        ..
                    },
                )| Sample {
                    id,
                    target,
                    fold,
                    split,
                },
            )
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
        Dataset::new(facts, samples, self.classes, request.input.shape(), rows)
    }
}

/// The first `n` samples of each class in each split, or over all folds, taking the folds of a class in turn. A sample
/// of several classes is kept as long as one of them has room, and counts for all.
fn subset(entries: Vec<Entry>, n: usize) -> Vec<Entry> {
    let mut turns: BTreeMap<(&[usize], Option<u8>), usize> = BTreeMap::new();
    let mut order: Vec<(usize, Option<u8>, usize)> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let turn = turns.entry((entry.target.classes(), entry.fold)).or_insert(0);
        order.push((if entry.fold.is_some() { *turn } else { 0 }, entry.fold, index));
        *turn += 1;
    }
    order.sort_unstable();
    let mut held: BTreeMap<(Split, usize), usize> = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for (_, _, index) in order {
        let Entry { target, split, .. } = &entries[index];
        let room = |class: &usize| held.get(&(*split, *class)).is_none_or(|&held| held < n);
        if target.classes().iter().any(room) {
            target
                .classes()
                .iter()
                .for_each(|&class| *held.entry((*split, class)).or_insert(0) += 1);
            kept.insert(index);
        }
    }
    entries
        .into_iter()
        .enumerate()
        .filter(|(index, _)| kept.contains(index))
        .map(|(_, entry)| entry)
        .collect()
}

/// The names in a folder, sorted, but for hidden ones: (name, whether it is a folder).
pub(crate) fn names(folder: &Path) -> Result<Vec<(String, bool)>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // through links: a data set is often put together of them
        names.push((name, entry.path().is_dir()));
    }
    names.retain(|(name, _)| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// Whether a file's ending, in any case, is one of these.
pub(crate) fn ends_in(name: &str, endings: &[&str]) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The files of a folder of one folder per class: (class, its files, relative to `root`), for `<root>/<under>/<class>`.
/// Classes and files are sorted by name, and a class without such files is left out.
pub(crate) fn class_folders(
    root: &Path,
    under: &str,
    endings: &[&str],
) -> Result<Vec<(String, Vec<String>)>, DataError> {
    let mut classes = Vec::new();
    for (class, _) in names(&root.join(under))?.into_iter().filter(|(_, folder)| *folder) {
        let folder = if under.is_empty() {
            class.clone()
        } else {
            format!("{under}/{class}")
        };
        let wanted = |(name, is_folder): &(String, bool)| !is_folder && ends_in(name, endings);
        let files = names(&root.join(&folder))?.into_iter().filter(wanted);
        let files: Vec<String> = files.map(|(name, _)| format!("{folder}/{name}")).collect();
        if !files.is_empty() {
            classes.push((class, files));
        }
    }
    Ok(classes)
}

/// A data set's folder: the one given, else the one within `$BRIDLE_DATA`.
pub(crate) fn locate(task: &'static str, given: Option<&Path>, original: &'static str) -> Result<PathBuf, DataError> {
    let all = std::env::var_os("BRIDLE_DATA").filter(|value| !value.is_empty());
    let path = match (given, all) {
        (Some(given), _) => given.to_owned(),
        (None, Some(all)) => Path::new(&all).join(task),
        (None, None) => return Err(DataError::NoFolderGiven { task, original }),
    };
    if path.is_dir() {
        Ok(path)
    } else {
        Err(DataError::NoFolder { task, path, original })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    fn entry(id: usize, classes: &[usize], split: Split, fold: Option<u8>) -> Entry {
        let target = match classes {
            [class] => Target::Class(*class),
            classes => Target::Classes(classes.to_vec()),
        };
        Entry {
            id: id.to_string(),
            file: None,
            target,
            split,
            fold,
        }
    }

    fn kept(entries: Vec<Entry>, n: usize) -> Vec<String> {
        subset(entries, n).into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn a_subset_is_the_first_of_each_class_in_each_split() {
        let splits = [Split::Train, Split::Test];
        let entries = (0..24).map(|id| entry(id, &[id % 3], splits[id / 12], None)).collect();
        assert_eq!(
            kept(entries, 2),
            ["0", "1", "2", "3", "4", "5", "12", "13", "14", "15", "16", "17"]
        );
    }

    #[test]
    fn a_subset_takes_the_folds_of_a_class_in_turn() {
        let entries = || {
            (0..12)
                .map(|id| entry(id, &[0], Split::Train, Some(1 + (id / 4) as u8)))
                .collect()
        };
        assert_eq!(kept(entries(), 4), ["0", "1", "4", "8"]);
        assert_eq!(kept(entries(), 99).len(), 12);
    }

    #[test]
    fn every_class_of_several_has_its_samples_in_a_subset() {
        let classes: [&[usize]; 5] = [&[0, 1], &[0], &[1], &[1, 2], &[2]];
        let entries = classes
            .iter()
            .enumerate()
            .map(|(id, classes)| entry(id, classes, Split::Train, None))
            .collect();
        assert_eq!(kept(entries, 1), ["0", "3"]);
    }
}
