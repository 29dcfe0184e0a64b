//! `run`: pretrain, evaluate, write records, print the tables.

use crate::checkpoint;
use crate::cli::RunArgs;
use crate::command::table;
use crate::data::Fixed;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::identity::{Identity, begin_folder, require_same, taken_over, train_failure};
use crate::interrupt::Interrupt;
use crate::model;
use crate::plan::{AnyTask, Plan};
use crate::progress::TerminalProgress;
use crate::protocol::{self, Examples, FeatureCache, Outcome, Subject};
use crate::request::{Earlier, RunRequest};
use crate::speech;
use crate::train::{self, Context, State};
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::weights::{self, Weights};
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_results::record::{self, RunRecord, Timestamp};
use bridle_results::store;
use bridle_seed::Seed;
use bridle_tasks::Dataset;
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs every fold and seed that was asked for, then prints the tables of their records.
///
/// # Errors
/// Wrong use, missing data or devices, divergence, a stop by signal, or a disk that cannot be written.
pub fn perform(args: &RunArgs) -> Result<Exit> {
    let mut request = RunRequest::new(args)?;
    let task = match request.task {
        AnyTask::Fixed(task) => task,
        AnyTask::Speech(task) => return speech::run::perform(request, task),
    };
    store::writable(&request.out)?;
    let interrupt = Interrupt::listen().map_err(|error| Failure::fault("cannot listen for signals", error))?;
    let progress = TerminalProgress::default();
    let dataset = task.open(&request.open_request(), &progress)?;
    let variant = &dataset.facts.variant;
    request.plan = request.plan.with_variant(variant);
    request.ablation = request
        .ablation
        .into_iter()
        .map(|plan| plan.with_variant(variant))
        .collect();
    let job = Runs {
        request: &request,
        dataset: &dataset,
        interrupt: &interrupt,
        progress: &progress,
    };
    let records = bridle_backends::run(&request.backend, job)??;
    table::print(&records, request.format.into())?;
    Ok(Exit::Done)
}

/// All folds and seeds, on one backend.
struct Runs<'a> {
    request: &'a RunRequest,
    dataset: &'a Dataset,
    interrupt: &'a Interrupt,
    progress: &'a TerminalProgress,
}

impl Job for Runs<'_> {
    type Output = Result<Vec<RunRecord>>;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Self::Output {
        let mut records = Vec::new();
        for plan in std::iter::once(&self.request.plan).chain(&self.request.ablation) {
            for &seed in &self.request.seeds {
                for &fold in &self.request.folds {
                    records.push(OneRun::new(&self, plan, &facts, seed, fold)?.perform::<B>(&device)?);
                }
            }
        }
        Ok(records)
    }
}

/// One seed and fold.
struct OneRun<'a> {
    request: &'a RunRequest,
    plan: &'a Plan,
    dataset: &'a Dataset,
    interrupt: &'a Interrupt,
    progress: &'a TerminalProgress,
    identity: Identity<'a>,
    train: Vec<usize>,
    test: Vec<usize>,
    folder: PathBuf,
}

/// A pretrained encoder and how it came about.
struct Pretrained<B: TrainBackend> {
    encoder: Vit<B::InnerBackend>,
    phases: Vec<record::Phase>,
}

impl<'a> OneRun<'a> {
    fn new(runs: &Runs<'a>, plan: &'a Plan, facts: &'a Facts, seed: u64, fold: Option<u8>) -> Result<Self> {
        let request = runs.request;
        let (train, test) = runs.dataset.split(fold);
        let dtype = request.dtype.word();
        let pretrains = plan.method.pretrains();
        let identity = Identity {
            plan: plan.to_flat(),
            task: plan.task.clone(),
            label: plan.label(),
            pretrain_hash: pretrains.then(|| plan.pretrain_hash(seed, fold, facts.name, dtype)),
            facts,
            dtype,
            seed,
            fold,
            started: Timestamp::now(),
        };
        let run = Self {
            request,
            plan,
            dataset: runs.dataset,
            interrupt: runs.interrupt,
            progress: runs.progress,
            train,
            test,
            folder: match &request.earlier {
                Earlier::ResumeIn(folder) => folder.clone(),
                _ => identity.folder(),
            },
            identity,
        };
        if let Earlier::ResumeIn(folder) = &request.earlier {
            require_same(&run.identity.plan, folder)?;
        }
        Ok(run)
    }

