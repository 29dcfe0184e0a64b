//! Computed model inputs: made once in parallel, kept on disk, verified when they are opened, and
//! again, row by row, whenever they are read.
//!
//! One file per key: the rows as little-endian float32, then a JSON footer (row count, skipped
//! rows, statistics, blake3 of the rows), then the footer's own blake3, its length and a mark. A
//! file is written under another name and renamed when complete, so a file under its key is
//! complete unless the disk damaged it. The hashes detect damage, and the inputs are computed
//! again. Programs take turns writing through a lock on the folder; the system releases the lock of
//! a program that dies. If the inputs are too many to store, a file of the same form stores only
//! the footer.

mod footer;
mod limit;
mod rows;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::ThreadPool;
use rayon::prelude::*;

use self::footer::{Footer, hash_rows};
use self::rows::RowFile;
pub(crate) use self::rows::Rows;
use crate::files::lock;
use crate::{DataError, Progress};

const EXTENSION: &str = "features";
const SURVEY: &str = "survey";

/// One sample's input and what it adds to the statistics.
pub(crate) struct Row {
    pub values: Vec<f32>,
    /// Sum and sum of squares of the input before normalisation.
    pub sum: f64,
    pub squares: f64,
}

impl Row {
    /// Measures `values`, of which those that are no number are nothing, then normalises them with
    /// `normalise`.
    pub fn measured(mut values: Vec<f32>, normalise: impl FnOnce(&mut [f32])) -> Self {
        let numbers = values.iter().filter(|value| !value.is_nan());
        let (sum, squares) = numbers.fold((0.0, 0.0), |(sum, squares), &x| {
            let x = f64::from(x);
            (sum + x, squares + x * x)
        });
        normalise(&mut values);
        Self { values, sum, squares }
    }
}

/// The result for one sample.
pub(crate) enum Outcome {
    Row(Row),
    /// Unusable, for this reason.
    Skipped(String),
}

/// Inputs and their statistics before normalisation.
pub(crate) struct Prepared {
    pub rows: Rows,
    /// (index, reason), in order.
    pub skipped: Vec<(usize, String)>,
    pub mean: f64,
    pub std: f64,
}

/// What to compute, and the name to store it under.
pub(crate) struct Work<'a> {
    /// One task's folder within the cache.
    pub folder: &'a Path,
    /// Names everything that decides the numbers.
    pub key: &'a str,
    pub what: &'a str,
    pub samples: usize,
    /// Values per row.
    pub row: usize,
    /// Whether the rows are stored. If not, every sample is computed once for the statistics only.
    pub keep: bool,
    /// Bytes that all feature files of all tasks may take.
    pub limit: u64,
}

impl Work<'_> {
    fn path(&self) -> PathBuf {
        let extension = if self.keep { EXTENSION } else { SURVEY };
        self.folder.join(format!("{}.{extension}", self.key))
    }

    /// Values per row of the file.
    fn kept_row(&self) -> usize {
        if self.keep { self.row } else { 0 }
    }
}

#[derive(Clone, Copy)]
enum Lengths {
    /// A row is as long as [`Work::row`].
    Equal,
    /// A row is a multiple of [`Work::row`]; all together take about so many bytes.
    Ragged { bytes: u64 },
}

/// A pool of `threads` threads, 0 for one per core.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool, DataError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| DataError::threads(threads, source))
}

/// Computes all rows in memory; `compute` must not skip.
pub(crate) fn in_memory(
    work: &Work,
    pool: &ThreadPool,
    progress: &dyn Progress,
    compute: impl Fn(usize) -> Result<Outcome, DataError> + Sync,
) -> Result<Prepared, DataError> {
    let mut values = Vec::with_capacity(work.samples * work.row);
    let footer = compute_all(work, Lengths::Equal, pool, progress, compute, |row| {
        values.extend_from_slice(row);
        Ok(())
    })?;
    Ok(Prepared {
        rows: Rows::Memory(values),
        skipped: footer.skipped,
        mean: footer.mean,
        std: footer.std,
    })
}

/// The inputs stored under the work's key; they are computed first if there is no intact file.
pub(crate) fn open_or_compute(
    work: &Work,
    pool: &ThreadPool,
    progress: &dyn Progress,
    compute: impl Fn(usize) -> Result<Outcome, DataError> + Sync,
) -> Result<Prepared, DataError> {
    Ok(kept(work, Lengths::Equal, pool, progress, compute)?.0)
}

