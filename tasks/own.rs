//! The user's own data: a task file says where samples lie and how to read them. README.md
//! documents it for users.

mod archived;
mod file;
mod folder;
mod measure;
pub(crate) mod speech;
mod table;
mod unlabelled;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use self::folder::{is_task_folder, open_task_folder};
pub use self::unlabelled::open_files;

use self::file::{Kind, Reading, TaskFile};
use crate::data::listing::{Entry, Listing};
use crate::files::folder::{class_folders, names};
use crate::files::tree::Tree;
use crate::names::composed;
use crate::{DataError, Dataset, OpenRequest, Progress, Sample, Split, Target, Task, TaskSpec};

const VERSION: u32 = 1;
const SUMMARY: &str = "own data, from a task file";
const SOURCE: &str = "the user's own";
/// The share of samples held out for testing if neither data nor task file say.
const HOLDOUT: f64 = 0.2;

/// A part of data that names its parts, by folders or in a column `split`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Train,
    Test,
    Validation,
}

impl Part {
    /// The part called `name`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "train" => Some(Self::Train),
            "test" => Some(Self::Test),
            "val" | "valid" | "validation" | "dev" => Some(Self::Validation),
            _ => None,
        }
    }
}

/// Which parts are trained on and judged. Validation samples are judged only if nothing is for
/// testing, and never together with test samples.
struct Division {
    judged: Part,
    /// Validation samples beside those for testing.
    unused: usize,
}

impl Division {
    /// Of samples of these parts.
    fn of(parts: impl Iterator<Item = Part>) -> Self {
        let (mut test, mut validation) = (0, 0);
        parts.for_each(|part| match part {
            Part::Train => {}
            Part::Test => test += 1,
            Part::Validation => validation += 1,
        });
        match test {
            0 => Self {
                judged: Part::Validation,
                unused: 0,
            },
            _ => Self {
                judged: Part::Test,
                unused: validation,
            },
        }
    }

    /// The split of a part's samples; `None` if they are not used.
    fn split(&self, part: Part) -> Option<Split> {
        match part {
            Part::Train => Some(Split::Train),
            part => (part == self.judged).then_some(Split::Test),
        }
    }

    fn note(&self) -> Option<String> {
        (self.unused > 0).then(|| format!("judged on test; {} validation samples are not used", self.unused))
    }
}

struct OwnTask {
    spec: TaskSpec,
    reading: Reading,
    listing: Listing<Sample>,
}

/// Reads a task file and its lists. Statistics that are `auto` are measured now, on a fixed sample
/// of the training data.
pub fn open_task_file(path: &Path) -> Result<Box<dyn Task>, DataError> {
    opened(&file::read(path)?)
}

