//! Rows in memory or in a file, each verified whenever it is read.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::footer::{RowHash, row_hash};
use crate::DataError;
use crate::files::archive::read_at;

pub(crate) enum Rows {
    File(RowFile),
    Memory(Vec<f32>),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Rows {
    /// The `length` values of the row that starts at value `start`.
    ///
    /// # Errors
    /// If the file was changed since it was opened, or cannot be read.
    pub fn row(&self, start: usize, length: usize) -> Result<Cow<'_, [f32]>, DataError> {
        match self {
            Self::File(file) => file.row(start, length).map(Cow::Owned),
            Self::Memory(values) => Ok(Cow::Borrowed(&values[start..][..length])),
        }
    }

    /// All values.
    #[cfg(test)]
    pub fn values(&self) -> Result<Vec<f32>, DataError> {
        match self {
            Self::File(file) => {
                let ends = file.starts[1..].iter().copied().chain([file.values]);
                let rows = file
                    .starts
                    .iter()
                    .zip(ends)
                    .map(|(&start, end)| file.row(start, end - start));
                Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
            }
            Self::Memory(values) => Ok(values.clone()),
        }
    }
}

/// Rows in a verified file of the cache. They are read, not mapped: a mapped file that somebody cuts
/// off ends the program without a word.
pub(crate) struct RowFile {
    path: PathBuf,
    /// Its lock says that the file is in use.
    file: File,
    /// The first value of each row.
    starts: Vec<usize>,
    hashes: Vec<RowHash>,
    #[cfg(test)]
    values: usize,
}

impl RowFile {
    /// `lengths` are in bytes, of rows one after another from the start of the file.
    pub(super) fn new(path: &Path, file: File, lengths: &[usize], hashes: Vec<RowHash>) -> Self {
        let mut end = 0;
        let starts = lengths.iter().map(|length| {
            let start = end;
            end += length / size_of::<f32>();
            start
        });
        Self {
            path: path.to_owned(),
            file,
            starts: starts.collect(),
            hashes,
            #[cfg(test)]
            values: lengths.iter().sum::<usize>() / size_of::<f32>(),
        }
    }

    fn row(&self, start: usize, length: usize) -> Result<Vec<f32>, DataError> {
        let mut values = vec![0.0; length];
        // an empty row starts where the next one does
        if length == 0 {
            return Ok(values);
        }
        let row = self.starts.partition_point(|&known| known <= start) - 1;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
        let error = |source| DataError::Cache {
            path: self.path.clone(),
            source,
        };
        read_exact(&self.file, bytes, (start * size_of::<f32>()) as u64).map_err(error)?;
        if row_hash(bytes) != self.hashes[row] {
            return Err(error(changed()));
        }
        Ok(values)
    }
}

fn read_exact(file: &File, mut into: &mut [u8], mut position: u64) -> io::Result<()> {
    while !into.is_empty() {
        match read_at(file, into, position) {
            Ok(0) => return Err(changed()),
            Ok(read) => {
                position += read as u64;
                into = &mut into[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn changed() -> io::Error {
    let reason = "it was changed by another program while it was in use";
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
