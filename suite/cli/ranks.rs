//! This process among those that train one model together: joined once, and how the program then
//! speaks and ends.

use super::error::{Failure, Result};
use super::exit::Exit;
use super::terminal;
use super::{Joining, JoiningArgs};
use bridle_ranks::{Launcher, PATIENCE, Ranks};
use clap::ValueEnum as _;
use std::sync::OnceLock;
use std::time::Duration;

/// `alone` makes each process a run of its own, whatever started it; `mpi` demands a launcher.
const RANKS: &str = "BRIDLE_RANKS";
/// Seconds that a rank waits for the others before it calls them lost.
const TIMEOUT: &str = "BRIDLE_RANK_TIMEOUT";

/// Other ranks leave rank 0 so much time to tell of a failure first, which is mostly one of all.
const FIRST_WORD: Duration = Duration::from_secs(1);

static JOINED: OnceLock<Ranks> = OnceLock::new();

/// What the command line says, in place of the environment.
static CHOSEN: OnceLock<JoiningArgs> = OnceLock::new();

/// Keeps what the command line says of ranks, for [`join`].
pub fn choose(joining: &JoiningArgs) {
    CHOSEN.get_or_init(|| joining.clone());
}

/// Joins the processes that a launcher started together with this one, if it did.
///
/// # Errors
/// If they cannot be joined, or an environment variable has no such value.
pub fn join() -> Result<Ranks> {
    let ranks = match joining()? {
        Some(Joining::Alone) => Ranks::Alone,
        Some(Joining::Mpi) if Launcher::from_environment().is_none() => {
            let message = "this process was to join others (ranks: mpi), and no launcher that is known started it";
            return Err(Failure::wrong_use(message).with_hint("mpirun -n 2 or srun --mpi=pmix before the command"));
        }
        _ => Ranks::join(patience()?)?,
    };
    Ok(JOINED.get_or_init(|| ranks).clone())
}

/// The launcher of this process and others, unless each is to be a run of its own.
pub fn started() -> Option<Launcher> {
    let alone = matches!(joining(), Ok(Some(Joining::Alone)));
    Launcher::from_environment().filter(|launcher| launcher.size > 1 && !alone)
}

/// How to join, as far as anybody says.
fn joining() -> Result<Option<Joining>> {
    if let Some(chosen) = CHOSEN.get().and_then(|chosen| chosen.ranks) {
        return Ok(Some(chosen));
    }
    match std::env::var(RANKS).ok().as_deref() {
        None | Some("") => Ok(None),
        Some(word) => Joining::from_str(word, false)
            .map(Some)
            .map_err(|_| Failure::wrong_use(format!("{RANKS} is `alone`, `mpi` or not set, not `{word}`"))),
    }
}

fn patience() -> Result<Duration> {
    if let Some(seconds) = CHOSEN.get().and_then(|chosen| chosen.rank_timeout) {
        return Ok(Duration::from_secs(seconds));
    }
    let Ok(text) = std::env::var(TIMEOUT) else {
        return Ok(PATIENCE);
    };
    let seconds = text.trim().parse().ok().filter(|&seconds: &u64| seconds > 0);
    let wrong = || Failure::wrong_use(format!("{TIMEOUT} is a number of seconds, not `{text}`"));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// What [`join`] joined; alone before.
pub fn joined() -> Ranks {
    JOINED.get().cloned().unwrap_or_default()
}

/// Whether another rank speaks for this one.
pub fn is_silent() -> bool {
    JOINED.get().is_some_and(|ranks| !ranks.leads())
}

/// Tells of a failure, and ends the other ranks as it must: where all found the same, each ends by
/// itself, and rank 0 tells of it; else whoever failed tells, and ends all.
pub fn end(done: Result<Exit>) -> Exit {
    let ranks = joined();
    let exit = match done {
        Ok(exit) => exit,
        // processes that a launcher started, and that could not be joined
        Err(failure) if ranks.size() == 1 => {
            let rank = started().and_then(|launcher| launcher.rank);
            let rank = rank.filter(|rank| *rank > 0);
            terminal::error(&rank.map_or_else(|| failure.to_string(), |rank| format!("rank {rank}: {failure}")));
            failure.exit()
        }
        Err(failure) if failure.is_of_all_ranks() => {
            // silent where rank 0 tells of it
            terminal::error(&failure.to_string());
            failure.exit()
        }
        Err(failure) => {
            if !ranks.leads() {
                std::thread::sleep(FIRST_WORD);
            }
            ranks.abort(i32::from(failure.exit().code()), &failure.to_string())
        }
    };
    match ranks.finish() {
        Ok(()) => exit,
        Err(error) => ranks.abort(i32::from(error.exit()), &Failure::from(error).to_string()),
    }
}
