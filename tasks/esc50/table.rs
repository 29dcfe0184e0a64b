//! The table of clips, `meta/esc50.csv`, and which file belongs to which line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::DataError;
use crate::files::folder::{ends_in, stem};
use crate::files::table::CsvTable;

pub(super) const TABLE: &str = "meta/esc50.csv";
/// Extensions of clips.
const ENDINGS: [&str; 6] = ["wav", "flac", "ogg", "oga", "wave", "mp3"];

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClipRow {
    /// The file name without its extension, which differs between variants.
    pub stem: String,
    /// From 1.
    pub fold: u8,
    pub target: usize,
    /// The name of the class.
    pub category: String,
    /// Line of the table, from 1.
    pub line: u64,
}

impl ClipRow {
    pub fn new([filename, fold, target, category]: [&str; 4], line: u64) -> Result<Self, String> {
        let stem = stem(filename);
        if stem.is_empty() || filename.contains(['/', '\\']) {
            return Err(format!("'{filename}' is not the name of a clip"));
        }
        let number = fold.parse().ok().filter(|&fold| fold > 0);
        let fold = number.ok_or_else(|| format!("the fold '{fold}' is not a number from 1"))?;
        let target = target
            .parse()
            .map_err(|_| format!("the target '{target}' is not a class number"))?;
        if category.is_empty() {
            return Err("the category is empty".to_owned());
        }
        Ok(Self {
            stem: stem.to_owned(),
            fold,
            target,
            category: category.to_owned(),
            line,
        })
    }
}

/// Parses the table; `path` is for messages. Columns may come in any order; others are ignored.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<ClipRow>, DataError> {
    let table = CsvTable::parse(path, bytes)?;
    let column = |name: &str| table.required(path, name);
    let columns = [
        column("filename")?,
        column("fold")?,
        column("target")?,
        column("category")?,
    ];
    let (mut clips, mut seen) = (Vec::new(), BTreeSet::new());
    for (line, record) in &table.rows {
        let bad = |reason: String| DataError::bad_row(path, *line, reason);
        let clip = ClipRow::new(columns.map(|column| &record[column]), *line).map_err(bad)?;
        if !seen.insert(clip.stem.clone()) {
            return Err(bad(format!("the clip '{}' is listed a second time", clip.stem)));
        }
        clips.push(clip);
    }
    Ok(clips)
}

/// The class names by number. A line that contradicts an earlier one, or a number without a name,
/// is an error.
pub(crate) fn classes(path: &Path, clips: &[ClipRow]) -> Result<Vec<String>, DataError> {
    let mut names: BTreeMap<usize, &str> = BTreeMap::new();
    for clip in clips {
        let name = *names.entry(clip.target).or_insert(&clip.category);
        if name != clip.category {
            let reason = format!("target {} is '{}' here and '{name}' before", clip.target, clip.category);
            return Err(DataError::bad_row(path, clip.line, reason));
        }
    }
    if let Some(gap) = (0..names.len()).find(|target| !names.contains_key(target)) {
        let last = clips.iter().max_by_key(|clip| clip.target).map_or(0, |clip| clip.line);
        let reason = format!("targets must be numbered from 0 without gaps, and no row has target {gap}");
        return Err(DataError::bad_row(path, last, reason));
    }
    Ok(names.into_values().map(str::to_owned).collect())
}

/// The sound files `<audio><name>` by stem, each stem once; `names` must be sorted. Files of other
/// kinds are ignored.
pub(super) fn by_stem(
    root: &Path,
    audio: &str,
    names: impl Iterator<Item = String>,
) -> Result<BTreeMap<String, String>, DataError> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for name in names.filter(|name| ends_in(name, &ENDINGS)) {
        let file = format!("{audio}{name}");
        if let Some(other) = files.insert(stem(&name).to_owned(), file.clone()) {
            let other = other.trim_start_matches(audio);
            let reason = format!("{other} is there too, and {TABLE} lists one clip of this name");
            return Err(DataError::bad_sample(root.join(file), reason));
        }
    }
    Ok(files)
}
