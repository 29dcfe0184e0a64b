//! Anyone's own data: a task file says where samples lie and how they are to be read. `OWN-DATA.md` is for its users.

mod archived;
mod file;
mod measure;
pub(crate) mod speech;
mod table;

use std::path::Path;
use std::sync::Arc;

use self::file::{Kind, TaskFile};
use crate::data::listing::{Entry, Listing};
use crate::files::folder::class_folders;
use crate::files::tree::Tree;
use crate::media::Media;
use crate::media::audio::LogMel;
use crate::media::image::Pictures;
use crate::media::video::{Clips, VideoAugment};
use crate::{DataError, Dataset, InputSpec, Missing, OpenRequest, Progress, Split, Target, Task, TaskSpec};

const VERSION: u32 = 1;
const SUMMARY: &str = "own data, told by a task file";
const SOURCE: &str = "the user's own";
/// The share of samples held out for judging where neither data nor task file say.
const HOLDOUT: f64 = 0.2;
/// Folders within the data's folder that are splits.
const SPLITS: [(&str, Split); 4] = [
    ("train", Split::Train),
    ("test", Split::Test),
    ("val", Split::Test),
    ("valid", Split::Test),
];

/// A task file's task.
struct Own {
    spec: TaskSpec,
    reading: Reading,
    tree: Arc<Tree>,
    listing: Listing,
}

/// Reads a task file and its lists; `auto` statistics are measured here, on a fixed sample of the training data.
pub fn open_task_file(path: &Path) -> Result<Box<dyn Task>, DataError> {
    let file = file::read(path)?;
    let (tree, listing) = listing(&file)?;
    // a description lives as long as the program, as those of the built-in tasks do; a run opens one task file
    let name: &'static str = String::leak(file.name.clone());
    let unmeasured = file.input(None);
    let input = match file.measures() {
        false => unmeasured,
        true => {
            let media = file.reading().media(name, &unmeasured, 0)?;
            file.input(Some(measure::statistics(&listing, &tree, media.as_ref(), &unmeasured)?))
        }
    };
    let spec = TaskSpec {
        name,
        version: VERSION,
        summary: SUMMARY,
        modality: input.modality(),
        input,
        classes: listing.classes.clone(),
        folds: listing.entries.iter().filter_map(|entry| entry.fold).max(),
        metric: file.metric(
            listing
                .entries
                .iter()
                .any(|entry| matches!(entry.target, Target::Classes(_))),
        ),
        source: SOURCE,
        licence: "that of the data",
        citation: "that of the data",
    };
    Ok(Box::new(Own {
        spec,
        reading: file.reading(),
        tree,
        listing,
    }))
}

impl Task for Own {
    fn spec(&self) -> TaskSpec {
        self.spec.clone()
    }

    fn sections(&self) -> &'static [&'static str] {
        match self.spec.modality {
            crate::Modality::Video => &["test"],
            crate::Modality::Audio | crate::Modality::Image => &[],
        }
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        if request.data.is_some() {
            let reason = "its task file says where its data lies, so that no other folder can be given".to_owned();
            return Err(DataError::WrongInput {
                task: self.spec.name,
                reason,
            });
        }
        let media = self
            .reading
            .media(self.spec.name, &request.input, request.limits.videos)?;
        // own data is never a known variant: a sample that cannot be used is skipped and named
        let request = OpenRequest {
            allow_different: true,
            ..request.clone()
        };
        self.listing
            .clone()
            .open_from(Arc::clone(&self.tree), media, &request, progress)
    }
}

/// How files are read, beside what an input says of it.
#[derive(Clone, Copy, Debug)]
struct Reading {
    kind: Kind,
    /// Frames between neighbours of a clip.
    stride: usize,
    /// Whether training views may be mirrored.
    mirror: bool,
}

impl Reading {
    fn media(self, name: &'static str, input: &InputSpec, keep: u64) -> Result<Box<dyn Media>, DataError> {
        Ok(match self.kind {
            Kind::Audio => Box::new(LogMel::new(name, input)?),
            Kind::Image => Box::new(Pictures::new(name, input, self.mirror)?),
            Kind::Video => {
                let augment = VideoAugment {
                    mirror: self.mirror,
                    ..VideoAugment::fine_tuning()
                };
                Box::new(Clips::new(name, input, self.stride, augment, keep)?)
            }
        })
    }
}

