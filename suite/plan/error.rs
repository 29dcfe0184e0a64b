//! Why there is no plan, and a hint.

use super::flat::{Difference, PlanReadError};
use super::{FactOf, Method, Protocol, QuantizerKind};
use crate::cli::error::{Failure, UnknownName};
use crate::cli::exit::Exit;
use bridle_tasks::{DataError, speech_tasks};
use bridle_values::ChoiceError;
use bridle_values::check::Impossible;
use std::path::PathBuf;

/// What kind of name a dotted name is.
pub(super) const PLAN_VALUE: &str = "plan value";

/// Why there is no plan. All but faults of a task file are wrong use.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A name of no task, preset or plan value.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// A task file or its lists.
    #[error(transparent)]
    TaskFile(#[from] DataError),
    /// A word that no list has, or that has nothing behind it yet.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// `--set` without an equals sign.
    #[error("`--set {0}` is not of the form key=value")]
    NotAssignment(String),
    /// A plan value that this plan does not have.
    #[error("`{key}` means nothing here: {why}")]
    Unused {
        key: String,
        /// Which choice left it out.
        why: String,
    },
    /// A protocol that says nothing of a method's encoder.
    #[error(
        "protocol `{protocol}` does not fit method `{method}`, which is judged by {}",
        Protocol::fitting(*method).map(Protocol::word).collect::<Vec<_>>().join(" or ")
    )]
    Protocol { method: Method, protocol: Protocol },
    /// A quantizer that cannot make a method's labels.
    #[error("method `{method}` makes its labels with `--quantizer {}`, not `{quantizer}`", .method.usual_quantizer())]
    Quantizer { method: Method, quantizer: QuantizerKind },
    /// A method that only tasks of speech have.
    #[error("method `{method}` is for tasks of speech: {}", speech_names())]
    OnlyForSpeech { method: Method },
    /// A protocol that judges classes, for a task of transcripts.
    #[error("protocol `{0}` judges classes; transcripts are judged by finetune or linear-probe")]
    OnlyForClasses(Protocol),
    /// A method or weights that tasks of speech do not have.
    #[error("tasks of speech have no method `{0}`")]
    NotForSpeech(Method),
    /// A preset whose values for pretraining are for other data.
    #[error(
        "preset `{preset}` does not pretrain on `{task}`: its values are for pretraining on `{on}`, whose encoder `{task}` then judges"
    )]
    PretrainedElsewhere {
        preset: &'static str,
        task: &'static str,
        /// The task that it pretrains on.
        on: String,
    },
    /// A plan value that cannot be set.
    #[error("`{key}` is a fact of {of} and cannot be set")]
    Fact {
        key: String,
        /// What fixes it.
        of: FactOf,
    },
    /// A file that should hold a plan and does not.
    #[error("`{place}` is no plan: {why}")]
    NoPlan { place: String, why: String },
    /// A file that cannot be read.
    #[error("cannot read `{place}`")]
    Unreadable { place: String, source: std::io::Error },
    /// A file that should hold a preset and does not.
    #[error("`{place}` is no preset: {why}")]
    NoPreset { place: String, why: String },
    /// A value in a file or record that a plan cannot have.
    #[error("{place}")]
    Written { place: String, source: Box<PlanError> },
    /// Values that make no plan.
    #[error("the values of {place}")]
    Values { place: String, source: PlanReadError },
    /// A fact that is another one in a plan that was written earlier.
    #[error("`{key}`, a fact of {of}, is {here} here and {written} in {place}")]
    OtherFact {
        key: String,
        /// What fixes it.
        of: FactOf,
        here: String,
        written: String,
        /// Where the plan was read.
        place: String,
    },
    /// Weights with another method, or the method without weights.
    #[error("method `init` needs weights given with --init, and --init needs method `init`")]
    InitMethod,
    /// Transcripts with an encoder whose tokens are patches of a spectrogram.
    #[error("transcripts need frames in the order of time, and the encoder given with --init makes patches")]
    NoFrames,
    /// The method of given vectors without any, or vectors with another method.
    #[error("method `embeddings` needs vectors, which `judge` takes, and `judge` needs method `embeddings`")]
    EmbeddingsMethod,
    /// A plan that was written with labels from a file.
    #[error("the plan of {0} trains on labels of a file, and none is given")]
    NoLabels(String),
    /// A plan value of the wrong kind or out of its range.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The run to resume has another plan.
    #[error("the run in {} has another plan (its value against the one asked for): {}", folder.display(), list(differences))]
    Changed {
        /// The earlier run.
        folder: PathBuf,
        /// The values in which the plans differ.
        differences: Vec<Difference>,
    },
}

impl PlanError {
    /// The same error, met in the file or record at `place`.
    pub(super) fn in_file(self, place: &str) -> Self {
        Self::Written {
            place: place.to_owned(),
            source: Box::new(self),
        }
    }
}

fn list(differences: &[Difference]) -> String {
    differences
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

fn speech_names() -> String {
    let names = speech_tasks().iter().map(|task| task.spec().name);
    names.collect::<Vec<_>>().join(", ")
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let error = match error {
            PlanError::TaskFile(error) => return error.into(),
            error => error,
        };
        let hint = match &error {
            PlanError::Unknown(unknown) if unknown.kind == PLAN_VALUE => Some(
                "`bridle-bench check --task <TASK>` prints every value of the plan by its name, `bridle-bench explain` what \
                     each means",
            ),
            PlanError::NotAssignment(_) => Some("--set pretrain.batch=32"),
            PlanError::PretrainedElsewhere { .. } => Some(
                "--init FILE with an encoder that was pretrained there (`bridle-bench export` makes such files), \
                 --task with those data, or --preset mini",
            ),
            PlanError::NoPlan { .. } => Some("a file as `bridle-bench check --format toml` prints it"),
            PlanError::Written { .. } => Some("`bridle-bench explain` lists every value that plans have"),
            PlanError::InitMethod => Some("--init FILE without --method; `bridle-bench export` makes such files"),
            PlanError::NoLabels(_) => Some("--labels FILE, with the file whose SHA-256 is `labels.sha256`"),
            PlanError::NoFrames => Some("--init with an encoder of speech; suite/JUDGE.md lists them"),
            PlanError::EmbeddingsMethod => Some("`bridle-bench judge --task TASK --embeddings FILE --name NAME`"),
            PlanError::Changed { .. } => Some("the options of that run, or no --resume, which starts another one"),
            _ => None,
        };
        let failure = Failure::new(Exit::WrongUse, error);
        hint.into_iter().fold(failure, Failure::with_hint)
    }
}
