//! `run`: pretrain, evaluate, write records, print the tables. One program for every kind of data.

mod one;
mod session;

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::progress::{TerminalProgress, display_duration};
use crate::cli::{RunArgs, RunFormat, TableFormat, terminal};
use crate::command::{compare, regress, table};
use crate::data::{Fixed, Utterances};
use crate::embeddings::Codes;
use crate::estimate::{self, Workload};
use crate::plan::{AnyTask, Plan};
use crate::protocol::Examples;
use crate::run::Run;
use crate::run::given::{self, Given};
use crate::run::machine;
use crate::run::request::{Budget, RunRequest};
use crate::run::same_inputs;
use crate::train::PRETRAIN_BATCH;
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_ranks::Ranks;
use bridle_results::record::{self, RunRecord};
use bridle_results::regress::{Envelopes, GateRun};
use bridle_results::store;
use bridle_tasks::DataFacts;
use one::OneRun;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub use session::{Session, share_machine};

/// Runs every fold and seed that was asked for, then prints the tables of their records.
///
/// # Errors
/// As [`records`]; wrong use; if stdout cannot be written.
pub fn perform(args: &RunArgs) -> Result<Exit> {
    let format = match args.format {
        RunFormat::Terminal => TableFormat::Terminal,
        RunFormat::Json => TableFormat::Json,
        RunFormat::Toml => {
            let failure = Failure::wrong_use("`run` prints no plan as TOML");
            return Err(failure.with_hint("`bridle-bench check` with the same options"));
        }
    };
    let envelopes = args.envelope.as_deref().map(regress::envelopes).transpose()?;
    let session = Session::begin("run")?.agreeing(args.yes);
    let request = RunRequest::new(args)?;
    let has_control = request.has_control;
    let made = records(request, &session)?;
    if !session.ranks.leads() {
        return Ok(Exit::Done);
    }
    if let Some(envelopes) = &envelopes {
        say_departures(envelopes, &made.records, &session.progress)?;
    }
    if let (true, [plan, .., control]) = (has_control && format == TableFormat::Terminal, &made.plans[..]) {
        let of = |hash: &String| made.records.iter().filter(|record| record.plan_hash == *hash).collect();
        let text = compare::records(&[of(plan), of(control)], &args.out, format)?;
        terminal::print(&format!("Against the random encoder\n\n{text}\n"))?;
    }
    table::print(&made.records, &args.out, format, args.ablation)?;
    Ok(Exit::Done)
}

/// Says of each run whether its curves lie in the envelope of its plan, and where they do not.
fn say_departures(envelopes: &Envelopes, records: &[RunRecord], progress: &TerminalProgress) -> Result<()> {
    for record in records {
        let wrong = |error| Failure::fault("a record cannot be read", std::io::Error::other(error));
        let text = record.to_json().map_err(|error| wrong(error.to_string()))?;
        let run = GateRun::from_json(&text).map_err(|error| wrong(error.to_string()))?;
        let Some(plan) = envelopes.of_run(&run) else {
            progress.say(&format!("{}: its plan has no envelope in this file", run.key));
            continue;
        };
        let departures = plan.departures(&run);
        let (curves, runs) = (plan.curves.len(), plan.runs);
        if departures.is_empty() {
            progress.say(&format!(
                "{}: all {curves} curves lie in the envelope of {runs} runs",
                run.key
            ));
        }
        for place in departures {
            progress.say(&format!("{}: outside the envelope of {runs} runs: {place}", run.key));
        }
    }
    Ok(())
}

/// Compares what all ranks have to have in common before they open data, and fails if a plan has
/// batches of fewer samples than there are ranks.
fn require_common(request: &RunRequest, ranks: &Ranks) -> Result<()> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let plans: Vec<String> = request.plans().map(Plan::plan_hash).collect();
    let runs = format!("seeds {:?}, folds {:?}", request.seeds, request.folds);
    ranks.agree(&[
        ("task", request.task.name()),
        ("plan", &plans.join(" ")),
        ("backend", &machine::kind_of_backend(&request.backend)),
        ("number type", request.dtype.word()),
        ("choice of runs", &runs),
    ])?;
    for plan in request.plans() {
        let pretrain = plan.pretrain.as_ref();
        pretrain.map_or(Ok(()), |pretrain| ranks.can_share(PRETRAIN_BATCH, pretrain.batch))?;
        for protocol in &plan.protocols {
            let batch = protocol.shared_batch(&plan.evaluation);
            batch.map_or(Ok(()), |batch| ranks.can_share(&protocol.batch_in_words(), batch))?;
        }
    }
    Ok(())
}

/// The runs that were made, or were there.
#[derive(Default)]
pub struct Made {
    pub records: Vec<RunRecord>,
    /// Hashes of the plans, in the order of the request.
    pub plans: Vec<String>,
    /// Why some are missing.
    pub stopped: Option<String>,
}

