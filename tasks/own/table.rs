//! The table of the user's samples: `path,label` and optional `split` or `fold`, and `source`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Division, OwnFiles, Part};
use crate::data::listing::Entry;
use crate::files::folder::ListedPaths;
use crate::files::table::CsvTable;
use crate::files::tree::Tree;
use crate::names::composed;
use crate::{DataError, Sample, Target};

const BETWEEN: char = ';';

/// A row, before its labels have numbers.
struct OwnRow {
    id: String,
    labels: Vec<String>,
    part: Part,
    fold: Option<u8>,
    source: Option<String>,
}

/// Reads the table. Columns come in any order; others are ignored.
pub(super) fn read(csv: &Path, root: &Path) -> Result<OwnFiles, DataError> {
    let bad = |line: u64, reason: &str| DataError::bad_row(csv, line, reason);
    let table = CsvTable::read(csv)?;
    let (path, label) = (table.required(csv, "path")?, table.required(csv, "label")?);
    let (split, fold) = (table.column(csv, "split")?, table.column(csv, "fold")?);
    let source = table.column(csv, "source")?;
    if split.is_some() && fold.is_some() {
        return Err(bad(
            1,
            "it has a column 'split' and a column 'fold'; one of them must go",
        ));
    }
    let (mut lines, mut seen, mut listed) = (Vec::new(), BTreeSet::new(), ListedPaths::new(root));
    for (number, record) in &table.rows {
        let bad = |reason: String| bad(*number, &reason);
        let path = &record[path];
        let outside = || bad(format!("'{path}' leads out of {}", root.display()));
        let id = listed.within(path).ok_or_else(outside)?;
        if id.is_empty() {
            return Err(bad("the path is empty".to_owned()));
        }
        if !seen.insert(id.clone()) {
            return Err(bad(format!("'{id}' is listed a second time")));
        }
        let labels = record[label].split(BETWEEN).map(|label| composed(label.trim()));
        let labels: Vec<String> = labels.filter(|label| !label.is_empty()).collect();
        if labels.is_empty() {
            return Err(bad("the label is empty".to_owned()));
        }
        let part = split.map_or(Ok(Part::Train), |column| part(&record[column]));
        let fold = fold.map(|column| fold_number(&record[column])).transpose();
        lines.push(OwnRow {
            id,
            labels,
            part: part.map_err(bad)?,
            fold: fold.map_err(bad)?,
            source: source.and_then(|column| source_name(&record[column])),
        });
    }
    let divided = split.is_some() || fold.is_some();
    check_parts(&lines, split.is_some(), fold.is_some()).map_err(|reason| bad(1, &reason))?;
    found(csv, root, lines, divided).map_err(|reason| bad(1, &reason))
}

fn found(csv: &Path, root: &Path, mut lines: Vec<OwnRow>, split: bool) -> Result<OwnFiles, String> {
    let division = Division::of(lines.iter().map(|line| line.part));
    lines.retain(|line| division.split(line.part).is_some());
    let classes: BTreeSet<&String> = lines.iter().flat_map(|line| &line.labels).collect();
    let mut classes: Vec<String> = classes.into_iter().cloned().collect();
    if classes.len() < 2 {
        return Err(format!("it has {} class, and a task needs two", classes.len()));
    }
    // numbers in their own order, not 0, 1, 10, 11, ..., 2
    if classes.iter().all(|class| class.parse::<u64>().is_ok()) {
        classes.sort_by_key(|class| (class.parse::<u64>().ok(), class.clone()));
    }
    let number: BTreeMap<&String, usize> = (classes.iter()).zip(0..).collect();
    let several = lines.iter().any(|line| line.labels.len() > 1);
    let TableFiles { tree, below, lists } = place(csv, root)?;
    let entry = |line: OwnRow| {
        let numbers: BTreeSet<usize> = line.labels.iter().map(|label| number[label]).collect();
        let numbers: Vec<usize> = numbers.into_iter().collect();
        let target = match numbers[..] {
            [class, ..] if !several => Target::Class(class),
            _ => Target::Classes(numbers),
        };
        let file = below.join(&line.id).to_string_lossy().into_owned();
        let split = division.split(line.part).expect("rows of unused parts were left out");
        let mut entry = Entry::new(line.id, Some(file).filter(|file| tree.has(file)), target, split);
        (entry.sample.fold, entry.sample.source) = (line.fold, line.source);
        entry
    };
    let entries: Vec<Entry<Sample>> = lines.into_iter().map(entry).collect();
    Ok(OwnFiles {
        tree,
        lists,
        entries,
        classes,
        split,
        note: division.note(),
    })
}

struct TableFiles {
    tree: Tree,
    /// What paths are relative to, within the tree.
    below: PathBuf,
    /// The table, if it counts as one of the data set's files.
    lists: Vec<String>,
}

/// `root` is a folder or an archive. If it is below the table's folder, the table is one of the
/// data set's files.
fn place(csv: &Path, root: &Path) -> Result<TableFiles, String> {
    let beside = csv.parent();
    let beside = beside.and_then(|base| Some((base, root.strip_prefix(base).ok()?, csv.file_name()?)));
    let list = beside.map(|(_, _, list)| list.to_string_lossy().into_owned());
    let (base, below) = match beside {
        Some((base, below, _)) => (base, below.to_owned()),
        None if root.is_file() => (
            root.parent().unwrap_or(Path::new("")),
            PathBuf::from(root.file_name().unwrap_or_default()),
        ),
        None => (root, PathBuf::new()),
    };
    let archive = root.is_file().then(|| below.to_string_lossy().into_owned());
    let tree = Tree::open(base, archive.into_iter().collect()).map_err(|error| error.to_string())?;
    let lists = list.into_iter().collect();
    Ok(TableFiles { tree, below, lists })
}

/// Both parts must have samples; folds are numbered from 1 without gaps.
fn check_parts(lines: &[OwnRow], split: bool, fold: bool) -> Result<(), String> {
    let has = |train: bool| lines.iter().any(|line| (line.part == Part::Train) == train);
    if split && !(has(true) && has(false)) {
        return Err("the column 'split' must have both train and test".to_owned());
    }
    let folds: BTreeSet<u8> = lines.iter().filter_map(|line| line.fold).collect();
    if fold && (folds.len() < 2 || folds.iter().zip(1..).any(|(&fold, expected): (_, u8)| fold != expected)) {
        return Err("the column 'fold' must number two or more folds from 1 without gaps".to_owned());
    }
    Ok(())
}

/// The name of a source; None for an empty field.
pub(super) fn source_name(field: &str) -> Option<String> {
    let name = field.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn part(word: &str) -> Result<Part, String> {
    Part::named(word).ok_or_else(|| format!("the split '{word}' is not train or test (or val)"))
}

fn fold_number(word: &str) -> Result<u8, String> {
    word.parse()
        .ok()
        .filter(|&fold| fold > 0)
        .ok_or_else(|| format!("the fold '{word}' is not a number from 1 to 255"))
}
