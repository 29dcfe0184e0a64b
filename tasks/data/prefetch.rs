//! Work done ahead: other threads make the inputs of coming steps while the model trains on one.
//!
//! Steps come out in order on any number of threads, so a run's numbers cannot depend on it. A step
//! must depend on its number only, as draws from [`bridle_seed::Seed`] do. Memory is bounded by the
//! number of steps ahead.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

// the standard library, in whose place tests/fuzz/prefetch.rs puts a model of threads
use super::standard::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use super::standard::thread::{Builder, Scope};
use crate::DataError;

/// Makes the value of each of `steps` on `threads` threads of `scope` (0: one per core), at most
/// `ahead` steps (at least 1) beyond the last one returned.
///
/// The iterator returns them in order. Dropping it early ends its threads once they finish their
/// current step. A panic in `make` resurfaces at its step's turn.
///
/// # Errors
/// If the system starts not one thread; fewer than were asked for will do.
pub fn prefetch<'scope, T, F>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    steps: Range<u64>,
    ahead: usize,
    make: F,
) -> Result<Prefetch<T>, DataError>
where
    T: Send + 'scope,
    F: Fn(u64) -> T + Send + Sync + 'scope,
{
    let ahead = ahead.max(1);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads };
    let waiting = steps.end.saturating_sub(steps.start);
    let workers = threads.min(ahead).min(usize::try_from(waiting).unwrap_or(usize::MAX));
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            begun: steps.start,
            given: steps.start,
            made: BTreeMap::new(),
            ended: false,
        }),
        changed: Condvar::new(),
        end: steps.end,
        ahead: ahead as u64,
    });
    let make = Arc::new(make);
    for started in 0..workers {
        let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
        match Builder::new().spawn_scoped(scope, move || shared.work(make.as_ref())) {
            Ok(_) => {}
            Err(_) if started > 0 => break,
            Err(source) => return Err(DataError::threads(workers, source)),
        }
    }
    Ok(Prefetch { shared })
}

/// The values made ahead, in the order of the steps.
pub struct Prefetch<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
    end: u64,
    ahead: u64,
}

struct Queue<T> {
    /// The first step that no thread has taken.
    begun: u64,
    /// The first step that was not returned.
    given: u64,
    /// Finished steps, or the panic in their place.
    made: BTreeMap<u64, Result<T, Box<dyn Any + Send>>>,
    /// The iterator was dropped.
    ended: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // nothing that can panic runs under the lock
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue<T>>) -> MutexGuard<'a, Queue<T>> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next step to make, once there is room for it; `None` after the last.
    fn take(&self) -> Option<u64> {
        let mut queue = self.lock();
        loop {
            if queue.ended || queue.begun >= self.end {
                return None;
            }
            if queue.begun - queue.given < self.ahead {
                queue.begun += 1;
                return Some(queue.begun - 1);
            }
            queue = self.wait(queue);
        }
    }

    fn work(&self, make: &impl Fn(u64) -> T) {
        while let Some(step) = self.take() {
            let made = catch_unwind(AssertUnwindSafe(|| make(step)));
            self.lock().made.insert(step, made);
            self.changed.notify_all();
        }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut queue = self.shared.lock();
        let step = queue.given;
        if step >= self.shared.end {
            return None;
        }
        let made = loop {
            match queue.made.remove(&step) {
                Some(made) => break made,
                None => queue = self.shared.wait(queue),
            }
        };
        queue.given += 1;
        drop(queue);
        self.shared.changed.notify_all();
        Some(made.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
