//! `study --report`: what a study's recorded runs show so far, without any data.

use crate::cli::StudyArgs;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::command::compare;
use crate::command::table::form;
use crate::study::{Asked, Study};
use bridle_results::compare::Comparison;
use bridle_results::record::{RunRecord, shared_root};
use bridle_results::report::answers_figure;
use bridle_results::store::{self, StoreError};
use bridle_results::table::{self, ArmAnswer};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A record and where it lies.
type Found = (PathBuf, RunRecord);

/// A table for each task, in the terminal format in so many columns; of runs on several backends or data, which are
/// never counted together, a table for each.
///
/// # Errors
/// A file that is no study; records or predictions that cannot be read.
pub fn text(args: &StudyArgs, columns: usize) -> Result<String> {
    let study = Study::read(&args.file)?;
    let found = records(&args.out)?;
    // where a study's own folder lies by custom
    let beside = args.file.with_extension("");
    let elsewhere = (beside.is_dir() && beside != args.out).then_some(beside);
    let (mut tables, mut figures) = (Vec::new(), Vec::new());
    for task in &study.tasks {
        let asked = study.asked(task, args)?;
        let of_arm = |arm: usize| found.iter().filter(|(_, record)| asked.has(arm, record)).collect();
        let arms: Vec<Vec<&Found>> = (0..study.arms.len()).map(of_arm).collect();
        require_unchanged(arms.iter().flatten().copied())?;
        let settings = arms.iter().flatten().map(|(_, record)| Some(record.setting()));
        let mut settings: BTreeSet<Option<String>> = settings.collect();
        if settings.len() < 2 {
            // all that there is, which may be nothing
            settings = BTreeSet::from([None]);
        }
        for setting in settings {
            let is_of = |found: &&&Found| setting.as_ref().is_none_or(|setting| found.1.setting() == *setting);
            let arms = arms.iter().map(|runs| runs.iter().filter(is_of).copied().collect());
            let arms: Vec<Vec<&Found>> = arms.collect();
            let (answers, mut notes) = answers(&study, &asked, &arms)?;
            if let (true, Some(beside)) = (arms.iter().all(Vec::is_empty), &elsewhere) {
                let (out, beside) = (args.out.display(), beside.display());
                notes.push(format!("no run of it in {out}; are they in {beside} (--out {beside})?"));
            }
            let place = setting.map_or_else(|| task.clone(), |setting| format!("{task}, {setting}"));
            figures.extend(answers_figure(&study.question, &place, &study.reference, &answers));
            tables.push(table::answer_table(&study.question, &place, &answers, notes));
        }
    }
    if let Some(to) = &args.figure {
        draw(to, &figures)?;
    }
    Ok(table::render(&tables, form(args.format, columns)))
}

/// The records below a folder. Before its first run a study has none, or one without records.
fn records(out: &Path) -> Result<Vec<Found>> {
    if !out.exists() {
        return Ok(Vec::new());
    }
    if !out.is_dir() {
        let failure = Failure::wrong_use(format!("`{}` is no folder", out.display()));
        return Err(failure.with_hint("--out DIR with the folder of the study's records"));
    }
    match store::find(&[out.to_owned()]) {
        Err(StoreError::Empty { .. }) => Ok(Vec::new()),
        found => Ok(found?),
    }
}

fn require_unchanged<'a>(mut found: impl Iterator<Item = &'a Found>) -> Result<()> {
    let Some((path, _)) = found.find(|(_, record)| !record.is_unchanged()) else {
        return Ok(());
    };
    let message = format!("`{}` was changed since it was written", path.display());
    let failure = Failure::new(Exit::Data, anyhow::Error::msg(message));
    Err(failure.with_hint("the study without --report makes that run again; or take the file away"))
}

