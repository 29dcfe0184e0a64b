//! Ranks: the processes that train one model together, one per GPU or processor socket.
//!
//! ```text
//! launcher   whether mpirun or srun started this process, and among how many
//! mpi        the exchange between processes: an MPI library, opened at run time
//! nccl       sums on NVIDIA devices: NVIDIA's library, opened at run time
//! opened     libraries that are opened at run time
//! tree       sums in an order that depends on the number of ranks and on nothing else
//! share      which samples are whose
//! held       what all ranks know alike, in memory once on each machine
//! error      what can go wrong, by name
//! ```
//!
//! Laws, which the tests hold it to: every rank gets the same bits from every operation; a run
//! repeats them with the same number of ranks under any MPI library (sums by NCCL aside, whose order
//! is its own); alone, nothing is done at all.

mod error;
mod held;
pub mod launcher;
mod mpi;
pub mod nccl;
mod opened;
mod share;
mod tree;

pub use error::RanksError;
pub use held::{Held, Holding};
pub use launcher::Launcher;
pub use mpi::Mpi;
pub use nccl::OnDevices;
pub use share::{part, parts};

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// How long a rank waits for the others before it calls them lost, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// This process among those that train one model. Rank 0 leads: it alone talks and writes.
#[derive(Clone, Debug, Default)]
pub enum Ranks {
    /// There is one process: every operation returns what it was given.
    #[default]
    Alone,
    /// Several processes, joined by an MPI library.
    Mpi(Arc<Mpi>),
}

/// How long to wait at a [`Ranks::barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as anywhere: the others are at the same work.
    Usual,
    /// Without limit: the others wait for what one rank does by itself.
    Endless,
}

impl Ranks {
    /// Joins the processes that a launcher started together; alone if none did. `patience` is how
    /// long a rank waits for the others before it calls them lost.
    ///
    /// # Errors
    /// If a launcher started several processes, and they cannot be joined.
    pub fn join(patience: Duration) -> Result<Self, RanksError> {
        match Launcher::from_environment() {
            Some(launcher) if launcher.size > 1 => Ok(Self::Mpi(Arc::new(Mpi::open(&launcher, patience)?))),
            _ => Ok(Self::Alone),
        }
    }

    /// Which one this is, from 0.
    pub fn rank(&self) -> usize {
        self.mpi().map_or(0, Mpi::rank)
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.mpi().map_or(1, Mpi::size)
    }

    /// Which one this is of those on this machine, from 0, and how many they are.
    pub fn local(&self) -> (usize, usize) {
        self.mpi().map_or((0, 1), Mpi::local)
    }

    /// The first rank of this machine.
    pub fn first_of_machine(&self) -> usize {
        self.mpi().map_or(0, Mpi::first_of_machine)
    }

    /// Machines that the ranks are on.
    pub fn machines(&self) -> usize {
        self.mpi().map_or(1, Mpi::machines)
    }

    /// What joins the processes, such as `Open MPI 4.1.4`; `alone` where there is one.
    pub fn engine(&self) -> &str {
        self.mpi().map_or("alone", Mpi::engine)
    }

    /// Whether this rank talks and writes.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Has tensors on NVIDIA devices summed there from now on, by NCCL, if every rank can; `device` is
    /// the number of this rank's. Returns why that cannot be, in the same words on every rank. To be
    /// called by all of them at the same place; what was found once stays.
    ///
    /// # Errors
    /// If the others do not answer.
    pub fn open_nccl(&self, device: usize) -> Result<Option<String>, RanksError> {
        self.mpi().map_or(Ok(None), |mpi| mpi.open_nccl(device))
    }

