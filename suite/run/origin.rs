//! What a run repeats: a record (`--from`), or a plan in a file (`--plan`). The options beside it
//! come first, and what they change is said.

use crate::cli::RunArgs;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::plan::{Difference, Plan, Written};
use bridle_results::record::RunRecord;
use bridle_results::store;

/// What is repeated.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The plan.
    pub written: Written,
    /// The rest, of a record.
    pub(super) record: Option<Box<RunRecord>>,
}

impl Origin {
    /// What the options name; None if they name nothing to repeat.
    ///
    /// # Errors
    /// If the record or the file cannot be read, or is none.
    pub fn of(args: &RunArgs) -> Result<Option<Self>> {
        if let Some(path) = &args.from {
            let record = store::read(path)?;
            return Ok(Some(Self {
                written: Written::of_record(path.display().to_string(), record.plan.clone()),
                record: Some(Box::new(record)),
            }));
        }
        let Some(path) = &args.plan else {
            return Ok(None);
        };
        let place = path.display().to_string();
        let text = bridle_files::text(path, bridle_files::SETTINGS).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("cannot read the plan `{place}`"));
            Failure::new(Exit::WrongUse, error).with_hint("a file as `bridle-bench check --format toml` prints it")
        })?;
        Ok(Some(Self {
            written: Written::from_toml(place, &text)?,
            record: None,
        }))
    }

    /// The options with the record's seed, fold, backend and number type where they say nothing.
    pub fn complete(&self, args: &RunArgs) -> RunArgs {
        let mut args = args.clone();
        if let Some(record) = &self.record {
            args.seed.get_or_insert(record.seed);
            args.folds = args.folds.or_else(|| record.fold.map(|fold| fold.to_string()));
            let compute = &mut args.compute;
            compute.backend.get_or_insert_with(|| record.backend.name.clone());
            compute.dtype.get_or_insert_with(|| record.backend.dtype.clone());
        }
        args
    }

    /// What a run of this plan with these options, once completed, repeats and what it changes, in a
    /// line.
    pub fn said(&self, args: &RunArgs, plan: &Plan) -> String {
        let changes = self.written.changes(&plan.to_flat());
        let mut changed: Vec<String> = changes.iter().map(in_words).collect();
        if let Some(record) = &self.record {
            let fold = record.fold.map_or_else(|| "1".to_owned(), |fold| fold.to_string());
            let number = |seed: Option<u64>| seed.map(|seed| seed.to_string());
            for (name, given, recorded) in [
                ("seed", number(args.seed), number(Some(record.seed))),
                ("folds", args.folds.clone(), Some(fold)),
                (
                    "backend",
                    args.compute.backend.clone(),
                    Some(record.backend.name.clone()),
                ),
                ("dtype", args.compute.dtype.clone(), Some(record.backend.dtype.clone())),
            ] {
                if let (Some(given), Some(recorded)) = (given, recorded)
                    && given != recorded
                {
                    changed.push(format!("{name} {given} in place of {recorded}"));
                }
            }
        }
        let place = self.written.place();
        match (&changed[..], &self.record) {
            ([], Some(_)) => format!("as {place}: the same plan, seed, fold, backend and number type"),
            ([], None) => format!("as {place}: the same plan"),
            (changed, _) => format!("as {place}, but {}", changed.join("; ")),
        }
    }
}

/// A change as a person would say it.
fn in_words(change: &Difference) -> String {
    let shown = |value: &Option<serde_json::Value>| value.as_ref().map(crate::plan::display_value);
    let key = &change.key;
    match (shown(&change.first), shown(&change.second)) {
        (Some(first), Some(second)) => format!("{key} {second} in place of {first}"),
        (Some(first), None) => format!("without {key}, which was {first}"),
        (None, Some(second)) => format!("{key} {second}, which it does not say"),
        (None, None) => key.clone(),
    }
}
