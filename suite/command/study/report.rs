//! `study --report`: what a study's recorded runs show so far, without any data.

use crate::cli::StudyArgs;
use crate::cli::error::{Failure, Result};
use crate::command::table::form;
use crate::study::Study;
use bridle_results::compare::{self, Comparison, Filter, ScoredRun};
use bridle_results::record::RunRecord;
use bridle_results::report::answers_figure;
use bridle_results::store::{self, StoreError};
use bridle_results::table::{self, ArmAnswer};
use bridle_seed::Seed;
use std::collections::BTreeSet;
use std::path::Path;

/// Permutations of a test of two single runs, as `compare` has them.
const RESAMPLES: usize = 2000;

/// What tells the runs of a plan apart.
type RunOf<'a> = (&'a str, &'a str, u64, Option<u8>);

/// A table for each task, in the terminal format in so many columns.
///
/// # Errors
/// A file that is no study; records or predictions that cannot be read.
pub fn text(args: &StudyArgs, columns: usize) -> Result<String> {
    let study = Study::read(&args.file)?;
    // before its first run a study has no folder, or one without records
    let found = match args.out.is_dir().then(|| store::find(std::slice::from_ref(&args.out))) {
        None | Some(Err(StoreError::Empty { .. })) => Vec::new(),
        Some(found) => found?,
    };
    let records: Vec<RunRecord> = found.into_iter().map(|(_, record)| record).collect();
    let (mut tables, mut figures) = (Vec::new(), Vec::new());
    for task in &study.tasks {
        let (plans, of) = study.plans(task, args)?;
        let own = |arm: usize| -> Vec<&RunRecord> {
            let Some(plan) = &plans[arm] else {
                return Vec::new();
            };
            let is_of =
                |record: &&RunRecord| record.plan_hash == plan.clone().with_variant(&record.data.variant).plan_hash();
            records.iter().filter(is_of).collect()
        };
        let reference = study.arms.iter().position(|arm| arm.name == study.reference);
        let reference = own(reference.expect("read with the study"));
        let answers: Result<Vec<ArmAnswer>> = study
            .arms
            .iter()
            .enumerate()
            .filter(|(_, arm)| arm.name != study.reference)
            .map(|(place, arm)| answer(args, &arm.name, &own(place), &reference, of))
            .collect();
        let notes = notes(
            &study,
            &plans.iter().map(Option::is_some).collect::<Vec<_>>(),
            &reference,
            of,
        );
        let answers = answers?;
        figures.extend(answers_figure(&study.question, task, &study.reference, &answers));
        tables.push(table::answer_table(&study.question, task, &answers, notes));
    }
    if let Some(to) = &args.figure {
        draw(to, &figures)?;
    }
    Ok(table::render(&tables, form(args.format, columns)))
}

/// Writes the figure of a study.
fn draw(to: &Path, figures: &[String]) -> Result<()> {
    match figures {
        [] => Err(Failure::wrong_use("nothing is known yet that a figure could show")
            .with_hint("the study, without --report")),
        [figure] => std::fs::write(to, figure)
            .map_err(|error| Failure::fault(format!("cannot write `{}`", to.display()), error)),
        _ => Err(Failure::wrong_use("a figure shows one task, and the study has several")
            .with_hint("--report without --figure")),
    }
}

fn notes(study: &Study, known: &[bool], reference: &[&RunRecord], of: usize) -> Vec<String> {
    let (runs, hours) = (reference.len(), hours(reference));
    let mut notes = vec![format!(
        "reference: {}, {runs} of {of} runs, {hours:.2} hours of computing",
        study.reference
    )];
    notes.extend(study.stop.iter().map(|rule| format!("stops early: {rule}")));
    let missing = study.arms.iter().zip(known).filter(|(_, known)| !**known);
    notes.extend(missing.map(|(arm, _)| format!("{}: its labels are not made yet", arm.name)));
    notes.push("difference: 95 % interval over runs and test samples; none below two runs of each".to_owned());
    notes
}

fn hours(records: &[&RunRecord]) -> f64 {
    // the sum of nothing is -0
    records.iter().map(|record| record.computing_seconds()).sum::<f64>() / 3600.0 + 0.0
}

fn run_of(record: &RunRecord) -> RunOf<'_> {
    (&record.backend.name, &record.backend.dtype, record.seed, record.fold)
}

/// An arm with these runs against the reference.
fn answer(args: &StudyArgs, name: &str, own: &[&RunRecord], reference: &[&RunRecord], of: usize) -> Result<ArmAnswer> {
    let of_reference: BTreeSet<RunOf<'_>> = reference.iter().map(|record| run_of(record)).collect();
    let common = own
        .iter()
        .filter(|record| of_reference.contains(&run_of(record)))
        .count();
    let plans = own.first().zip(reference.first());
    let plans = plans.map(|(own, reference)| [own.plan_hash.clone(), reference.plan_hash.clone()]);
    let found: Vec<Comparison> = match &plans {
        Some(plans) if common > 0 => {
            let read = |hash: &String| {
                let filter: Filter = format!("plan={hash}").parse().expect("a filter");
                ScoredRun::read(&args.out, &[filter])
            };
            let seed = Seed::root(0).child("compare");
            compare::compare(&read(&plans[0])?, &read(&plans[1])?, RESAMPLES, &seed)?.comparisons
        }
        _ => Vec::new(),
    };
    Ok(ArmAnswer {
        arm: name.to_owned(),
        plans,
        runs: [common, of],
        hours: hours(own),
        found,
    })
}
