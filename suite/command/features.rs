//! `features`: what an encoder makes of one's own files, without training or judging anything.

mod file;
mod partial;

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::TerminalProgress;
use crate::cli::terminal;
use crate::cli::{FeaturesArgs, Pool};
use crate::compute;
use crate::data::{Fixed, TrainingData as _, fixed};
use crate::foreign::{self, Foreign};
use crate::plan::{Input, Plan, PlanRequest, TaskFacts};
use crate::protocol::{FEATURES as WHAT, Vectors as _};
use crate::run::encoder_file::EncoderFile;
use crate::run::locate::{Access, locate};
use crate::run::request::{FEATURES as CACHE, limits};
use crate::run::{checkpoint, machine};
use bridle::init::Init;
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_seed::Seed;
use bridle_tasks::{Dataset, InputSpec, OpenRequest, Progress as _, open_files};
use burn::module::AutodiffModule;
use file::{Card, Encoder, FORMAT, laid_out};
use partial::{Batch, Partial};
use serde_json::json;
use std::ops::Range;
use std::path::PathBuf;

/// Files at a time.
const BATCH: usize = 16;

/// Computes a vector for each file, or its tokens, and writes them by the files' paths.
///
/// # Errors
/// If the encoder, the folder or too many of its files cannot be read, or if the file cannot be written.
pub fn perform(args: &FeaturesArgs) -> Result<()> {
    let (backend, dtype) = compute::choose(&args.compute)?;
    Interrupt::listen("the same command again").map_err(|error| Failure::fault("cannot listen for signals", error))?;
    prove_writable(args)?;
    let source = Source::read(args, backend.threads)?;
    let progress = TerminalProgress::default();
    let input = source.input(args)?;
    let request = OpenRequest {
        data: None,
        offline: true,
        input: input.clone(),
        subset: None,
        allow_different: true,
        cache: PathBuf::from(CACHE),
        threads: backend.threads.unwrap_or(0),
        limits: limits(),
    };
    let dataset = open_files(&args.files, &request, &progress).map_err(|error| match Failure::from(error) {
        failure if failure.exit() == Exit::Data => failure.with_hint(format!(
            "--files DIR with files of {} that can be read",
            Input::Fixed(input.clone()).modality()
        )),
        failure => failure,
    })?;
    let key = json!({
        "program": machine::VERSION,
        "encoder": source.card(),
        "set": args.set,
        "tokens": args.pool == Pool::Tokens,
        "samples": dataset.samples_sha256(),
        "input": input,
        "backend": backend.name.as_str(),
        "dtype": dtype.word(),
    });
    let (known, mut partial) = Partial::open(&args.to, &key.to_string())?;
    let made = Made {
        source: &source,
        dataset: &dataset,
        pool: args.pool,
        progress: &progress,
        known,
        partial: &mut partial,
    };
    let Rows {
        values,
        shape,
        lengths,
        about,
    } = bridle_backends::run(&backend, made)??;
    let dim = shape.last().copied().unwrap_or(1);
    let card = Card {
        format: FORMAT,
        features: &about,
        dim,
        encoder: source.card(),
        backend: backend.name.as_str(),
        dtype: dtype.word(),
    };
    let ids: Vec<&str> = dataset.samples.iter().map(|sample| &*sample.id).collect();
    let bytes = laid_out(&args.to, &ids, &values, (&shape, lengths.as_deref()), &card)?;
    checkpoint::write_bytes(&args.to, &bytes).map_err(|error| Failure::new(Exit::Fault, error))?;
    partial.remove()?;
    for skipped in &dataset.facts.skipped {
        terminal::log(&format!("left out: {}: {}", skipped.id, skipped.reason));
    }
    let (to, count) = (args.to.display(), values.len() / dim);
    terminal::log(&format!("{to}: {count} vectors of {dim} numbers, {about}"));
    Ok(())
}

/// Fails before any work if the file could not be written at its end.
fn prove_writable(args: &FeaturesArgs) -> Result<()> {
    let unwritable = |why: String| {
        let message = format!("`{}` cannot be written: {why}", args.to.display());
        Failure::wrong_use(message).with_hint("--to FILE in a folder that you may write to")
    };
    if args.to.is_dir() {
        return Err(unwritable("it is a folder".to_owned()));
    }
    let folder = args.to.parent().filter(|folder| !folder.as_os_str().is_empty());
    bridle_files::prove_writable(folder.unwrap_or(".".as_ref())).map_err(|error| unwritable(error.to_string()))
}

/// What makes the vectors.
enum Source {
    /// An encoder of this program, and a plan with it.
    Own(Box<(EncoderFile, Plan)>),
    Foreign(Box<Foreign>),
}

impl Source {
    fn read(args: &FeaturesArgs, threads: Option<usize>) -> Result<Self> {
        let mut set = args.set.clone();
        let options = foreign::options(&mut set)?;
        if let Some(unknown) = set.first() {
            let message = format!("`--set {unknown}`: only values of `foreign` can be set here");
            return Err(Failure::wrong_use(message));
        }
        let given = locate(&args.init, Access::of(args.offline, args.yes))?;
        if EncoderFile::has_card(&given.path) {
            let encoder = EncoderFile::located(&given)?;
            let plan = plan(&encoder)?;
            return Ok(Self::Own(Box::new((encoder, plan))));
        }
        let (theirs, _) = foreign::read(&given, &options, args.seconds, threads)?;
        theirs.lines().iter().for_each(|line| terminal::log(line));
        theirs.check_input(&theirs.input(args.seconds)?)?;
        Ok(Self::Foreign(Box::new(theirs)))
    }

