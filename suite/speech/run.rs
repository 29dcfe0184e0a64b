//! `run` on a task of speech: pretrain, recognise, write records, print the tables.

use super::model;
use crate::checkpoint;
use crate::command::table;
use crate::data::Utterances;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::identity::{Identity, begin_folder, require_same, taken_over, train_failure};
use crate::interrupt::Interrupt;
use crate::plan::Plan;
use crate::progress::TerminalProgress;
use crate::protocol::{self, Examples, FeatureCache, Outcome, Subject};
use crate::request::{Earlier, RunRequest};
use crate::train::{self, Context, State};
use bridle::init::Init;
use bridle::speech::conformer::Conformer;
use bridle::weights::{self, Weights};
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_results::record::{self, RunRecord, Timestamp};
use bridle_results::store;
use bridle_seed::Seed;
use bridle_tasks::{Role, SpeechSet, SpeechTask};
use burn::module::AutodiffModule;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs every seed that was asked for, then prints the tables of their records.
///
/// # Errors
/// As [`crate::command::run::perform`].
pub fn perform(mut request: RunRequest, task: &dyn SpeechTask) -> Result<Exit> {
    store::writable(&request.out)?;
    let interrupt = Interrupt::listen().map_err(|error| Failure::fault("cannot listen for signals", error))?;
    let progress = TerminalProgress::default();
    let set = task.open(&request.speech_request(), &progress)?;
    request.plan = request.plan.with_variant(&set.facts.variant);
    for skipped in &set.facts.skipped {
        progress.say(&format!("left out: {}: {}", skipped.id, skipped.reason));
    }
    let (train, test) = (set.of_role(Role::Train), judged_on(&set));
    if train.is_empty() || test.is_empty() {
        let which = if train.is_empty() { "training" } else { "test" };
        let message = format!("`{}` has no usable {which} utterance", set.facts.task);
        return Err(Failure::new(Exit::Data, std::io::Error::other(message)));
    }
    let job = Runs {
        request: &request,
        set: &set,
        train: &train,
        test: &test,
        interrupt: &interrupt,
        progress: &progress,
    };
    let records = bridle_backends::run(&request.backend, job)??;
    table::print(&records, request.format.into())?;
    Ok(Exit::Done)
}

/// The test utterances; of a copy without any, those for choosing between settings.
pub fn judged_on(set: &SpeechSet) -> Vec<usize> {
    match set.of_role(Role::Test) {
        none if none.is_empty() => set.of_role(Role::Dev),
        test => test,
    }
}

/// All seeds, on one backend.
struct Runs<'a> {
    request: &'a RunRequest,
    set: &'a SpeechSet,
    train: &'a [usize],
    test: &'a [usize],
    interrupt: &'a Interrupt,
    progress: &'a TerminalProgress,
}

impl Job for Runs<'_> {
    type Output = Result<Vec<RunRecord>>;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Self::Output {
        let one = |&seed: &u64| OneRun::new(&self, &facts, seed)?.perform::<B>(&device);
        self.request.seeds.iter().map(one).collect()
    }
}

/// One seed.
struct OneRun<'a> {
    runs: &'a Runs<'a>,
    plan: &'a Plan,
    identity: Identity<'a>,
    folder: PathBuf,
    resumes: bool,
}

/// A pretrained encoder and how it came about.
struct Pretrained<B: TrainBackend> {
    encoder: Conformer<B::InnerBackend>,
    phases: Vec<record::Phase>,
}

impl<'a> OneRun<'a> {
    fn new(runs: &'a Runs<'a>, facts: &'a Facts, seed: u64) -> Result<Self> {
        let (request, plan) = (runs.request, &runs.request.plan);
        let dtype = request.dtype.word();
        let identity = Identity {
            plan: plan.to_flat(),
            task: plan.task.clone(),
            label: plan.label(),
            pretrain_hash: (plan.method.pretrains()).then(|| plan.pretrain_hash(seed, None, facts.name, dtype)),
            facts,
            dtype,
            seed,
            fold: None,
            started: Timestamp::now(),
        };
        let folder = match &request.earlier {
            Earlier::ResumeIn(folder) => {
                require_same(&identity.plan, folder)?;
                folder.clone()
            }
            _ => identity.folder(),
        };
        Ok(Self {
            resumes: matches!(request.earlier, Earlier::Resume | Earlier::ResumeIn(_)),
            runs,
            plan,
            identity,
            folder,
        })
    }

    fn perform<B: TrainBackend>(self, device: &B::Device) -> Result<RunRecord> {
        let Runs {
            request,
            progress,
            set,
            train,
            test,
            ..
        } = *self.runs;
        let id = self.identity.id();
        progress.say(&format!(
            "{}, seed {}, {} training and {} test utterances, on {}",
            self.plan.label(),
            self.identity.seed,
            train.len(),
            test.len(),
            self.identity.facts.name
        ));
        let path = request.out.join(self.identity.record_path());
        if self.resumes && path.exists() {
            progress.say("already complete; --fresh runs it again");
            return Ok(store::read(&path)?);
        }
        let pretrained = self.pretrain::<B>(&id, device)?;
        let (outcomes, seconds) = self.evaluate::<B>(&pretrained.encoder, device)?;
        let seed = Seed::root(self.identity.seed).child("interval");
        let scores = outcomes.iter().map(|outcome| outcome.scores(set, test, &seed));
        let scores = scores.collect::<Result<Vec<_>>>()?.concat();
        let record = self.identity.record(id, &set.facts, pretrained.phases, scores, seconds);
        let found = outcomes.into_iter().flat_map(|outcome| outcome.predictions).collect();
        let outputs = set
            .outputs(test, found)
            .map_err(|error| Failure::fault("cannot keep the transcripts", error))?;
        let path = store::write_outputs(&request.out, &record, &outputs)?;
        progress.say(&format!("record: {}", path.display()));
        Ok(store::read(&path)?)
    }

