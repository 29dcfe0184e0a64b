//! Waiting for other ranks: awake for a moment, then asleep, and not for ever.

use crate::Patience;
use crate::error::RanksError;
use std::time::{Duration, Instant};

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
        let begun = Instant::now();
        loop {
            if over()? {
                return Ok(());
            }
            let waited = begun.elapsed();
            if patience == Patience::Usual && waited >= self.limit {
                let after = self.limit;
                return Err(RanksError::TimedOut { what, after });
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
