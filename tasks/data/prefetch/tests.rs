//! Order, bound and end of what is made ahead, over many shapes and uneven work.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bridle_seed::Seed;

use super::*;

/// Work that takes from nothing to a millisecond, so that steps overtake one another.
fn dawdle(step: u64) {
    let turns = Seed::root(3).indexed(step).stream().below(11) as u64;
    thread::sleep(Duration::from_micros(100 * turns));
}

#[test]
fn steps_come_in_order_whatever_the_threads_and_the_room() {
    let mut shapes = Seed::root(1).stream();
    for _ in 0..40 {
        let (threads, ahead) = (shapes.below(5), shapes.below(6));
        let first = shapes.below(100) as u64;
        let steps = first..first + shapes.below(30) as u64;
        let made = thread::scope(|scope| {
            let make = |step| {
                dawdle(step);
                step * step
            };
            prefetch(scope, threads, steps.clone(), ahead, make)
                .unwrap()
                .collect::<Vec<_>>()
        });
        assert_eq!(
            made,
            steps.clone().map(|step| step * step).collect::<Vec<_>>(),
            "{threads} {ahead} {steps:?}"
        );
    }
}

#[test]
#[allow(clippy::reversed_empty_ranges)] // an empty range may be written that way by mistake
fn no_steps_are_no_steps() {
    for steps in [0..0, 9..3] {
        let made: Vec<u64> = thread::scope(|scope| prefetch(scope, 2, steps, 2, |step| step).unwrap().collect());
        assert!(made.is_empty());
    }
}

/// Counts those that exist.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(alive: &'a AtomicUsize, most: &AtomicUsize) -> Self {
        most.fetch_max(1 + alive.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        Self(alive)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn no_more_than_the_steps_ahead_and_the_one_in_hand_exist() {
    for (threads, ahead) in [(1, 1), (4, 1), (2, 3), (4, 8)] {
        let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            let made = prefetch(scope, threads, 0..60, ahead, |step| {
                dawdle(step);
                Counted::new(&alive, &most)
            })
            .unwrap();
            for (step, counted) in made.enumerate() {
                dawdle(1_000 + step as u64);
                drop(counted);
            }
        });
        let most = most.load(Ordering::SeqCst);
        assert!(most <= ahead + 1, "{most} with {ahead} ahead");
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn steps_are_made_while_another_is_in_hand() {
    thread::scope(|scope| {
        let (made, begun) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&begun);
        let mut ahead = prefetch(scope, 2, 0..100, 4, move |step| {
            count.fetch_add(1, Ordering::SeqCst);
            step
        })
        .unwrap();
        made.store(ahead.next().unwrap(), Ordering::SeqCst);
        // nobody asks for more, and four more are made: without that this never ends
        while begun.load(Ordering::SeqCst) < 5 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(20));
        assert_eq!((made.load(Ordering::SeqCst), begun.load(Ordering::SeqCst)), (0, 5));
    });
}

#[test]
fn an_iterator_dropped_early_ends_its_threads_and_what_they_made() {
    let (alive, most, begun) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
    // the scope ends only when all threads have
    thread::scope(|scope| {
        let mut made = prefetch(scope, 3, 0..u64::MAX, 4, |_| {
            begun.fetch_add(1, Ordering::SeqCst);
            Counted::new(&alive, &most)
        })
        .unwrap();
        drop(made.by_ref().take(10).collect::<Vec<_>>());
    });
    assert!((10..=14).contains(&begun.load(Ordering::SeqCst)));
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn an_error_comes_at_its_turn_and_nothing_after_it_is_needed() {
    let outcome: Result<Vec<u64>, String> = thread::scope(|scope| {
        let make = |step| {
            dawdle(step);
            if step >= 7 {
                Err(format!("no step {step}"))
            } else {
                Ok(step)
            }
        };
        prefetch(scope, 4, 0..1_000_000_000, 5, make).unwrap().collect()
    });
    assert_eq!(outcome, Err("no step 7".to_owned()));
}

#[test]
fn a_panic_comes_at_its_turn() {
    let seen = AtomicU64::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        thread::scope(|scope| {
            let make = |step: u64| {
                dawdle(step);
                assert!(step != 5, "step {step} went wrong");
                step
            };
            prefetch(scope, 3, 0..1_000_000_000, 4, make)
                .unwrap()
                .for_each(|step| seen.store(step, Ordering::SeqCst));
        });
    }));
    let panic = outcome.unwrap_err();
    assert_eq!(
        panic.downcast_ref::<String>().map(String::as_str),
        Some("step 5 went wrong")
    );
    assert_eq!(seen.load(Ordering::SeqCst), 4);
}
