//! The published lists: segments with their labels, and the index of classes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::DataError;
use crate::files::table::{CsvTable, lines, quoted};

/// Length of a YouTube id.
pub(super) const ID: usize = 11;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub id: String,
    /// Ascending, at least one.
    pub classes: Vec<usize>,
    pub line: u64,
}

#[derive(Debug)]
pub(super) struct Segments {
    pub rows: Vec<Segment>,
    /// The count in its line `# num_ytids=..., num_segs=...`.
    pub announced: Option<usize>,
}

/// The index of classes, `index,mid,display_name`.
#[derive(Debug)]
pub(super) struct Index {
    pub names: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl Index {
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bad = |line: u64, reason: String| DataError::bad_row(path, line, reason);
        let table = CsvTable::read(path)?;
        let columns = [
            table.required(path, "index")?,
            table.required(path, "mid")?,
            table.required(path, "display_name")?,
        ];
        let mut index = Self {
            names: Vec::new(),
            numbers: BTreeMap::new(),
        };
        for (line, record) in &table.rows {
            let (line, [number, mid, name]) = (*line, columns.map(|column| &record[column]));
            if number.parse() != Ok(index.names.len()) {
                return Err(bad(line, format!("the index '{number}' is not {}", index.names.len())));
            }
            if mid.is_empty() || name.is_empty() {
                return Err(bad(line, "the machine id or the name is empty".to_owned()));
            }
            if index.numbers.insert(mid.to_owned(), index.names.len()).is_some() {
                return Err(bad(line, format!("the class '{mid}' is listed a second time")));
            }
            index.names.push(name.to_owned());
        }
        match index.names.len() {
            0 | 1 => Err(bad(1, "it lists fewer than two classes".to_owned())),
            _ => Ok(index),
        }
    }
}

/// Reads a list. Its labels are in quotes after a comma and a space, which csv readers do not
/// expect.
pub(super) fn read(path: &Path, index: &Index) -> Result<Segments, DataError> {
    let mut segments = Segments {
        rows: Vec::new(),
        announced: None,
    };
    for (line, text) in lines(path)? {
        if let Some(comment) = text.strip_prefix('#') {
            let announced = comment
                .split(',')
                .find_map(|part| part.trim().strip_prefix("num_segs=")?.parse().ok());
            segments.announced = segments.announced.or(announced);
        } else {
            let (id, classes) = segment(&text, index).map_err(|reason| DataError::bad_row(path, line, reason))?;
            segments.rows.push(Segment { id, classes, line });
        }
    }
    Ok(segments)
}

fn segment(text: &str, index: &Index) -> Result<(String, Vec<usize>), String> {
    let mut fields = text.splitn(4, ',').map(str::trim);
    let (Some(id), Some(start), Some(end), Some(labels)) = (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("it is not an id, a start, an end and labels with commas between".to_owned());
    };
    let of_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.len() != ID || !id.bytes().all(of_id) {
        return Err(format!("'{id}' is not a YouTube id of {ID} characters"));
    }
    let seconds = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|value| value.is_finite() && *value >= 0.0)
    };
    if !matches!((seconds(start), seconds(end)), (Some(start), Some(end)) if start < end) {
        return Err(format!("'{start}' to '{end}' is no stretch of time in seconds"));
    }
    let labels = match quoted(labels) {
        None => labels.to_owned(),
        Some(Ok((labels, ""))) => labels,
        Some(Ok((_, more))) => return Err(format!("'{more}' follows the labels, which are the last field")),
        Some(Err(reason)) => return Err(reason),
    };
    let number = |label: &str| {
        let label = label.trim();
        index
            .numbers
            .get(label)
            .copied()
            .ok_or_else(|| format!("the label '{label}' is not in the index of classes"))
    };
    let mut classes: Vec<usize> = labels.split(',').map(number).collect::<Result<_, _>>()?;
    classes.sort_unstable();
    classes.dedup();
    Ok((id.to_owned(), classes))
}
