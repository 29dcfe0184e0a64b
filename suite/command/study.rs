//! `study`: makes the runs that a study lacks, then says what they show.

mod report;

pub use report::text as report;

use super::{compare, run, table};
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::{StudyArgs, terminal};
use crate::plan::Plan;
use crate::run::request::RunRequest;
use crate::study::Study;
use bridle_results::record::RunRecord;
use bridle_results::store;
use bridle_results::table::TableKind;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

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
    let told = || {
        terminal::log(&format!("study: {}", study.question));
        if let Some(rule) = &study.stop {
            terminal::log(&format!("stops early: {rule}"));
        }
    };
    if args.plan {
        let plan = plan(&study, args)?;
        told();
        return terminal::print(&plan).map(|()| Exit::Done);
    }
    let requests = study.requests(args)?;
    told();
    let session = run::Session::telling("study", "the same command again")?;
    session.require_alone("a study")?;
    let (mut plans, mut text) = (String::new(), format!("{}\n", study.question));
    let (mut all, mut over): (Vec<RunRecord>, _) = (Vec::new(), None);
    let mut ahead = VecDeque::from(requests);
    while let Some(mut request) = ahead.pop_front() {
        if let Some(budget) = &mut request.budget {
            let earlier = all.iter().map(RunRecord::computing_seconds);
            budget.elsewhere = earlier.chain(ahead.iter().map(recorded_seconds)).sum::<f64>() / 3600.0;
        }
        let labels: Vec<String> = request.plans().map(Plan::label).collect();
        writeln!(plans, "{}:", request.task.name()).expect("a string");
        let made = run::records(request, &session).map_err(Failure::of_resuming)?;
        for ((arm, label), hash) in study.arms.iter().zip(labels).zip(&made.plans) {
            writeln!(plans, "{}", line(&study, &arm.name, &label, Some(hash))).expect("a string");
        }
        text.push_str(&answers(&study, args, &made.plans, &made.records)?);
        over = over.or(made.stopped);
        all.extend(made.records);
    }
    let tables = table::of(&all, &args.out, args.format, &[TableKind::Scores])?;
    terminal::print(&format!("{plans}\n{tables}\n{text}"))?;
    match over {
        Some(why) => {
            Err(Failure::wrong_use(why).with_hint("raise `hours` in the study file, and give the same command"))
        }
        None => Ok(Exit::Done),
    }
}

/// Seconds of computing that the recorded runs of a request took.
fn recorded_seconds(request: &RunRequest) -> f64 {
    recorded(request).iter().map(RunRecord::computing_seconds).sum()
}

/// The records of a request's runs, on whatever data.
fn recorded(request: &RunRequest) -> Vec<RunRecord> {
    let mut records = beside(&request.args.out, request.plans());
    records.retain(|record| request.has(record));
    records
}

/// All records where those of these plans lie. A file that is none is made anew by its own run.
fn beside<'a>(out: &Path, plans: impl Iterator<Item = &'a Plan>) -> Vec<RunRecord> {
    let folders: BTreeSet<PathBuf> = plans
        .map(|plan| out.join(store::folder(&plan.task, &plan.label())))
        .collect();
    let files = folders.iter().flat_map(std::fs::read_dir).flatten().flatten();
    let files = files.map(|file| file.path());
    let records = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    records.filter_map(|file| store::read(&file).ok()).collect()
}

/// An arm, what it trains, and the start of its plan's hash, by which tables tell rows apart.
fn line(study: &Study, arm: &str, label: &str, hash: Option<&str>) -> String {
    let reference = if arm == study.reference { " (reference)" } else { "" };
    let plan = hash.map_or_else(String::new, |hash| format!(", plan {}", hash.get(..6).unwrap_or(hash)));
    format!("  {arm}{reference}: {label}{plan}")
}

/// The arms, and how many runs each task needs; with their plans' hashes where a record tells the variant of the data,
/// on which they depend.
fn plan(study: &Study, args: &StudyArgs) -> Result<String> {
    let mut text = String::new();
    for task in &study.tasks {
        let asked = study.asked(task, args)?;
        let known = || asked.plans.iter().flatten();
        let (task, arms) = (known().next().map_or(task, |plan| &plan.task), study.arms.len());
        writeln!(
            text,
            "{task}: {arms} arms x {} runs, at most {} h",
            asked.runs(),
            study.hours
        )
        .expect("a string");
        let mut records = beside(&args.out, known()).into_iter();
        let record = records.find(|record| (0..arms).any(|arm| asked.has(arm, record)));
        for (arm, plan) in study.arms.iter().zip(&asked.plans) {
            let line = match plan {
                Some(plan) => {
                    let variant = record.as_ref().map(|record| &record.data.variant);
                    let hash = variant.map(|variant| plan.clone().with_variant(variant).plan_hash());
                    line(study, &arm.name, &plan.label(), hash.as_deref())
                }
                None => line(study, &arm.name, "its labels are not made yet", None),
            };
            writeln!(text, "{line}").expect("a string");
        }
    }
    Ok(text)
}

/// Each arm against the reference, over the runs that both have.
fn answers(study: &Study, args: &StudyArgs, arms: &[String], records: &[RunRecord]) -> Result<String> {
    let runs = |hash: &String| -> BTreeMap<(u64, Option<u8>), &RunRecord> {
        let of_arm = records.iter().filter(|record| record.plan_hash == *hash);
        of_arm.map(|record| ((record.seed, record.fold), record)).collect()
    };
    let named = || study.arms.iter().zip(arms);
    let (_, reference) = named()
        .find(|(arm, _)| arm.name == study.reference)
        .expect("read with the study");
    let mut text = String::new();
    let reference = runs(reference);
    for (arm, hash) in named().filter(|(arm, _)| arm.name != study.reference) {
        let own = runs(hash);
        let common = own.keys().filter(|run| reference.contains_key(run)).count();
        writeln!(
            text,
            "\n== {} against {}: {common} runs of each",
            arm.name, study.reference
        )
        .expect("a string");
        if common == 0 {
            continue;
        }
        let sides = [&own, &reference].map(|runs| runs.values().copied().collect::<Vec<_>>());
        text.push_str(&compare::records(&sides, &args.out, args.format)?);
    }
    Ok(text)
}
