//! Laws of paired comparison of the same samples: coverage of the intervals and distribution of
//! p-values over simulated data sets.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::stats::{FoldRuns, Interval, Spread};
use statrs::distribution::{ContinuousCDF, Normal};

/// Simulated data sets for each law.
const SIMULATIONS: usize = 1000;

/// Resamples or permutations of each data set.
const RESAMPLES: usize = 399;

/// Simulated scores of A and B for some seeds.
struct Simulated {
    targets: Vec<Vec<u32>>,
    classes: usize,
    seeds: Vec<[Vec<f32>; 2]>,
}

/// The numbers of so many samples, each a source of its own.
fn alone(samples: usize) -> Vec<usize> {
    (0..samples).collect()
}

impl Simulated {
    /// The spread of A - B.
    fn difference(&self, metric: Metric) -> Spread {
        let influence = |scores: &[f32]| metric.influence(scores, &self.targets, self.classes).unwrap().unwrap();
        let pairs = self
            .seeds
            .iter()
            .map(|pair| pair.each_ref().map(|scores| influence(scores)));
        let (mut values, mut influences) = (Vec::new(), Vec::new());
        for [a, b] in pairs {
            values.push(a.value - b.value);
            influences.push(a.by_sample.iter().zip(&b.by_sample).map(|(a, b)| a - b).collect());
        }
        let samples = self.targets.len();
        let runs = FoldRuns {
            values,
            influences,
            samples,
        };
        Spread::of(&[runs]).unwrap()
    }

    fn interval(&self, metric: Metric) -> Interval {
        self.difference(metric).interval_of_difference(metric, 0.95)
    }

    /// The interval of A in the first seed.
    fn interval_of_a(&self, metric: Metric) -> Interval {
        let [scores, _] = &self.seeds[0];
        let found = metric.influence(scores, &self.targets, self.classes).unwrap().unwrap();
        let run = FoldRuns {
            values: vec![found.value],
            influences: vec![found.by_sample],
            samples: self.targets.len(),
        };
        Spread::of(&[run]).unwrap().interval(metric, 0.95)
    }

    fn paired(&self, metric: Metric) -> Paired {
        let fold = PairedScores {
            targets: &self.targets,
            sources: &alone(self.targets.len()),
            classes: self.classes,
            seeds: self.seeds.iter().map(|[a, b]| [&a[..], &b[..]]).collect(),
        };
        Paired::new(metric, &[fold]).unwrap()
    }
}

/// 25 classes of 8 samples, easy ones and hard ones. A system is right where a normal variable,
/// shared in part between systems and seeds, stays below a limit; B's limit lies `gap` lower.
fn single_label(stream: &mut Stream, seeds: usize, gap: f64) -> Simulated {
    let classes = 25;
    let labels: Vec<usize> = (0..8 * classes).map(|i| i / 8).collect();
    let shared: Vec<[f64; 3]> = labels
        .iter()
        .map(|_| std::array::from_fn(|_| f64::from(stream.normal())))
        .collect();
    let mut seed = || {
        [0, 1].map(|system| {
            let mut scores = vec![0.0; labels.len() * classes];
            for (sample, &label) in labels.iter().enumerate() {
                let [both, own @ ..] = shared[sample];
                let parts = [(0.5f64, both), (0.3, own[system]), (0.2, f64::from(stream.normal()))];
                let hardness: f64 = parts.iter().map(|(variance, part)| variance.sqrt() * part).sum();
                let right = hardness < limit(label) - gap * system as f64;
                let chosen = if right { label } else { (label + 1) % classes };
                scores[sample * classes + chosen] = 1.0;
            }
            scores
        })
    };
    let seeds = (0..seeds).map(|_| seed()).collect();
    Simulated {
        targets: labels.iter().map(|&label| vec![label as u32]).collect(),
        classes,
        seeds,
    }
}

fn limit(label: usize) -> f64 {
    label as f64 / 12.0 - 1.0
}

/// A - B over the classes of [`single_label`].
fn single_label_truth(gap: f64) -> f64 {
    let normal = Normal::standard();
    (0..25)
        .map(|label| normal.cdf(limit(label)) - normal.cdf(limit(label) - gap))
        .sum::<f64>()
        / 25.0
}

