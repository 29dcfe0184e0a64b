//! AudioSet: clips of ten seconds from YouTube, each of any number of 527 classes (Gemmeke et al.
//! 2017).
//!
//! Two tasks evaluate on the evaluation segments: `audioset` trains on the balanced and unbalanced
//! segments together (2M), `audioset-20k` on the balanced ones only. The folder holds the published
//! lists and class index, and the clips anywhere below it under their YouTube ids, as files or in
//! tar, zip and parquet files. Videos vanish, so copies lack clips; missing ones are counted and
//! the first are named. No copy's sound files are published, so only the lists of the known variant
//! are checked.

mod clips;
mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::segments::{Index, Segment, Segments};
use crate::data::listing::{Entry, Listing};
use crate::files::locate::Origin;
use crate::media::audio::Sounds;
use crate::{
    DataError, Dataset, InputSpec, MainMetric, Missing, Modality, OpenRequest, Progress, Sample, Split, Target, Task,
    TaskSpec,
};

const CLASS_INDEX: &str = "class_labels_indices.csv";
const BALANCED: &str = "balanced_train_segments.csv";
const UNBALANCED: &str = "unbalanced_train_segments.csv";
const EVALUATION: &str = "eval_segments.csv";
const CLASSES: usize = 527;
/// Segments of the published lists, from their own second lines. The unbalanced list must match its
/// own second line: the published one was not available when this was written.
const PUBLISHED: [(&str, usize); 2] = [(BALANCED, 22_160), (EVALUATION, 20_371)];
const VARIANT: &str = "published-lists";
const VERSION: u32 = 1;
const ORIGINAL: &str = "https://research.google.com/audioset/download.html";
/// How many of the missing clips are named.
const NAMED: usize = 20;

/// All training segments.
pub(crate) struct AudioSet;

/// The balanced training segments only, about 22,000 clips, often called AS-20K.
pub(crate) struct AudioSet20k;

impl Task for AudioSet {
    fn spec(&self) -> TaskSpec {
        let summary = "sounds from YouTube, 2M clips of 10 s, 527 classes, several per clip";
        spec("audioset", summary)
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        open("audioset", &[BALANCED, UNBALANCED], request, progress)
    }
}

impl Task for AudioSet20k {
    fn spec(&self) -> TaskSpec {
        let summary = "sounds from YouTube, 22k balanced clips of 10 s, 527 classes, several per clip";
        spec("audioset-20k", summary)
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        open("audioset-20k", &[BALANCED], request, progress)
    }
}

fn spec(name: &'static str, summary: &'static str) -> TaskSpec {
    TaskSpec {
        name,
        version: VERSION,
        summary,
        modality: Modality::Audio,
        // the authors' constants for this data set
        input: InputSpec::Audio {
            frames: 1_024,
            mels: 128,
            sample_rate: 16_000,
            mean: -4.4446096,
            std: 3.3216383,
        },
        classes: (0..CLASSES).map(|class| class.to_string()).collect(),
        folds: None,
        metric: MainMetric::Map,
        source: ORIGINAL,
        licence: "lists and ontology CC BY 4.0 by Google; the sound keeps the terms of its authors and of YouTube",
        citation: "J. F. Gemmeke et al. Audio Set: An ontology and human-labeled dataset for audio events. ICASSP 2017",
    }
}