    fn perform<B: TrainBackend>(self, device: &B::Device) -> Result<RunRecord> {
        let id = self.identity.id();
        self.progress.say(&format!("{}, {}", self.plan.label(), self.place()));
        if let Some(record) = self.complete()? {
            self.progress.say("already complete; --fresh runs it again");
            return Ok(record);
        }
        let pretrained = self.pretrain::<B>(&id, device)?;
        let (outcomes, seconds) = self.evaluate::<B>(&pretrained.encoder, device)?;
        let seed = Seed::root(self.identity.seed).child("interval");
        let scores = outcomes
            .iter()
            .map(|outcome| outcome.scores(self.dataset, &self.test, &seed));
        let scores = scores.collect::<Result<Vec<_>>>()?.concat();
        let facts = &self.dataset.facts;
        let record = self.identity.record(id, facts, pretrained.phases, scores, seconds);
        let found = outcomes.into_iter().flat_map(|outcome| outcome.predictions).collect();
        let outputs = self
            .dataset
            .outputs(&self.test, found)
            .map_err(|error| Failure::fault("cannot keep the predictions", error))?;
        let path = store::write_outputs(&self.request.out, &record, &outputs)?;
        self.progress.say(&format!("record: {}", path.display()));
        Ok(store::read(&path)?)
    }

    /// With `--resume`: the record of this run, if it is there and its folder has come to its end.
    fn complete(&self) -> Result<Option<RunRecord>> {
        if !matches!(self.request.earlier, Earlier::Resume | Earlier::ResumeIn(_)) {
            return Ok(None);
        }
        let path = self.request.out.join(self.identity.record_path());
        Ok(if path.exists() { Some(store::read(&path)?) } else { None })
    }

    fn place(&self) -> String {
        let fold = self
            .identity
            .fold
            .map_or(String::new(), |fold| format!(", test fold {fold}"));
        let (train, test) = (self.train.len(), self.test.len());
        format!(
            "seed {}{fold}, {train} training and {test} test samples, on {}",
            self.identity.seed, self.identity.facts.name
        )
    }

    fn pretrain<B: TrainBackend>(&self, id: &str, device: &B::Device) -> Result<Pretrained<B>> {
        let seed = Seed::root(self.identity.seed);
        let Some(shared) = self.identity.shared_pretraining() else {
            let init = Init::<B>::new(seed.child("weights").child("student").child("encoder"), device);
            let encoder = Vit::new(&model::geometry(self.plan), &model::encoder(self.plan), &init);
            return Ok(Pretrained {
                encoder: self.given(encoder)?.valid(),
                phases: Vec::new(),
            });
        };
        let resumes = matches!(self.request.earlier, Earlier::Resume | Earlier::ResumeIn(_));
        let saved = if resumes {
            checkpoint::newest::<State>(&self.folder).map_err(train_failure)?
        } else {
            None
        };
        if self.request.earlier.may_take_over(saved.is_some())
            && let Some(found) = self.reuse::<B>(&shared, device)?
        {
            return Ok(found);
        }
        if saved
            .as_ref()
            .is_some_and(|(_, state)| !state.fits(&self.dataset.facts.manifest_sha256))
        {
            let message = format!(
                "the data has changed since the checkpoints in `{}` were written",
                self.folder.display()
            );
            return Err(Failure::wrong_use(message).with_way_out("start anew, without --resume"));
        }
        let state = saved.as_ref().map(|(_, state)| state);
        begin_folder(&self.folder, &self.identity.plan, state, resumes, self.progress)?;
        let pretrain = self.plan.pretrain.as_ref();
        let transductive = pretrain.is_some_and(|pretrain| pretrain.transductive);
        let seen: Vec<usize> = if transductive {
            self.train.iter().chain(&self.test).copied().collect()
        } else {
            self.train.clone()
        };
        let context = Context {
            plan: self.plan,
            data: &Fixed::new(self.dataset, self.plan),
            train: &seen,
            seed,
            id,
            folder: &self.folder,
            checkpoint_every: Duration::from_secs(self.request.checkpoint_every),
            interrupt: self.interrupt,
            progress: self.progress,
        };
        let trained = train::pretrain::<B, _>(&context, saved, device).map_err(train_failure)?;
        let (encoder, weights, state) = trained;
        checkpoint::write_file(&shared, &weights::strip_prefix(&weights, "student."), &state).map_err(train_failure)?;
        Ok(Pretrained {
            encoder: encoder.valid(),
            phases: state.done,
        })
    }

