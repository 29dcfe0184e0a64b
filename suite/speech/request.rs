//! What `run` and `check` were asked to do with a task of speech.

use super::plan::SpeechPlan;
use super::resolve::LmRequest;
use crate::cli::{Format, RunArgs};
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::plan::PlanRequest;
use crate::request::{self, Dtype, Earlier, FEATURES};
use bridle_backends::Choice;
use bridle_ctc::Ngrams;
use bridle_tasks::{Limits, SpeechRequest, SpeechTask, open_speech_file, speech_tasks};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A checked request.
pub struct SpeechRun {
    /// What is trained and judged on.
    pub task: &'static dyn SpeechTask,
    /// Every value that decides the numbers. The data's variant is not known yet.
    pub plan: SpeechPlan,
    /// The language model of the beam search.
    pub lm: Option<Ngrams>,
    /// Root seeds.
    pub seeds: Vec<u64>,
    /// Where to compute.
    pub backend: Choice,
    /// Number type.
    pub dtype: Dtype,
    /// Folder of the data set, if one was given.
    pub data: Option<PathBuf>,
    /// Folder of the records.
    pub out: PathBuf,
    /// How to treat earlier work.
    pub earlier: Earlier,
    /// Longest time between two checkpoints, in seconds.
    pub checkpoint_every: u64,
    /// What goes to stdout.
    pub format: Format,
}

/// The task of speech of this name or in this file; None if it is of another kind, or none at all.
///
/// # Errors
/// If it is a task file of speech that cannot be read as such.
pub fn task(word: &str) -> Result<Option<&'static dyn SpeechTask>> {
    let file = Path::new(word);
    if file.extension().is_some_and(|extension| extension == "toml") {
        // like the built-in ones, it lives as long as the program
        let task = open_speech_file(file)?;
        return Ok(task.map(|task| &*Box::leak(task)));
    }
    let mut tasks = speech_tasks().iter();
    Ok(tasks.find(|task| task.spec().name == word).copied())
}

impl SpeechRun {
    /// Checks all names and values of the command line. Reads the language model, opens no device.
    ///
    /// # Errors
    /// Wrong use, with the word and the right ones; a language model that cannot be read.
    pub fn new(args: &RunArgs, task: &'static dyn SpeechTask) -> Result<Self> {
        let unused = [
            ("--recipe", args.recipe.is_some()),
            ("--ablation", args.ablation),
            ("--init", args.init.is_some()),
            ("--folds", !matches!(args.folds.as_str(), "1" | "all")),
        ];
        if let Some((option, _)) = unused.iter().find(|(_, given)| *given) {
            let message = format!("`{option}` means nothing for `{}`, a task of speech", args.task);
            return Err(Failure::wrong_use(message));
        }
        let wanted = PlanRequest {
            task: args.task.clone(),
            method: args.method.clone(),
            quantizer: args.quantizer.clone(),
            preset: args.preset.clone(),
            protocols: args.protocol.clone(),
            subset: args.subset,
            set: args.set.clone(),
            ..PlanRequest::default()
        };
        let (lm, lm_request) = match &args.lm {
            None => (None, None),
            Some(path) => {
                let (model, request) = language_model(path)?;
                (Some(model), Some(request))
            }
        };
        Ok(Self {
            plan: SpeechPlan::resolve(&task.spec(), &wanted, lm_request.as_ref())?,
            task,
            lm,
            seeds: request::seeds(args.seed, args.seeds)?,
            backend: request::backend(args)?,
            dtype: args.dtype.parse::<Dtype>()?,
            data: args.data.clone(),
            out: args.out.clone(),
            earlier: Earlier::of(args),
            checkpoint_every: args.checkpoint_every,
            format: args.format,
        })
    }

    /// What the task is asked for.
    pub fn open_request(&self) -> SpeechRequest {
        SpeechRequest {
            data: self.data.clone(),
            input: self.plan.data.input,
            subset: self.plan.data.subset,
            cache: PathBuf::from(FEATURES),
            threads: self.backend.threads.unwrap_or(0),
            limits: Limits::default(),
        }
    }
}

/// Reads an ARPA file.
fn language_model(path: &Path) -> Result<(Ngrams, LmRequest)> {
    let failure = |error: bridle_ctc::ArpaError| {
        let way_out = "an n-gram model in ARPA form, as KenLM's lmplz or SRILM's ngram-count write it";
        Failure::new(Exit::Data, error).with_way_out(way_out)
    };
    let model = Ngrams::read(path).map_err(failure)?;
    let bytes =
        std::fs::read(path).map_err(|error| Failure::fault(format!("cannot read `{}`", path.display()), error))?;
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let sha256 = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((model, LmRequest { name, sha256 }))
}
