//! `study`: makes the runs that a study lacks, then says what they show.

mod report;

pub use report::text as report;

use super::{compare, run, table};
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::{StudyArgs, terminal};
use crate::run::request::RunRequest;
use crate::study::Study;
use bridle_results::record::RunRecord;
use bridle_results::table::TableKind;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Makes missing runs until all are there or the budget is spent, then prints the tables, and each
/// arm against the reference.
///
/// # Errors
/// A file that is no study; what ends `run` early; a budget that was spent before anything could be
/// compared.
pub fn perform(args: &StudyArgs) -> Result<Exit> {
    if args.report {
        return terminal::print(&report::text(args, terminal::columns())?).map(|()| Exit::Done);
    }
    let study = Study::read(&args.file)?;
    let requests = study.requests(args)?;
    terminal::log(&format!("study: {}", study.question));
    if let Some(rule) = &study.stop {
        terminal::log(&format!("stops early: {rule}"));
    }
    if args.plan {
        return terminal::print(&plan(&study, &requests)).map(|()| Exit::Done);
    }
    let session = run::Session::begin("study")?;
    session.require_alone("a study")?;
    let (mut text, mut all) = (format!("{}\n", study.question), Vec::new());
    let mut over = None;
    for request in requests {
        let made = run::records(request, &session)?;
        text.push_str(&answers(&study, args, &made.plans, &made.records)?);
        over = over.or(made.stopped);
        all.extend(made.records);
    }
    let tables = table::of(&all, &args.out, args.format, &[TableKind::Scores])?;
    terminal::print(&format!("{tables}\n{text}"))?;
    match over {
        Some(why) => {
            Err(Failure::wrong_use(why).with_hint("raise `hours` in the study file, and give the same command"))
        }
        None => Ok(Exit::Done),
    }
}

/// The arms, and how many runs each task needs.
fn plan(study: &Study, requests: &[RunRequest]) -> String {
    let mut text = String::new();
    for request in requests {
        let (runs, task) = (request.seeds.len() * request.folds.len(), request.task.name());
        writeln!(
            text,
            "{task}: {} arms x {runs} runs, at most {} h",
            study.arms.len(),
            study.hours
        )
        .expect("a string");
        for (arm, plan) in study.arms.iter().zip(request.plans()) {
            let reference = if arm.name == study.reference {
                " (reference)"
            } else {
                ""
            };
            writeln!(text, "  {}{reference}: {}", arm.name, plan.label()).expect("a string");
        }
    }
    text
}

/// Each arm against the reference, over the runs that both have.
fn answers(study: &Study, args: &StudyArgs, arms: &[String], records: &[RunRecord]) -> Result<String> {
    let runs = |hash: &String| -> BTreeSet<(u64, Option<u8>)> {
        let of_arm = records.iter().filter(|record| record.plan_hash == *hash);
        of_arm.map(|record| (record.seed, record.fold)).collect()
    };
    let named = || study.arms.iter().zip(arms);
    let (_, reference) = named()
        .find(|(arm, _)| arm.name == study.reference)
        .expect("read with the study");
    let mut text = String::new();
    for (arm, hash) in named().filter(|(arm, _)| arm.name != study.reference) {
        let common = runs(hash).intersection(&runs(reference)).count();
        writeln!(
            text,
            "\n== {} against {}: {common} runs of each",
            arm.name, study.reference
        )
        .expect("a string");
        if common == 0 {
            continue;
        }
        let found = compare::plans(hash, reference, records, &args.out, args.format)?;
        text.push_str(&found);
    }
    Ok(text)
}