/// As [`open_or_compute`], for rows of any number of frames of [`Work::row`] values. Also
/// returns the frames of each row. `bytes` is the expected size of all rows.
pub(crate) fn open_or_compute_ragged(
    work: &Work,
    bytes: u64,
    pool: &ThreadPool,
    progress: &dyn Progress,
    compute: impl Fn(usize) -> Result<Outcome, DataError> + Sync,
) -> Result<(Prepared, Vec<usize>), DataError> {
    let (prepared, lengths) = kept(work, Lengths::Ragged { bytes }, pool, progress, compute)?;
    Ok((prepared, lengths.unwrap_or_default()))
}

/// The same for rows of any length, with each row's length.
fn kept(
    work: &Work,
    lengths: Lengths,
    pool: &ThreadPool,
    progress: &dyn Progress,
    compute: impl Fn(usize) -> Result<Outcome, DataError> + Sync,
) -> Result<(Prepared, Option<Vec<usize>>), DataError> {
    let path = work.path();
    let kept = || -> Result<_, DataError> {
        match open(&path, work, lengths, pool) {
            Some(found) if still_skipped(&found.0.skipped, pool, &compute)? => Ok(Some(found)),
            _ => Ok(None),
        }
    };
    if let Some(found) = kept()? {
        return Ok(found);
    }
    let cache_error = |path: &Path| {
        let path = path.to_owned();
        move |source| DataError::Cache { path, source }
    };
    std::fs::create_dir_all(work.folder).map_err(cache_error(work.folder))?;
    let lock = lock(work.folder, progress)?;
    // another program may have finished the same work while this one waited
    if let Some(found) = kept()? {
        return Ok(found);
    }
    if lock.is_some() {
        remove_left_overs(work.folder);
    }
    if let Some(cache) = work.folder.parent().filter(|_| work.keep) {
        let bytes = match lengths {
            Lengths::Equal => (work.samples * work.row * size_of::<f32>()) as u64,
            Lengths::Ragged { bytes } => bytes,
        };
        limit::make_room(cache, bytes, work.limit);
    }
    let part = Part(work.folder.join(format!("{}.{}.part", work.key, std::process::id())));
    write(&part.0, work, lengths, pool, progress, &compute)?;
    std::fs::rename(&part.0, &path).map_err(cache_error(&path))?;
    let damaged = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "what was just written does not read back the same",
        )
    };
    open(&path, work, lengths, pool).ok_or_else(|| cache_error(&path)(damaged()))
}

/// Whether none of the skipped samples can be computed now. What an earlier program could not decode,
/// this one may.
fn still_skipped(
    skipped: &[(usize, String)],
    pool: &ThreadPool,
    compute: &(impl Fn(usize) -> Result<Outcome, DataError> + Sync),
) -> Result<bool, DataError> {
    let again = pool.install(|| skipped.par_iter().map(|(index, _)| compute(*index)).collect::<Vec<_>>());
    again
        .into_iter()
        .try_fold(true, |all, outcome| Ok(all && matches!(outcome?, Outcome::Skipped(_))))
}

/// A file being written; removed if it is dropped before it was renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // after the rename there is nothing to remove; after a failure nothing more can be done
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Takes the folder's lock and waits for other programs; `None` if the file system has no locks.
fn lock(folder: &Path, progress: &dyn Progress) -> Result<Option<File>, DataError> {
    let path = folder.join("lock");
    let locked = lock::exclusive(&path, "waiting for another program that computes features", progress);
    locked.map_err(|source| DataError::Cache { path, source })
}

/// Removes what killed programs left behind. The caller has the lock, so nobody is writing.
fn remove_left_overs(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "part"))
    {
        // only for tidiness: a file that cannot be removed does no harm
        let _ = std::fs::remove_file(path);
    }
}

fn write(
    path: &Path,
    work: &Work,
    lengths: Lengths,
    pool: &ThreadPool,
    progress: &dyn Progress,
    compute: impl Fn(usize) -> Result<Outcome, DataError> + Sync,
) -> Result<(), DataError> {
    let error = |source| DataError::Cache {
        path: path.to_owned(),
        source,
    };
    let mut file = BufWriter::new(bridle_files::create(path).map_err(error)?);
    let mut hasher = blake3::Hasher::new();
    let mut footer = compute_all(work, lengths, pool, progress, compute, |row| {
        let bytes = bytemuck::cast_slice(if work.keep { row } else { &[] });
        hasher.update(bytes);
        file.write_all(bytes).map_err(error)
    })?;
    footer.blake3 = hasher.finalize().to_hex().to_string();
    let mut finish = || {
        footer.write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()
    };
    finish().map_err(error)
}

