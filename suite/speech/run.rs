//! `run` on a task of speech: pretrain, recognise, write records, print the tables.

use super::decode;
use super::model;
use super::recognise::{Recognised, Subject, recognise};
use crate::checkpoint;
use crate::command::table;
use crate::data::{Utterances, utterances};
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::identity::{Identity, begin_folder, require_same, taken_over, train_failure};
use crate::interrupt::Interrupt;
use crate::plan::Plan;
use crate::progress::TerminalProgress;
use crate::protocol::LEVEL;
use crate::request::{Earlier, RunRequest};
use crate::train::{self, Context, State};
use bridle::init::Init;
use bridle::speech::conformer::Conformer;
use bridle::weights::{self, Weights};
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_results::metric::{ErrorRate, Unit};
use bridle_results::predictions::{ProtocolTexts, Transcripts};
use bridle_results::record::{self, RunRecord, Score, Timestamp};
use bridle_results::{stats, store};
use bridle_seed::Seed;
use bridle_tasks::{Role, SpeechSet, SpeechTask, min_frames};
use burn::module::AutodiffModule;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Resamples behind the interval of an error rate.
const RESAMPLES: usize = 1000;

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

/// What the protocols gave.
#[derive(Default)]
struct Judged {
    scores: Vec<Score>,
    texts: Vec<ProtocolTexts>,
    seconds: BTreeMap<String, f64>,
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
        let judged = self.judge::<B>(&pretrained.encoder, device)?;
        let utterances = || test.iter().map(|&index| &set.utterances[index]);
        let transcripts = Transcripts::new(
            utterances().map(|utterance| utterance.id.clone()).collect(),
            utterances().map(|utterance| utterance.text.clone()).collect(),
            judged.texts,
        )
        .map_err(|error| Failure::fault("cannot keep the transcripts", error))?;
        let record = self
            .identity
            .record(id, &set.facts, pretrained.phases, judged.scores, judged.seconds);
        let path = store::write_transcripts(&request.out, &record, &transcripts)?;
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

    fn judge<B: TrainBackend>(&self, encoder: &Conformer<B::InnerBackend>, device: &B::Device) -> Result<Judged> {
        let Runs {
            request,
            set,
            train,
            test,
            interrupt,
            progress,
        } = *self.runs;
        let subject = Subject::<B> {
            plan: self.plan,
            set,
            train,
            test,
            encoder,
            seed: Seed::root(self.identity.seed),
            device,
            folder: &self.folder,
            resumes: self.resumes,
            checkpoint_every: Duration::from_secs(request.checkpoint_every),
            interrupt,
            progress,
        };
        let mut judged = Judged::default();
        for &protocol in &self.plan.protocols {
            let begun = Instant::now();
            let found = recognise(protocol, &subject).map_err(train_failure)?;
            let details = details(&found, set, test);
            let greedy = decode::greedily(&found);
            self.add(&mut judged, protocol.word(), greedy, details.clone())?;
            let decoding = self.plan.decoding.as_ref();
            let beam = decoding.and_then(|values| decode::by_beam(&found, values, request.lm.as_ref()));
            if let Some(texts) = beam {
                self.add(&mut judged, &format!("{protocol}-beam"), texts, details)?;
            }
            let seconds = begun.elapsed().as_secs_f64();
            judged.seconds.insert(protocol.word().to_owned(), seconds);
        }
        Ok(judged)
    }

    /// Scores transcripts by words and by characters.
    fn add(
        &self,
        judged: &mut Judged,
        protocol: &str,
        hypotheses: Vec<String>,
        details: Map<String, serde_json::Value>,
    ) -> Result<()> {
        let (set, test) = (self.runs.set, self.runs.test);
        let seed = Seed::root(self.identity.seed).child("interval").child(protocol);
        for unit in [Unit::Words, Unit::Characters] {
            let references = test.iter().map(|&index| &set.utterances[index].text[..]);
            let pairs = references.zip(hypotheses.iter().map(String::as_str));
            let rate = ErrorRate::of(unit, pairs).map_err(|error| Failure::new(Exit::Data, error))?;
            let total = rate.total();
            let mut own = Map::new();
            if unit == Unit::Words {
                own.extend(details.clone());
            }
            own.insert("substitutions".to_owned(), json!(total.substitutions));
            own.insert("deletions".to_owned(), json!(total.deletions));
            own.insert("insertions".to_owned(), json!(total.insertions));
            own.insert("length".to_owned(), json!(total.length));
            judged.scores.push(Score {
                protocol: protocol.to_owned(),
                metric: unit.metric().name().to_owned(),
                value: Some(rate.value()),
                reason: None,
                n: test.len() as u64,
                interval: stats::bootstrap_error_rate(&rate, RESAMPLES, LEVEL, &seed.child(unit.metric().name())),
                details: own,
                per_class: None,
            });
        }
        judged.texts.push(ProtocolTexts {
            protocol: protocol.to_owned(),
            hypotheses,
        });
        Ok(())
    }
}

/// What else is to be said of a training with transcripts.
fn details(found: &Recognised, set: &SpeechSet, test: &[usize]) -> Map<String, serde_json::Value> {
    let too_fast = |index: &&usize| {
        let text = &set.utterances[**index].text;
        let needed = found.symbols.frames_needed(text).unwrap_or_else(|| min_frames(text));
        needed > utterances::length(set, **index)
    };
    let unknown = |index: &&usize| found.symbols.encode(&set.utterances[**index].text).is_none();
    let (first, last) = found.loss;
    let values = json!({
        "train_n": found.trained_on,
        "train_too_short": found.too_short,
        "test_too_short": test.iter().filter(too_fast).count(),
        "test_with_unknown_symbols": test.iter().filter(unknown).count(),
        "symbols": found.symbols.count(),
        "steps": found.steps,
        "loss_first": first,
        "loss_last": last,
        "weights": "those of the last step",
    });
    match values {
        serde_json::Value::Object(values) => values,
        _ => Map::new(),
    }
}
