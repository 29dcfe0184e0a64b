//! What can be wrong with a task's name or data. Every message names the file and, where there is
//! one, the line.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::archive::ArchiveError;

/// A task name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTask {
    pub name: String,
    /// The known name closest to it, if one is close.
    pub nearest: Option<&'static str>,
    pub known: Vec<&'static str>,
}

impl std::error::Error for UnknownTask {}

impl std::fmt::Display for UnknownTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown task '{}'", self.name)?;
        if let Some(nearest) = self.nearest {
            write!(f, ", did you mean '{nearest}'?")?;
        }
        write!(f, " (known: {})", self.known.join(", "))
    }
}

/// Data that is missing, wrong, or cannot be prepared. Lines count from 1, hashes are hexadecimal,
/// `original` is the address of the original data.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "no folder for the {task} data was given and $BRIDLE_DATA is not set; the original is at {original}, and its unpacked \
         folder is given as --data, or as {task}/ within $BRIDLE_DATA{fetch}"
    )]
    NoFolderGiven {
        task: &'static str,
        original: &'static str,
        /// How to fetch it, if it is on the hub.
        fetch: &'static str,
    },
    #[error(
        "the {task} data is not on this machine and could not be fetched; the original is at {original}, and its folder is \
         given as --data, or as {task}/ within $BRIDLE_DATA"
    )]
    NotFetched {
        task: &'static str,
        original: &'static str,
        source: Box<crate::FetchError>,
    },
    #[error("the {task} data folder {} does not exist; the original is at {original}", path.display())]
    NoFolder {
        task: &'static str,
        path: PathBuf,
        original: &'static str,
    },
    /// The folder holds something else: the first thing looked for is missing.
    #[error("{} is not the {task} data: it has no {missing}{}", path.display(), packed.as_deref().map_or_else(String::new, |packed| format!("; {packed} must be unpacked first")))]
    NotTheTask {
        task: &'static str,
        path: PathBuf,
        missing: &'static str,
        /// A file there, packed in a form that is not read.
        packed: Option<String>,
    },
    #[error("{} is no known variant of the {task} data: {reason}", path.display())]
    UnknownVariant {
        task: &'static str,
        path: PathBuf,
        reason: String,
    },
    /// A bad line of a table or of a task file.
    #[error("{}, line {line}: {reason}", path.display())]
    BadRow { path: PathBuf, line: u64, reason: String },
    #[error("{} is missing, though {listed_in} lists it", path.display())]
    MissingFile { path: PathBuf, listed_in: String },
    #[error("{} is not listed in {not_in}", path.display())]
    UnlistedFile { path: PathBuf, not_in: String },
    #[error("{} has {found} {what}, not {expected}", path.display())]
    WrongCount {
        path: PathBuf,
        what: String,
        expected: usize,
        found: usize,
    },
    #[error("{} has {found} bytes, not the {expected} of variant {variant}", path.display())]
    WrongSize {
        path: PathBuf,
        variant: &'static str,
        expected: u64,
        found: u64,
    },
    #[error("{} has sha256 {found}, not the {expected} of variant {variant}", path.display())]
    WrongHash {
        path: PathBuf,
        variant: &'static str,
        expected: String,
        found: String,
    },
    /// Data that would be accepted if the request allowed different data.
    #[error(transparent)]
    NotAllowed(Box<DataError>),
    /// Data that opened as a known variant but measures differently.
    #[error("this is not variant {variant} of the {task} data: {difference}")]
    Differs {
        task: String,
        variant: String,
        difference: String,
    },
    /// A sample that cannot be turned into an input.
    #[error("{}: {reason}", path.display())]
    BadSample { path: PathBuf, reason: String },
    #[error("{skipped} of {of} samples in {} cannot be used, more than 1 %; the first is {first}: {reason}", path.display())]
    TooManySkipped {
        path: PathBuf,
        skipped: usize,
        of: usize,
        first: String,
        reason: String,
    },
    /// A sample that the machine could not read or decode: nothing is known of its content.
    #[error("the machine could not decode {}: {reason}", path.display())]
    Machine { path: PathBuf, reason: String },
    /// An input specification that the task cannot provide.
    #[error("{task} cannot give such an input: {reason}")]
    WrongInput { task: &'static str, reason: String },
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot use the feature cache at {}", path.display())]
    Cache { path: PathBuf, source: io::Error },
    /// Video is decoded by external programs.
    #[error("`{program}` cannot be started: {reason}")]
    MissingProgram { program: String, reason: String },
    /// The machine refused what has nothing to do with the data.
    #[error("cannot {what}")]
    System { what: String, source: io::Error },
    /// `threads` is 0 for one per core.
    #[error("cannot start {threads} threads")]
    Threads {
        threads: usize,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<ArchiveError> for DataError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Unreadable { path, source } => Self::Unreadable { path, source },
            ArchiveError::Damaged { path, reason } => Self::BadSample { path, reason },
            ArchiveError::Member { path, member, reason } => Self::BadSample {
                path: path.join(member),
                reason,
            },
        }
    }
}