/// The samples that a task file tells of, and where they lie.
fn listing(file: &TaskFile) -> Result<(Arc<Tree>, Listing), DataError> {
    let found = match (&file.folder, &file.csv) {
        (Some(folder), _) if folder.is_file() => archived::read(folder, file.kind)?,
        (Some(folder), _) => from_folder(folder, file.kind)?,
        (None, Some(csv)) => table::read(csv, &file.root())?,
        (None, None) => unreachable!("a task file that was read has one of them"),
    };
    let Found {
        tree,
        lists,
        mut entries,
        classes,
        split,
    } = found;
    let splitting = if split {
        None
    } else {
        Some(divide(&mut entries, file.folds, file.holdout))
    };
    if split && (file.folds.is_some() || file.holdout.is_some()) {
        let key = if file.folds.is_some() { "folds" } else { "holdout" };
        return Err(file.bad(
            key,
            format!("`{key}` divides data that says nothing of splits, and this data does"),
        ));
    }
    let listing = Listing {
        name: file.name.clone(),
        version: VERSION,
        source: SOURCE.to_owned(),
        variant: None,
        root: tree.root().to_owned(),
        lists,
        entries,
        classes,
        missing: Missing::default(),
        splitting,
    };
    Ok((Arc::new(tree), listing))
}

/// What a folder, archive or table holds.
struct Found {
    tree: Tree,
    lists: Vec<String>,
    entries: Vec<Entry>,
    classes: Vec<String>,
    /// Whether it says which samples are for what.
    split: bool,
}

/// `<split>/<class>/<file>`, or `<class>/<file>`.
fn from_folder(folder: &Path, kind: Kind) -> Result<Found, DataError> {
    let splits: Vec<_> = SPLITS
        .into_iter()
        .filter(|(name, _)| folder.join(name).is_dir())
        .collect();
    let both = splits.len() > 1 && splits[0].1 == Split::Train;
    let parts = if both { splits } else { vec![("", Split::Train)] };
    let mut files = Vec::new();
    for (under, split) in parts {
        let twice = |file: String| (file.clone(), file);
        let named = |files: Vec<String>| files.into_iter().map(twice).collect();
        let found = class_folders(folder, under, kind.endings())?.into_iter();
        files.extend(found.map(|(class, files)| (split, class, named(files))));
    }
    of_classes(Tree::folder(folder), folder, files, both)
}

/// A split's class, and its files as (id, name).
type ClassFiles = (Split, String, Vec<(String, String)>);

/// Samples whose classes are their folders' names.
fn of_classes(tree: Tree, place: &Path, files: Vec<ClassFiles>, split: bool) -> Result<Found, DataError> {
    let classes: std::collections::BTreeSet<String> = files.iter().map(|(_, class, _)| class.clone()).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    if classes.len() < 2 {
        let missing = "two folders of one class each with files of the task's modality";
        return Err(DataError::NotTheTask {
            task: "task file's",
            path: place.to_owned(),
            missing,
        });
    }
    let of_class = |(split, class, files): ClassFiles| {
        let target = Target::Class(
            classes
                .binary_search(&class)
                .expect("the classes are those of the files"),
        );
        let entry = move |(id, file): (String, String)| Entry {
            id,
            file: Some(file),
            target: target.clone(),
            split,
            fold: None,
        };
        files.into_iter().map(entry).collect::<Vec<_>>()
    };
    let entries = files.into_iter().flat_map(of_class).collect();
    Ok(Found {
        tree,
        lists: Vec::new(),
        entries,
        classes,
        split,
    })
}

/// Divides by a hash of each sample's id, so that a sample stays where it is when others come or go; says how.
fn divide(entries: &mut [Entry], folds: Option<u8>, holdout: Option<f64>) -> String {
    let share = |id: &str| {
        let hash = blake3::hash(id.as_bytes());
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        (u64::from_le_bytes(*first) >> 11) as f64 / (1u64 << 53) as f64
    };
    if let Some(folds) = folds {
        entries
            .iter_mut()
            .for_each(|entry| entry.fold = Some(1 + (share(&entry.id) * f64::from(folds)) as u8));
        return format!("{folds} folds by a hash of the sample's id");
    }
    let holdout = holdout.unwrap_or(HOLDOUT);
    for entry in entries {
        entry.split = if share(&entry.id) < holdout {
            Split::Test
        } else {
            Split::Train
        };
    }
    format!("{holdout} held out by a hash of the sample's id")
}

#[cfg(test)]
mod tests;