/// Writes the figure of a study.
fn draw(to: &Path, figures: &[String]) -> Result<()> {
    if to.extension().is_none_or(|end| !end.eq_ignore_ascii_case("svg")) {
        let failure = Failure::wrong_use(format!(
            "a figure is an SVG file, and `{}` does not end in .svg",
            to.display()
        ));
        return Err(failure.with_hint("--figure FILE.svg"));
    }
    match figures {
        [] => Err(Failure::wrong_use("nothing is known yet that a figure could show")
            .with_hint("the study, without --report")),
        [figure] => std::fs::write(to, figure).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("cannot write `{}`", to.display()));
            Failure::new(Exit::WrongUse, error).with_hint("--figure FILE in a folder that can be written")
        }),
        _ => Err(
            Failure::wrong_use("a figure shows one table, and the study has several")
                .with_hint("--report without --figure, or --out with the records of one of them"),
        ),
    }
}

/// What each arm but the reference has shown, and notes. `arms` are the runs of all.
fn answers(study: &Study, asked: &Asked, arms: &[Vec<&Found>]) -> Result<(Vec<ArmAnswer>, Vec<String>)> {
    let reference = study.arms.iter().position(|arm| arm.name == study.reference);
    let reference = &arms[reference.expect("read with the study")];
    let others = study
        .arms
        .iter()
        .zip(arms)
        .filter(|(arm, _)| arm.name != study.reference);
    let answers: Result<Vec<ArmAnswer>> = others
        .map(|(arm, runs)| answer(&arm.name, runs, reference, asked.runs()))
        .collect();
    let records: Vec<&RunRecord> = arms.iter().flatten().map(|(_, record)| record).collect();
    let notes = notes(study, asked, reference).into_iter();
    Ok((answers?, notes.chain(shared_root(&records)).collect()))
}

fn notes(study: &Study, asked: &Asked, reference: &[&Found]) -> Vec<String> {
    let distinct: BTreeSet<_> = reference.iter().map(|(_, record)| (record.seed, record.fold)).collect();
    let (runs, of, hours) = (distinct.len(), asked.runs(), hours(reference));
    let mut notes = vec![format!(
        "reference: {}, {runs} of {of} runs, {hours:.2} hours of computing",
        study.reference
    )];
    notes.extend(study.stop.iter().map(|rule| format!("stops early: {rule}")));
    let missing = study.arms.iter().zip(&asked.plans).filter(|(_, plan)| plan.is_none());
    notes.extend(missing.map(|(arm, _)| format!("{}: its labels are not made yet", arm.name)));
    notes.push(
        "difference: 95 % interval over runs and test samples, not corrected for the number of comparisons; none below \
         two runs of each"
            .to_owned(),
    );
    notes
}

/// What these runs of one plan cost, also the pretrainings that an earlier run made.
fn hours(runs: &[&Found]) -> f64 {
    // the sum of nothing is -0
    runs.iter().flat_map(|(_, record)| record.seconds.values()).sum::<f64>() / 3600.0 + 0.0
}

/// An arm with these runs against the reference.
fn answer(name: &str, own: &[&Found], reference: &[&Found], of: usize) -> Result<ArmAnswer> {
    let run = |found: &&Found| (found.1.seed, found.1.fold);
    let of_reference: BTreeSet<_> = reference.iter().map(run).collect();
    let common = own.iter().filter(|found| of_reference.contains(&run(found))).count();
    let plans = own.first().zip(reference.first());
    let plans = plans.map(|(own, reference)| [own.1.plan_hash.clone(), reference.1.plan_hash.clone()]);
    let found: Vec<Comparison> = if common > 0 {
        let scored = |runs: &[&Found]| compare::scored(runs.iter().map(|(path, _)| path.clone()));
        let compared = compare::runs(&scored(own)?, &scored(reference)?);
        compared
            .map_err(|error| Failure::from(error).in_context(format!("arm `{name}`")))?
            .comparisons
    } else {
        Vec::new()
    };
    Ok(ArmAnswer {
        arm: name.to_owned(),
        plans,
        runs: [common, of],
        hours: hours(own),
        found,
    })
}
