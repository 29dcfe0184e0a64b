//! What can be wrong with a task's name, its data or its cache; every message names the thing.

use std::path::PathBuf;

/// A task name that nothing answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTask {
    /// The name given.
    pub name: String,
    /// The known name that is most like it, if one is.
    pub nearest: Option<&'static str>,
    /// All known names.
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

/// Data that is missing, not what it should be, or cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nobody said where the data is.
    #[error(
        "no folder for the {task} data was given and $BRIDLE_DATA is not set; the original is at {original}, and its unpacked \
         folder is given as --data, or as {task}/ within $BRIDLE_DATA{fetch}"
    )]
    NoFolderGiven {
        /// The task.
        task: &'static str,
        /// Where the original lies.
        original: &'static str,
        /// How to fetch it, where it is on the hub.
        fetch: &'static str,
    },
    /// It is nowhere on this machine, and the hub does not give it.
    #[error(
        "the {task} data is not on this machine and could not be fetched; the original is at {original}, and its folder is \
         given as --data, or as {task}/ within $BRIDLE_DATA"
    )]
    NotFetched {
        /// The task.
        task: &'static str,
        /// Where the original lies.
        original: &'static str,
        /// What went wrong.
        source: Box<crate::FetchError>,
    },
    /// The folder does not exist.
    #[error("the {task} data folder {} does not exist; the original is at {original}", path.display())]
    NoFolder {
        /// The task.
        task: &'static str,
        /// The folder looked for.
        path: PathBuf,
        /// Where the original lies.
        original: &'static str,
    },
    /// The folder holds something else.
    #[error("{} is not the {task} data: it has no {missing}", path.display())]
    NotTheTask {
        /// The task.
        task: &'static str,
        /// The folder.
        path: PathBuf,
        /// The first thing looked for.
        missing: &'static str,
    },
    /// The files are none of the known variants.
    #[error("{} is no known variant of the {task} data: {reason}", path.display())]
    UnknownVariant {
        /// The task.
        task: &'static str,
        /// The folder.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// A line of a table or of a task file that cannot be used.
    #[error("{}, line {line}: {reason}", path.display())]
    BadRow {
        /// The table.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file that the data set lists and the folder lacks.
    #[error("{} is missing, though {listed_in} lists it", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// What lists it.
        listed_in: String,
    },
    /// A file in the folder that nothing lists.
    #[error("{} is not listed in {not_in}", path.display())]
    UnlistedFile {
        /// The file.
        path: PathBuf,
        /// What does not list it.
        not_in: String,
    },
    /// A wrong number of things.
    #[error("{} has {found} {what}, not {expected}", path.display())]
    WrongCount {
        /// What has the wrong number.
        path: PathBuf,
        /// Things counted.
        what: String,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A file of another length than that of its known variant.
    #[error("{} has {found} bytes, not the {expected} of variant {variant}", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// The variant.
        variant: &'static str,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// A file with other content than that of its known variant.
    #[error("{} has sha256 {found}, not the {expected} of variant {variant}", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// The variant.
        variant: &'static str,
        /// In hexadecimal.
        expected: String,
        /// In hexadecimal.
        found: String,
    },
    /// Data that opened as a known variant and is not as that was measured.
    #[error("this is not variant {variant} of the {task} data: {difference}")]
    Differs {
        /// The task.
        task: String,
        /// The variant.
        variant: String,
        /// The first difference.
        difference: String,
    },
    /// A sample that cannot be turned into an input.
    #[error("{}: {reason}", path.display())]
    BadSample {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// More samples had to be skipped than may be.
    #[error("{skipped} of {of} samples in {} cannot be used, more than 1 %; the first is {first}: {reason}", path.display())]
    TooManySkipped {
        /// The folder.
        path: PathBuf,
        /// Samples skipped.
        skipped: usize,
        /// Samples in all.
        of: usize,
        /// The first of them.
        first: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An input that the task cannot give.
    #[error("{task} cannot give such an input: {reason}")]
    WrongInput {
        /// The task.
        task: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The feature cache cannot be written or read: no space, no right, or no folder.
    #[error("cannot use the feature cache at {}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Video is decoded by programs that are not there.
    #[error("`{program}` cannot be started: {reason}")]
    MissingProgram {
        /// The program.
        program: String,
        /// The system's words.
        reason: String,
    },
    /// The threads for decoding cannot be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// Threads asked for; 0 for one per core.
        threads: usize,
        /// The system's words.
        source: rayon::ThreadPoolBuildError,
    },
}
