//! One seed and fold: pretrained, judged, recorded.

use super::Session;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::embeddings::Codes;
use crate::plan::Plan;
use crate::protocol::{self, Examples, FeatureCache, Judged, Outcome, Protocol, Subject};
use crate::run::checkpoint;
use crate::run::followers::{Saved, Work};
use crate::run::given::OnDevice;
use crate::run::machine;
use crate::run::request::{Reuse, RunRequest};
use crate::run::root::Root;
use crate::run::{Run, begin_folder, end_folder, is_unfinished, mark_reused, require_same};
use crate::sizes;
use crate::train::labels::Labels;
use crate::train::{self, Context, PretrainState, TrainError};
use bridle::init::Init;
use bridle::quantizer::QuantizerValues as _;
use bridle::weights::{self, strip_prefix};
use bridle_backends::TrainBackend;
use bridle_backends::kernel::with_ranks;
use bridle_ranks::Patience;
use bridle_results::compare::ScoredRun;
use bridle_results::record::{self, RunRecord};
use bridle_results::store;
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One seed and fold.
pub(super) struct OneRun<'a, D> {
    request: &'a RunRequest,
    session: &'a Session,
    plan: &'a Plan,
    labels: &'a [Codes],
    data: &'a D,
    run: Run<'a>,
    /// What tells the data from other data, and this run from those whose random numbers begin elsewhere.
    data_identity: String,
    seed: Seed,
    train: Vec<usize>,
    test: Vec<usize>,
    folder: PathBuf,
    resumes: bool,
    /// Seconds that each rank waited for inputs in pretraining, once there was one.
    waited: OnceCell<Vec<f64>>,
    /// The most main memory that any rank has held, in bytes, once all have evaluated.
    peak: OnceCell<u64>,
}

/// A frozen encoder, and the phases that trained it.
type Pretrained<E> = (E, Vec<record::Phase>);

impl<'a, D: Examples> OneRun<'a, D> {
    pub(super) fn new(
        request: &'a RunRequest,
        session: &'a Session,
        (plan, labels): (&'a Plan, &'a [Codes]),
        data: &'a D,
        run: Run<'a>,
    ) -> Result<Self> {
        let (train, test) = data.split(run.root.fold);
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
            seed: run.root.tree(),
            data_identity: run.root.identity(&run.data.identity()),
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
            peak: OnceCell::new(),
        })
    }

    pub(super) fn perform<B: TrainBackend>(
        self,
        given: Option<&OnDevice<'_, B>>,
        device: &B::Device,
    ) -> Result<RunRecord> {
        let (id, progress) = (self.run.id(), &self.session.progress);
        progress.say(&self.headline());
        progress.say_more(&format!("works in {}", self.folder.display()));
        let _lock = self.run.lock(&self.folder, progress)?;
        if self.resumes
            && let Some(record) = self.complete()?
        {
            let again = if self.request.budget.is_some() {
                ""
            } else {
                "; --fresh runs it again"
            };
            progress.say(&format!("already complete{again}"));
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
            let host = &mut record.peak_memory_bytes.host;
            *host = (*host).max(self.peak.into_inner().filter(|bytes| *bytes > 0));
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
    pub(super) fn follow<B: TrainBackend>(self, device: &B::Device) -> Result<()> {
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
        let Run { facts, root, .. } = self.run;
        let Root { seed, fold, .. } = root;
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
            return Err(Failure::wrong_use(message).with_hint("remove that folder, or start anew without --resume"));
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
        let peak = machine::peak_memory_bytes().unwrap_or(0);
        let of_all = self.session.ranks.max(peak)?;
        self.peak.get_or_init(|| of_all);
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
