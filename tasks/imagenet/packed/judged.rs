//! The classes of the validation pictures, from a list beside the original tar, which does not have
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::{NAME, classes};
use crate::DataError;
use crate::files::folder::stem;
use crate::files::table::lines;

/// Lists with picture and class in each line, as Kaggle, Caffe and others distribute them.
const MAPS: [&str; 4] = ["LOC_val_solution.csv", "val_map.csv", "val_map.txt", "val.txt"];
/// A WordNet id in each line, in the order of the pictures.
const IN_ORDER: &str = "imagenet_2012_validation_synset_labels.txt";
/// The devkit's list: a number in each line, in the order of the pictures; and where it is.
const TRUTH: [&str; 2] = [
    "ILSVRC2012_validation_ground_truth.txt",
    "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
];
/// Which WordNet id each of the devkit's numbers stands for, as in its meta.mat.
const SYNSETS: &str = "synsets.txt";
const HOW: &str = "list of the classes of its validation pictures: LOC_val_solution.csv (as Kaggle has it), \
                   imagenet_2012_validation_synset_labels.txt (as TensorFlow's models have it) or val_map.txt (lines of \
                   picture and WordNet id)";
const NO_SYNSETS: &str = "synsets.txt beside ILSVRC2012_validation_ground_truth.txt, with the number and WordNet id of each class in \
                          a line, as the devkit's meta.mat has them: its numbers are not those of the sorted ids";

#[derive(Debug)]
pub(in super::super) struct Judged {
    /// The list and the one that it needs, relative to the folder.
    pub lists: Vec<String>,
    by_name: BTreeMap<String, String>,
    in_order: Vec<String>,
}

impl Judged {
    /// The WordNet id of a picture, by name or by number.
    pub fn class(&self, picture: &str) -> Option<&str> {
        let stem = stem(picture);
        let number = || {
            stem.strip_prefix("ILSVRC2012_val_")?
                .parse::<usize>()
                .ok()?
                .checked_sub(1)
        };
        let named = self.by_name.get(stem).map(String::as_str);
        named.or_else(|| self.in_order.get(number()?).map(String::as_str))
    }
}

/// Reads the first list that exists.
pub(in super::super) fn read(folder: &Path) -> Result<Judged, DataError> {
    let has = |name: &&str| folder.join(name).is_file();
    if let Some(list) = MAPS.into_iter().find(|name| has(name)) {
        let by_name = map(&folder.join(list))?;
        return Ok(Judged {
            lists: vec![list.to_owned()],
            by_name,
            in_order: Vec::new(),
        });
    }
    let (lists, in_order) = match (has(&IN_ORDER), TRUTH.into_iter().find(|name| has(name))) {
        (true, _) => {
            let ids = lines(&folder.join(IN_ORDER))?.into_iter().map(|(_, line)| line);
            (vec![IN_ORDER.to_owned()], ids.collect())
        }
        (false, Some(truth)) => ground_truth(folder, truth)?,
        (false, None) => {
            return Err(DataError::not_the_task(NAME, folder, HOW));
        }
    };
    let known = classes();
    if let Some(at) = in_order.iter().position(|class| known.binary_search(class).is_err()) {
        let reason = format!("'{}' is none of the 1,000 WordNet ids", in_order[at]);
        return Err(DataError::bad_row(&folder.join(&lists[0]), at as u64 + 1, reason));
    }
    Ok(Judged {
        lists,
        by_name: BTreeMap::new(),
        in_order,
    })
}

/// Picture, then a WordNet id or, in all lines, its index among the sorted ids. Only boxes may
/// follow: four numbers each, with the id again before all but the first.
fn map(path: &Path) -> Result<BTreeMap<String, String>, DataError> {
    let bad = |line: u64, reason: String| DataError::bad_row(path, line, reason);
    let known = classes();
    let (mut found, mut numbers) = (BTreeMap::new(), BTreeSet::new());
    for (line, text) in lines(path)? {
        let mut words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        let (Some(picture), Some(class)) = (words.next(), words.next()) else {
            return Err(bad(line, "it is not a picture and its class".to_owned()));
        };
        let more: Vec<&str> = words.filter(|word| *word != class).collect();
        let is_boxes = more.len().is_multiple_of(4) && more.iter().all(|word| word.parse::<f64>().is_ok());
        if line > 1 && !is_boxes {
            let reason = format!("'{}' follows the picture and its class", more.join(" "));
            return Err(bad(line, reason));
        }
        let class = match class.parse::<usize>() {
            Ok(number) if number < known.len() => {
                numbers.insert(number);
                known[number].clone()
            }
            _ if known.binary_search_by(|id| id.as_str().cmp(class)).is_ok() => class.to_owned(),
            Err(_) if line == 1 => continue, // column names
            _ => {
                return Err(bad(
                    line,
                    format!("'{class}' is neither a WordNet id nor a number from 0 to 999"),
                ));
            }
        };
        let name = stem(picture.rsplit('/').next().unwrap_or(picture)).to_owned();
        if found.insert(name, class).is_some() {
            return Err(bad(line, format!("'{picture}' is listed a second time")));
        }
    }
    // numbers from 1 follow the devkit's order, and would all be taken for other classes
    if !numbers.is_empty() && !numbers.contains(&0) {
        return Err(bad(
            1,
            "its classes are numbers, and none is 0: they must count the sorted WordNet ids from 0".to_owned(),
        ));
    }
    Ok(found)
}

/// The devkit's list and the one that it needs, and the WordNet ids of its numbers.
fn ground_truth(folder: &Path, truth: &str) -> Result<(Vec<String>, Vec<String>), DataError> {
    let path = folder.join(truth);
    let beside = truth.rsplit_once('/').map(|(within, _)| format!("{within}/{SYNSETS}"));
    let mut places = beside.into_iter().chain([SYNSETS.to_owned()]);
    let Some(list) = places.find(|place| folder.join(place).is_file()) else {
        return Err(DataError::not_the_task(NAME, folder, NO_SYNSETS));
    };
    let synsets = folder.join(&list);
    let mut ids: BTreeMap<usize, String> = BTreeMap::new();
    for (line, text) in lines(&synsets)? {
        let bad = |reason: &str| DataError::bad_row(&synsets, line, reason.to_owned());
        let mut words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        let number = words.next().and_then(|word| word.parse().ok());
        let (Some(number), Some(id)) = (number, words.next()) else {
            return Err(bad("it is not a number and a WordNet id"));
        };
        if ids.insert(number, id.to_owned()).is_some() {
            return Err(bad("its number is there a second time"));
        }
    }
    let class = |(line, text): (u64, String)| {
        let id = text.parse().ok().and_then(|number: usize| ids.get(&number).cloned());
        id.ok_or_else(|| DataError::bad_row(&path, line, format!("'{text}' is no number of {SYNSETS}")))
    };
    let classes = lines(&path)?.into_iter().map(class).collect::<Result<_, _>>()?;
    Ok((vec![truth.to_owned(), list], classes))
}
