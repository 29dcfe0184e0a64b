//! Which vector is of which sample of a task: by the sample's id, or by the name of its file.

use super::{Embeddings, Holds};
use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use crate::protocol::Vectors;
use bridle_tasks::{DataError, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Names of each kind that a message shows.
const SHOWN: usize = 5;

/// What of a name tells a sample: the first form that finds every sample is taken for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The whole of it.
    Whole,
    /// A path without the ending of its file.
    WithoutEnding,
    /// The name of a file, without its folder.
    File,
    /// The same without its ending.
    Stem,
}

impl Form {
    const ALL: [Self; 4] = [Self::Whole, Self::WithoutEnding, Self::File, Self::Stem];

    fn of(self, name: &str) -> &str {
        let file = name.rsplit_once('/').map_or(0, |(folder, _)| folder.len() + 1);
        // a name that begins with a dot has no ending
        let end = name[file..].rfind('.').filter(|dot| *dot > 0);
        let end = end.map_or(name.len(), |dot| file + dot);
        match self {
            Self::Whole => name,
            Self::WithoutEnding => &name[..end],
            Self::File => &name[file..],
            Self::Stem => &name[file..end],
        }
    }
}

/// Vectors of a task's samples.
#[derive(Debug)]
pub struct Matched<'a> {
    embeddings: &'a Embeddings,
    /// The row of each sample, [samples].
    rows: Vec<Option<usize>>,
}

/// The vectors and samples that do not fit together, with names in order.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` does not fit the samples of `{task}`: {}", path.display(), problems.join("; "))]
pub struct MatchError {
    path: PathBuf,
    task: String,
    problems: Vec<String>,
}

impl Matched<'_> {
    /// What a sample has. Panics at one that was not to be read.
    pub(super) fn row_of(&self, sample: usize) -> &[f32] {
        let row = self.rows[sample].expect("every sample that is read has a vector");
        self.embeddings.row(row)
    }
}

impl Vectors for Matched<'_> {
    fn about(&self) -> String {
        "vectors as they were given".to_owned()
    }

    /// Panics at a sample that was not to be read.
    fn of(&self, samples: &[usize], _layer: Option<usize>, _progress: &dyn Progress) -> Result<Vec<f32>, DataError> {
        let rows = samples.iter().flat_map(|&sample| self.row_of(sample));
        Ok(rows.copied().collect())
    }
}

/// Samples by name under one form.
struct Found<'a> {
    /// The rows of each sample, [samples].
    rows: Vec<Vec<usize>>,
    /// Names of no sample.
    unknown: Vec<&'a str>,
}

impl Embeddings {
    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..(row + 1) * self.dim]
    }

    /// Finds the vectors of a task's samples, of which those in `read` must have one each. `others`
    /// are samples of the task beside them, whose vectors are not looked at; None: there may be any.
    ///
    /// # Errors
    /// Names samples without a vector or with several, vectors of no sample, and vectors with numbers
    /// that are not finite.
    pub fn matched(
        &self,
        task: &str,
        ids: &[&str],
        read: &BTreeSet<usize>,
        others: Option<&[&str]>,
    ) -> Result<Matched<'_>, MatchError> {
        let of_all = Form::ALL
            .iter()
            .filter_map(|form| self.found(*form, ids, others.unwrap_or_default()));
        let found = of_all.min_by_key(|found| {
            // the least wrong, the first of equals
            let wrong = read.iter().filter(|sample| found.rows[**sample].len() != 1).count();
            (wrong, found.unknown.len())
        });
        let found = found.expect("ids differ from each other");
        let of = |wrong: &dyn Fn(&[usize]) -> bool| -> Vec<&str> {
            let samples = read.iter().filter(|sample| wrong(&found.rows[**sample]));
            samples.map(|&sample| ids[sample]).collect()
        };
        let finite = |rows: &[usize]| rows.iter().all(|&row| self.row(row).iter().all(|x| x.is_finite()));
        let unknown = if others.is_some() { found.unknown } else { Vec::new() };
        let [without, several, noun] = match self.holds {
            Holds::Embeddings => ["without a vector", "with several vectors", "vector"],
            Holds::Labels => ["without labels", "with labels twice", "name"],
        };
        let problems = [
            ("sample", without, of(&<[usize]>::is_empty)),
            ("sample", several, of(&|rows| rows.len() > 1)),
            (noun, "of no sample", unknown),
            (
                noun,
                "with numbers that are not finite as 32-bit floats",
                of(&|rows| !finite(rows)),
            ),
        ];
        let problems: Vec<String> = problems
            .iter()
            .filter_map(|(noun, what, names)| told(noun, what, names))
            .collect();
        if problems.is_empty() {
            return Ok(Matched {
                embeddings: self,
                rows: found.rows.iter().map(|rows| rows.first().copied()).collect(),
            });
        }
        Err(MatchError {
            path: self.path.clone(),
            task: task.to_owned(),
            problems,
        })
    }

    /// The vectors of these samples by this form of their names; None where it does not tell all
    /// samples apart.
    fn found(&self, form: Form, ids: &[&str], others: &[&str]) -> Option<Found<'_>> {
        let mut samples = BTreeMap::new();
        for (sample, id) in ids.iter().enumerate() {
            if samples.insert(form.of(id), sample).is_some() {
                return None;
            }
        }
        let others: BTreeSet<&str> = others.iter().map(|id| form.of(id)).collect();
        let mut found = Found {
            rows: vec![Vec::new(); ids.len()],
            unknown: Vec::new(),
        };
        for (row, name) in self.names.iter().enumerate() {
            match samples.get(form.of(name)) {
                Some(&sample) => found.rows[sample].push(row),
                None if others.contains(form.of(name)) => {}
                None => found.unknown.push(name),
            }
        }
        found.unknown.sort_unstable();
        Some(found)
    }
}

/// `3 samples without a vector: a, b, c`; None of none.
fn told(noun: &str, what: &str, names: &[&str]) -> Option<String> {
    let (count, first) = (names.len(), &names[..SHOWN.min(names.len())]);
    let more = if count > SHOWN { ", ..." } else { "" };
    let ending = if count == 1 { "" } else { "s" };
    (count > 0).then(|| format!("{count} {noun}{ending} {what}: {}{more}", first.join(", ")))
}

impl From<MatchError> for Failure {
    fn from(error: MatchError) -> Self {
        let hint = format!(
            "one vector for each id of `bridle-bench check --task {} --format json`, or for each file by its name",
            error.task
        );
        Self::new(Exit::Data, error).with_hint(hint)
    }
}