    /// The ranks for sums on their devices, if they can.
    pub fn on_devices(&self) -> Option<OnDevices<'_>> {
        let mpi = self.mpi()?;
        let nccl = mpi.nccl()??;
        Some(OnDevices { mpi, nccl })
    }

    /// What sums tensors on devices, such as `NCCL 2.27.5`; None where there are none.
    pub fn tensor_sums(&self) -> Option<&str> {
        let found = self.mpi()?.nccl()?;
        Some(found.map_or("main memory", |nccl| &nccl.engine))
    }

    fn mpi(&self) -> Option<&Mpi> {
        match self {
            Self::Alone => None,
            Self::Mpi(mpi) => Some(mpi),
        }
    }

    /// Replaces each value by its sum over ranks, added in a fixed order.
    ///
    /// # Errors
    /// If the others do not answer, or the engine fails; so for all that follow.
    pub fn sum(&self, values: &mut [f32]) -> Result<(), RanksError> {
        self.mpi().map_or(Ok(()), |mpi| mpi.sum(values))
    }

    /// The sum as the MPI library adds, whose order and bits are its own: for comparison only.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn sum_by_engine(&self, values: &mut [f32]) -> Result<(), RanksError> {
        self.mpi().map_or(Ok(()), |mpi| mpi.sum_by_engine(values))
    }

    /// Time that this rank has spent in exchanges, waiting for slower ranks included.
    pub fn exchanging(&self) -> Duration {
        self.mpi().map_or(Duration::ZERO, Mpi::exchanging)
    }

    /// As [`Ranks::sum`].
    pub fn sum_f64(&self, values: &mut [f64]) -> Result<(), RanksError> {
        self.mpi().map_or(Ok(()), |mpi| mpi.sum(values))
    }

    /// As [`Ranks::sum`], exactly. What exceeds 64 bits wraps.
    pub fn sum_counts(&self, values: &mut [u64]) -> Result<(), RanksError> {
        self.mpi().map_or(Ok(()), |mpi| mpi.sum(values))
    }

    /// Replaces each value by its mean over ranks, where each rank's values count by its `weight`
    /// (such as its number of samples). Alone they stay as they are. Where all weights are 0, the
    /// values are no numbers.
    pub fn mean(&self, values: &mut [f64], weight: f64) -> Result<(), RanksError> {
        let Some(mpi) = self.mpi() else { return Ok(()) };
        let mut sums: Vec<f64> = values.iter().map(|value| value * weight).collect();
        sums.push(weight);
        mpi.sum(&mut sums)?;
        let all = sums[values.len()];
        values.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum / all);
        Ok(())
    }

    /// The greatest `value` of all ranks.
    pub fn max(&self, value: u64) -> Result<u64, RanksError> {
        let Some(mpi) = self.mpi() else { return Ok(value) };
        let all = mpi.gather(&value.to_ne_bytes())?;
        Ok(all.iter().flat_map(|bytes| values_of(bytes)).fold(value, u64::max))
    }

    /// Rank 0's bytes, of any length, in place of one's own.
    pub fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), RanksError> {
        self.mpi().map_or(Ok(()), |mpi| mpi.broadcast(bytes))
    }

    /// Everybody's bytes, of any lengths, by rank.
    pub fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RanksError> {
        self.mpi()
            .map_or_else(|| Ok(vec![mine.to_vec()]), |mpi| mpi.gather(mine))
    }

    /// Everybody's values one after the other: those of rank 0, of rank 1, and so on.
    pub fn gather_values<T: bytemuck::Pod>(&self, mine: Vec<T>) -> Result<Vec<T>, RanksError> {
        let Some(mpi) = self.mpi() else { return Ok(mine) };
        let all = mpi.gather(bytemuck::cast_slice(&mine))?;
        Ok(all.iter().flat_map(|bytes| values_of(bytes)).collect())
    }

    /// Waits until all are here, asleep but for the first moment.
    pub fn barrier(&self, patience: Patience) -> Result<(), RanksError> {
        self.mpi().map_or(Ok(()), |mpi| mpi.barrier(patience))
    }

    /// Compares named facts on which all ranks must agree, such as the hash of the plan. All ranks
    /// get the same answer.
    ///
    /// # Errors
    /// Names the first fact that a rank knows otherwise than rank 0.
    pub fn agree(&self, facts: &[(&str, &str)]) -> Result<(), RanksError> {
        let Some(mpi) = self.mpi() else { return Ok(()) };
        let mine: Vec<String> = facts
            .iter()
            .map(|(name, value)| format!("{name}\u{1}{value}"))
            .collect();
        let all = mpi.gather(mine.join("\u{2}").as_bytes())?;
        let told: Vec<Vec<(String, String)>> = all.iter().map(|bytes| facts_of(bytes)).collect();
        for (rank, theirs) in told.iter().enumerate() {
            for place in 0..told[0].len().max(theirs.len()) {
                let (ours, other) = (told[0].get(place), theirs.get(place));
                if ours != other {
                    let value =
                        |fact: Option<&(String, String)>| fact.map_or_else(|| "none".into(), |(_, v)| v.clone());
                    return Err(RanksError::Disagree {
                        what: ours.or(other).map(|(name, _)| name.clone()).unwrap_or_default(),
                        leader: value(ours),
                        rank,
                        theirs: value(other),
                    });
                }
            }
        }
        Ok(())
    }

    /// Fails unless each rank gets at least one of `samples`; `what` names them.
    ///
    /// # Errors
    /// If there are more ranks than samples.
    pub fn can_share(&self, what: &str, samples: usize) -> Result<(), RanksError> {
        match self.size() {
            1 => Ok(()),
            ranks if ranks <= samples => Ok(()),
            ranks => Err(RanksError::TooMany {
                ranks,
                what: what.to_owned(),
                samples,
            }),
        }
    }

    /// The places of `total` that are this rank's.
    pub fn part(&self, total: usize) -> std::ops::Range<usize> {
        part(total, self.rank(), self.size())
    }

    /// What was found; ends all processes if it failed, for work that no rank can do without the
    /// others.
    pub fn required<T>(&self, found: Result<T, RanksError>) -> T {
        found.unwrap_or_else(|error| self.abort(i32::from(error.exit()), &error.told()))
    }

    /// Waits for the others and leaves them in peace: to be called by every rank before its process
    /// ends by an exit code that all share. A process that ends without it takes the others down.
    pub fn finish(&self) -> Result<(), RanksError> {
        self.mpi().map_or(Ok(()), Mpi::finish)
    }

    /// Ends all processes with this exit code, after `message` on stderr, if there is one.
    pub fn abort(&self, code: i32, message: &str) -> ! {
        say(self.rank(), message);
        match self.mpi() {
            Some(mpi) => mpi.abort(code),
            None => std::process::exit(code),
        }
    }
}

