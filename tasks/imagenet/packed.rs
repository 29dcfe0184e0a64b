//! ImageNet as published, and as hubs store it: the original tars, and parquet files.

pub(super) mod judged;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::folder::ENDINGS;
use super::{Contents, NAME, classes};
use crate::data::listing::Entry;
use crate::files::archive::{ParquetTable, Value};
use crate::files::folder::{ends_in, names};
use crate::files::tree::Tree;
use crate::{DataError, Sample, Split, Target};

const TRAIN: &str = "ILSVRC2012_img_train.tar";
const VAL: &str = "ILSVRC2012_img_val.tar";
/// Prefixes of parquet files. Those of the test part have no labels and are skipped.
const SHARDS: [(&str, Split); 2] = [("train-", Split::Train), ("validation-", Split::Test)];

/// The packed data in a folder, if there is any.
pub(super) fn find(folder: &Path) -> Result<Option<Contents>, DataError> {
    let has = |name: &str| folder.join(name).is_file();
    let missing = |missing| DataError::not_the_task(NAME, folder, missing);
    match (has(TRAIN), has(VAL)) {
        (true, true) => return tars(folder).map(Some),
        (true, false) => return Err(missing("ILSVRC2012_img_val.tar beside ILSVRC2012_img_train.tar")),
        (false, true) => return Err(missing("ILSVRC2012_img_train.tar beside ILSVRC2012_img_val.tar")),
        (false, false) => {}
    }
    for within in [folder.to_owned(), folder.join("data")] {
        let shards = shards(&within)?;
        if !shards.is_empty() {
            return parquet(&within, shards).map(Some);
        }
    }
    Ok(None)
}

/// One tar with a tar per class, named by WordNet id, and a flat one whose classes are listed
/// beside it.
fn tars(folder: &Path) -> Result<Contents, DataError> {
    let judged = judged::read(folder)?;
    let tree = Tree::open(folder, vec![TRAIN.to_owned(), VAL.to_owned()])?;
    let mut pictures = Vec::new();
    for file in tree.members(TRAIN) {
        let bad = |reason: &str| DataError::bad_sample(folder.join(&file), reason.to_owned());
        let within = &file[TRAIN.len() + 1..];
        let (class, name) = within
            .split_once('/')
            .ok_or_else(|| bad("it is in no tar of a class"))?;
        let (class, name) = (class.to_owned(), name.to_owned());
        pictures.push((Split::Train, class, name, file));
    }
    for file in tree.members(VAL) {
        let name = &file[VAL.len() + 1..];
        let plain = name.rsplit('/').next().unwrap_or(name).to_owned();
        let class = judged.class(&plain).ok_or_else(|| DataError::UnlistedFile {
            path: folder.join(&file),
            not_in: judged.lists.join(" with "),
        })?;
        pictures.push((Split::Test, class.to_owned(), plain, file));
    }
    pictures.retain(|(_, _, name, _)| ends_in(name, &ENDINGS));
    pictures.sort();
    let found: BTreeSet<&String> = pictures.iter().map(|(_, class, ..)| class).collect();
    let classes: Vec<String> = found.into_iter().cloned().collect();
    let entry = |(split, class, name, file): (Split, String, String, String)| {
        let target = classes
            .binary_search(&class)
            .expect("the classes are those of the pictures");
        entry(split, &class, &name, file, target)
    };
    let entries = pictures.into_iter().map(entry).collect();
    Ok(Contents {
        form: "ilsvrc2012-tars",
        tree,
        lists: judged.lists,
        entries,
        classes,
    })
}

/// Named as in the folder layout, so that predictions on either can be compared.
fn entry(split: Split, class: &str, name: &str, file: String, target: usize) -> Entry<Sample> {
    let part = if split == Split::Train { "train" } else { "val" };
    let id = format!("{part}/{class}/{name}");
    Entry::new(id, Some(file), Target::Class(target), split)
}

/// A folder's parquet files with labels, and their splits.
fn shards(folder: &Path) -> Result<Vec<(String, Split)>, DataError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let part = |name: &str| {
        SHARDS
            .iter()
            .find(|(start, _)| name.starts_with(start))
            .map(|&(_, split)| split)
    };
    let files = names(folder)?
        .into_iter()
        .filter(|(name, is_folder)| !is_folder && ends_in(name, &["parquet"]));
    let shards = files.filter_map(|(name, _)| part(&name).map(|split| (name, split)));
    Ok(shards.collect())
}

/// Tables with a column of pictures and one of labels, which index the sorted WordNet ids.
fn parquet(folder: &Path, shards: Vec<(String, Split)>) -> Result<Contents, DataError> {
    for (start, split) in SHARDS {
        if !shards.iter().any(|(_, part)| *part == split) {
            let reason = format!("it has no parquet files named {start}*");
            let path: PathBuf = folder.to_owned();
            return Err(DataError::unknown_variant(NAME, &path, reason));
        }
    }
    let classes = classes();
    let tree = Tree::open(folder, shards.iter().map(|(name, _)| name.clone()).collect())?;
    let mut entries = Vec::new();
    for (shard, split) in &shards {
        let path = folder.join(shard);
        let labels = ParquetTable::open(&path)?.column("label")?;
        for (row, (file, label)) in tree.members(shard).zip(labels).enumerate() {
            let number = match label {
                Value::Integer(number) => usize::try_from(number).ok().filter(|&number| number < classes.len()),
                _ => None,
            };
            let target = number.ok_or_else(|| {
                DataError::bad_row(
                    &path,
                    row as u64 + 1,
                    format!("its label is none of the numbers from 0 to {}", classes.len() - 1),
                )
            })?;
            let name = &file[shard.len() + 1..];
            entries.push(entry(*split, &classes[target], name, file.clone(), target));
        }
    }
    let ids: BTreeSet<&String> = entries.iter().map(|entry: &Entry<Sample>| &entry.sample.id).collect();
    if ids.len() < entries.len() {
        // rows without names are numbered from 0 in each file
        entries
            .iter_mut()
            .for_each(|entry| entry.sample.id = entry.file.clone().unwrap_or_default());
    }
    Ok(Contents {
        form: "ilsvrc2012-parquet",
        tree,
        lists: Vec::new(),
        entries,
        classes,
    })
}