/// Makes every run that was asked for.
///
/// # Errors
/// Missing data or devices, divergence, a stop by signal, or a disk that cannot be written.
pub fn records(mut request: RunRequest, session: &Session) -> Result<Made> {
    if session.ranks.leads() {
        for plan in request.plans() {
            store::prove_writable(&request.args.out.join(store::folder(&plan.task, &plan.label())))?;
        }
        bridle_tasks::remove_abandoned_copies();
    }
    require_common(&request, &session.ranks)?;
    share_machine(&mut request.backend, &session.ranks, &session.progress)?;
    let progress = &session.progress;
    let (embeddings, foreign) = (request.embeddings.take(), request.foreign.take());
    if embeddings.is_some() || foreign.is_some() {
        session.require_alone("judging an encoder of others")?;
    }
    match request.task {
        AnyTask::Fixed(task) => {
            let dataset = session.in_turn(|| Ok(task.open(&request.open_request(), progress)?))?;
            say_left_out(&dataset.facts, progress);
            let given = Given::of(embeddings.as_ref(), foreign.as_ref(), &dataset, &request)?;
            let labels = given::labels(&request, &dataset)?;
            run_all(request, &dataset.facts, session, (&given, &labels), |plan| {
                Fixed::new(&dataset, plan)
            })
        }
        AnyTask::Speech(task) => {
            let set = session.in_turn(|| Ok(task.open(&request.speech_request(), progress)?))?;
            say_left_out(&set.facts, progress);
            let given = match &foreign {
                Some(foreign) => Given::Encoder(foreign, None),
                None => Given::Nothing,
            };
            run_all(request, &set.facts, session, (&given, &[]), |plan| {
                Utterances::new(&set, plan)
            })
        }
    }
}

/// Names the samples that cannot be used; of very many, the first ones.
fn say_left_out(facts: &DataFacts, progress: &TerminalProgress) {
    const MOST: usize = 20;
    for skipped in facts.skipped.iter().take(MOST) {
        progress.say(&format!("left out: {}: {}", skipped.id, skipped.reason));
    }
    if let Some(more) = facts.skipped.len().checked_sub(MOST + 1) {
        progress.say(&format!("left out: {} more, which the record names", more + 1));
    }
}

/// What to say of plans that train on so many samples for too few steps, or hide too much: each text once, with the
/// names of its plans where they have some.
fn notes(request: &RunRequest, samples: usize) -> Vec<String> {
    let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (place, plan) in request.plans().enumerate() {
        let few = [plan.few_steps(samples), plan.few_visible()];
        let name = request.names.get(place).map(String::as_str);
        few.into_iter()
            .flatten()
            .for_each(|few| notes.entry(few).or_default().extend(name));
    }
    let said = |(few, names): (String, Vec<&str>)| match &names[..] {
        [] => format!("note: {few}"),
        names => format!("note: {}: {few}", names.join(", ")),
    };
    notes.into_iter().map(said).collect()
}

/// Runs all plans, folds and seeds on data that `data_for` adapts to a plan.
fn run_all<D: Examples>(
    request: RunRequest,
    facts: &DataFacts,
    session: &Session,
    (given, labels): (&Given<'_>, &[Codes]),
    data_for: impl Fn(&Plan) -> D,
) -> Result<Made> {
    request.require_variant(&facts.variant)?;
    let data = data_for(&request.plan);
    data.require_parts(&request.folds)?;
    let notes = notes(&request, data.split(request.folds[0]).0.len());
    notes.iter().for_each(|note| session.progress.say(note));
    let request = request.with_variant(&facts.variant);
    session.ranks.agree(&[("data", &data.facts().identity())])?;
    let (train, test) = data.split(request.folds[0]);
    same_inputs::require(&session.ranks, &data, &[train, test].concat())?;
    drop(data);
    let job = Runs {
        request: &request,
        session,
        given,
        labels,
        data_for,
    };
    bridle_backends::run(&request.backend, job)
        .map_err(|error| session::without_backend(error, &request.backend, &session.ranks))?
}

/// All plans, folds and seeds, on one backend.
struct Runs<'a, F> {
    request: &'a RunRequest,
    session: &'a Session,
    given: &'a Given<'a>,
    /// Labels in place of a tokenizer's.
    labels: &'a [Codes],
    data_for: F,
}

