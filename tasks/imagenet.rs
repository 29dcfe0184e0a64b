//! ImageNet-1K (ILSVRC 2012): photographs of 1,000 kinds of things (Russakovsky et al. 2015), as a folder of classes.
//!
//! The full set is known by its classes and counts; no file is pinned, because none of it was at hand when this was
//! written. Everything else in the same layout is different data.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::dataset::counts;
use crate::image::folder::{self, Listed, Listing};
use crate::image::{PICTURE_VERSION, Pictures};
use crate::store::{self, Outcome, Prepared, Work};
use crate::variant::{DIFFERENT, Manifest};
use crate::{
    DataError, DataFacts, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Sample, Skipped, Split,
    Task, TaskSpec,
};

const NAME: &str = "imagenet";
const VERSION: u32 = 1;
const ORIGINAL: &str = "https://www.image-net.org/challenges/LSVRC/2012";
const FULL: Variant = Variant {
    name: "ilsvrc2012",
    train: 1_281_167,
    val: 50_000,
};

/// A form of the data that is known, by its counts.
struct Variant {
    name: &'static str,
    train: usize,
    val: usize,
}

/// The task.
pub struct Imagenet;

impl Task for Imagenet {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: NAME,
            version: VERSION,
            summary: "photographs, 1,281,167 to train and 50,000 to judge, 1,000 classes",
            modality: Modality::Image,
            input: InputSpec::Image {
                side: 224,
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
            },
            classes: classes(),
            folds: None,
            metric: MainMetric::Top1,
            source: ORIGINAL,
            licence: "ImageNet's terms of access: research and education, not commercial",
            citation: "O. Russakovsky et al. ImageNet Large Scale Visual Recognition Challenge. IJCV 115, 2015, 211-252",
        }
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        let root = locate(request.data.as_deref(), std::env::var_os("BRIDLE_DATA").as_deref())?;
        open(root, request, progress)
    }
}

