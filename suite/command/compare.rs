//! `compare`: two sets of records on the same test samples, with intervals and tests.

use super::table::form;
use crate::cli::error::{Failure, Result, UnknownName};
use crate::cli::exit::Exit;
use crate::cli::terminal;
use crate::cli::{CompareArgs, TableFormat};
use bridle_results::compare::{self, CompareError, Compared, Comparison, Filter, ScoredRun};
use bridle_results::record::RunRecord;
use bridle_results::store::RunName;
use bridle_results::table::{self, Table};
use bridle_seed::Seed;
use std::path::{Path, PathBuf};

/// Prints the differences, and on stderr what has no partner.
///
/// # Errors
/// As [`text`], and if stdout cannot be written.
pub fn perform(args: &CompareArgs) -> Result<()> {
    let (text, left_out) = text(args, terminal::columns())?;
    terminal::print(&text)?;
    for line in left_out {
        terminal::log(&format!("left out: {line}"));
    }
    Ok(())
}

/// Reads both sets. Returns a table for each pair of groups, in the terminal format in so many
/// columns and after a sentence for each metric; and what has no partner.
///
/// # Errors
/// If records or their predictions are missing, or they cannot be compared.
pub fn text(args: &CompareArgs, columns: usize) -> Result<(String, Vec<String>)> {
    let read = |path, only: &[Filter]| ScoredRun::read(path, &[&args.both[..], only].concat());
    let (a, b) = (read(&args.a, &args.only_a)?, read(&args.b, &args.only_b)?);
    let seed = Seed::root(args.seed).child("compare");
    let found = compare::compare(&a, &b, args.resamples as usize, &seed)?;
    Ok((in_words(&found, args.format, columns), found.left_out))
}

/// A table for each pair of groups.
fn in_words(Compared { comparisons, .. }: &Compared, format: TableFormat, columns: usize) -> String {
    let tables: Vec<Table> = comparisons.iter().map(table::comparison_table).collect();
    match format {
        TableFormat::Terminal => {
            let block = |(found, table): (&Comparison, Table)| {
                let sentences = table::comparison_sentences(found).join("\n");
                format!("{sentences}\n\n{}", table::render(&[table], form(format, columns)))
            };
            let blocks = comparisons.iter().zip(tables).map(block);
            blocks.collect::<Vec<_>>().join("\n")
        }
        format => table::render(&tables, form(format, columns)),
    }
}

/// Resamples where nobody says how many.
const RESAMPLES: u32 = 2000;

/// The comparisons of these runs with those, drawn as `compare` does without options.
///
/// # Errors
/// As [`compare::compare`].
pub fn runs(a: &[ScoredRun], b: &[ScoredRun]) -> std::result::Result<Compared, CompareError> {
    compare::compare(a, b, RESAMPLES as usize, &Seed::root(0).child("compare"))
}

/// The runs of these records of `out` against those of the others, and of no other record there.
///
/// # Errors
/// As [`text`].
pub fn records(sides: &[Vec<&RunRecord>; 2], out: &Path, format: TableFormat) -> Result<String> {
    let path = |record: &&RunRecord| out.join(RunName::of(record).path());
    let read = |side: &[&RunRecord]| scored(side.iter().map(path));
    let found = runs(&read(&sides[0])?, &read(&sides[1])?)?;
    Ok(in_words(&found, format, terminal::columns()))
}

/// The runs of the records in these files.
///
/// # Errors
/// As [`ScoredRun::read`].
pub fn scored(files: impl Iterator<Item = PathBuf>) -> Result<Vec<ScoredRun>> {
    let mut runs = Vec::new();
    for file in files {
        runs.extend(ScoredRun::read(&file, &[])?);
    }
    Ok(runs)
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        let hint = match error {
            CompareError::Store(error) => return error.into(),
            CompareError::PredictionsMissing { .. } => {
                let failure = Self::new(Exit::Data, error);
                return failure.with_hint("put the file beside its record, or run the plan again");
            }
            CompareError::NoPredictions { .. } => {
                Some("run the plan again: `run` writes predictions beside the record")
            }
            CompareError::UnknownKey { key, known } => {
                return UnknownName::new("value of a record", &key, known).into();
            }
            CompareError::Ambiguous { .. } => Some(
                "--where, --where-a or --where-b with key=value, such as plan=START, quantizer=rq or protocol=knn; or name \
                 the records",
            ),
            CompareError::Twice { .. } => Some("leave out one of the two, or name the records"),
            CompareError::NothingKept { .. } => Some("`bridle-bench table` shows what the records have"),
            CompareError::NoCommonRun { .. } => Some("`run` with the same --seed, --seeds and --folds for both sides"),
            CompareError::NothingInCommon { .. } => Some("`run` with the same --task and --protocol for both sides"),
            CompareError::Disagrees { .. } => Some("run the plan again: record and predictions are not of one run"),
            _ => None,
        };
        let failure = Self::new(Exit::WrongUse, error);
        hint.into_iter().fold(failure, Self::with_hint)
    }
}
