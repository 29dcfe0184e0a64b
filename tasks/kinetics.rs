//! Kinetics: videos of human actions, about ten seconds each, 400 classes (Kay et al. 2017), and
//! data laid out like it.
//!
//! No variant is known: videos vanish from where they were collected, so copies differ, and each
//! copy lists what it has. Lists are `train.csv` and `val.csv`, with lines `path label` or
//! `path,label`. Without lists, the folders `train/<class>/` and `val/<class>/` say the same.

mod list;

use std::path::Path;

use crate::data::listing::Listing;
use crate::files::locate::Origin;
use crate::files::tree::Tree;
use crate::media::video::VideoAugment;
use crate::pipeline::media::clips;
use crate::{DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Sample, Task, TaskSpec};

const NAME: &str = "kinetics";
const VERSION: u32 = 2;
const CLASSES: usize = 400;
const ORIGINAL: &str = "https://github.com/cvdfoundation/kinetics-dataset";
/// Every fourth frame, as the authors sample clips.
const STRIDE: usize = 4;

pub struct Kinetics;

impl Task for Kinetics {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: NAME,
            version: VERSION,
            summary: "human actions, videos of about 10 s, 400 classes",
            modality: Modality::Video,
            input: InputSpec::Video {
                frames: 16,
                side: 224,
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
            },
            classes: (0..CLASSES).map(|class| class.to_string()).collect(),
            folds: None,
            metric: MainMetric::Top1,
            source: ORIGINAL,
            licence: "lists CC BY 4.0; the videos keep the terms of their authors and of YouTube",
            citation: "W. Kay et al. The Kinetics Human Action Video Dataset. arXiv 1705.06950, 2017",
        }
    }

    fn sections(&self) -> &'static [&'static str] {
        &["test"]
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        let folder = Origin::folder(NAME, ORIGINAL).locate(request.data.as_deref(), true, progress)?;
        let (listing, classes) = listing(&folder)?;
        if !request.allow_different {
            let (videos, classes) = (listing.entries.len(), classes.len());
            let reason =
                format!("none is pinned, as copies differ; this one lists {videos} videos of {classes} classes");
            return Err(DataError::unknown_variant(NAME, &folder, reason).not_allowed());
        }
        let augment = VideoAugment::fine_tuning();
        let clips = clips(NAME, &request.input, STRIDE, augment, request.limits.videos)?;
        listing.open(classes, clips, request, progress)
    }
}

/// The videos of a folder, and the names of the classes.
pub(crate) fn listing(folder: &Path) -> Result<(Listing<Sample>, Vec<String>), DataError> {
    let has = |name: &str| folder.join(name).exists();
    let found = match (has(list::LISTS[0]) && has(list::LISTS[1]), has("train") && has("val")) {
        (true, _) => list::from_lists(folder)?,
        (false, true) => list::from_folders(folder)?,
        (false, false) => {
            let missing = "train.csv and val.csv, nor the folders train and val";
            return Err(DataError::not_the_task(NAME, folder, missing));
        }
    };
    let mut listing = Listing::new(NAME, VERSION, ORIGINAL, Tree::folder(folder), found.entries);
    listing.lists = found.lists;
    Ok((listing, found.classes))
}

#[cfg(test)]
mod tests;
