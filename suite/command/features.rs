//! `features`: what an encoder makes of one's own files, without training or judging anything.

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::TerminalProgress;
use crate::cli::terminal;
use crate::cli::{FeaturesArgs, Pool};
use crate::compute;
use crate::data::{Fixed, TrainingData as _, fixed};
use crate::embeddings;
use crate::plan::{Input, Plan, PlanRequest, TaskFacts};
use crate::protocol::FEATURES as WHAT;
use crate::run::checkpoint;
use crate::run::encoder_file::{EncoderFile, Origin};
use crate::run::request::{FEATURES as CACHE, limits};
use bridle::init::Init;
use bridle::weights::{self, Values};
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_seed::Seed;
use bridle_tasks::{Dataset, OpenRequest, Progress as _, open_files};
use burn::module::AutodiffModule;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The header's entry that says what the vectors are.
const CARD: &str = "bridle-bench";
/// Raised when older programs could no longer read a file of features.
const FORMAT: u32 = 1;
/// Files at a time.
const BATCH: usize = 16;

/// What the vectors of a file are.
#[derive(Debug, Serialize)]
struct Card<'a> {
    format: u32,
    /// What a vector is, in words.
    features: &'static str,
    /// Its length.
    dim: usize,
    encoder: Encoder<'a>,
    backend: &'a str,
    dtype: &'a str,
}

/// The encoder that made them.
#[derive(Debug, Serialize)]
struct Encoder<'a> {
    /// Its file's name, without its folder.
    name: &'a str,
    sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a Origin>,
}

/// Computes a vector for each file, or its tokens, and writes them by the files' paths.
///
/// # Errors
/// If the encoder file, the folder or too many of its files cannot be read, or if the file cannot be
/// written.
pub fn perform(args: &FeaturesArgs) -> Result<()> {
    let (backend, dtype) = compute::choose(&args.compute)?;
    Interrupt::listen("the same command again").map_err(|error| Failure::fault("cannot listen for signals", error))?;
    let unwritable = |why: String| {
        let message = format!("`{}` cannot be written: {why}", args.to.display());
        Failure::wrong_use(message).with_hint("--to FILE in a folder that you may write to")
    };
    if args.to.is_dir() {
        return Err(unwritable("it is a folder".to_owned()));
    }
    let folder = args.to.parent().filter(|folder| !folder.as_os_str().is_empty());
    bridle_files::prove_writable(folder.unwrap_or(".".as_ref())).map_err(|error| unwritable(error.to_string()))?;
    let encoder = EncoderFile::read(&args.init)?;
    let progress = TerminalProgress::default();
    let plan = plan(&encoder)?;
    let request = OpenRequest {
        data: None,
        offline: true,
        input: encoder.card.input.clone(),
        subset: None,
        allow_different: true,
        cache: PathBuf::from(CACHE),
        threads: backend.threads.unwrap_or(0),
        limits: limits(),
    };
    let dataset = open_files(&args.files, &request, &progress).map_err(|error| match Failure::from(error) {
        failure if failure.exit() == Exit::Data => failure.with_hint(format!(
            "--files DIR with files of {} that can be read",
            plan.data.input.modality()
        )),
        failure => failure,
    })?;
    let made = Made {
        plan: &plan,
        encoder: &encoder,
        dataset: &dataset,
        pool: args.pool,
        progress: &progress,
    };
    let values = bridle_backends::run(&backend, made)??;
    let card = Card {
        format: FORMAT,
        features: about(args.pool),
        dim: plan.model.dim(),
        encoder: Encoder {
            name: &encoder.name,
            sha256: &encoder.sha256,
            origin: encoder.card.origin.as_ref(),
        },
        backend: backend.name.as_str(),
        dtype: dtype.word(),
    };
    let shape = match args.pool {
        Pool::Mean => vec![plan.model.dim()],
        Pool::Tokens => vec![plan.tokens(), plan.model.dim()],
    };
    let ids: Vec<&str> = dataset.samples.iter().map(|sample| &*sample.id).collect();
    let bytes = laid_out(&args.to, &ids, &values, &shape, &card)?;
    checkpoint::write_bytes(&args.to, &bytes).map_err(|error| Failure::new(Exit::Fault, error))?;
    for skipped in &dataset.facts.skipped {
        terminal::log(&format!("left out: {}: {}", skipped.id, skipped.reason));
    }
    terminal::log(&format!(
        "{}: {} vectors of {} numbers, {}",
        args.to.display(),
        values.len() / plan.model.dim(),
        plan.model.dim(),
        about(args.pool)
    ));
    Ok(())
}

/// What the vectors are, in words.
const fn about(pool: Pool) -> &'static str {
    match pool {
        Pool::Mean => WHAT,
        Pool::Tokens => "patch tokens after the final norm",
    }
}

/// The bytes of a file of arrays [ids, shape], whose form its ending says.
fn laid_out(to: &Path, ids: &[&str], values: &[f32], shape: &[usize], card: &Card<'_>) -> Result<Vec<u8>> {
    let wrong = |error: anyhow::Error| Failure::fault("cannot lay out the features", error);
    let card = serde_json::to_string(card).expect("a card is plain data");
    if to.extension().is_some_and(|ending| ending == "npz") {
        let whole = [&[ids.len()], shape].concat();
        return embeddings::to_npz(ids, values, &whole, &card).map_err(|error| wrong(error.into()));
    }
    let rows = values.chunks_exact(shape.iter().product());
    let named = ids.iter().zip(rows).map(|(id, row)| {
        let (shape, data) = (shape.to_vec(), row.to_vec());
        ((*id).to_owned(), Values { shape, data })
    });
    let header = HashMap::from([(CARD.to_owned(), card)]);
    weights::to_safetensors(&named.collect(), header).map_err(|error| wrong(error.into()))
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
    plan: &'a Plan,
    encoder: &'a EncoderFile,
    dataset: &'a Dataset,
    pool: Pool,
    progress: &'a TerminalProgress,
}

impl Job for Made<'_> {
    type Output = Result<Vec<f32>>;

    fn run<B: TrainBackend>(self, device: B::Device, _facts: Facts) -> Self::Output {
        let data = Fixed::new(self.dataset, self.plan);
        let encoder = data.encoder(&Init::<B>::new(Seed::root(0), &device));
        let encoder = self.encoder.fill(encoder)?.valid();
        let samples: Vec<usize> = (0..self.dataset.samples.len()).collect();
        self.progress.start("features", samples.len() as u64);
        let mut values = Vec::new();
        for batch in samples.chunks(BATCH) {
            let x = fixed::batch(self.dataset, batch, data.geometry(), &device)?;
            let found = match self.pool {
                Pool::Mean => encoder.features(x).into_data(),
                Pool::Tokens => encoder.embed_patches(x).into_data(),
            };
            values.extend(found.iter::<f32>());
            self.progress.advance(batch.len() as u64);
        }
        self.progress.finish();
        Ok(values)
    }
}
