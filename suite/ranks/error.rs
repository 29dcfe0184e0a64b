//! What can go wrong between ranks.

use crate::nccl::NcclError;
use std::time::Duration;

/// What ranks wait for first.
pub const STARTING: &str = "starting MPI";

/// Why processes could not be joined, or an exchange between them failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RanksError {
    /// No MPI library could be opened.
    #[error("{launcher} started {size} processes, but no MPI library could be opened to join them ({tried})")]
    Missing {
        launcher: &'static str,
        size: usize,
        /// The names that were tried, with the loader's words on the last.
        tried: String,
    },
    /// The library is of a kind that this program does not know.
    #[error("`{library}` is no MPI library that this program knows: {says}")]
    Unknown { library: String, says: String },
    /// A library lacks a function.
    #[error("the MPI library `{library}` has no function `{function}`")]
    Lacking { library: String, function: String },
    /// The library is not the one that the launcher belongs to.
    #[error("{launcher} started {size} processes, but `{library}` ({engine}) joined {joined} of them")]
    Foreign {
        launcher: &'static str,
        size: usize,
        library: String,
        engine: String,
        joined: usize,
    },
    /// A launcher started several processes without a way to find each other.
    #[error("{launcher} started {size} processes ({variable}={size}) that know nothing of each other")]
    Lone {
        launcher: &'static str,
        variable: &'static str,
        size: usize,
    },
    /// Somebody in this process has started MPI already, or ended it.
    #[error("MPI is already initialised in this process")]
    Initialised,
    /// The library cannot be called from the threads of this program.
    #[error("{engine} offers thread level {provided}, and MPI_THREAD_SERIALIZED ({needed}) is needed")]
    Threads { engine: String, provided: i32, needed: i32 },
    /// The machine has no memory left for what its ranks share.
    #[error("this machine's ranks cannot share memory: {reason}")]
    Memory { reason: String },
    /// The system starts no more threads.
    #[error("no thread can be started for signs of life between ranks: {reason}")]
    Thread { reason: String },
    /// A function of the engine failed.
    #[error("{what} failed in {engine}: {text} (code {code})")]
    Engine {
        what: &'static str,
        engine: String,
        code: i32,
        text: String,
    },
    /// Other ranks did not come to the same exchange; `missing` names those that are known to be behind.
    #[error("{} did not answer within {} s ({what})", if missing.is_empty() { "another rank" } else { missing },
            after.as_secs_f64())]
    TimedOut {
        what: &'static str,
        after: Duration,
        missing: String,
    },
    /// Processes of other ranks hang, or their machine does.
    #[error("{ranks} gave no sign of life for {} s", after.as_secs_f64())]
    Lost { ranks: String, after: Duration },
    /// A sum on devices failed.
    #[error(transparent)]
    Nccl(#[from] NcclError),
    /// An exchange failed before, and the ranks are no longer at the same place.
    #[error("{what} cannot be done, because an exchange between ranks failed before")]
    Broken { what: &'static str },
    /// Ranks that were started differently.
    #[error("rank {rank} has another {what} than rank 0: {theirs}, not {leader}")]
    Disagree {
        what: String,
        leader: String,
        rank: usize,
        theirs: String,
    },
    /// Something that one process has to do by itself in this version.
    #[error("{what} cannot be shared out over {ranks} ranks in this version")]
    Unshared { what: String, ranks: usize },
    /// More ranks than there is work for.
    #[error("{ranks} ranks cannot share {samples} {what}")]
    TooMany { ranks: usize, what: String, samples: usize },
}

impl RanksError {
    /// Whether all ranks find the same, so that each can end by itself with the same exit code.
    pub fn is_shared(&self) -> bool {
        matches!(
            self,
            Self::Disagree { .. } | Self::Unshared { .. } | Self::TooMany { .. }
        )
    }

    /// The program's exit code: 1 a fault of the machine, 2 wrong use, 4 a library is missing.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Missing { .. }
            | Self::Unknown { .. }
            | Self::Lacking { .. }
            | Self::Foreign { .. }
            | Self::Threads { .. } => 4,
            Self::Lone { .. } | Self::Disagree { .. } | Self::Unshared { .. } | Self::TooMany { .. } => 2,
            Self::Initialised
            | Self::Memory { .. }
            | Self::Thread { .. }
            | Self::Engine { .. }
            | Self::TimedOut { .. }
            | Self::Lost { .. }
            | Self::Nccl(_)
            | Self::Broken { .. } => 1,
        }
    }

    /// A command or a change that helps, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => {
                "install the MPI library that the launcher belongs to (`apt-get install openmpi-bin`), \
                 or set BRIDLE_MPI to its path (libmpi.so.40 of Open MPI, libmpi.so.12 of MPICH)"
            }
            Self::Unknown { .. } | Self::Lacking { .. } => {
                "BRIDLE_MPI with the path of an MPI library: libmpi.so.40 of Open MPI, libmpi.so.12 of MPICH, \
                 libmpi_abi.so of any MPI 5"
            }
            Self::Foreign { .. } => {
                "BRIDLE_MPI with the path of the launcher's own library (libmpi.so.40 of Open MPI's mpirun, \
                 libmpi.so.12 or libmpich.so.12 of MPICH's), or the library's own launcher"
            }
            Self::Lone { .. } => {
                "srun --mpi=pmix (`srun --mpi=list` shows what there is) or mpirun; \
                 BRIDLE_RANKS=alone if each process is a run of its own"
            }
            Self::TimedOut { what: STARTING, .. } => {
                "the same program and command on every rank, of which one may have ended before it joined the others; \
                 a longer BRIDLE_RANK_TIMEOUT (seconds) if a rank was only slow"
            }
            Self::TimedOut { .. } | Self::Lost { .. } => {
                "the same command with --resume; a longer BRIDLE_RANK_TIMEOUT (seconds) if a rank was only slow"
            }
            Self::Nccl(_) => {
                "the same command with --resume; BRIDLE_NCCL=off, to sum through main memory, if it fails again"
            }
            Self::Disagree { .. } => "the same command, program and data on every rank",
            Self::Unshared { .. } => "the same command without mpirun or srun: one process",
            Self::TooMany { .. } => "fewer ranks, or a larger batch",
            Self::Memory { .. } => "more memory, or more machines with fewer ranks each",
            Self::Thread { .. } => "fewer ranks on this machine, or a higher limit of threads (ulimit -u)",
            Self::Initialised | Self::Threads { .. } | Self::Engine { .. } | Self::Broken { .. } => return None,
        })
    }

    /// The error and the hint, as the program tells of errors.
    pub fn told(&self) -> String {
        match self.hint() {
            Some(hint) => format!("error: {self}\ntry: {hint}"),
            None => format!("error: {self}"),
        }
    }
}
