//! Lists of videos, `path label` or `path,label`, and folders of one folder per class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::NAME;
use crate::data::listing::Entry;
use crate::files::folder::{class_folders, ends_in, inner_path};
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
    let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
    for ((list, split), lines) in LISTS.iter().zip(splits).zip(&lines) {
        for ListLine {
            path,
            label,
            number: line,
        } in lines
        {
            let bad = |reason| DataError::bad_row(&folder.join(list), *line, reason);
            let id = within(folder, path).map_err(bad)?;
            if !seen.insert(id.clone()) {
                return Err(bad(format!("'{path}' is listed a second time")));
            }
            let target = number
                .get(label.as_str())
                .ok_or_else(|| bad(format!("there is no class {label} in {LABELS}")))?;
            let file = folder.join(&id).is_file().then(|| id.clone());
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
    let bad = |number: u64, reason: String| DataError::bad_row(path, number, reason);
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text(path)?.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if number == 1 && line.split(',').any(|field| field.trim() == "youtube_id") {
            let reason = "this is the list of what YouTube has; needed are lines of path and label".to_owned();
            return Err(bad(number, reason));
        }
        let (path, label) = split(line);
        if number == 1 && !ends_in(&path, &ENDINGS) && label.parse::<usize>().is_err() {
            continue; // column names
        }
        if path.is_empty() || label.is_empty() {
            return Err(bad(
                number,
                "it is not a path and a label with a space or comma between".to_owned(),
            ));
        }
        lines.push(ListLine { path, label, number });
    }
    if lines.is_empty() {
        return Err(bad(1, "it lists nothing".to_owned()));
    }
    Ok(lines)
}

/// Path and label; either may contain spaces and commas. The path ends at the extension of a video,
/// else at the last space or comma.
fn split(line: &str) -> (String, String) {
    let trim = |part: &str| part.trim().trim_matches('"').to_owned();
    let parts = |(path, label): (&str, &str)| (trim(path), trim(label));
    let of_video = |(path, _): &(String, String)| ends_in(path, &ENDINGS);
    let separators = line.match_indices([',', ' ', '\t']).map(|(at, _)| at);
    let mut splits = separators
        .map(|at| parts((&line[..at], &line[at + 1..])))
        .filter(|(path, _)| !path.is_empty());
    let found = splits.find(of_video);
    found
        .or_else(|| line.rsplit_once([',', ' ', '\t']).map(parts))
        .unwrap_or_default()
}

fn text(path: &Path) -> Result<String, DataError> {
    let bytes = bridle_files::read(path, bridle_files::TEXT).map_err(DataError::unreadable(path))?;
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + sound.iter().filter(|&&byte| byte == b'\n').count() as u64;
        DataError::bad_row(path, line, "it is not UTF-8 text")
    })
}

/// Class names by label. A first line without a number is a header.
fn read_labels(path: &Path) -> Result<BTreeMap<usize, String>, DataError> {
    let bad = |line: u64, reason: String| DataError::bad_row(path, line, reason);
    let mut names = BTreeMap::new();
    for (number, line) in (1..)
        .zip(text(path)?.lines())
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let (label, name) = line.split_once(',').unwrap_or((line, ""));
        let name = name.trim().trim_matches('"');
        match label.trim().parse::<usize>() {
            Ok(label) if !name.is_empty() => {
                if names.insert(label, name.to_owned()).is_some() {
                    return Err(bad(number, format!("the class {label} is named a second time")));
                }
            }
            Err(_) if number == 1 => {}
            _ => {
                return Err(bad(
                    number,
                    "it is not a class number and a name with a comma between".to_owned(),
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

/// The path relative to the folder, with forward slashes. Published lists often have absolute
/// paths.
fn within(folder: &Path, path: &str) -> Result<String, String> {
    let listed = Path::new(path);
    let relative = match listed.strip_prefix(folder) {
        Ok(relative) => relative,
        Err(_) if listed.is_relative() => listed,
        Err(_) => {
            return Err(format!(
                "'{path}' does not lie in the data folder; link it there, and list the link"
            ));
        }
    };
    inner_path(relative).ok_or_else(|| format!("'{path}' leads out of the data folder"))
}