/// Tells on stderr, for the rank, which names itself unless it is the one that usually talks.
fn say(rank: usize, message: &str) {
    // in one call, so that lines of several ranks do not mix; there is nobody left to tell of an error
    let _ = match (rank, message) {
        (_, "") => Ok(()),
        (0, _) => std::io::stderr().write_all(format!("{message}\n").as_bytes()),
        _ => std::io::stderr().write_all(format!("rank {rank}: {message}\n").as_bytes()),
    };
}

/// The values that these bytes are.
fn values_of<T: bytemuck::Pod>(bytes: &[u8]) -> impl Iterator<Item = T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned)
}

/// Named facts as [`Ranks::agree`] joined them.
fn facts_of(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let facts = text.split('\u{2}').filter_map(|fact| fact.split_once('\u{1}'));
    facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_every_operation_returns_what_it_was_given() -> Result<(), RanksError> {
        let alone = Ranks::default();
        assert_eq!(
            (alone.rank(), alone.size(), alone.local(), alone.machines()),
            (0, 1, (0, 1), 1)
        );
        assert_eq!((alone.engine(), alone.leads()), ("alone", true));
        let (mut values, mut mean, mut counts) = ([0.1f32, f32::NAN], [0.3], [u64::MAX]);
        alone.sum(&mut values)?;
        alone.mean(&mut mean, 0.0)?;
        alone.sum_counts(&mut counts)?;
        assert_eq!(
            (values[0], values[1].is_nan(), mean, counts),
            (0.1, true, [0.3], [u64::MAX])
        );
        let mut bytes = vec![1, 2];
        alone.broadcast(&mut bytes)?;
        assert_eq!((alone.gather(&bytes)?, alone.max(7)?), (vec![vec![1, 2]], 7));
        assert_eq!((alone.part(5), alone.gather_values(vec![1.5f32])?), (0..5, vec![1.5]));
        alone.agree(&[("plan", "a")])?;
        alone.can_share("samples", 0)?;
        assert_eq!((alone.open_nccl(0)?, alone.tensor_sums()), (None, None));
        assert!(alone.on_devices().is_none());
        alone.barrier(Patience::Endless)?;
        alone.finish()
    }
}
