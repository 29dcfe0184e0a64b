//! Known values of the intervals, and Wilson's coverage in simulated data.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use bridle_seed::{Seed, Stream};

/// Simulated data sets for each coverage test.
const SIMULATIONS: usize = 1000;

fn close(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within
}

#[test]
fn quantiles_are_those_of_the_tables() {
    assert!(close(normal_quantile(0.975), 1.959_963_984_540_054, 1e-9));
    assert!(close(normal_quantile(0.5), 0.0, 1e-12));
    assert!(close(normal_quantile(1e-6), -4.753_424_308_822_9, 1e-6));
    assert_eq!(
        (normal_quantile(0.0), normal_quantile(1.0)),
        (f64::NEG_INFINITY, f64::INFINITY)
    );
}

#[test]
fn wilson_has_its_known_values() {
    // 81 of 263, from Newcombe (1998), table I
    let interval = wilson(81, 263, 0.95).unwrap();
    assert!(
        close(interval.low, 0.2553, 5e-5) && close(interval.high, 0.3662, 5e-5),
        "{interval:?}"
    );
    let none = wilson(0, 20, 0.95).unwrap();
    assert!(none.low == 0.0 && close(none.high, 0.1611, 5e-5), "{none:?}");
    let all = wilson(20, 20, 0.95).unwrap();
    assert!(all.high == 1.0 && close(all.low, 1.0 - none.high, 1e-12), "{all:?}");
    assert_eq!(wilson(0, 0, 0.95), None);
}

#[test]
fn moments_have_their_known_values() {
    assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
    assert_eq!(mean(&[]), None);
    assert_eq!(sample_sd(&[1.0, 2.0, 6.0]), Some(7f64.sqrt()));
    assert_eq!(sample_sd(&[1.0]), None);
}

/// The share of simulated intervals that hold the truth lies within 2 points of the level.
fn covers(name: &str, truth: f64, mut simulate: impl FnMut(&mut Stream) -> Interval) {
    let hits = (0..SIMULATIONS)
        .filter(|&i| {
            let interval = simulate(&mut Seed::root(11).child(name).indexed(i as u64).stream());
            interval.low <= truth && truth <= interval.high
        })
        .count();
    let share = hits as f64 / SIMULATIONS as f64;
    assert!(
        close(share, 0.95, 0.02),
        "{name}: {share} of the intervals hold the truth"
    );
}

#[test]
fn wilson_covers_a_proportion() {
    for (name, truth) in [("rare", 0.05), ("chance", 0.3), ("even", 0.5), ("high", 0.97)] {
        covers(name, truth, |stream| {
            let successes = (0..200).filter(|_| stream.uniform_f64() < truth).count();
            wilson(successes as u64, 200, 0.95).unwrap()
        });
    }
}

#[test]
fn mcnemar_has_its_known_values() {
    // scipy.stats.binomtest(b, b + c).pvalue
    let known = [
        (0, 0, 1.0),
        (0, 5, 0.0625),
        (12, 3, 0.035_156_25),
        (59, 86, 0.030481814649487685),
        (150, 150, 1.0),
        (1000, 1100, 0.03072070786424249),
    ];
    for (only_a, only_b, p) in known {
        assert!(
            close(mcnemar(only_a, only_b), p, 1e-9 * p),
            "{only_a}, {only_b}: {}",
            mcnemar(only_a, only_b)
        );
        assert_eq!(mcnemar(only_a, only_b), mcnemar(only_b, only_a));
    }
}
