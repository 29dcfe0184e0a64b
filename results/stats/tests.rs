//! Known values of the intervals, and their coverage in simulated data.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::metric::Metric;
use bridle_seed::Stream;

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
fn t_has_its_known_values() {
    // the t quantiles of 1, 4 and 29 degrees of freedom
    for (n, quantile) in [(2, 12.706_204_736), (5, 2.776_445_105), (30, 2.045_229_642)] {
        let values: Vec<f64> = (0..n).map(f64::from).collect();
        let interval = t_interval(&values, 0.95).unwrap();
        let half = quantile * sample_sd(&values).unwrap() / f64::from(n).sqrt();
        assert!(
            close(interval.high - interval.low, 2.0 * half, 1e-6 * half),
            "{interval:?}"
        );
        assert_eq!(interval.n, n as u64);
    }
    assert_eq!(t_interval(&[0.4], 0.95), None);
    assert_eq!(t_interval(&[], 0.95), None);
    let equal = t_interval(&[0.5; 3], 0.95).unwrap();
    assert_eq!((equal.low, equal.high), (0.5, 0.5));
}

#[test]
fn moments_have_their_known_values() {
    assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
    assert_eq!(mean(&[]), None);
    assert_eq!(sample_sd(&[1.0, 2.0, 6.0]), Some(7f64.sqrt()));
    assert_eq!(sample_sd(&[1.0]), None);
    assert_eq!((quantile(&[1.0, 2.0, 4.0], 0.625), quantile(&[7.0], 0.9)), (3.0, 7.0));
    assert_eq!(
        (quantile(&[1.0, 2.0, 4.0], 0.25), quantile(&[1.0, 2.0, 4.0], 0.01)),
        (1.0, 1.0)
    );
}

/// The bootstrap interval of the share of hits, of which each belongs to a class.
fn bootstrap_share(hits: &[bool], classes: &[usize], resamples: usize, seed: &Seed) -> Interval {
    let count = classes.iter().max().unwrap() + 1;
    let row = |(&hit, &class): (&bool, &usize)| {
        let highest = if hit { class } else { (class + 1) % count };
        (0..count).map(move |class| f32::from(u8::from(class == highest)))
    };
    let scores: Vec<f32> = hits.iter().zip(classes).flat_map(row).collect();
    let targets: Vec<Vec<u32>> = classes.iter().map(|&class| vec![class as u32]).collect();
    let interval = bootstrap_metric(Metric::Top1, &scores, &targets, count, resamples, 0.95, seed);
    interval.unwrap().unwrap()
}

#[test]
fn the_bootstrap_repeats_itself_and_spreads_as_the_formula_says() {
    let mut stream = Seed::root(5).stream();
    let hits: Vec<bool> = (0..400).map(|_| stream.uniform_f64() < 0.5).collect();
    let classes: Vec<usize> = (0..400).map(|i| i % 50).collect();
    let seed = Seed::root(0).child("bootstrap");
    let interval = bootstrap_share(&hits, &classes, 8000, &seed);
    assert_eq!(bootstrap_share(&hits, &classes, 8000, &seed), interval);
    // the variance of a stratified mean is the sum of (m / n)^2 s^2 / m over the classes
    let stratum = |class: usize| -> Vec<f64> {
        let of_class = hits.iter().skip(class).step_by(50);
        of_class.map(|&hit| f64::from(u8::from(hit))).collect()
    };
    let variance: f64 = (0..50)
        .map(|class| (8f64 / 400.0).powi(2) * sample_sd(&stratum(class)).unwrap().powi(2) / 8.0)
        .sum();
    let half = 1.96 * variance.sqrt();
    // of 8000 resamples the width has a standard error of 1.1 %; drawing m instead of m - 1 would
    // make it 6.5 % smaller
    let width = interval.high - interval.low;
    assert!(
        close(width, 2.0 * half, 0.04 * 2.0 * half),
        "{interval:?}, half width {half}"
    );
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
fn t_covers_the_mean_over_seeds() {
    for n in [2, 5, 10] {
        covers("seeds", 0.4, |stream| {
            let values: Vec<f64> = (0..n).map(|_| 0.4 + 0.02 * f64::from(stream.normal())).collect();
            t_interval(&values, 0.95).unwrap()
        });
    }
}

/// 25 classes of 8 samples, and how often a sample of each class is judged right.
fn classes_and_levels() -> (Vec<usize>, impl Fn(usize) -> f64) {
    let classes = (0..200).map(|i| i / 8).collect();
    (classes, |class: usize| 0.2 + 0.6 * class as f64 / 24.0)
}

#[test]
fn the_bootstrap_covers_a_stratified_mean() {
    let (classes, level) = classes_and_levels();
    let truth = mean(&classes.iter().map(|&class| level(class)).collect::<Vec<_>>()).unwrap();
    covers("bootstrap", truth, |stream| {
        let hits = classes.iter().map(|&class| stream.uniform_f64() < level(class));
        let hits: Vec<bool> = hits.collect();
        bootstrap_share(&hits, &classes, 400, &Seed::root(stream.bits()))
    });
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