/// Two classes, each with its share of positives. Scores are `signal` for positives, and noise that
/// A and B share in part.
fn multi_label(stream: &mut Stream, samples: usize, signals: [f64; 2], scale: f32) -> Simulated {
    let shares = [0.5, 0.2];
    let mut targets = vec![Vec::new(); samples];
    let mut scores = [Vec::new(), Vec::new()];
    for targets in &mut targets {
        for (class, share) in shares.iter().enumerate() {
            let positive = stream.uniform_f64() < *share;
            if positive {
                targets.push(class as u32);
            }
            let noise = stream.normal();
            for system in 0..2 {
                let signal = if positive { signals[system] as f32 } else { 0.0 };
                let score = signal + 0.8 * noise + 0.6 * stream.normal();
                scores[system].push(if system == 0 { score } else { scale * score });
            }
        }
    }
    Simulated {
        targets,
        classes: shares.len(),
        seeds: vec![scores],
    }
}

fn stream(law: &str, simulation: usize) -> Stream {
    Seed::root(23).child(law).indexed(simulation as u64).stream()
}

fn coverage(law: &str, truth: f64, mut interval: impl FnMut(&mut Stream) -> Interval) -> f64 {
    let covered = (0..SIMULATIONS).filter(|&simulation| {
        let interval = interval(&mut stream(law, simulation));
        interval.low <= truth && truth <= interval.high
    });
    covered.count() as f64 / SIMULATIONS as f64
}

/// The share of intervals that hold the truth lies within 2 points of the level.
fn covers(law: &str, truth: f64, interval: impl FnMut(&mut Stream) -> Interval) {
    let share = coverage(law, truth, interval);
    assert!(
        (share - 0.95).abs() <= 0.02,
        "{law}: {share} of the intervals hold the truth"
    );
}

#[test]
fn the_interval_of_a_difference_covers_it() {
    for (law, seeds, gap) in [("equal", 1, 0.0), ("apart", 1, 0.4), ("three seeds", 3, 0.4)] {
        covers(law, single_label_truth(gap), |stream| {
            single_label(stream, seeds, gap).interval(Metric::Top1)
        });
    }
}

/// The metric of A and of B over so many samples that chance is small beside the intervals' widths.
fn ranking_truth(metric: Metric, signals: [f64; 2]) -> [f64; 2] {
    let large = multi_label(&mut stream("truth", 0), 300_000, signals, 1.0);
    large.paired(metric).values().map(Option::unwrap)
}

#[test]
fn the_interval_of_a_difference_in_average_precision_covers_it() {
    for (law, n, signals) in [
        ("equal", 400, [1.0, 1.0]),
        ("apart", 200, [1.5, 1.0]),
        ("far apart", 400, [2.5, 1.0]),
    ] {
        let [a, b] = ranking_truth(Metric::Map, signals);
        covers(law, a - b, |stream| {
            multi_label(stream, n, signals, 1.0).interval(Metric::Map)
        });
    }
}

#[test]
fn the_interval_of_a_difference_in_auc_covers_it() {
    for metric in [Metric::Auc, Metric::DPrime] {
        let [a, b] = ranking_truth(metric, [1.5, 1.0]);
        covers(metric.name(), a - b, |stream| {
            multi_label(stream, 400, [1.5, 1.0], 1.0).interval(metric)
        });
    }
}

#[test]
fn the_interval_of_average_precision_covers_it() {
    for signal in [1.0, 1.5] {
        let [truth, _] = ranking_truth(Metric::Map, [signal; 2]);
        covers(&format!("signal {signal}"), truth, |stream| {
            let data = multi_label(stream, 1000, [signal; 2], 1.0);
            data.interval_of_a(Metric::Map)
        });
    }
}

