//! What every command that works for long shares: signals, progress, and the other ranks.

use crate::cli::error::{Failure, Result};
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::TerminalProgress;
use crate::cli::ranks;
use crate::run::machine;
use bridle_backends::{BackendError, Choice, Name};
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
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    backend.device = own_device(backend, (local, here), visible.as_deref());
    Ok(())
}

/// The device of the rank `local` of `here` on a machine where `visible` lists devices, if anything
/// does: devices are counted from the chosen one on. Of a single visible device every rank takes that
/// one: a launcher may have given each rank its own.
fn own_device(backend: &Choice, (local, here): (usize, usize), visible: Option<&str>) -> Option<usize> {
    let on_device = match backend.name {
        Name::Cuda => true,
        Name::Tch => backend.device.is_some(),
        Name::Flex => false,
    };
    let one = visible.is_some_and(|list| list.split(',').count() == 1);
    if on_device && here > 1 && !one {
        Some(backend.device.unwrap_or(0) + local)
    } else {
        backend.device
    }
}

/// Why a backend cannot be used: with several ranks on a machine they may be more than its devices.
pub fn without_backend(error: BackendError, backend: &Choice, ranks: &Ranks) -> Failure {
    let (local, here) = ranks.local();
    let lacks_device = matches!(error, BackendError::Unavailable { .. }) && backend.device.is_some();
    let failure = Failure::from(error);
    if lacks_device && local > 0 {
        return failure.with_hint(format!(
            "at most as many ranks on a machine as it has devices (this one has {here} ranks); \
             CUDA_VISIBLE_DEVICES=0 if they are to share one device"
        ));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rank_of_a_machine_has_a_device_of_its_own() {
        let device = |name, device, visible| {
            let choice = Choice {
                device,
                ..Choice::of(name)
            };
            [0, 1].map(|local| own_device(&choice, (local, 2), visible))
        };
        assert_eq!(device(Name::Cuda, None, None), [Some(0), Some(1)]);
        assert_eq!(device(Name::Tch, Some(2), Some("0,1,2,3")), [Some(2), Some(3)]);
        // given by the launcher, to be shared, or none at all
        assert_eq!(device(Name::Cuda, None, Some("3")), [None, None]);
        assert_eq!(device(Name::Tch, Some(0), Some("0")), [Some(0), Some(0)]);
        assert_eq!(device(Name::Tch, None, None), [None, None]);
        assert_eq!(device(Name::Flex, Some(0), None), [Some(0), Some(0)]);
        let alone = Choice::of(Name::Cuda);
        assert_eq!(own_device(&alone, (0, 1), None), None);
    }
}