impl<D: Examples, F: Fn(&Plan) -> D> Job for Runs<'_, F> {
    type Output = Result<Made>;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Self::Output {
        let request = self.request;
        if !request.plan.is_speech() {
            machine::keep_freed_memory();
        }
        machine::sum_on_devices(&self.session.ranks, &facts, &self.session.progress)?;
        let mut made = Made {
            plans: request.plans().map(Plan::plan_hash).collect(),
            ..Made::default()
        };
        let given = self.given.on::<B>(&device, &self.session.progress)?;
        let (mut ahead, mut taken) = (VecDeque::from(request.runs()), 0);
        while let Some((plan, seed, fold)) = ahead.pop_front() {
            let data = (self.data_for)(plan);
            let run = Run::new(
                plan,
                data.facts().clone(),
                &facts,
                request.dtype.word(),
                request.root(seed, fold),
            );
            if let Some(budget) = request.budget {
                // what another process works on comes later, until nothing else is left
                if taken < ahead.len() && run.is_taken() {
                    ahead.push_back((plan, seed, fold));
                    taken += 1;
                    continue;
                }
                if let Some(stopped) = self.stopped(&run, &facts, &data.facts(), budget) {
                    made.stopped = Some(stopped);
                    continue;
                }
            }
            taken = 0;
            let runs_left = ahead.len();
            self.session.progress.plan(phase_costs(plan, &data, fold), runs_left);
            let run = OneRun::new(request, self.session, (plan, self.labels), &data, run)?;
            if self.session.ranks.leads() {
                made.records.push(run.perform::<B>(given.as_ref(), &device)?);
            } else {
                run.follow::<B>(&device)?;
            }
        }
        Ok(made)
    }
}

/// The phases of a plan's pretraining, with what each costs beside the others.
fn phase_costs<D: Examples>(plan: &Plan, data: &D, fold: Option<u8>) -> Vec<(String, f64)> {
    let phases = plan.phases().into_iter();
    if plan.is_speech() {
        return phases.map(|phase| (phase.name, phase.length.epochs as f64)).collect();
    }
    let costs = estimate::phases(plan, &Workload::Samples(data.split(fold).0.len()), 1).into_iter();
    phases
        .zip(costs)
        .map(|(phase, cost)| (phase.name, cost.operations))
        .collect()
}

impl<F> Runs<'_, F> {
    /// Why a run of a study is not begun: the budget is spent, and it is not recorded. Else says how
    /// far the study has come.
    fn stopped(&self, run: &Run<'_>, facts: &Facts, data: &record::Data, budget: Budget) -> Option<String> {
        let path = |run: &Run<'_>| self.request.args.out.join(run.record_path());
        if path(run).exists() {
            return None;
        }
        let dtype = self.request.dtype.word();
        let of = |(plan, seed, fold)| Run::new(plan, data.clone(), facts, dtype, self.request.root(seed, fold));
        let all: Vec<Run<'_>> = self.request.runs().into_iter().map(of).collect();
        let recorded = all.iter().filter_map(|run| store::read(&path(run)).ok());
        let seconds: Vec<f64> = recorded.map(|record| record.computing_seconds()).collect();
        // the sum of nothing is -0
        let (there, all, spent) = (seconds.len(), all.len(), seconds.iter().sum::<f64>() + 0.0);
        let Budget { hours, elsewhere } = budget;
        if spent / 3600.0 + elsewhere >= hours {
            let others = if elsewhere > 0.0 {
                format!(", those on the study's other tasks {elsewhere:.2} h")
            } else {
                String::new()
            };
            return Some(format!(
                "the budget of {hours} h is spent: {there} of {all} runs took {:.2} h of computing{others}",
                spent / 3600.0
            ));
        }
        if there > 0 {
            let left = Duration::from_secs_f64(spent / there as f64 * (all - there) as f64);
            let left = display_duration(left);
            self.session
                .progress
                .say(&format!("{there} of {all} runs are recorded; about {left} left"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn every_plan_is_warned_of_and_each_text_is_said_once() {
        let request = |line: &str| {
            let words = "bridle-bench run --task esc50 --preset mini".split_whitespace();
            match Cli::try_parse_from(words.chain(line.split_whitespace()))
                .unwrap()
                .command
            {
                Command::Run(args) => RunRequest::new(&args.run).unwrap(),
                _ => unreachable!("the line says run"),
            }
        };
        let mut arms = request("--method random-init");
        let few = request("").plan;
        let hidden = request("--set mask.ratio=0.99").plan;
        arms.further = vec![few.clone(), few, hidden];
        let told = notes(&arms, 40);
        assert!(
            told.len() == 2 && told[0].contains("note: ") && told[0].contains(" steps of the encoder"),
            "{told:?}"
        );
        arms.names = ["none", "a", "b", "c"].map(String::from).to_vec();
        let told = notes(&arms, 40);
        let [steps, mask] = &told[..] else { panic!("{told:?}") };
        assert!(
            steps.starts_with("note: a, b, c: ") && mask.starts_with("note: c: mask.ratio=0.99"),
            "{told:?}"
        );
    }
}