/// Ten classes of some 16 positives among 400 samples, told apart poorly: the case in which
/// resampling shifts average precision by more than its spread.
#[test]
fn the_interval_of_average_precision_covers_it_for_rare_classes() {
    let simulate = |simulation: usize| {
        let mut stream = stream("rare", simulation);
        let (mut targets, mut scores) = (vec![Vec::new(); 400], Vec::new());
        for targets in &mut targets {
            for class in 0..10u32 {
                let positive = stream.uniform_f64() < 0.04;
                if positive {
                    targets.push(class);
                }
                scores.push(stream.normal() + if positive { 0.3 } else { 0.0 });
            }
        }
        let estimate = Metric::Map.of(&scores, &targets, 10).unwrap().unwrap();
        let data = Simulated {
            targets,
            classes: 10,
            seeds: vec![[scores.clone(), scores]],
        };
        (estimate, data.interval_of_a(Metric::Map))
    };
    let found: Vec<(f64, Interval)> = (0..300).map(simulate).collect();
    let truth = found.iter().map(|(estimate, _)| estimate).sum::<f64>() / found.len() as f64;
    let covered = found
        .iter()
        .filter(|(_, interval)| interval.low <= truth && truth <= interval.high);
    let share = covered.count() as f64 / found.len() as f64;
    assert!(
        (0.93..=0.99).contains(&share),
        "{share} of the intervals hold the truth"
    );
    assert!(
        found
            .iter()
            .all(|(estimate, interval)| interval.low < *estimate && *estimate < interval.high)
    );
}

/// Shares of p-values up to some levels, over data sets without a difference.
fn p_values(law: &str, mut p: impl FnMut(&mut Stream) -> f64) -> Vec<(f64, f64, f64)> {
    let found: Vec<f64> = (0..SIMULATIONS)
        .map(|simulation| p(&mut stream(law, simulation)))
        .collect();
    let share = |level: f64| found.iter().filter(|&&p| p <= level).count() as f64 / SIMULATIONS as f64;
    // four standard errors of a binomial share
    let allowed = |level: f64| 4.0 * (level * (1.0 - level) / SIMULATIONS as f64).sqrt();
    [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9]
        .map(|level| (level, share(level), allowed(level)))
        .into()
}

#[test]
fn permutation_is_uniform_without_a_difference() {
    for (level, share, allowed) in p_values("swap", |stream| {
        let paired = multi_label(stream, 200, [1.0, 1.0], 1.0).paired(Metric::Map);
        paired.permutation(RESAMPLES, &Seed::root(stream.bits())).unwrap()
    }) {
        assert!(
            (share - level).abs() <= allowed,
            "{share} of the p-values are at most {level}"
        );
    }
}

/// Differences of few whole numbers are often tied, which makes large p-values larger and small
/// ones none smaller.
#[test]
fn sign_flips_are_never_too_small_without_a_difference() {
    for (level, share, allowed) in p_values("sign flip", |stream| {
        let paired = single_label(stream, 3, 0.0).paired(Metric::Top1);
        paired.permutation(RESAMPLES, &Seed::root(stream.bits())).unwrap()
    }) {
        assert!(share <= level + allowed, "{share} of the p-values are at most {level}");
        assert!(
            level > 0.1 || share >= level - allowed,
            "only {share} of the p-values are at most {level}"
        );
    }
}

#[test]
fn permutation_does_not_depend_on_the_scale_of_scores() {
    let p = |scale: f32| {
        let paired = multi_label(&mut stream("scale", 0), 100, [1.0, 1.3], scale).paired(Metric::Map);
        paired.permutation(RESAMPLES, &Seed::root(0)).unwrap()
    };
    assert!(p(1.0) > 0.01 && p(1.0) < 0.9, "{}", p(1.0));
    assert_eq!(p(1.0), p(8.0));
}

#[test]
fn mcnemar_is_never_too_small_without_a_difference() {
    let all = p_values("mcnemar", |stream| {
        let [a, b] = single_label(stream, 1, 0.0).paired(Metric::Top1).discordant().unwrap();
        crate::stats::mcnemar(a, b)
    });
    for (level, share, allowed) in all {
        assert!(share <= level + allowed, "{share} of the p-values are at most {level}");
        assert!(level < 0.05 || share > 0.0, "no p-value is ever {level}");
    }
}

