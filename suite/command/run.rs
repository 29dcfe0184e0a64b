//! `run`: pretrain, evaluate, write records, print the tables. One program for every kind of data.

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::{TerminalProgress, display_duration};
use crate::cli::{RunArgs, RunFormat, TableFormat, ranks, terminal};
use crate::command::{compare, regress, table};
use crate::data::{Fixed, Utterances};
use crate::embeddings::Codes;
use crate::estimate::{self, Workload};
use crate::plan::{AnyTask, Plan};
use crate::protocol::{self, Examples, FeatureCache, Judged, Outcome, Protocol, Subject};
use crate::run::checkpoint;
use crate::run::followers::{Saved, Work};
use crate::run::given::{self, Given, OnDevice};
use crate::run::machine;
use crate::run::request::{Reuse, RunRequest};
use crate::run::same_inputs;
use crate::run::{Run, begin_folder, end_folder, is_unfinished, mark_reused, require_same};
use crate::sizes;
use crate::train::labels::Labels;
use crate::train::{self, Context, PRETRAIN_BATCH, PretrainState, TrainError};
use bridle::init::Init;
use bridle::quantizer::QuantizerValues as _;
use bridle::weights::{self, strip_prefix};
use bridle_backends::kernel::with_ranks;
use bridle_backends::{Choice, Facts, Job, Name, TrainBackend};
use bridle_ranks::{Patience, Ranks, RanksError};
use bridle_results::compare::ScoredRun;
use bridle_results::record::{self, RunRecord};
use bridle_results::regress::{Envelopes, GateRun};
use bridle_results::store;
use bridle_seed::Seed;
use bridle_tasks::DataFacts;
use burn::module::AutodiffModule;
use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
        let text = compare::plans(plan, control, &made.records, &args.out, format)?;
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

/// What the user sees of the work, and how to stop it.
pub struct Session {
    interrupt: Interrupt,
    progress: TerminalProgress,
    /// The processes that do this work together.
    pub ranks: Ranks,
}

impl Session {
    /// Joins the other ranks that a launcher started for this `command`, if it did, and listens for
    /// signals from now on.
    ///
    /// # Errors
    /// If the ranks cannot be joined, or are of other programs or commands; if the system refuses the
    /// handlers.
    pub fn begin(command: &str) -> Result<Self> {
        Self::telling(command, "the same command with --resume")
    }

    /// The same; whoever stops it is told to try `again`.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn telling(command: &str, again: &'static str) -> Result<Self> {
        let ranks = ranks::join()?;
        // before anything that other programs and commands do otherwise
        ranks.agree(&[("program", machine::VERSION), ("command", command)])?;
        let interrupt = Interrupt::listen(again).map_err(|error| Failure::fault("cannot listen for signals", error))?;
        Ok(Self {
            interrupt,
            progress: TerminalProgress::default(),
            ranks,
        })
    }

    /// The same, which fetches much data without asking where that was agreed to before.
    #[must_use]
    pub fn agreeing(self, yes: bool) -> Self {
        let progress = TerminalProgress::agreeing(yes);
        Self { progress, ..self }
    }

    /// Fails where several ranks were started: `what` is nothing that they share.
    ///
    /// # Errors
    /// If there are several.
    pub fn require_alone(&self, what: &str) -> Result<()> {
        match self.ranks.size() {
            1 => Ok(()),
            ranks => Err(RanksError::Unshared {
                what: what.to_owned(),
                ranks,
            }
            .into()),
        }
    }

    /// Opens data on rank 0 first, then on one rank of each machine, then on the others: features
    /// that are missing are computed once on a shared disk, else once on each machine.
    fn in_turn<T>(&self, open: impl FnOnce() -> Result<T>) -> Result<T> {
        let (ranks, (local, _)) = (&self.ranks, self.ranks.local());
        let before = if ranks.leads() { 0 } else { 1 + usize::from(local > 0) };
        (0..before).try_for_each(|_| ranks.barrier(Patience::Endless))?;
        let opened = open()?;
        (before..2).try_for_each(|_| ranks.barrier(Patience::Endless))?;
        Ok(opened)
    }
}

