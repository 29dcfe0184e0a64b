//! What every command that works for long shares: signals, progress, and the other ranks.

use crate::cli::error::{Failure, Result};
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::TerminalProgress;
use crate::cli::ranks;
use crate::run::machine;
use bridle_backends::{Choice, Name};
use bridle_ranks::{Patience, Ranks, RanksError};

/// What the user sees of the work, and how to stop it.
pub struct Session {
    pub(super) interrupt: Interrupt,
    pub(super) progress: TerminalProgress,
    /// The processes that do this work together.
    pub ranks: Ranks,
}

impl Session {
    /// Joins the other ranks that a launcher started for this `command`, if it did, and listens for
    /// signals from now on.
    ///
    /// # Errors
    /// If the ranks cannot be joined, or are of other programs or commands; if the system refuses the
    /// handlers.
    pub fn begin(command: &str) -> Result<Self> {
        Self::telling(command, "the same command with --resume")
    }

    /// The same; whoever stops it is told to try `again`.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn telling(command: &str, again: &'static str) -> Result<Self> {
        let ranks = ranks::join()?;
        // before anything that other programs and commands do otherwise
        ranks.agree(&[("program", machine::VERSION), ("command", command)])?;
        let interrupt = Interrupt::listen(again).map_err(|error| Failure::fault("cannot listen for signals", error))?;
        Ok(Self {
            interrupt,
            progress: TerminalProgress::default(),
            ranks,
        })
    }

    /// The same, which fetches much data without asking where that was agreed to before.
    #[must_use]
    pub fn agreeing(self, yes: bool) -> Self {
        let progress = TerminalProgress::agreeing(yes);
        Self { progress, ..self }
    }

    /// Fails where several ranks were started: `what` is nothing that they share.
    ///
    /// # Errors
    /// If there are several.
    pub fn require_alone(&self, what: &str) -> Result<()> {
        match self.ranks.size() {
            1 => Ok(()),
            ranks => Err(RanksError::Unshared {
                what: what.to_owned(),
                ranks,
            }
            .into()),
        }
    }

    /// Opens data on rank 0 first, then on one rank of each machine, then on the others: features
    /// that are missing are computed once on a shared disk, else once on each machine.
    pub(super) fn in_turn<T>(&self, open: impl FnOnce() -> Result<T>) -> Result<T> {
        let (ranks, (local, _)) = (&self.ranks, self.ranks.local());
        let before = if ranks.leads() { 0 } else { 1 + usize::from(local > 0) };
        (0..before).try_for_each(|_| ranks.barrier(Patience::Endless))?;
        let opened = open()?;
        (before..2).try_for_each(|_| ranks.barrier(Patience::Endless))?;
        Ok(opened)
    }
}

/// Shares cores and devices out among the ranks of a machine, as far as the command line leaves that
/// open.
///
/// # Errors
/// If the other ranks do not answer.
pub fn share_machine(backend: &mut Choice, ranks: &Ranks, progress: &TerminalProgress) -> Result<()> {
    let (local, here) = ranks.local();
    machine::share_cores(ranks)?;
    if here > 1 && backend.threads.is_none() {
        let (threads, all) = (machine::own_cores(), machine::all_cores());
        backend.threads = Some(threads);
        if threads == 1 && all / here > 1 {
            progress.say(&format!(
                "note: each rank may use 1 of {all} cores; mpirun --bind-to none, or --map-by slot:PE={}",
                all / here
            ));
        }
    }
    // a launcher may have given each rank a device of its own
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").map_or(0, |list| list.split(',').count());
    if here > 1 && visible != 1 && (backend.name == Name::Cuda || backend.device.is_some()) {
        backend.device = Some(backend.device.unwrap_or(0) + local);
    }
    Ok(())
}
