//! `compare`: two sets of records on the same test samples, with intervals and tests.

use crate::cli::{CompareArgs, TableFormat};
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::terminal;
use bridle_results::compare::{self, CompareError, Run};
use bridle_results::table;
use bridle_seed::Seed;

/// Reads both sets and prints their differences: for people a sentence for each metric, then the table.
///
/// # Errors
/// If records or their predictions are missing, or they cannot be compared.
pub fn perform(args: &CompareArgs) -> Result<()> {
    let (a, b) = (Run::read(&args.a)?, Run::read(&args.b)?);
    let comparison = compare::compare(&a, &b, args.resamples as usize, &Seed::root(args.seed).child("compare"))?;
    let table = table::render(&[table::comparison_table(&comparison)], args.format.into());
    match args.format {
        TableFormat::Terminal => {
            let sentences = table::comparison_sentences(&comparison).join("\n");
            terminal::print(&format!("{sentences}\n\n{table}"))
        }
        _ => terminal::print(&table),
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        let way_out = match error {
            CompareError::Store(error) => return error.into(),
            CompareError::PredictionsMissing { .. } => {
                let failure = Self::new(Exit::Data, error);
                return failure.with_way_out("put the file beside its record, or run the plan again");
            }
            CompareError::NoPredictions { .. } => {
                Some("run the plan again: `run` writes predictions beside the record")
            }
            CompareError::Tasks { .. } | CompareError::Plans { .. } | CompareError::Twice { .. } => {
                Some("name a record, or a folder with the runs of one plan and backend, for each side")
            }
            CompareError::NoCommonRun { .. } => Some("`run` with the same --seed, --seeds and --folds for both sides"),
            CompareError::NoCommonProtocol { .. } => Some("`run` with the same --protocol for both sides"),
            CompareError::Disagrees { .. } => Some("run the plan again: record and predictions are not of one run"),
            _ => None,
        };
        let failure = Self::new(Exit::WrongUse, error);
        way_out.into_iter().fold(failure, Self::with_way_out)
    }
}
