//! The published lists: segments with their labels, and the index of classes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::DataError;

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
        let bytes = bridle_files::read(path, bridle_files::TEXT).map_err(DataError::unreadable(path))?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(bytes.as_slice());
        let mut index = Self {
            names: Vec::new(),
            numbers: BTreeMap::new(),
        };
        for record in reader.records() {
            let record =
                record.map_err(|error| bad(error.position().map_or(1, csv::Position::line), error.to_string()))?;
            let line = record.position().map_or(1, csv::Position::line);
            let (Some(number), Some(mid), Some(name)) = (record.get(0), record.get(1), record.get(2)) else {
                return Err(bad(line, "it is not a number, a machine id and a name".to_owned()));
            };
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
    let bytes = bridle_files::read(path, bridle_files::TEXT).map_err(DataError::unreadable(path))?;
    let mut segments = Segments {
        rows: Vec::new(),
        announced: None,
    };
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let bad = |reason: String| DataError::bad_row(path, line, reason);
        let text = std::str::from_utf8(bytes)
            .map_err(|_| bad("it is not UTF-8 text".to_owned()))?
            .trim();
        if let Some(comment) = text.strip_prefix('#') {
            let announced = comment
                .split(',')
                .find_map(|part| part.trim().strip_prefix("num_segs=")?.parse().ok());
            segments.announced = segments.announced.or(announced);
        } else if !text.is_empty() {
            let (id, classes) = segment(text, index).map_err(bad)?;
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
    let unquoted = labels
        .strip_prefix('"')
        .map_or(Some(labels), |rest| rest.strip_suffix('"'));
    let labels = unquoted.ok_or_else(|| format!("the quotes of {labels} do not close"))?;
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
