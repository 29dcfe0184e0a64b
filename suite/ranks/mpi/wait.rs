//! Waiting for other ranks: awake for a moment, then asleep, and not for ever.

use crate::Patience;
use crate::error::RanksError;
use std::time::{Duration, Instant};

/// A longer time between two looks means that this process itself was stopped.
const LONGEST_STEP: Duration = Duration::from_secs(1);

/// The time since `last`, which becomes now; `most` of it counts, because a scheduler that stops all
/// ranks for an hour has lost none of them.
pub fn awake_since(last: &mut Instant, most: Duration) -> Duration {
    let now = Instant::now();
    now.duration_since(std::mem::replace(last, now)).min(most)
}

/// How this process waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    limit: Duration,
    /// So long without sleep, which costs a core and answers at once.
    awake: Duration,
}

impl Waiting {
    /// Waits so long at most.
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            awake: Duration::from_millis(1),
        }
    }

    /// Stays awake longer where each of `ranks` processes has a core of its own.
    pub fn share_cores(&mut self, ranks: usize) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if ranks <= cores {
            self.awake = Duration::from_millis(20);
        }
    }

    /// Waits until `over`, which is asked again and again.
    ///
    /// # Errors
    /// If it fails, or the time is over.
    pub fn until(
        &self,
        patience: Patience,
        what: &'static str,
        mut over: impl FnMut() -> Result<bool, RanksError>,
    ) -> Result<(), RanksError> {
        let (mut waited, mut last) = (Duration::ZERO, Instant::now());
        loop {
            if over()? {
                return Ok(());
            }
            waited += awake_since(&mut last, LONGEST_STEP);
            if patience == Patience::Usual && waited >= self.limit {
                let (after, missing) = (self.limit, String::new());
                return Err(RanksError::TimedOut { what, after, missing });
            }
            if waited < self.awake {
                std::hint::spin_loop();
            } else if waited < 10 * self.awake {
                std::thread::sleep(Duration::from_micros(100));
            } else {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}