/// Shares cores and devices out among the ranks of a machine, as far as the command line leaves that
/// open.
///
/// # Errors
/// If the other ranks do not answer.
pub fn share_machine(backend: &mut Choice, ranks: &Ranks, progress: &TerminalProgress) -> Result<()> {
    let (local, here) = ranks.local();
    machine::share_cores(ranks)?;
    if here > 1 && backend.threads.is_none() {
        let (threads, all) = (machine::own_cores(), machine::all_cores());
        backend.threads = Some(threads);
        if threads == 1 && all / here > 1 {
            progress.say(&format!(
                "note: each rank may use 1 of {all} cores; mpirun --bind-to none, or --map-by slot:PE={}",
                all / here
            ));
        }
    }
    // a launcher may have given each rank a device of its own
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").map_or(0, |list| list.split(',').count());
    if here > 1 && visible != 1 && (backend.name == Name::Cuda || backend.device.is_some()) {
        backend.device = Some(backend.device.unwrap_or(0) + local);
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
    let few = request.plan.few_steps(data.split(request.folds[0]).0.len());
    few.iter().for_each(|few| session.progress.say(&format!("note: {few}")));
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
    bridle_backends::run(&request.backend, job)?
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
        machine::sum_on_devices(&self.session.ranks, &facts, &self.session.progress)?;
        let mut made = Made {
            plans: request.plans().map(Plan::plan_hash).collect(),
            ..Made::default()
        };
        let given = self.given.on::<B>(&device, &self.session.progress)?;
        let (mut ahead, mut taken) = (VecDeque::from(request.runs()), 0);
        while let Some((plan, seed, fold)) = ahead.pop_front() {
            let data = (self.data_for)(plan);
            let run = Run::new(plan, data.facts().clone(), &facts, request.dtype.word(), seed, fold);
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
    fn stopped(&self, run: &Run<'_>, facts: &Facts, data: &record::Data, budget: Duration) -> Option<String> {
        let path = |run: &Run<'_>| self.request.args.out.join(run.record_path());
        if path(run).exists() {
            return None;
        }
        let of = |(plan, seed, fold)| Run::new(plan, data.clone(), facts, self.request.dtype.word(), seed, fold);
        let all: Vec<Run<'_>> = self.request.runs().into_iter().map(of).collect();
        let recorded = all.iter().filter_map(|run| store::read(&path(run)).ok());
        let seconds: Vec<f64> = recorded.map(|record| record.computing_seconds()).collect();
        let (there, all, spent) = (seconds.len(), all.len(), seconds.iter().sum::<f64>());
        if spent >= budget.as_secs_f64() {
            let (spent, budget) = (spent / 3600.0, budget.as_secs_f64() / 3600.0);
            return Some(format!(
                "the budget of {budget} h is spent: {there} of {all} runs took {spent:.2} h of computing"
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

/// One seed and fold.
struct OneRun<'a, D> {
    request: &'a RunRequest,
    session: &'a Session,
    plan: &'a Plan,
    labels: &'a [Codes],
    data: &'a D,
    run: Run<'a>,
    /// What tells the data from other data.
    data_identity: String,
    seed: Seed,
    train: Vec<usize>,
    test: Vec<usize>,
    folder: PathBuf,
    resumes: bool,
    /// Seconds that each rank waited for inputs in pretraining, once there was one.
    waited: OnceCell<Vec<f64>>,
}

/// A frozen encoder, and the phases that trained it.
type Pretrained<E> = (E, Vec<record::Phase>);

impl<'a, D: Examples> OneRun<'a, D> {
    fn new(
        request: &'a RunRequest,
        session: &'a Session,
        (plan, labels): (&'a Plan, &'a [Codes]),
        data: &'a D,
        run: Run<'a>,
    ) -> Result<Self> {
        let (train, test) = data.split(run.fold);
        let folder = match &request.reuse {
            // further plans and the control have folders of their own
            Reuse::ResumeIn(folder) if std::ptr::eq(plan, &request.plan) => {
                if session.ranks.leads() {
                    require_same(&run.plan, folder)?;
                }
                folder.clone()
            }
            _ => run.folder(),
        };
        Ok(Self {
            seed: Seed::root(run.seed),
            data_identity: run.data.identity(),
            resumes: matches!(request.reuse, Reuse::Resume | Reuse::ResumeIn(_)),
            request,
            session,
            plan,
            labels,
            data,
            run,
            train,
            test,
            folder,
            waited: OnceCell::new(),
        })
    }

    fn perform<B: TrainBackend>(self, given: Option<&OnDevice<'_, B>>, device: &B::Device) -> Result<RunRecord> {
        let (id, progress) = (self.run.id(), &self.session.progress);
        progress.say(&self.headline());
        progress.say_more(&format!("works in {}", self.folder.display()));
        let _lock = self.run.lock(&self.folder, progress)?;
        if self.resumes
            && let Some(record) = self.complete()?
        {
            progress.say("already complete; --fresh runs it again");
            Work::tell(&self.session.ranks, || Work::Nothing)?;
            return Ok(record);
        }
        self.run.prove_writable(&self.folder, &self.request.args.out)?;
        let (phases, (outcomes, seconds)) = match given {
            Some(given) => (Vec::new(), self.evaluate::<B>(given.judged(), device)?),
            None => {
                let (encoder, phases) = self.pretrain::<B>(&id, device)?;
                (phases, self.evaluate::<B>(Judged::Encoder(&encoder), device)?)
            }
        };
        let scores = outcomes
            .iter()
            .map(|outcome| outcome.scores(self.data, &self.test))
            .collect::<Result<Vec<_>>>()?
            .concat();
        let mut record = self.run.record(id, phases, scores, seconds);
        if let Some(ranks) = &mut record.machine.ranks {
            ranks.input_wait_seconds = self.waited.into_inner();
        }
        let found = outcomes.into_iter().flat_map(|outcome| outcome.predictions).collect();
        let outputs = self.data.outputs(&self.test, found);
        let outputs = outputs.map_err(|error| Failure::fault("cannot keep the predictions", error))?;
        let path = store::write_outputs(&self.request.args.out, &record, &outputs)?;
        end_folder(&self.folder);
        progress.say(&format!("record: {}", path.display()));
        Ok(store::read(&path)?)
    }

    /// Does its part of what rank 0 says.
    fn follow<B: TrainBackend>(self, device: &B::Device) -> Result<()> {
        let encoder = match Work::wait(&self.session.ranks)? {
            Work::Nothing => return Ok(()),
            Work::Train(saved) => self.train::<B>(&self.run.id(), saved.map(|saved| *saved), device)?.0,
            Work::Evaluate(weights) => {
                let encoder = self.data.encoder(&Init::<B>::new(self.seed, device));
                let loaded = weights::load(encoder, &weights);
                loaded.map_err(|error| Failure::fault("cannot use the encoder of rank 0", error))?
            }
        };
        self.evaluate::<B>(Judged::Encoder(&encoder.valid()), device).map(drop)
    }

    /// The record of this run, if there is one that belongs to the data just opened and to its
    /// predictions.
    fn complete(&self) -> Result<Option<RunRecord>> {
        let path = self.request.args.out.join(self.run.record_path());
        if !path.exists() || is_unfinished(&self.folder) {
            return Ok(None);
        }
        let found = ScoredRun::read(&path, &[]).and_then(|found| {
            found.iter().try_for_each(ScoredRun::check)?;
            Ok(found)
        });
        let why = match found {
            Ok(found) => match found.into_iter().next() {
                Some(ScoredRun { record, .. }) if !record.is_unchanged() => {
                    "was changed since it was written".to_owned()
                }
                Some(ScoredRun { record, .. }) if self.run.is_of(&record) => return Ok(Some(record)),
                _ => "is of other data or another plan".to_owned(),
            },
            Err(error) => match Failure::from(error) {
                fault if fault.exit() == Exit::Fault => return Err(fault),
                failure => format!("cannot be used: {}", failure.message()),
            },
        };
        let progress = &self.session.progress;
        progress.say(&format!("note: the record `{}` {why}; runs again", path.display()));
        Ok(None)
    }

    fn headline(&self) -> String {
        let Run { facts, seed, fold, .. } = self.run;
        let (train, test) = (self.train.len(), self.test.len());
        let fold = fold.map_or(String::new(), |fold| format!(", test fold {fold}"));
        format!(
            "{}, seed {seed}{fold}, {train} training and {test} test {}s, on {}",
            self.plan.label(),
            D::NOUN,
            facts.name
        )
    }

    fn pretrain<B: TrainBackend>(&self, id: &str, device: &B::Device) -> Result<Pretrained<protocol::Frozen<B, D>>> {
        let Some(shared) = self.run.shared_pretraining() else {
            let place = self.seed.child("weights").child("student").child("encoder");
            let encoder = self.data.encoder(&sizes::init::<B>(self.plan, place, device));
            let encoder = self.given::<B>(encoder)?;
            Work::tell(&self.session.ranks, || Work::Evaluate(weights::collect(&encoder)))?;
            return Ok((encoder.valid(), Vec::new()));
        };
        let saved = if self.resumes {
            checkpoint::newest::<PretrainState>(&self.folder, &|note| self.session.progress.say(note))?
        } else {
            None
        };
        // a run that --fresh began and that was stopped goes on without earlier work
        let begun = saved.is_some() || (self.resumes && is_unfinished(&self.folder));
        if self.request.reuse.allows_pretraining(begun)
            && let Some(found) = self.reuse::<B>(&shared, device)?
        {
            Work::tell(&self.session.ranks, || Work::Evaluate(weights::collect(&found.0)))?;
            return Ok(found);
        }
        let state = saved.as_ref().map(|(_, state)| state);
        if state.is_some_and(|state| !state.fits(&self.data_identity)) {
            let folder = self.folder.display();
            let message = format!(
                "the data or its division has changed since the checkpoints in `{folder}` were written, or an older version \
                 wrote them"
            );
            return Err(Failure::wrong_use(message).with_hint("start anew, without --resume"));
        }
        begin_folder(
            &self.folder,
            &self.run.plan,
            state,
            self.resumes,
            &self.session.progress,
        )?;
        Work::tell(&self.session.ranks, || Work::Train(saved.clone().map(Box::new)))?;
        let (encoder, weights, state) = self.train::<B>(id, saved, device)?;
        checkpoint::write_file(&shared, &strip_prefix(&weights, "student."), &state).map_err(failure)?;
        Ok((encoder.valid(), state.done))
    }

    /// Pretrains, from the start or from a checkpoint, together with the other ranks.
    fn train<B: TrainBackend>(
        &self,
        id: &str,
        saved: Option<Saved>,
        device: &B::Device,
    ) -> Result<train::Pretrained<D::Encoder<B>>> {
        let pretrain = self.plan.pretrain.as_ref();
        let transductive = pretrain.is_some_and(|pretrain| pretrain.transductive);
        let test = if transductive { &self.test[..] } else { &[] };
        let context = Context {
            plan: self.plan,
            data: self.data,
            data_identity: &self.data_identity,
            train: &[&self.train[..], test].concat(),
            labels: self.given_labels(test),
            seed: self.seed,
            id,
            folder: &self.folder,
            checkpoint_every: Duration::from_secs(self.request.args.checkpoint_every),
            interrupt: &self.session.interrupt,
            progress: &self.session.progress,
        };
        let pretrained = || train::pretrain::<B, D>(&context, saved, device);
        let pretrained = with_ranks(&self.session.ranks, pretrained).map_err(|error| match error {
            error if of_all_ranks(&error) => failure(error).on_all_ranks(),
            error => failure(error),
        })?;
        let waited = pretrained.2.done.iter().filter_map(|phase| phase.input_wait_seconds);
        let of_all = self.session.ranks.gather_values(vec![waited.sum::<f64>()])?;
        self.waited.get_or_init(|| of_all);
        Ok(pretrained)
    }

    /// The labels that the plan names, of the training samples and `further` ones.
    fn given_labels(&self, further: &[usize]) -> Option<Labels> {
        let (named, quantizer) = (self.plan.labels.as_ref()?, self.plan.quantizer.as_ref()?);
        let found = self.labels.iter().find(|found| found.sha256 == named.sha256);
        let found = found.expect("a plan's labels were read with it");
        let samples = self.train.iter().chain(further);
        let codes = samples.map(|sample| (*sample, found.of[sample].clone())).collect();
        let sizes = vec![quantizer.codebook_size(); quantizer.codebooks()];
        Some(Labels::given(codes, found.levels, &sizes))
    }

    /// The encoder with the weights that the plan names, if it does: a control or another arm has none.
    fn given<B: TrainBackend>(&self, encoder: D::Encoder<B>) -> Result<D::Encoder<B>> {
        let Some(named) = &self.plan.init.weights else {
            return Ok(encoder);
        };
        let file = self.request.init.iter().find(|file| file.sha256 == named.sha256);
        file.expect("a plan's weights were read with it").fill(encoder)
    }

    /// A finished pretraining with the same hash, if there is one.
    fn reuse<B: TrainBackend>(
        &self,
        path: &Path,
        device: &B::Device,
    ) -> Result<Option<Pretrained<protocol::Frozen<B, D>>>> {
        let progress = &self.session.progress;
        let found = checkpoint::read_whole::<PretrainState>(path, &|note| progress.say(note))?;
        let Some((saved, state)) = found else {
            return Ok(None);
        };
        let id = &state.id;
        if !state.fits(&self.data_identity) {
            progress.say(&format!(
                "note: the pretraining of run {id} saw other data; pretraining anew"
            ));
            return Ok(None);
        }
        let encoder = self.data.encoder(&Init::<B>::new(self.seed, device));
        let encoder = weights::load(encoder, &strip_prefix(&saved, "encoder."))
            .map_err(|error| Failure::fault(format!("cannot reuse `{}`", path.display()), error))?;
        progress.say(&format!("reuses the pretraining of run {id}; --fresh trains anew"));
        Ok(Some((encoder.valid(), mark_reused(state.done, &state.id))))
    }

    /// The outcome of a protocol, by all ranks together; by rank 0 where they cannot share its work.
    fn judge<B: TrainBackend>(&self, protocol: Protocol, subject: &Subject<'_, B, D>) -> Result<Option<Outcome>> {
        let ranks = &self.session.ranks;
        // rank 0 may have been at work alone
        ranks.barrier(Patience::Endless)?;
        let evaluate = || protocol::evaluate(protocol, subject).map(Some);
        if protocol.over_ranks() {
            return with_ranks(ranks, evaluate).map_err(|error| match error {
                error if of_all_ranks(&error) => failure(error).on_all_ranks(),
                error => failure(error),
            });
        }
        if !ranks.leads() {
            return Ok(None);
        }
        if ranks.size() > 1 {
            let note = format!("note: rank 0 alone computes {protocol}; the others wait");
            self.session.progress.say(&note);
        }
        evaluate().map_err(failure)
    }

    /// The outcome of each protocol, and the seconds that each took.
    fn evaluate<B: TrainBackend>(
        &self,
        judged: Judged<'_, B, protocol::Frozen<B, D>>,
        device: &B::Device,
    ) -> Result<(Vec<Outcome>, BTreeMap<String, f64>)> {
        let subject = Subject::<B, D> {
            plan: self.plan,
            values: &self.plan.evaluation,
            data: self.data,
            data_identity: &self.data_identity,
            train: &self.train,
            test: &self.test,
            judged,
            lm: self.request.lm.as_ref(),
            seed: self.seed,
            device,
            folder: &self.folder,
            resumes: self.resumes,
            checkpoint_every: Duration::from_secs(self.request.args.checkpoint_every),
            interrupt: &self.session.interrupt,
            progress: &self.session.progress,
            features: FeatureCache::default(),
        };
        let (mut outcomes, mut seconds) = (Vec::new(), BTreeMap::new());
        for &protocol in &self.plan.protocols {
            let (begun, before) = (Instant::now(), subject.features.seconds().unwrap_or(0.0));
            outcomes.extend(self.judge(protocol, &subject)?);
            let on_features = subject.features.seconds().unwrap_or(0.0) - before;
            seconds.insert(protocol.word().to_owned(), begun.elapsed().as_secs_f64() - on_features);
        }
        let features = subject.features.seconds();
        seconds.extend(features.map(|seconds| ("features".to_owned(), seconds)));
        Ok((outcomes, seconds))
    }
}

/// Whether all ranks that train together have found it: they read the same losses, and agree on
/// signals.
fn of_all_ranks(error: &TrainError) -> bool {
    matches!(error, TrainError::Diverged { .. } | TrainError::Interrupted { .. })
}

/// What stopped training, with its exit code.
fn failure(error: impl Into<TrainError>) -> Failure {
    match error.into() {
        error @ TrainError::Diverged { .. } => Failure::new(Exit::Diverged, error)
            .with_hint("a smaller rate of this phase; `bridle-bench check` prints the plan's"),
        error @ TrainError::Interrupted { signal, .. } => {
            Failure::new(signal.exit(), error).with_hint("the same command with --resume")
        }
        TrainError::Data(error) => error.into(),
        TrainError::Ranks(error) => error.into(),
        error => Failure::new(Exit::Fault, error),
    }
}