    fn pretrain<B: TrainBackend>(&self, id: &str, device: &B::Device) -> Result<Pretrained<B>> {
        let Runs {
            request,
            set,
            train,
            test,
            interrupt,
            progress,
        } = *self.runs;
        let seed = Seed::root(self.identity.seed);
        let Some(shared) = self.identity.shared_pretraining() else {
            let init = Init::<B>::new(seed.child("weights").child("student").child("encoder"), device);
            return Ok(Pretrained {
                encoder: Conformer::new(&model::encoder(self.plan), &init).valid(),
                phases: Vec::new(),
            });
        };
        let saved = match self.resumes {
            true => checkpoint::newest::<State>(&self.folder).map_err(train_failure)?,
            false => None,
        };
        if request.earlier.may_take_over(saved.is_some())
            && let Some(found) = self.reuse::<B>(&shared, device)?
        {
            return Ok(found);
        }
        if saved
            .as_ref()
            .is_some_and(|(_, state)| !state.fits(&set.facts.manifest_sha256))
        {
            let folder = self.folder.display();
            let message = format!("the data has changed since the checkpoints in `{folder}` were written");
            return Err(Failure::wrong_use(message).with_way_out("start anew, without --resume"));
        }
        let state = saved.as_ref().map(|(_, state)| state);
        begin_folder(&self.folder, &self.identity.plan, state, self.resumes, progress)?;
        let transductive = self
            .plan
            .pretrain
            .as_ref()
            .is_some_and(|pretrain| pretrain.transductive);
        let seen: Vec<usize> = match transductive {
            true => train.iter().chain(test).copied().collect(),
            false => train.to_vec(),
        };
        let context = Context {
            plan: self.plan,
            data: &Utterances::new(set, self.plan),
            train: &seen,
            seed,
            id,
            folder: &self.folder,
            checkpoint_every: Duration::from_secs(request.checkpoint_every),
            interrupt,
            progress,
        };
        let trained = train::pretrain::<B, _>(&context, saved, device).map_err(train_failure)?;
        let (encoder, weights, state) = trained;
        checkpoint::write_file(&shared, &weights::strip_prefix(&weights, "student."), &state).map_err(train_failure)?;
        Ok(Pretrained {
            encoder: encoder.valid(),
            phases: state.done,
        })
    }

    /// A finished pretraining with the same hash, if there is one.
    fn reuse<B: TrainBackend>(&self, path: &Path, device: &B::Device) -> Result<Option<Pretrained<B>>> {
        let progress = self.runs.progress;
        if !path.exists() {
            return Ok(None);
        }
        let (saved, state): (Weights, State) = match checkpoint::read_file(path) {
            Ok(found) => found,
            Err(error) => {
                progress.say(&format!("note: {error}; pretraining anew"));
                return Ok(None);
            }
        };
        if !state.fits(&self.runs.set.facts.manifest_sha256) {
            let note = format!(
                "note: the pretraining of run {} saw other data; pretraining anew",
                state.id
            );
            progress.say(&note);
            return Ok(None);
        }
        let init = Init::<B>::new(Seed::root(self.identity.seed), device);
        let encoder = Conformer::new(&model::encoder(self.plan), &init);
        let encoder = weights::load(encoder, &weights::strip_prefix(&saved, "encoder."))
            .map_err(|error| Failure::fault(format!("cannot take over `{}`", path.display()), error))?;
        let told = format!("takes over the pretraining of run {}; --fresh trains anew", state.id);
        progress.say(&told);
        Ok(Some(Pretrained {
            encoder: encoder.valid(),
            phases: taken_over(state.done, &state.id),
        }))
    }

    fn evaluate<B: TrainBackend>(
        &self,
        encoder: &Conformer<B::InnerBackend>,
        device: &B::Device,
    ) -> Result<(Vec<Outcome>, BTreeMap<String, f64>)> {
        let Runs {
            request,
            set,
            train,
            test,
            interrupt,
            progress,
        } = *self.runs;
        let subject = Subject::<B, SpeechSet> {
            plan: self.plan,
            data: set,
            train,
            test,
            encoder,
            lm: request.lm.as_ref(),
            seed: Seed::root(self.identity.seed),
            device,
            folder: &self.folder,
            resumes: self.resumes,
            checkpoint_every: Duration::from_secs(request.checkpoint_every),
            interrupt,
            progress,
            features: FeatureCache::default(),
        };
        let (mut outcomes, mut seconds) = (Vec::new(), BTreeMap::new());
        for &protocol in &self.plan.protocols {
            let begun = Instant::now();
            outcomes.push(protocol::evaluate(protocol, &subject).map_err(train_failure)?);
            seconds.insert(protocol.word().to_owned(), begun.elapsed().as_secs_f64());
        }
        Ok((outcomes, seconds))
    }
}