    /// The encoder with the weights that were given with `--init`, if any were.
    fn given<B: TrainBackend>(&self, encoder: Vit<B>) -> Result<Vit<B>> {
        let Some(file) = &self.request.init else {
            return Ok(encoder);
        };
        let mut encoder = weights::load(encoder, &file.weights).map_err(|error| {
            let failure = Failure::new(Exit::Data, error);
            failure.with_way_out(format!(
                "write `{}` again with `bridle-bench export` or `import`",
                file.name
            ))
        })?;
        if let Some(table) = model::cropped_positions(self.plan) {
            let shape = encoder.positions().dims();
            let device = encoder.positions().device();
            encoder.set_positions(Tensor::from_data(TensorData::new(table, shape), &device));
        }
        Ok(encoder)
    }

    /// A finished pretraining with the same hash, if there is one.
    fn reuse<B: TrainBackend>(&self, path: &Path, device: &B::Device) -> Result<Option<Pretrained<B>>> {
        if !path.exists() {
            return Ok(None);
        }
        let (saved, state): (Weights, State) = match checkpoint::read_file(path) {
            Ok(found) => found,
            Err(error) => {
                self.progress.say(&format!("note: {error}; pretraining anew"));
                return Ok(None);
            }
        };
        if !state.fits(&self.dataset.facts.manifest_sha256) {
            let note = format!(
                "note: the pretraining of run {} saw other data; pretraining anew",
                state.id
            );
            self.progress.say(&note);
            return Ok(None);
        }
        let init = Init::<B>::new(Seed::root(self.identity.seed), device);
        let encoder = Vit::new(&model::geometry(self.plan), &model::encoder(self.plan), &init);
        let encoder = weights::load(encoder, &weights::strip_prefix(&saved, "encoder."))
            .map_err(|error| Failure::fault(format!("cannot take over `{}`", path.display()), error))?;
        self.progress.say(&format!(
            "takes over the pretraining of run {}; --fresh trains anew",
            state.id
        ));
        let phases = taken_over(state.done, &state.id);
        Ok(Some(Pretrained {
            encoder: encoder.valid(),
            phases,
        }))
    }

    fn evaluate<B: TrainBackend>(
        &self,
        encoder: &Vit<B::InnerBackend>,
        device: &B::Device,
    ) -> Result<(Vec<Outcome>, BTreeMap<String, f64>)> {
        let subject = Subject::<B, Dataset> {
            plan: self.plan,
            data: self.dataset,
            train: &self.train,
            test: &self.test,
            encoder,
            lm: None,
            seed: Seed::root(self.identity.seed),
            device,
            folder: &self.folder,
            resumes: matches!(self.request.earlier, Earlier::Resume | Earlier::ResumeIn(_)),
            checkpoint_every: Duration::from_secs(self.request.checkpoint_every),
            interrupt: self.interrupt,
            progress: self.progress,
            features: FeatureCache::default(),
        };
        let (mut outcomes, mut seconds) = (Vec::new(), BTreeMap::new());
        for &protocol in &self.plan.protocols {
            let (begun, before) = (Instant::now(), subject.features.seconds().unwrap_or(0.0));
            outcomes.push(protocol::evaluate(protocol, &subject).map_err(train_failure)?);
            let on_features = subject.features.seconds().unwrap_or(0.0) - before;
            seconds.insert(protocol.word().to_owned(), begun.elapsed().as_secs_f64() - on_features);
        }
        let features = subject.features.seconds();
        seconds.extend(features.map(|seconds| ("features".to_owned(), seconds)));
        Ok((outcomes, seconds))
    }
}
