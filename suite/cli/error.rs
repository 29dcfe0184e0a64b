//! Errors of commands: the message, its causes, a hint and the exit code.

use super::exit::Exit;
use bridle_backends::BackendError;
use bridle_ranks::RanksError;
use bridle_results::record::RecordError;
use bridle_results::store::StoreError;
use bridle_tasks::{DataError, FetchError};
use bridle_values::ChoiceError;
pub use bridle_values::UnknownName;
use std::fmt;

/// Why a command failed. Libraries return typed errors; here they get an exit code and, where
/// possible, a hint.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
    of_all_ranks: bool,
}

/// What a command returns.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with this exit code; `error` keeps its chain of sources. Where the machine failed,
    /// neither use nor data are wrong: the exit code is that of a fault.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
        let exit = match exit {
            Exit::WrongUse | Exit::Data if causes.any(bridle_files::is_of_the_machine) => Exit::Fault,
            exit => exit,
        };
        Self {
            exit,
            error,
            hint: None,
            of_all_ranks: false,
        }
    }

    /// Wrong use (exit 2).
    pub fn wrong_use(message: impl fmt::Display) -> Self {
        Self::new(Exit::WrongUse, anyhow::anyhow!("{message}"))
    }

    /// A fault of the program or the machine (exit 1): `what` failed because of `source`.
    pub fn fault(what: impl fmt::Display, source: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Fault, source.into().context(what.to_string()))
    }

    /// The same of a command that resumes by itself, and has no option for it.
    #[must_use]
    pub fn of_resuming(mut self) -> Self {
        self.hint = self
            .hint
            .map(|hint| hint.replace("command with --resume", "command again"));
        self
    }

    /// Adds a `try:` line: a command or a change that helps.
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same failure, which every rank of those that train together has found.
    pub fn on_all_ranks(mut self) -> Self {
        self.of_all_ranks = true;
        self
    }

    /// Whether every rank has found it.
    pub fn is_of_all_ranks(&self) -> bool {
        self.of_all_ranks
    }

    /// The same failure, with the place or task in which it happened before its message.
    pub fn in_context(mut self, place: impl fmt::Display) -> Self {
        self.error = self.error.context(place.to_string());
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The message with its causes, in a line.
    pub fn message(&self) -> String {
        format!("{:#}", self.error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.error)?;
        for cause in self.error.chain().skip(1) {
            write!(f, "\n  because: {cause}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\ntry: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<UnknownName> for Failure {
    fn from(unknown: UnknownName) -> Self {
        Failure::new(Exit::WrongUse, unknown)
    }
}

impl From<ChoiceError> for Failure {
    fn from(error: ChoiceError) -> Self {
        Failure::new(Exit::WrongUse, error)
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let hint = |text: &str| Some(text.to_owned());
        let (exit, hint) = match &error {
            DataError::Cache { source, .. } => match source.raw_os_error() {
                Some(_) => (Exit::Fault, hint("make room, or run in a folder that can be written")),
                // the file is not as it was written
                None => (
                    Exit::Fault,
                    hint("the same command with --resume, which makes the file anew"),
                ),
            },
            DataError::Machine { .. } => (
                Exit::Fault,
                hint("the same again with more memory, room or file handles; nothing was stored of that sample"),
            ),
            DataError::System { .. } => (Exit::Fault, None),
            DataError::Threads { .. } => (Exit::Fault, hint("a smaller --threads")),
            DataError::WrongInput { .. } => (Exit::WrongUse, None),
            DataError::MissingProgram { .. } => (
                Exit::Device,
                hint("install FFmpeg (`apt-get install ffmpeg`, `dnf install ffmpeg-free`, `brew install ffmpeg`)"),
            ),
            DataError::NoFolderGiven { task, .. } => {
                let content = bridle_tasks::data_hint(task);
                let hint = format!("--data DIR, or a folder {task}/ within $BRIDLE_DATA, with {content}");
                (Exit::Data, Some(hint))
            }
            DataError::NoFolder { task, .. } | DataError::NotTheTask { task, .. } => {
                let hint = format!("a folder with {}", bridle_tasks::data_hint(task));
                (Exit::Data, Some(hint))
            }
            DataError::NotFetched { source, .. } if matches!(**source, FetchError::NotAgreed { .. }) => {
                (Exit::Data, hint("the same with --yes, or --data DIR with a copy"))
            }
            DataError::NotFetched { .. } => (
                Exit::Data,
                hint("`bridle-bench fetch` with the task, which resumes, or --data DIR with a copy"),
            ),
            DataError::NotAllowed(_) => (
                Exit::Data,
                hint("fix the data, or accept it with --allow-different-data, which the record says"),
            ),
            _ => (Exit::Data, None),
        };
        let failure = Self::new(exit, error);
        hint.into_iter().fold(failure, Self::with_hint)
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let hint = error.how_to_get().to_owned();
        Self::new(Exit::Device, error).with_hint(hint)
    }
}

impl From<RanksError> for Failure {
    fn from(error: RanksError) -> Self {
        let exit = match error.exit() {
            2 => Exit::WrongUse,
            4 => Exit::Device,
            _ => Exit::Fault,
        };
        let (hint, of_all_ranks) = (error.hint(), error.is_shared());
        let failure = Self {
            of_all_ranks,
            ..Self::new(exit, error)
        };
        hint.into_iter().fold(failure, Self::with_hint)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (exit, hint) = match &error {
            // what a run measured, and nothing that anybody gave
            StoreError::Record {
                source: RecordError::Unwritable(_) | RecordError::NoReason { .. },
                ..
            } => (Exit::Fault, None),
            StoreError::OtherPredictions { .. } => (
                Exit::WrongUse,
                Some("the same `bridle-bench run` with --resume, which writes both anew"),
            ),
            StoreError::NotWritable { .. } => (Exit::WrongUse, Some("--out DIR with a folder that can be written")),
            StoreError::Write { .. } => (Exit::Fault, None),
            StoreError::Missing { .. } | StoreError::Empty { .. } => (
                Exit::WrongUse,
                Some("`bridle-bench run` writes records; `bridle-bench table DIR` reads those of a folder"),
            ),
            _ => (Exit::WrongUse, None),
        };
        let failure = Self::new(exit, error);
        hint.into_iter().fold(failure, Self::with_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_whole_chain() {
        let inner = std::io::Error::other("no space left on device");
        let failure = Failure::fault("cannot write `a.json`", inner).with_hint("free some space");
        assert_eq!(
            failure.to_string(),
            "error: cannot write `a.json`\n  because: no space left on device\ntry: free some space"
        );
        assert_eq!(failure.exit(), Exit::Fault);
    }

    #[cfg(unix)]
    #[test]
    fn a_fault_of_the_machine_is_neither_wrong_use_nor_wrong_data() {
        let out = |number| StoreError::NotWritable {
            path: "out".into(),
            source: std::io::Error::from_raw_os_error(number),
        };
        let data = |number| DataError::Unreadable {
            path: "a.wav".into(),
            source: std::io::Error::from_raw_os_error(number),
        };
        // ENOSPC, EIO, EMFILE, EAGAIN
        for number in [28, 5, 24, 11] {
            assert_eq!(Failure::from(out(number)).exit(), Exit::Fault, "{number}");
            assert_eq!(Failure::from(data(number)).exit(), Exit::Fault, "{number}");
        }
        // EACCES, EROFS, ENOENT
        for number in [13, 30, 2] {
            assert_eq!(Failure::from(out(number)).exit(), Exit::WrongUse, "{number}");
            assert_eq!(Failure::from(data(number)).exit(), Exit::Data, "{number}");
        }
    }
}
