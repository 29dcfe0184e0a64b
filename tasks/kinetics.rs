//! Kinetics: videos of human actions, about ten seconds each, 400 classes (Kay et al. 2017), and data laid out like it.
//!
//! No variant is known: the videos vanish from where they were collected, so that copies differ, and each says in its
//! own lists what it has. Lists are `train.csv` and `val.csv`, lines `path label` or `path,label`; without them,
//! `train/<class>/` and `val/<class>/` are.

mod list;

use std::path::Path;

use crate::data::listing::Listing;
use crate::files::folder::locate;
use crate::media::video::{Clips, VideoAugment};
use crate::{DataError, Dataset, InputSpec, MainMetric, Missing, Modality, OpenRequest, Progress, Task, TaskSpec};

const NAME: &str = "kinetics";
const VERSION: u32 = 2;
const CLASSES: usize = 400;
const ORIGINAL: &str = "https://github.com/cvdfoundation/kinetics-dataset";
/// Frames between neighbours of a clip, as the authors take them.
const STRIDE: usize = 4;

/// The task.
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
        let folder = locate(NAME, request.data.as_deref(), ORIGINAL)?;
        let listing = listing(&folder)?;
        if !request.allow_different {
            let reason = format!(
                "none is pinned, as copies differ; this one lists {} videos of {} classes",
                listing.entries.len(),
                listing.classes.len()
            );
            return Err(DataError::UnknownVariant {
                task: NAME,
                path: folder,
                reason,
            });
        }
        let clips = Clips::new(
            NAME,
            &request.input,
            STRIDE,
            VideoAugment::fine_tuning(),
            request.limits.videos,
        )?;
        listing.open(Box::new(clips), request, progress)
    }
}

/// What a folder holds.
fn listing(folder: &Path) -> Result<Listing, DataError> {
    let has = |name: &str| folder.join(name).exists();
    let found = match (has(list::LISTS[0]) && has(list::LISTS[1]), has("train") && has("val")) {
        (true, _) => list::from_lists(folder)?,
        (false, true) => list::from_folders(folder)?,
        (false, false) => {
            let missing = "train.csv and val.csv, nor the folders train and val";
            return Err(DataError::NotTheTask {
                task: NAME,
                path: folder.to_owned(),
                missing,
            });
        }
    };
    Ok(Listing {
        name: NAME.to_owned(),
        version: VERSION,
        source: ORIGINAL.to_owned(),
        variant: None,
        root: folder.to_owned(),
        lists: found.lists,
        entries: found.entries,
        classes: found.classes,
        missing: Missing::default(),
        splitting: None,
    })
}

#[cfg(test)]
mod tests;
