//! Tables in csv files; every error names the file and the line.

use std::path::Path;

use csv::StringRecord;

use crate::DataError;

/// A table with a header line.
pub(crate) struct CsvTable {
    headers: StringRecord,
    /// Records with their lines, from 1.
    pub rows: Vec<(u64, StringRecord)>,
}

impl CsvTable {
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = bridle_files::read(path, bridle_files::TEXT).map_err(DataError::unreadable(path))?;
        Self::parse(path, &bytes)
    }

    /// `path` is for messages. Fields are trimmed.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let bad = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            let reason = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} fields, not {expected_len}"),
                _ => error.to_string(),
            };
            DataError::bad_row(path, line, reason)
        };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let headers = reader.headers().map_err(bad)?.clone();
        let row = |record: StringRecord| (record.position().map_or(1, csv::Position::line), record);
        let rows = reader
            .records()
            .map(|record| record.map(row).map_err(bad))
            .collect::<Result<_, _>>()?;
        Ok(Self { headers, rows })
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.headers.iter().position(|header| header == name)
    }

    /// A column that the table must have.
    pub fn required(&self, path: &Path, name: &str) -> Result<usize, DataError> {
        let missing = || DataError::bad_row(path, 1, format!("there is no column '{name}'"));
        self.column(name).ok_or_else(missing)
    }
}
