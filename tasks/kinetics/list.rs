//! Lists of videos, `path label` or `path,label`, and folders of one folder per class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::NAME;
use crate::data::listing::Entry;
use crate::files::folder::{ListedPaths, class_folders, ends_in, exists};
use crate::files::table::{lines, quoted};
use crate::{DataError, Sample, Split, Target};

/// The lists of the two splits.
pub(super) const LISTS: [&str; 2] = ["train.csv", "val.csv"];
/// Class names by number, `label_index,label`; optional.
const LABELS: &str = "labels.csv";
const ENDINGS: [&str; 7] = ["mp4", "webm", "mkv", "avi", "mov", "m4v", "mpg"];

pub(super) struct Videos {
    pub entries: Vec<Entry<Sample>>,
    pub classes: Vec<String>,
    pub lists: Vec<String>,
}

struct ListLine {
    path: String,
    label: String,
    number: u64,
}

/// Reads the lists. Labels are class numbers, or, if one of them is not a number, class names.
pub(super) fn from_lists(folder: &Path) -> Result<Videos, DataError> {
    let splits = [Split::Train, Split::Test];
    let lines = [read(&folder.join(LISTS[0]))?, read(&folder.join(LISTS[1]))?];
    let labels = folder.join(LABELS);
    let named = if labels.exists() {
        Some(read_labels(&labels)?)
    } else {
        None
    };
    let classes = classes(folder, &lines, named)?;
    let number: BTreeMap<&str, usize> = classes
        .iter()
        .enumerate()
        .map(|(n, (label, _))| (label.as_str(), n))
        .collect();
    let (mut entries, mut seen, mut listed) = (Vec::new(), BTreeSet::new(), ListedPaths::new(folder));
    for ((list, split), lines) in LISTS.iter().zip(splits).zip(&lines) {
        for ListLine {
            path,
            label,
            number: line,
        } in lines
        {
            let bad = |reason| DataError::bad_row(&folder.join(list), *line, reason);
            // published lists often have absolute paths
            let outside = || format!("'{path}' does not lie in the data folder; link it there, and list the link");
            let id = listed.within(path).ok_or_else(|| bad(outside()))?;
            if !seen.insert(id.clone()) {
                return Err(bad(format!("'{path}' is listed a second time")));
            }
            let target = number
                .get(label.as_str())
                .ok_or_else(|| bad(format!("there is no class {label} in {LABELS}")))?;
            let file = exists(&folder.join(&id)).then(|| id.clone());
            entries.push(Entry::new(id, file, Target::Class(*target), split));
        }
    }
    let lists = LISTS
        .iter()
        .map(|&name| name.to_owned())
        .chain(labels.exists().then(|| LABELS.to_owned()));
    Ok(Videos {
        entries,
        classes: classes.into_iter().map(|(_, name)| name).collect(),
        lists: lists.collect(),
    })
}

/// Reads the folders `train` and `val`; the classes are those of train.
pub(super) fn from_folders(folder: &Path) -> Result<Videos, DataError> {
    let [train, test] = [
        class_folders(folder, "train", &ENDINGS)?,
        class_folders(folder, "val", &ENDINGS)?,
    ];
    let classes: Vec<String> = train.iter().map(|(class, _)| class.clone()).collect();
    let mut entries = Vec::new();
    for (split, folders) in [(Split::Train, train), (Split::Test, test)] {
        for (class, files) in folders {
            let Ok(target) = classes.binary_search(&class) else {
                let not_in = format!("the classes of {}", folder.join("train").display());
                return Err(DataError::UnlistedFile {
                    path: folder.join("val").join(class),
                    not_in,
                });
            };
            let target = Target::Class(target);
            entries.extend(
                files
                    .into_iter()
                    .map(|file| Entry::new(file.clone(), Some(file), target.clone(), split)),
            );
        }
    }
    if classes.is_empty() {
        let missing = "video in its folder train";
        return Err(DataError::not_the_task(NAME, folder, missing));
    }
    Ok(Videos {
        entries,
        classes,
        lists: Vec::new(),
    })
}

