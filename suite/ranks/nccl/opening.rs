//! How ranks agree on NCCL: either all sum by it, or none does. They compare over MPI what they have
//! before they join, since NCCL waits for ever for a rank that cannot, and again when all have tried.

use super::Nccl;
use super::device::Device;
use super::error::NcclError;
use super::library::{Id, Library, Version};
use crate::error::RanksError;
use crate::mpi::Mpi;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// So often a rank tells whether it has joined.
const ROUND: Duration = Duration::from_millis(100);

/// What a rank tells the others: something, or why it cannot.
type Told = Result<Vec<u8>, String>;

/// Joins all ranks by NCCL, this one with the device of this number; else says why not, in the same
/// words on every rank.
///
/// # Errors
/// If the other ranks do not answer over MPI.
pub fn open(mpi: &Mpi, number: usize) -> Result<Result<Nccl, String>, RanksError> {
    let prepared = Library::open().and_then(|library| Ok((library, Device::open(number)?)));
    let mine = match &prepared {
        Ok((library, device)) => Ok([&library.version().0.to_ne_bytes()[..], &device.uuid].concat()),
        Err(error) => Err(error.told()),
    };
    let (library, device) = match (prepared, misfit(&tell(mpi, &mine)?)) {
        (Ok(prepared), None) => prepared,
        (_, why) => return Ok(Err(why.unwrap_or_default())),
    };
    let id = match mpi.rank() {
        0 => library.id().map(|id| id.0.to_vec()).map_err(|error| error.told()),
        _ => Ok(Vec::new()),
    };
    let mut bytes = bytes_of(&id);
    mpi.broadcast(&mut bytes)?;
    let id = told_of(&bytes).and_then(|id| id.try_into().map_err(|_| "an id of another length".to_owned()));
    match id {
        Ok(id) => join(mpi, library, device, Id(id)),
        Err(why) => Ok(Err(format!("rank 0: {why}"))),
    }
}

/// Joins on a thread of its own, which may never come back, and tells the others how it goes.
fn join(mpi: &Mpi, library: Library, device: Device, id: Id) -> Result<Result<Nccl, String>, RanksError> {
    let (place, waiting) = ([mpi.rank(), mpi.size()], mpi.waiting());
    let (sender, receiver) = mpsc::channel();
    // one that nobody takes any more ends itself
    let joining = move || drop(sender.send(Nccl::join(library, device, id, place, waiting)));
    let thread = Builder::new().name("joining by NCCL".to_owned()).spawn(joining);
    let mut mine = thread.err().map(|error| {
        let reason = error.to_string();
        Err(NcclError::Thread { reason })
    });
    let (begun, after) = (Instant::now(), waiting.limit());
    loop {
        if mine.is_none() {
            mine = match receiver.recv_timeout(ROUND) {
                Ok(joined) => Some(joined),
                Err(RecvTimeoutError::Timeout) if begun.elapsed() < after => None,
                Err(RecvTimeoutError::Timeout) => Some(Err(NcclError::TimedOut {
                    what: "joining ranks",
                    after,
                })),
                Err(RecvTimeoutError::Disconnected) => Some(Err(NcclError::Ended)),
            };
        }
        let told = match &mine {
            None => Ok(Vec::new()),
            Some(Ok(_)) => Ok(vec![1]),
            Some(Err(error)) => Err(error.told()),
        };
        let all = tell(mpi, &told)?;
        if let Some(why) = first_that_cannot(&all) {
            return Ok(Err(why));
        }
        match mine {
            Some(Ok(joined)) if all.iter().all(|told| *told == Ok(vec![1])) => return Ok(Ok(joined)),
            other => mine = other,
        }
    }
}

/// What all ranks tell each other, by rank.
fn tell(mpi: &Mpi, mine: &Told) -> Result<Vec<Told>, RanksError> {
    let all = mpi.gather(&bytes_of(mine))?;
    Ok(all.iter().map(|bytes| told_of(bytes)).collect())
}

fn bytes_of(told: &Told) -> Vec<u8> {
    match told {
        Ok(bytes) => [&[1], &bytes[..]].concat(),
        Err(why) => [&[0], why.as_bytes()].concat(),
    }
}

fn told_of(bytes: &[u8]) -> Told {
    match bytes.split_first() {
        Some((1, bytes)) => Ok(bytes.to_vec()),
        Some((_, why)) => Err(String::from_utf8_lossy(why).into_owned()),
        None => Err(String::new()),
    }
}

fn first_that_cannot(all: &[Told]) -> Option<String> {
    let why = |(rank, told): (usize, &Told)| Some(format!("rank {rank}: {}", told.as_ref().err()?));
    all.iter().enumerate().find_map(why)
}

/// Why these ranks, each with its version and its device, cannot sum by NCCL.
fn misfit(all: &[Told]) -> Option<String> {
    if let Some(why) = first_that_cannot(all) {
        return Some(why);
    }
    let all: Vec<(&[u8; 4], &[u8])> = all
        .iter()
        .filter_map(|told| told.as_ref().ok()?.split_first_chunk())
        .collect();
    let version = |rank: usize| Version(i32::from_ne_bytes(*all[rank].0));
    for (rank, (_, device)) in all.iter().enumerate() {
        if version(rank) != version(0) {
            return Some(format!(
                "rank {rank} has NCCL {}, rank 0 has {}",
                version(rank),
                version(0)
            ));
        }
        if let Some(other) = all[..rank].iter().position(|(_, other)| other == device) {
            return Some(format!(
                "ranks {other} and {rank} have the same device, which NCCL refuses"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(version: i32, device: u8) -> Told {
        Ok([&version.to_ne_bytes()[..], &[device; 16]].concat())
    }

    #[test]
    fn ranks_fit_that_have_one_version_and_devices_of_their_own() {
        assert_eq!(misfit(&[has(22_705, 1), has(22_705, 2)]), None);
        for (all, why) in [
            (
                [has(22_705, 1), has(22_705, 2), has(22_602, 3)],
                "rank 2 has NCCL 2.26.2, rank 0 has 2.27.5",
            ),
            (
                [has(22_705, 3), has(22_705, 1), has(22_705, 1)],
                "ranks 1 and 2 have the same device, which NCCL refuses",
            ),
            (
                [has(22_705, 1), Err("no driver".to_owned()), has(22_705, 1)],
                "rank 1: no driver",
            ),
        ] {
            assert_eq!(misfit(&all), Some(why.to_owned()));
        }
    }

    #[test]
    fn what_is_told_arrives() {
        for told in [Ok(vec![]), Ok(vec![0, 1]), Err("why".to_owned()), Err(String::new())] {
            assert_eq!(told_of(&bytes_of(&told)), told);
        }
    }
}
