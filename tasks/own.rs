//! The user's own data: a task file says where samples lie and how to read them. README.md
//! documents it for users.

mod archived;
mod file;
mod measure;
pub(crate) mod speech;
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use self::file::{Kind, Reading, TaskFile};
use crate::data::listing::{Entry, Listing};
use crate::files::folder::class_folders;
use crate::files::tree::Tree;
use crate::{DataError, Dataset, OpenRequest, Progress, Sample, Split, Target, Task, TaskSpec};

const VERSION: u32 = 1;
const SUMMARY: &str = "own data, from a task file";
const SOURCE: &str = "the user's own";
/// The share of samples held out for testing if neither data nor task file say.
const HOLDOUT: f64 = 0.2;
/// Folders within the data's folder that are splits.
const SPLITS: [(&str, Split); 4] = [
    ("train", Split::Train),
    ("test", Split::Test),
    ("val", Split::Test),
    ("valid", Split::Test),
];

struct OwnTask {
    spec: TaskSpec,
    reading: Reading,
    listing: Listing<Sample>,
}

/// Reads a task file and its lists. Statistics that are `auto` are measured now, on a fixed sample
/// of the training data.
pub fn open_task_file(path: &Path) -> Result<Box<dyn Task>, DataError> {
    let file = file::read(path)?;
    // lives as long as the program, like the names of built-in tasks; a run opens one task file
    let name: &'static str = String::leak(file.name.clone());
    let (listing, classes) = listing(name, &file)?;
    let mut input = file.input(None);
    if file.measures() {
        let media = file.reading().media(name, &input, 0)?;
        input = file.input(Some(measure::statistics(&listing, media.as_ref(), &input)?));
    }
    let samples = || listing.entries.iter().map(|entry| &entry.sample);
    let spec = TaskSpec {
        name,
        version: VERSION,
        summary: SUMMARY,
        modality: input.modality(),
        input,
        classes,
        folds: samples().filter_map(|sample| sample.fold).max(),
        metric: file.metric(samples().any(|sample| matches!(sample.target, Target::Classes(_)))),
        source: SOURCE,
        licence: "that of the data",
        citation: "that of the data",
    };
    Ok(Box::new(OwnTask {
        spec,
        reading: file.reading(),
        listing,
    }))
}

impl Task for OwnTask {
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
        let TaskSpec { name, ref classes, .. } = self.spec;
        if request.data.is_some() {
            let reason = "its task file says where its data lies, so that no other folder can be given";
            return Err(DataError::wrong_input(name, reason));
        }
        let media = self.reading.media(name, &request.input, request.limits.videos)?;
        // own data is never a known variant: an unusable sample is skipped and named
        let request = OpenRequest {
            allow_different: true,
            ..request.clone()
        };
        self.listing.clone().open(classes.clone(), media, &request, progress)
    }
}

/// The samples of a task file, and the names of the classes.
fn listing(name: &'static str, file: &TaskFile) -> Result<(Listing<Sample>, Vec<String>), DataError> {
    let found = match (&file.folder, &file.csv) {
        (Some(folder), _) if folder.is_file() => archived::read(folder, file.kind)?,
        (Some(folder), _) => from_folder(folder, file.kind)?,
        (None, Some(csv)) => table::read(csv, &file.root())?,
        (None, None) => unreachable!("a task file that was read has one of them"),
    };
    let mut listing = Listing::new(name, VERSION, SOURCE, found.tree, found.entries);
    listing.lists = found.lists;
    if !found.split {
        listing.splitting = Some(divide(&mut listing.entries, file.folds, file.holdout));
    } else if file.folds.is_some() || file.holdout.is_some() {
        let key = if file.folds.is_some() { "folds" } else { "holdout" };
        let reason = format!("`{key}` divides data that says nothing of splits, and this data does");
        return Err(file.bad(key, reason));
    }
    Ok((listing, found.classes))
}

/// What a folder, archive or table holds.
struct OwnFiles {
    tree: Tree,
    lists: Vec<String>,
    entries: Vec<Entry<Sample>>,
    classes: Vec<String>,
    /// Whether it assigns samples to splits.
    split: bool,
}

/// `<split>/<class>/<file>`, or `<class>/<file>`.
fn from_folder(folder: &Path, kind: Kind) -> Result<OwnFiles, DataError> {
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

/// Samples whose classes are the names of their folders.
fn of_classes(tree: Tree, place: &Path, files: Vec<ClassFiles>, split: bool) -> Result<OwnFiles, DataError> {
    let classes: BTreeSet<String> = files.iter().map(|(_, class, _)| class.clone()).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    if classes.len() < 2 {
        let missing = "two folders of one class each with files of the task's modality";
        return Err(DataError::not_the_task("task file's", place, missing));
    }
    let of_class = |(split, class, files): ClassFiles| {
        let target = Target::Class(
            classes
                .binary_search(&class)
                .expect("the classes are those of the files"),
        );
        let entry = move |(id, file)| Entry::new(id, Some(file), target.clone(), split);
        files.into_iter().map(entry).collect::<Vec<_>>()
    };
    let entries = files.into_iter().flat_map(of_class).collect();
    Ok(OwnFiles {
        tree,
        lists: Vec::new(),
        entries,
        classes,
        split,
    })
}

/// Assigns splits or folds by a hash of each sample's id, so that a sample stays in its part when
/// others are added or removed. Returns how it did so.
fn divide(entries: &mut [Entry<Sample>], folds: Option<u8>, holdout: Option<f64>) -> String {
    let share = |id: &str| {
        let hash = blake3::hash(id.as_bytes());
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        (u64::from_le_bytes(*first) >> 11) as f64 / (1u64 << 53) as f64
    };
    if let Some(folds) = folds {
        entries
            .iter_mut()
            .for_each(|entry| entry.sample.fold = Some(1 + (share(&entry.sample.id) * f64::from(folds)) as u8));
        return format!("{folds} folds by a hash of the sample's id");
    }
    let holdout = holdout.unwrap_or(HOLDOUT);
    for entry in entries {
        entry.sample.split = if share(&entry.sample.id) < holdout {
            Split::Test
        } else {
            Split::Train
        };
    }
    format!("{holdout} held out by a hash of the sample's id")
}

#[cfg(test)]
mod tests;