/// The lines of a list, but for a first line of column names.
fn read(path: &Path) -> Result<Vec<ListLine>, DataError> {
    let mut found = Vec::new();
    for (at, (number, line)) in lines(path)?.into_iter().enumerate() {
        let bad = |reason: String| DataError::bad_row(path, number, reason);
        if at == 0 && line.split(',').any(|field| field.trim() == "youtube_id") {
            let reason = "this is the list of what YouTube has; needed are lines of path and label";
            return Err(bad(reason.to_owned()));
        }
        let (video, rest) = split(&line).map_err(bad)?;
        if at == 0 && !video.contains('.') && rest.parse::<usize>().is_err() {
            continue; // column names
        }
        if video.is_empty() || rest.is_empty() {
            let reason = "it is not a path and a label with a space or comma between";
            return Err(bad(reason.to_owned()));
        }
        let label = label(rest).map_err(bad)?;
        found.push(ListLine {
            path: video,
            label,
            number,
        });
    }
    if found.is_empty() {
        return Err(DataError::bad_row(path, 1, "it lists nothing"));
    }
    Ok(found)
}

/// The path of a line and what follows it. An unquoted path ends at the extension of a video, else
/// at the last space or comma.
fn split(line: &str) -> Result<(String, &str), String> {
    if let Some(path) = quoted(line) {
        let (path, rest) = path?;
        return Ok((path, rest.trim_start_matches([',', ' ', '\t'])));
    }
    let parts = |at: usize| (line[..at].trim().to_owned(), line[at + 1..].trim());
    let separators = line.match_indices([',', ' ', '\t']).map(|(at, _)| at);
    let mut splits = separators.map(parts);
    let found = splits.find(|(path, _)| ends_in(path, &ENDINGS));
    Ok(found
        .or_else(|| line.rfind([',', ' ', '\t']).map(parts))
        .unwrap_or_default())
}

/// The label that is all of `text`. Without quotes it may have several words, but no number first
/// or last among them, which would be a field of its own.
fn label(text: &str) -> Result<String, String> {
    match quoted(text) {
        Some(Ok((label, ""))) if !label.trim().is_empty() => return Ok(label.trim().to_owned()),
        Some(Ok((label, more))) => {
            return Err(format!("'{more}' follows the label '{label}', which is the last field"));
        }
        Some(Err(reason)) => return Err(reason),
        None => {}
    }
    let words: Vec<&str> = text.split([',', ' ', '\t']).filter(|word| !word.is_empty()).collect();
    let is_number = |word: Option<&&str>| word.is_some_and(|word| word.parse::<f64>().is_ok());
    if text.contains('\t') || (words.len() > 1 && (is_number(words.first()) || is_number(words.last()))) {
        return Err(format!(
            "'{text}' is more than a label: a line is a path and a label, which is in quotes if a number is one of its words"
        ));
    }
    Ok(text.to_owned())
}

/// Class names by label. A first line without a number is a header.
fn read_labels(path: &Path) -> Result<BTreeMap<usize, String>, DataError> {
    let mut names = BTreeMap::new();
    for (at, (number, line)) in lines(path)?.into_iter().enumerate() {
        let bad = |reason: String| DataError::bad_row(path, number, reason);
        let (class, name) = line.split_once(',').unwrap_or((&line, ""));
        match class.trim().parse::<usize>() {
            Ok(class) if !name.trim().is_empty() => {
                if names.insert(class, label(name.trim()).map_err(bad)?).is_some() {
                    return Err(bad(format!("the class {class} is named a second time")));
                }
            }
            Err(_) if at == 0 => {}
            _ => {
                return Err(bad(
                    "it is not a class number and a name with a comma between".to_owned()
                ));
            }
        }
    }
    Ok(names)
}

/// (label as lists write it, name) of every class, in the order of their indices: numbers from 0
/// without gaps, else names in order.
fn classes(
    folder: &Path,
    lines: &[Vec<ListLine>; 2],
    named: Option<BTreeMap<usize, String>>,
) -> Result<Vec<(String, String)>, DataError> {
    let labels: BTreeSet<&str> = lines.iter().flatten().map(|line| line.label.as_str()).collect();
    let numbers: Option<BTreeSet<usize>> = labels.iter().map(|label| label.parse().ok()).collect();
    let Some(numbers) = numbers else {
        return Ok(labels
            .into_iter()
            .map(|label| (label.to_owned(), label.to_owned()))
            .collect());
    };
    let (list, names) = match named {
        Some(names) => (LABELS, names),
        None => (
            LISTS[0],
            numbers.into_iter().map(|number| (number, number.to_string())).collect(),
        ),
    };
    if let Some(gap) = (0..names.len()).find(|number| !names.contains_key(number)) {
        let reason = format!("classes must be numbered from 0 without gaps, and {gap} is not there");
        return Err(DataError::bad_row(&folder.join(list), 1, reason));
    }
    Ok(names
        .into_iter()
        .map(|(number, name)| (number.to_string(), name))
        .collect())
}