/// The task that a file describes.
fn opened(file: &TaskFile) -> Result<Box<dyn Task>, DataError> {
    // lives as long as the program, like the names of built-in tasks; a run opens one task file
    let name: &'static str = String::leak(file.name.clone());
    let (mut listing, classes) = listing(name, file)?;
    let samples = listing.entries.iter_mut().map(|entry| &mut entry.sample);
    let metric = file.metric(&mut samples.map(|sample| &mut sample.target).collect::<Vec<_>>())?;
    let mut input = file.input(None);
    if file.measures() {
        let media = file.reading().media(name, &input, 0)?;
        input = file.input(Some(measure::statistics(&listing, media.as_ref(), &input)?));
    }
    let spec = TaskSpec {
        name,
        version: VERSION,
        summary: SUMMARY,
        modality: input.modality(),
        input,
        classes,
        folds: listing.entries.iter().filter_map(|entry| entry.sample.fold).max(),
        metric,
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
    (listing.lists, listing.splitting) = (found.lists, found.note);
    if !found.split {
        let division = divide(&mut listing.entries, file.folds, file.holdout);
        listing.splitting = joined([Some(division), listing.splitting]);
    } else if let Some(shared) = shared_sources(&listing.entries) {
        listing.splitting = joined([Some(shared), listing.splitting]);
    }
    if found.split && (file.folds.is_some() || file.holdout.is_some()) {
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
    /// What of it is not used.
    note: Option<String>,
}

/// `<split>/<class>/<file>`, or `<class>/<file>`.
fn from_folder(folder: &Path, kind: Kind) -> Result<OwnFiles, DataError> {
    let tops = names(folder)?.into_iter().filter(|(_, is_folder)| *is_folder);
    let tops: Vec<String> = tops.map(|(name, _)| name).collect();
    let layout = Layout::of(folder, tops.iter().map(String::as_str))?;
    let mut files = Vec::new();
    for &(under, part) in layout.parts.as_deref().unwrap_or(&[("", Part::Train)]) {
        let twice = |file: String| (file.clone(), file);
        let named = |files: Vec<String>| files.into_iter().map(twice).collect();
        let found = class_folders(folder, under, kind.endings())?.into_iter();
        files.extend(found.map(|(class, files)| (part, class, named(files))));
    }
    of_classes(Tree::folder(folder), folder, files, &layout)
}

/// What the folders at the top are.
struct Layout<'a> {
    /// The folders that are parts, in the order of parts; `None` if they are classes.
    parts: Option<Vec<(&'a str, Part)>>,
    /// Folders beside the parts, which are not read.
    others: Vec<&'a str>,
}

impl<'a> Layout<'a> {
    /// Folders are parts if one is for training and one for judging. `place` is for messages.
    fn of(place: &Path, tops: impl Iterator<Item = &'a str>) -> Result<Self, DataError> {
        let (mut parts, mut others) = (Vec::new(), Vec::new());
        for top in tops {
            match Part::named(top) {
                Some(part) => parts.push((top, part)),
                None => others.push(top),
            }
        }
        parts.sort_by_key(|(_, part)| *part);
        let folders = |part| {
            parts
                .iter()
                .filter(|(_, found)| *found == part)
                .map(|(top, _)| *top)
                .collect::<Vec<_>>()
        };
        let validation = folders(Part::Validation);
        if folders(Part::Train).is_empty() || parts.len() < 2 {
            return Ok(Self {
                parts: None,
                others: Vec::new(),
            });
        }
        if validation.len() > 1 {
            let reason = format!(
                "the folders {} are all for validation; one can be",
                validation.join(" and ")
            );
            return Err(DataError::bad_sample(place, reason));
        }
        Ok(Self {
            parts: Some(parts),
            others,
        })
    }

    /// What is not read, and why validation is judged beside a folder for testing.
    fn note(&self, division: &Division) -> Option<String> {
        let tests = self.parts.iter().flatten().find(|(_, part)| *part == Part::Test);
        let tests = tests.filter(|_| division.judged == Part::Validation);
        let empty = tests.map(|(top, _)| format!("judged on validation, as {top} has no folder of a class"));
        let (folder, is) = if self.others.len() == 1 {
            ("folder", "is")
        } else {
            ("folders", "are")
        };
        let others =
            (!self.others.is_empty()).then(|| format!("the {folder} {} {is} not read", self.others.join(", ")));
        joined([empty, others])
    }
}

/// What to say of recordings with samples on both sides of the division.
fn shared_sources(entries: &[Entry<Sample>]) -> Option<String> {
    let mut parts: BTreeMap<&str, BTreeSet<(Option<u8>, bool)>> = BTreeMap::new();
    let samples = entries.iter().map(|entry| &entry.sample);
    for (sample, source) in samples.filter_map(|sample| Some((sample, sample.source.as_deref()?))) {
        let part = (sample.fold, sample.split == Split::Test);
        parts.entry(source).or_default().insert(part);
    }
    let shared = parts.values().filter(|parts| parts.len() > 1).count();
    (shared > 0).then(|| format!("{shared} sources have samples to train on and to judge: scores may be too good"))
}

/// These notes as one.
fn joined(notes: [Option<String>; 2]) -> Option<String> {
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// A part's class, and its files as (id, name).
type ClassFiles = (Part, String, Vec<(String, String)>);

/// Samples whose classes are the names of their folders.
fn of_classes(tree: Tree, place: &Path, files: Vec<ClassFiles>, layout: &Layout) -> Result<OwnFiles, DataError> {
    let samples = files.iter().flat_map(|(part, _, files)| files.iter().map(|_| *part));
    let division = Division::of(samples);
    let used = files
        .into_iter()
        .filter_map(|(part, class, files)| Some((division.split(part)?, composed(&class), files)));
    let used: Vec<_> = used.collect();
    let classes: BTreeSet<String> = used.iter().map(|(_, class, _)| class.clone()).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    if classes.len() < 2 {
        let reason = "it has no two folders of one class each with files of the task's modality (folders of splits are called \
                      train, test and val)";
        return Err(DataError::bad_sample(place, reason));
    }
    let entries = used.into_iter().flat_map(|(split, class, files)| {
        let target = Target::Class(
            classes
                .binary_search(&class)
                .expect("the classes are those of the files"),
        );
        let entry = move |(id, file)| Entry::new(id, Some(file), target.clone(), split);
        files.into_iter().map(entry).collect::<Vec<_>>()
    });
    Ok(OwnFiles {
        tree,
        lists: Vec::new(),
        entries: entries.collect(),
        classes,
        split: layout.parts.is_some(),
        note: joined([division.note(), layout.note(&division)]),
    })
}

/// Assigns splits or folds by a hash of each sample's source, or of its id where it has none, so that
/// a sample stays in its part when others are added or removed. Returns how it did so.
fn divide(entries: &mut [Entry<Sample>], folds: Option<u8>, holdout: Option<f64>) -> String {
    let named = entries.iter().any(|entry| entry.sample.source.is_some());
    let of = if named { "source" } else { "id" };
    let share = |sample: &Sample| {
        let name = sample.source.as_ref().unwrap_or(&sample.id);
        let hash = blake3::hash(name.as_bytes());
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        (u64::from_le_bytes(*first) >> 11) as f64 / (1u64 << 53) as f64
    };
    if let Some(folds) = folds {
        entries
            .iter_mut()
            .for_each(|entry| entry.sample.fold = Some(1 + (share(&entry.sample) * f64::from(folds)) as u8));
        return format!("{folds} folds by a hash of the sample's {of}");
    }
    let holdout = holdout.unwrap_or(HOLDOUT);
    for entry in entries {
        entry.sample.split = if share(&entry.sample) < holdout {
            Split::Test
        } else {
            Split::Train
        };
    }
    format!("{holdout} held out by a hash of the sample's {of}")
}

#[cfg(test)]
mod tests;