/// WordNet's ids, sorted, which is the order of the targets everywhere; the list is the one that timm has.
fn classes() -> Vec<String> {
    include_str!("imagenet/classes.txt")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The data set's folder: the one given, else the one within `$BRIDLE_DATA`.
fn locate(given: Option<&Path>, bridle_data: Option<&OsStr>) -> Result<PathBuf, DataError> {
    let path = match (given, bridle_data.filter(|value| !value.is_empty())) {
        (Some(given), _) => given.to_owned(),
        (None, Some(all)) => Path::new(all).join(NAME),
        (None, None) => {
            return Err(DataError::NoFolderGiven {
                task: NAME,
                original: ORIGINAL,
            });
        }
    };
    if path.is_dir() {
        Ok(path)
    } else {
        Err(DataError::NoFolder {
            task: NAME,
            path,
            original: ORIGINAL,
        })
    }
}

fn open(root: PathBuf, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
    let mut listing = folder::list(&root, NAME)?;
    let variant = match check_full(&root, &listing) {
        Ok(()) => FULL.name,
        Err(_) if request.allow_different => DIFFERENT,
        Err(error) => return Err(error),
    };
    if let Some(n) = request.subset {
        listing.files = subset(listing.files, n);
    }
    let files: Vec<String> = listing.files.iter().map(|listed| listed.file.clone()).collect();
    let pictures = Pictures::new(root, files.clone(), &request.input)
        .map_err(|reason| DataError::WrongInput { task: NAME, reason })?;
    let pool = store::pool(request.threads)?;
    let manifest = Manifest::of_files(pictures.root(), files, &pool, progress)?;
    let work = Work {
        folder: &request.cache.join(NAME),
        key: &key(variant, &listing.files, &manifest, &request.input),
        what: "decoding pictures",
        samples: listing.files.len(),
        row: request.input.shape().iter().product(),
    };
    let prepared = store::open_or_compute(&work, &pool, progress, |index| match pictures.row(index, &manifest) {
        Ok(row) => Ok(Outcome::Row(row)),
        Err(reason) if request.allow_different => Ok(Outcome::Skipped(reason)),
        Err(reason) => Err(DataError::BadSample {
            path: pictures.path(index),
            reason,
        }),
    })?;
    check_skipped(pictures.root(), &listing.files, &prepared)?;
    Ok(dataset(variant, listing, manifest, prepared, request))
}

/// Names all that decides the inputs: how they are computed, and the content of every file in order.
fn key(variant: &str, files: &[Listed], manifest: &Manifest, input: &InputSpec) -> String {
    let input = serde_json::to_string(input).expect("an input is numbers");
    let mut text = format!("{NAME} {VERSION} {variant} pictures {PICTURE_VERSION} {input}\n");
    for Listed { file, .. } in files {
        let content = manifest.get(file).map_or("", |listed| &listed.sha256);
        text.push_str(&format!("{content} {file}\n"));
    }
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// At most one sample, or 1 % of them, may be skipped.
fn check_skipped(root: &Path, files: &[Listed], prepared: &Prepared) -> Result<(), DataError> {
    let (skipped, of) = (prepared.skipped.len(), files.len());
    match prepared.skipped.first() {
        Some((first, reason)) if (skipped > 1 && skipped * 100 > of) || skipped == of => {
            Err(DataError::TooManySkipped {
                path: root.to_owned(),
                skipped,
                of,
                first: files[*first].file.clone(),
                reason: reason.clone(),
            })
        }
        _ => Ok(()),
    }
}

fn dataset(variant: &str, listing: Listing, manifest: Manifest, prepared: Prepared, request: &OpenRequest) -> Dataset {
    let Prepared {
        rows,
        skipped,
        mean,
        std,
    } = prepared;
    let id = |index: usize| listing.files[index].file.clone();
    let named: Vec<Skipped> = skipped
        .iter()
        .map(|(index, reason)| Skipped {
            id: id(*index),
            reason: reason.clone(),
        })
        .collect();
    let usable = |index: &usize| skipped.binary_search_by_key(index, |(skipped, _)| *skipped).is_err();
    let samples: Vec<Sample> = (0..listing.files.len())
        .filter(usable)
        .map(|index| {
            let Listed { target, split, .. } = listing.files[index];
            Sample {
                id: id(index),
                target,
                fold: None,
                split,
            }
        })
        .collect();
    let (constant_mean, constant_std) = request.input.constants();
    let facts = DataFacts {
        task: NAME.to_owned(),
        version: VERSION,
        // no hash is pinned, so it is only itself if every picture could be used
        variant: if named.is_empty() { variant } else { DIFFERENT }.to_owned(),
        source: ORIGINAL.to_owned(),
        manifest_sha256: manifest.sha256(),
        counts: counts(&samples),
        subset: request.subset,
        skipped: named,
        measured_mean: mean,
        measured_std: std,
        constant_mean,
        constant_std,
    };
    Dataset::new(facts, samples, listing.classes, request.input.shape(), rows)
}

#[cfg(test)]
mod tests;

/// The first thing that speaks against the full set.
fn check_full(root: &Path, listing: &Listing) -> Result<(), DataError> {
    let known = classes();
    if listing.classes != known {
        let strange = listing.classes.iter().find(|class| known.binary_search(class).is_err());
        let reason = match strange {
            Some(class) => format!("the class '{class}' is none of its 1,000"),
            None => format!("it has {} of its 1,000 classes", listing.classes.len()),
        };
        return Err(DataError::UnknownVariant {
            task: NAME,
            path: root.to_owned(),
            reason,
        });
    }
    for (split, part, expected) in [(Split::Train, "train", FULL.train), (Split::Test, "val", FULL.val)] {
        let found = listing.files.iter().filter(|listed| listed.split == split).count();
        if found != expected {
            let what = format!("pictures in {part}");
            return Err(DataError::WrongCount {
                path: root.to_owned(),
                what,
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// The first `n` of each class in each split.
fn subset(files: Vec<Listed>, n: usize) -> Vec<Listed> {
    let same = |a: &Listed, b: &Listed| (a.split, a.target) == (b.split, b.target);
    files
        .chunk_by(same)
        .flat_map(|class| class.iter().take(n).cloned())
        .collect()
}
