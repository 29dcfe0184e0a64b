//! Prefetching under every kind of schedule: shuttle runs its source with threads, a mutex and a
//! condition variable of its own, and chooses who goes on at each step.

/// The error of no thread at all.
#[derive(Debug)]
pub struct DataError;

impl DataError {
    fn threads(_threads: usize, _source: std::io::Error) -> Self {
        Self
    }
}

#[path = "../../tasks/data"]
mod data {
    pub mod prefetch;

    /// What prefetch.rs takes from the standard library.
    mod standard {
        pub use shuttle::sync;

        pub mod thread {
            use std::io;

            use shuttle::rand::{Rng, thread_rng};
            pub use shuttle::thread::Scope;
            use shuttle::thread::ScopedJoinHandle;

            /// As the standard library's; the system may refuse a thread.
            pub struct Builder;

            impl Builder {
                pub fn new() -> Self {
                    Self
                }

                pub fn spawn_scoped<'scope, F, T>(
                    self,
                    scope: &'scope Scope<'scope, '_>,
                    work: F,
                ) -> io::Result<ScopedJoinHandle<'scope, T>>
                where
                    F: FnOnce() -> T + Send + 'scope,
                    T: Send + 'scope,
                {
                    match thread_rng().gen_bool(0.1) {
                        true => Err(io::ErrorKind::WouldBlock.into()),
                        false => Ok(scope.spawn(work)),
                    }
                }
            }
        }
    }
}

use data::prefetch::prefetch;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Schedules of each kind.
const SCHEDULES: usize = 2_000;

/// Steps come in order, and no more exist than there is room for.
fn steps_in_order() {
    for (threads, ahead, steps) in [(1, 1, 0..3), (2, 1, 0..3), (2, 3, 5..9), (3, 2, 0..5)] {
        // those made and not yet returned
        let waiting = AtomicUsize::new(0);
        shuttle::thread::scope(|scope| {
            let make = |step| {
                shuttle::thread::yield_now();
                assert!(
                    waiting.fetch_add(1, Ordering::SeqCst) <= ahead,
                    "more than {ahead} ahead"
                );
                step
            };
            let Ok(made) = prefetch(scope, threads, steps.clone(), ahead, make) else {
                return;
            };
            let given = made.inspect(|_| {
                waiting.fetch_sub(1, Ordering::SeqCst);
            });
            assert_eq!(given.collect::<Vec<u64>>(), steps.clone().collect::<Vec<_>>());
        });
    }
}

/// Dropping the iterator ends every thread: one that waited on would be a deadlock.
fn dropped_early() {
    for taken in 0..3 {
        shuttle::thread::scope(|scope| {
            let Ok(made) = prefetch(scope, 2, 0..1_000_000, 2, |step| step) else {
                return;
            };
            assert_eq!(made.take(taken).count(), taken);
        });
    }
}

/// A panic of a step resurfaces at its turn, and the other threads end.
fn panic_in_turn() {
    shuttle::thread::scope(|scope| {
        let make = |step| {
            if step == 1 {
                std::panic::resume_unwind(Box::new("step 1"))
            } else {
                step
            }
        };
        let Ok(mut made) = prefetch(scope, 2, 0..4, 2, make) else {
            return;
        };
        assert_eq!(made.next(), Some(0));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| made.next())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"step 1"));
        drop(made);
    });
}

fn main() {
    for law in [steps_in_order as fn(), dropped_early, panic_in_turn] {
        // Schedules by priorities need a choice in the first run, where prefetch may have been refused its threads.
        let beside_another = move || {
            let other = shuttle::thread::spawn(|| ());
            shuttle::thread::yield_now();
            law();
            other.join().unwrap();
        };
        shuttle::check_random(law, SCHEDULES);
        shuttle::check_pct(beside_another, SCHEDULES, 3);
    }
    println!("prefetch: 3 laws over {SCHEDULES} random schedules and {SCHEDULES} by priorities");
}