/// Computes all rows in parallel and passes them on in order, with only a few per thread in memory.
fn compute_all(
    work: &Work,
    lengths: Lengths,
    pool: &ThreadPool,
    progress: &dyn Progress,
    compute: impl Fn(usize) -> Result<Outcome, DataError> + Sync,
    mut take: impl FnMut(&[f32]) -> Result<(), DataError>,
) -> Result<Footer, DataError> {
    let mut totals = Totals::default();
    let batch = 8 * pool.current_num_threads();
    let step = |index| {
        let outcome = compute(index);
        progress.advance(1);
        outcome
    };
    progress.start(work.what, work.samples as u64);
    let outcome = (0..work.samples).step_by(batch).try_for_each(|first| {
        let range: Range<usize> = first..work.samples.min(first + batch);
        let outcomes: Vec<Result<Outcome, DataError>> = pool.install(|| range.into_par_iter().map(step).collect());
        // in order, so that the same error is always reported and sums are always rounded alike
        (first..).zip(outcomes).try_for_each(|(index, outcome)| match outcome? {
            Outcome::Skipped(reason) => {
                totals.skipped.push((index, reason));
                Ok(())
            }
            Outcome::Row(row) => {
                match lengths {
                    Lengths::Equal => assert_eq!(row.values.len(), work.row, "a row of another length"),
                    Lengths::Ragged { .. } => totals.ragged(row.values.len(), work.row),
                }
                totals.values += row.values.len();
                totals.sum += row.sum;
                totals.squares += row.squares;
                take(&row.values)
            }
        })
    });
    progress.finish();
    outcome.map(|()| totals.footer(work))
}

#[derive(Default)]
struct Totals {
    skipped: Vec<(usize, String)>,
    values: usize,
    lengths: Option<Vec<usize>>,
    sum: f64,
    squares: f64,
}

impl Totals {
    fn ragged(&mut self, values: usize, row: usize) {
        assert_eq!(values % row, 0, "a row that is no multiple of its frames");
        self.lengths.get_or_insert_default().push(values / row);
    }

    /// The footer without the hash of the rows.
    fn footer(self, work: &Work) -> Footer {
        let rows = work.samples - self.skipped.len();
        let n = self.values.max(1) as f64;
        let mean = self.sum / n;
        let std = (self.squares / n - mean * mean).max(0.0).sqrt();
        let (key, blake3) = (work.key.to_owned(), String::new());
        Footer {
            key,
            rows,
            row: work.kept_row(),
            lengths: self.lengths,
            skipped: self.skipped,
            mean,
            std,
            blake3,
        }
    }
}

/// The file's content if it is intact and belongs to this work; otherwise `None`.
fn open(path: &Path, work: &Work, lengths: Lengths, pool: &ThreadPool) -> Option<(Prepared, Option<Vec<usize>>)> {
    let mut file = bridle_files::open(path).ok()?;
    let footer = Footer::read(&mut file)?;
    let rises = footer.skipped.is_sorted_by(|(a, _), (b, _)| a < b);
    let skipped = footer.skipped.last().is_none_or(|(last, _)| *last < work.samples) && rises;
    let fits = footer.key == work.key
        && footer.row == work.kept_row()
        && footer.rows.checked_add(footer.skipped.len()) == Some(work.samples)
        && skipped;
    // a file without rows has no lengths
    let is_ragged = matches!(lengths, Lengths::Ragged { .. }) && footer.rows > 0;
    if !fits || footer.lengths.is_some() != is_ragged {
        return None;
    }
    let lengths = footer.row_bytes();
    let (hash, hashes) = pool.install(|| hash_rows(&mut file, &lengths)).ok()?;
    if hash != footer.blake3 {
        return None;
    }
    limit::mark_used(&file);
    let rows = Rows::File(RowFile::new(path, file, &lengths, hashes));
    let prepared = Prepared {
        rows,
        skipped: footer.skipped,
        mean: footer.mean,
        std: footer.std,
    };
    Some((prepared, footer.lengths))
}

#[cfg(test)]
mod ragged;
#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
pub(crate) mod untrusted;
