//! Work done ahead: the inputs of coming steps are made by other threads while one is trained on.
//!
//! Steps come out in order, whatever the number of threads, so that a run's numbers cannot depend on it: a step must be
//! made of its number alone, as draws from [`bridle_seed::Seed`] are. Memory is bounded by the number of steps ahead.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

/// Makes what belongs to each of `steps` on `threads` threads of `scope` (0: one per core), at most `ahead` steps (at
/// least 1) further than the one that was last given out.
///
/// The iterator gives them in order. One that is dropped early ends its threads once they have made what they are at. A
/// panic in `make` comes out at its step's turn.
pub fn prefetch<'scope, T, F>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    steps: Range<u64>,
    ahead: usize,
    make: F,
) -> Prefetch<T>
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
        state: Mutex::new(State {
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
    for _ in 0..workers {
        let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
        scope.spawn(move || shared.work(make.as_ref()));
    }
    Prefetch { shared }
}

/// What was made ahead, in the order of the steps.
pub struct Prefetch<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    end: u64,
    ahead: u64,
}

struct State<T> {
    /// The first step that no thread has taken.
    begun: u64,
    /// The first step that was not given out.
    given: u64,
    /// Steps that were made, or the panic in their place.
    made: BTreeMap<u64, Result<T, Box<dyn Any + Send>>>,
    /// Nobody wants more.
    ended: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // nothing that can panic runs under the lock
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next step to make, once there is room for it; `None` after the last.
    fn take(&self) -> Option<u64> {
        let mut state = self.lock();
        loop {
            if state.ended || state.begun >= self.end {
                return None;
            }
            if state.begun - state.given < self.ahead {
                state.begun += 1;
                return Some(state.begun - 1);
            }
            state = self.wait(state);
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
        let mut state = self.shared.lock();
        let step = state.given;
        if step >= self.shared.end {
            return None;
        }
        let made = loop {
            match state.made.remove(&step) {
                Some(made) => break made,
                None => state = self.shared.wait(state),
            }
        };
        state.given += 1;
        drop(state);
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