fn open(
    task: &'static str,
    training: &[&'static str],
    request: &OpenRequest,
    progress: &dyn Progress,
) -> Result<Dataset, DataError> {
    let sounds = Sounds::new(task, &request.input)?;
    let folder = Origin::folder(task, ORIGINAL).locate(request.data.as_deref(), true, progress)?;
    let (listing, classes) = listing(task, &folder, training, request.allow_different)?;
    listing.open(classes, Box::new(sounds), request, progress)
}

/// The clips of a folder, and the names of the classes.
pub(crate) fn listing(
    task: &'static str,
    folder: &Path,
    training: &[&'static str],
    allow_different: bool,
) -> Result<(Listing<Sample>, Vec<String>), DataError> {
    let lists = training.iter().copied().chain([EVALUATION]);
    if let Some(missing) = [CLASS_INDEX]
        .into_iter()
        .chain(lists.clone())
        .find(|list| !folder.join(list).is_file())
    {
        return Err(DataError::not_the_task(task, folder, missing));
    }
    let index = Index::read(&folder.join(CLASS_INDEX))?;
    let read = |list| Ok((list, segments::read(&folder.join(list), &index)?));
    let read: Vec<(&str, Segments)> = lists.clone().map(read).collect::<Result<_, DataError>>()?;
    let variant = match differs(&index, &read) {
        None => Some(VARIANT),
        Some(_) if allow_different => None,
        Some(reason) => {
            return Err(DataError::unknown_variant(task, folder, reason).not_allowed());
        }
    };
    let mut clips = clips::find(folder)?;
    let listed: BTreeSet<String> = read
        .iter()
        .flat_map(|(_, list)| list.rows.iter().map(|row| row.id.clone()))
        .collect();
    let is_missing = listed.iter().any(|id| !clips.by_id.contains_key(id));
    let by_id = std::mem::take(&mut clips.by_id);
    let tree = clips.check_archives(|id| listed.contains(id), is_missing)?;
    let (entries, missing) = entries(task, folder, &by_id, read)?;
    let mut listing = Listing::new(task, VERSION, ORIGINAL, tree, entries);
    listing.variant = variant;
    listing.lists = [CLASS_INDEX].into_iter().chain(lists).map(str::to_owned).collect();
    listing.missing = missing;
    Ok((listing, index.names))
}

/// How the lists differ from the published ones, if they do.
fn differs(index: &Index, lists: &[(&str, Segments)]) -> Option<String> {
    if index.names.len() != CLASSES {
        return Some(format!(
            "{CLASS_INDEX} has {} classes, not {CLASSES}",
            index.names.len()
        ));
    }
    lists.iter().find_map(|(list, segments)| {
        let published = PUBLISHED.iter().find(|(name, _)| name == list).map(|&(_, count)| count);
        let found = segments.rows.len();
        match (published.or(segments.announced), found) {
            (Some(expected), found) if expected == found => None,
            (Some(expected), found) => Some(format!("{list} has {found} segments, not {expected}")),
            (None, found) => Some(format!(
                "{list} has {found} segments, and no line that says how many it should have"
            )),
        }
    })
}

/// The segments whose clips exist, and the missing ones.
fn entries(
    task: &'static str,
    folder: &Path,
    clips: &BTreeMap<String, String>,
    lists: Vec<(&str, Segments)>,
) -> Result<(Vec<Entry<Sample>>, Missing), DataError> {
    let (mut entries, mut missing, mut seen) = (Vec::new(), Missing::default(), BTreeSet::new());
    for (list, segments) in lists {
        let split = if list == EVALUATION { Split::Test } else { Split::Train };
        for Segment { id, classes, line } in segments.rows {
            if !seen.insert(id.clone()) {
                let reason = format!("the clip '{id}' is listed a second time");
                return Err(DataError::bad_row(&folder.join(list), line, reason));
            }
            match clips.get(&id) {
                Some(file) => {
                    let target = Target::Classes(classes);
                    entries.push(Entry::new(id, Some(file.clone()), target, split));
                }
                None => {
                    missing.count += 1;
                    missing.first.extend((missing.first.len() < NAMED).then_some(id));
                }
            }
        }
    }
    for (split, missing) in [
        (Split::Train, "clip of its training lists"),
        (Split::Test, "clip of eval_segments.csv"),
    ] {
        if !entries.iter().any(|entry: &Entry<Sample>| entry.sample.split == split) {
            return Err(DataError::not_the_task(task, folder, missing));
        }
    }
    Ok((entries, missing))
}

#[cfg(test)]
mod tests;