#[test]
fn clear_differences_are_found() {
    let data = single_label(&mut stream("clear", 0), 3, 1.0);
    let paired = data.paired(Metric::Top1);
    assert!(data.interval(Metric::Top1).low > 0.0);
    assert_eq!(
        paired.permutation(RESAMPLES, &Seed::root(1)),
        Some(1.0 / (RESAMPLES + 1) as f64)
    );
    let data = multi_label(&mut stream("clear", 0), 200, [1.0, 2.5], 7.0);
    let paired = data.paired(Metric::Map);
    assert!(data.interval(Metric::Map).high < 0.0);
    assert_eq!(
        paired.permutation(RESAMPLES, &Seed::root(1)),
        Some(1.0 / (RESAMPLES + 1) as f64)
    );
}

#[test]
fn copies_do_not_differ() {
    for metric in Metric::ALL.into_iter().filter(|metric| metric.unit().is_none()) {
        let mut data = match metric.first_classes() {
            Some(_) => single_label(&mut stream("copies", 0), 2, 0.4),
            None => multi_label(&mut stream("copies", 0), 200, [1.0, 1.0], 1.0),
        };
        data.seeds.iter_mut().for_each(|[a, b]| b.clone_from(a));
        let paired = data.paired(metric);
        let [a, b] = paired.values();
        // as far as so few samples can tell that two systems never differ
        let (difference, interval) = (data.difference(metric), data.interval(metric));
        assert_eq!((a, difference.estimate, difference.p()), (b, 0.0, 1.0), "{metric:?}");
        assert!(
            interval.low < 0.0 && interval.high == -interval.low,
            "{metric:?} {interval:?}"
        );
        assert_eq!(paired.permutation(50, &Seed::root(0)), Some(1.0), "{metric:?}");
    }
}

#[test]
fn values_are_means_over_folds_and_seeds() {
    let (one, two) = (
        single_label(&mut stream("one", 0), 2, 0.4),
        single_label(&mut stream("two", 0), 1, 0.4),
    );
    let fold = |data: &Simulated| data.paired(Metric::Top1).folds.remove(0);
    let paired = Paired {
        folds: vec![fold(&one), fold(&two)],
    };
    let of = |data: &Simulated, seed: usize| {
        [0, 1].map(|s| Metric::Top1.of(&data.seeds[seed][s], &data.targets, 25).unwrap())
    };
    assert_eq!(paired.runs(), [of(&one, 0), of(&one, 1), of(&two, 0)]);
    let mean = |system: usize| mean_of_all(paired.runs().into_iter().map(|run| run[system]));
    assert_eq!(paired.values(), [mean(0), mean(1)]);
    assert_eq!((paired.samples(), paired.discordant()), (400, None));
}

#[test]
fn what_an_interval_is_over_is_named() {
    let method = |data: &Simulated, metric| data.interval(metric).method;
    let single = single_label(&mut stream("named", 0), 1, 0.0);
    assert_eq!(
        (method(&single, Metric::Map), single.interval(Metric::Map).n),
        ("linear".into(), 200)
    );
    let several = single_label(&mut stream("named", 0), 3, 0.0);
    assert_eq!(method(&several, Metric::Top5), "runs and samples, linear");
}

#[test]
fn samples_of_one_source_are_exchanged_together() {
    let data = single_label(&mut stream("sources", 0), 1, 1.0);
    let sources: Vec<usize> = (0..data.targets.len()).map(|sample| sample / 100).collect();
    let fold = PairedScores {
        targets: &data.targets,
        sources: &sources,
        classes: data.classes,
        seeds: data.seeds.iter().map(|[a, b]| [&a[..], &b[..]]).collect(),
    };
    let clustered = Paired::new(Metric::Top1, &[fold]).unwrap();
    // two sources can be exchanged in four ways, two of which are at least as far apart
    let p = clustered.permutation(RESAMPLES, &Seed::root(0)).unwrap();
    assert!(p > 0.4, "{p}");
    assert!(
        data.paired(Metric::Top1)
            .permutation(RESAMPLES, &Seed::root(0))
            .unwrap()
            < 0.05
    );
    assert_eq!(clustered.discordant(), None);
}
