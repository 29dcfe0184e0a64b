//! ImageNet-1K (ILSVRC 2012): photographs of 1,000 classes (Russakovsky et al. 2015), as a folder
//! per class, as the original tars, or as the hub's parquet files.
//!
//! In each layout the full set is known by its classes and counts. No file is pinned, because none
//! was available when this was written. Everything else in the same layouts is different data.

mod folder;
mod packed;

use std::path::Path;

use crate::data::listing::{Entry, Listing};
use crate::files::locate::Origin;
use crate::files::tree::Tree;
use crate::pipeline::media::pictures;
use crate::{
    DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Sample, Split, Task, TaskSpec,
};

const NAME: &str = "imagenet";
const VERSION: u32 = 1;
const ORIGINAL: &str = "https://www.image-net.org/challenges/LSVRC/2012";
/// Pictures of the full set.
const TRAIN: usize = 1_281_167;
const VAL: usize = 50_000;

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
        let root = Origin::hub(NAME, ORIGINAL).locate(request.data.as_deref(), request.offline, progress)?;
        open(&root, request, progress)
    }
}

/// WordNet ids, sorted, which is the usual order of the targets; the list equals timm's.
fn classes() -> Vec<String> {
    include_str!("imagenet/classes.txt")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The classes of validation pictures that lists beside the original tars name.
#[cfg(any(test, fuzzing))]
pub(crate) fn judged(folder: &Path) -> Result<impl std::fmt::Debug + use<>, DataError> {
    packed::judged::read(folder)
}

/// What was found, in any layout.
struct Contents {
    /// The variant name of the full set in this layout.
    form: &'static str,
    tree: Tree,
    lists: Vec<String>,
    entries: Vec<Entry<Sample>>,
    classes: Vec<String>,
}

fn open(root: &Path, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
    let unpacked = ["train", "val"].iter().any(|part| root.join(part).is_dir());
    let packed = if unpacked { None } else { packed::find(root)? };
    let found = packed.map_or_else(|| folder::list(root), Ok)?;
    let variant = match check_full(root, &found) {
        Ok(()) => Some(found.form),
        Err(_) if request.allow_different => None,
        Err(error) => return Err(error.not_allowed()),
    };
    let pictures = pictures(NAME, &request.input, true)?;
    let mut listing = Listing::new(NAME, VERSION, ORIGINAL, found.tree, found.entries);
    (listing.variant, listing.lists) = (variant, found.lists);
    listing.open(found.classes, pictures, request, progress)
}

/// Reports the first difference from the full set.
fn check_full(root: &Path, found: &Contents) -> Result<(), DataError> {
    let known = classes();
    if found.classes != known {
        let strange = found.classes.iter().find(|class| known.binary_search(class).is_err());
        let reason = match strange {
            Some(class) => format!("the class '{class}' is none of its 1,000"),
            None => format!("it has {} of its 1,000 classes", found.classes.len()),
        };
        return Err(DataError::unknown_variant(NAME, root, reason));
    }
    for (split, part, expected) in [(Split::Train, "train", TRAIN), (Split::Test, "val", VAL)] {
        let pictures = found.entries.iter().filter(|entry| entry.sample.split == split).count();
        if pictures != expected {
            let what = format!("pictures in {part}");
            return Err(DataError::wrong_count(root, what, expected, pictures));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
