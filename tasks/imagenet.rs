//! ImageNet-1K (ILSVRC 2012): photographs of 1,000 kinds of things (Russakovsky et al. 2015), as a folder of classes, as
//! the original tars, or as the hub's parquet files.
//!
//! The full set is known by its classes and counts in each of these forms; no file is pinned, because none of it was at
//! hand when this was written. Everything else in the same layouts is different data.

mod packed;

use std::path::Path;
use std::sync::Arc;

use crate::data::listing::{Entry, Listing};
use crate::files::locate::{Wanted, obtain};
use crate::files::tree::Tree;
use crate::media::image::Pictures;
use crate::media::image::folder;
use crate::{
    DataError, Dataset, InputSpec, MainMetric, Missing, Modality, OpenRequest, Progress, Split, Target, Task, TaskSpec,
};

const NAME: &str = "imagenet";
const VERSION: u32 = 1;
const ORIGINAL: &str = "https://www.image-net.org/challenges/LSVRC/2012";
/// Pictures of the full set, in whatever form.
const TRAIN: usize = 1_281_167;
const VAL: usize = 50_000;

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
        let root = obtain(Wanted::of(NAME, ORIGINAL), request, progress)?;
        open(&root, request, progress)
    }
}

/// WordNet's ids, sorted, which is the order of the targets everywhere; the list is the one that timm has.
fn classes() -> Vec<String> {
    include_str!("imagenet/classes.txt")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// What was found, in any form.
struct Contents {
    /// What the full set is called in this form.
    form: &'static str,
    tree: Tree,
    lists: Vec<String>,
    entries: Vec<Entry>,
    classes: Vec<String>,
}

fn open(root: &Path, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
    let unpacked = ["train", "val"].iter().any(|part| root.join(part).is_dir());
    let packed = if unpacked { None } else { packed::find(root)? };
    let found = packed.map_or_else(|| from_folder(root), Ok)?;
    let variant = match check_full(root, &found) {
        Ok(()) => Some(found.form),
        Err(_) if request.allow_different => None,
        Err(error) => return Err(error),
    };
    let pictures = Pictures::new(NAME, &request.input, true)?;
    let listing = Listing {
        name: NAME.to_owned(),
        version: VERSION,
        source: ORIGINAL.to_owned(),
        variant,
        root: found.tree.root().to_owned(),
        lists: found.lists,
        entries: found.entries,
        classes: found.classes,
        missing: Missing::default(),
        splitting: None,
    };
    listing.open_from(Arc::new(found.tree), Box::new(pictures), request, progress)
}

fn from_folder(root: &Path) -> Result<Contents, DataError> {
    let found = folder::list(root, NAME)?;
    let entry = |listed: folder::Listed| Entry {
        id: listed.file.clone(),
        file: Some(listed.file),
        target: Target::Class(listed.target),
        split: listed.split,
        fold: None,
    };
    Ok(Contents {
        form: "ilsvrc2012",
        tree: Tree::folder(root),
        lists: Vec::new(),
        entries: found.files.into_iter().map(entry).collect(),
        classes: found.classes,
    })
}

/// The first thing that speaks against the full set.
fn check_full(root: &Path, found: &Contents) -> Result<(), DataError> {
    let known = classes();
    if found.classes != known {
        let strange = found.classes.iter().find(|class| known.binary_search(class).is_err());
        let reason = match strange {
            Some(class) => format!("the class '{class}' is none of its 1,000"),
            None => format!("it has {} of its 1,000 classes", found.classes.len()),
        };
        return Err(DataError::UnknownVariant {
            task: NAME,
            path: root.to_owned(),
            reason,
        });
    }
    for (split, part, expected) in [(Split::Train, "train", TRAIN), (Split::Test, "val", VAL)] {
        let pictures = found.entries.iter().filter(|entry| entry.split == split).count();
        if pictures != expected {
            let what = format!("pictures in {part}");
            return Err(DataError::WrongCount {
                path: root.to_owned(),
                what,
                expected,
                found: pictures,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
