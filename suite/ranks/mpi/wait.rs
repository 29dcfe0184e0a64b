//! Waiting for other ranks: awake for a moment, then asleep, and not for ever.

use crate::Patience;
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

    /// The time that it waits at most.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits until `over`, which is asked again and again, or until the time is: whether it is over.
    ///
    /// # Errors
    /// If `over` fails.
    pub fn until<E>(&self, patience: Patience, mut over: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
        let (mut waited, mut last) = (Duration::ZERO, Instant::now());
        loop {
            if over()? {
                return Ok(true);
            }
            waited += awake_since(&mut last, LONGEST_STEP);
            if patience == Patience::Usual && waited >= self.limit {
                return Ok(false);
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