/// Why a sample cannot be turned into an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SampleError {
    /// Its own bytes are the reason, so that it can be skipped for good.
    Broken(String),
    /// It is not the file that was hashed.
    Changed(String),
    /// The machine failed: no memory, no room, no file handles, a decoder that was killed or took too
    /// long. This says nothing of the sample, and must not be remembered.
    Machine(String),
}

impl SampleError {
    /// A file that cannot be read. It was read when it was hashed, so that an error of the system is
    /// the machine's.
    pub fn unreadable(error: &io::Error) -> Self {
        let reason = format!("it cannot be read: {error}");
        match error.raw_os_error() {
            Some(_) => Self::Machine(reason),
            None => Self::Broken(reason),
        }
    }

    /// The error of the data set, whose sample is at `path`.
    pub fn at(self, path: impl Into<PathBuf>) -> DataError {
        let path = path.into();
        match self {
            Self::Broken(reason) | Self::Changed(reason) => DataError::BadSample { path, reason },
            Self::Machine(reason) => DataError::Machine { path, reason },
        }
    }
}

impl From<String> for SampleError {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl From<&str> for SampleError {
    fn from(reason: &str) -> Self {
        Self::Broken(reason.to_owned())
    }
}

impl From<ArchiveError> for SampleError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Unreadable { source, .. } => Self::unreadable(&source),
            other => Self::Broken(other.reason()),
        }
    }
}

/// Short forms for the errors that are made in many places.
impl DataError {
    pub(crate) fn unknown_variant(task: &'static str, path: &Path, reason: String) -> Self {
        let path = path.to_owned();
        Self::UnknownVariant { task, path, reason }
    }

    pub(crate) fn bad_row(path: &Path, line: u64, reason: impl Into<String>) -> Self {
        let (path, reason) = (path.to_owned(), reason.into());
        Self::BadRow { path, line, reason }
    }

    pub(crate) fn bad_sample(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        let (path, reason) = (path.into(), reason.into());
        Self::BadSample { path, reason }
    }

    pub(crate) fn wrong_count(path: &Path, what: impl Into<String>, expected: usize, found: usize) -> Self {
        // the folder in which the program runs
        let path = if path == Path::new("") { Path::new(".") } else { path };
        let (path, what) = (path.to_owned(), what.into());
        Self::WrongCount {
            path,
            what,
            expected,
            found,
        }
    }

    pub(crate) fn wrong_input(task: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::WrongInput { task, reason }
    }

    /// The error, for a request that could have allowed it.
    pub(crate) fn not_allowed(self) -> Self {
        Self::NotAllowed(Box::new(self))
    }

    pub(crate) fn threads(threads: usize, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let source = Box::new(source);
        Self::Threads { threads, source }
    }

    pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }
}