    fn input(&self, args: &FeaturesArgs) -> Result<InputSpec> {
        match self {
            Self::Own(own) => Ok(own.0.card.input.clone()),
            Self::Foreign(theirs) => theirs.input(args.seconds).map(InputSpec::Pipeline),
        }
    }

    fn card(&self) -> Encoder<'_> {
        match self {
            Self::Own(own) => Encoder {
                name: &own.0.name,
                sha256: &own.0.sha256,
                origin: own.0.card.origin.as_ref(),
                family: None,
            },
            Self::Foreign(theirs) => {
                let (name, sha256, family) = theirs.identity();
                Encoder {
                    name,
                    sha256,
                    origin: None,
                    family: Some(family),
                }
            }
        }
    }
}

/// A plan whose encoder is this one, on inputs as it was trained on.
fn plan(encoder: &EncoderFile) -> Result<Plan> {
    let facts = TaskFacts {
        name: "files",
        version: 1,
        input: Input::Fixed(encoder.card.input.clone()),
        folds: None,
        several_classes: false,
        sections: &[],
    };
    let request = PlanRequest {
        init: Some(encoder.request()),
        ..PlanRequest::default()
    };
    Ok(Plan::resolve_for(&facts, &request)?)
}

/// The vectors of all samples, or their tokens, one after the other.
struct Made<'a> {
    source: &'a Source,
    dataset: &'a Dataset,
    pool: Pool,
    progress: &'a TerminalProgress,
    /// The first batches, which an interrupted run computed.
    known: Vec<Batch>,
    /// Keeps every batch for the case of an interruption.
    partial: &'a mut Partial,
}

/// Arrays of one shape, [samples, shape], and what they are in words.
struct Rows {
    values: Vec<f32>,
    shape: Vec<usize>,
    /// Where the samples' first axes differ: how long they are.
    lengths: Option<Vec<usize>>,
    about: String,
}

impl Job for Made<'_> {
    type Output = Result<Rows>;

    fn run<B: TrainBackend>(self, device: B::Device, _facts: Facts) -> Self::Output {
        match self.source {
            Source::Own(own) => self.own::<B>(&own.0, &own.1, &device),
            Source::Foreign(theirs) => self.foreign::<B>(theirs, &device),
        }
    }
}

impl Made<'_> {
    /// All batches, of which `make` computes those that are not known.
    fn batches(self, mut make: impl FnMut(Range<usize>) -> Result<Batch>) -> Result<Batch> {
        let count = self.dataset.samples.len();
        if !self.known.is_empty() {
            let done = count.min(self.known.len() * BATCH);
            self.progress.say(&format!("goes on after {done} of {count} files"));
        }
        let (mut known, mut all) = (self.known.into_iter(), Batch::default());
        self.progress.start("features", count as u64);
        for first in (0..count).step_by(BATCH) {
            let samples = first..count.min(first + BATCH);
            let found = match known.next() {
                Some(found) => found,
                None => {
                    let made = make(samples.clone())?;
                    self.partial.add(&made)?;
                    made
                }
            };
            all.values.extend(found.values);
            all.lengths.extend(found.lengths);
            self.progress.advance(samples.len() as u64);
        }
        self.progress.finish();
        Ok(all)
    }

    fn own<B: TrainBackend>(self, encoder: &EncoderFile, plan: &Plan, device: &B::Device) -> Result<Rows> {
        let (dataset, pool) = (self.dataset, self.pool);
        let data = Fixed::new(dataset, plan);
        let encoder = encoder
            .fill(data.encoder(&Init::<B>::new(Seed::root(0), device)))?
            .valid();
        let all = self.batches(|samples| {
            let x = fixed::batch(dataset, &samples.collect::<Vec<_>>(), data.geometry(), device)?;
            let found = match pool {
                Pool::Mean => encoder.features(x).into_data(),
                Pool::Tokens => encoder.embed_patches(x).into_data(),
            };
            Ok(Batch {
                values: found.iter::<f32>().collect(),
                lengths: Vec::new(),
            })
        })?;
        let (shape, about) = match pool {
            Pool::Mean => (vec![encoder.dim()], WHAT),
            Pool::Tokens => (vec![plan.tokens(), encoder.dim()], "patch tokens after the final norm"),
        };
        Ok(Rows {
            values: all.values,
            shape,
            lengths: None,
            about: about.to_owned(),
        })
    }

    fn foreign<B: TrainBackend>(self, theirs: &Foreign, device: &B::Device) -> Result<Rows> {
        let (pool, count) = (self.pool, self.dataset.samples.len());
        let (encoder, line) = theirs.on::<B::InnerBackend>(Some(self.dataset), device)?;
        self.progress.say(&line);
        let Batch { values, lengths } = self.batches(|samples| {
            let (values, lengths) = match pool {
                Pool::Mean => (encoder.of(&samples.collect::<Vec<_>>(), None, &())?, Vec::new()),
                Pool::Tokens => encoder.own_tokens(samples)?,
            };
            Ok(Batch { values, lengths })
        })?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        Ok(match pool {
            Pool::Mean => Rows {
                shape: vec![values.len() / count],
                values,
                lengths: None,
                about: encoder.about(),
            },
            Pool::Tokens => Rows {
                values,
                shape: vec![longest, encoder.known.body.dim()],
                lengths: lengths.iter().any(|length| *length < longest).then_some(lengths),
                about: format!("patch tokens or frames of {}", theirs.identity().2),
            },
        })
    }
}
