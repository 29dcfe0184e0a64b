//! The table of clips, `meta/esc50.csv`, and which file belongs to which line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::DataError;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The file name without its ending, which differs between variants.
    pub stem: String,
    /// From 1.
    pub fold: u8,
    /// Class number.
    pub target: usize,
    /// Class name.
    pub category: String,
    /// Line of the table, from 1.
    pub line: u64,
}

/// Reads the table. Columns may come in any order; others are ignored.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &bytes)
}

/// The rows of a table that was read; `path` is for messages.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Row>, DataError> {
    let bad = |line: u64, reason: String| DataError::BadRow {
        path: path.to_owned(),
        line,
        reason,
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.headers().map_err(|error| bad(1, error.to_string()))?.clone();
    let column = |name: &str| {
        headers
            .iter()
            .position(|header| header == name)
            .ok_or_else(|| bad(1, format!("there is no column '{name}'")))
    };
    let columns = [
        column("filename")?,
        column("fold")?,
        column("target")?,
        column("category")?,
    ];
    let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
    for record in reader.into_records() {
        let record = record.map_err(|error| bad(error.position().map_or(0, csv::Position::line), error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != headers.len() {
            return Err(bad(line, format!("{} fields, not {}", record.len(), headers.len())));
        }
        let row = row(columns.map(|column| &record[column]), line).map_err(|reason| bad(line, reason))?;
        if !seen.insert(row.stem.clone()) {
            return Err(bad(line, format!("the clip '{}' is listed a second time", row.stem)));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// One row from its fields.
pub(super) fn row([filename, fold, target, category]: [&str; 4], line: u64) -> Result<Row, String> {
    let stem = filename.rsplit_once('.').map_or(filename, |(stem, _)| stem);
    if stem.is_empty() || filename.contains(['/', '\\']) {
        return Err(format!("'{filename}' is not the name of a clip"));
    }
    let fold = fold
        .parse()
        .ok()
        .filter(|&fold| fold > 0)
        .ok_or(format!("the fold '{fold}' is not a number from 1"))?;
    let target = target
        .parse()
        .map_err(|_| format!("the target '{target}' is not a class number"))?;
    if category.is_empty() {
        return Err("the category is empty".to_owned());
    }
    Ok(Row {
        stem: stem.to_owned(),
        fold,
        target,
        category: category.to_owned(),
        line,
    })
}

/// The class names by number; the first line that contradicts an earlier one, or a number without a name, is an error.
pub(super) fn classes(path: &Path, rows: &[Row]) -> Result<Vec<String>, DataError> {
    let mut names: BTreeMap<usize, &str> = BTreeMap::new();
    for row in rows {
        let name = *names.entry(row.target).or_insert(&row.category);
        if name != row.category {
            let reason = format!("target {} is '{}' here and '{name}' before", row.target, row.category);
            return Err(DataError::BadRow {
                path: path.to_owned(),
                line: row.line,
                reason,
            });
        }
    }
    if let Some(gap) = (0..names.len()).find(|target| !names.contains_key(target)) {
        let last = rows.iter().max_by_key(|row| row.target).map_or(0, |row| row.line);
        let reason = format!("targets must be numbered from 0 without gaps, and no row has target {gap}");
        return Err(DataError::BadRow {
            path: path.to_owned(),
            line: last,
            reason,
        });
    }
    Ok(names.into_values().map(str::to_owned).collect())
}

/// The files of the audio folder by stem: (stem, file name). Hidden files are not looked at.
pub(super) fn files(folder: &Path) -> Result<BTreeMap<String, String>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    by_stem(folder, names)
}

/// Sorted names of files in `folder` by stem, each stem once.
pub(super) fn by_stem(folder: &Path, names: Vec<String>) -> Result<BTreeMap<String, String>, DataError> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for name in names.into_iter().filter(|name| !name.starts_with('.')) {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
        if let Some(other) = files.insert(stem, name.clone()) {
            let not_in = format!("meta/esc50.csv a second time, beside {other}");
            return Err(DataError::UnlistedFile {
                path: folder.join(name),
                not_in,
            });
        }
    }
    Ok(files)
}
