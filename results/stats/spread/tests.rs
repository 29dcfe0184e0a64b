//! Known values of the spread, its laws, and its coverage where variances are simulated directly.
//! `results/tests/coverage.rs` simulates whole data sets.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use bridle_seed::{Seed, Stream};
use proptest::prelude::*;

fn close(found: f64, wanted: f64, within: f64) -> bool {
    (found - wanted).abs() <= within * wanted.abs()
}

/// Runs from whether each sample is right, `[S][N]`, each sample being a source.
fn hits(runs: &[&[u8]]) -> FoldRuns {
    let count = runs[0].len() as f64;
    let value = |own: &[u8]| own.iter().map(|&hit| f64::from(hit)).sum::<f64>() / count;
    FoldRuns {
        values: runs.iter().map(|own| value(own)).collect(),
        influences: runs
            .iter()
            .map(|own| own.iter().map(|&hit| (f64::from(hit) - value(own)) / count).collect())
            .collect(),
        samples: runs[0].len(),
    }
}

#[test]
fn variances_of_runs_and_samples_add_up_to_known_values() {
    // numpy: run means var(ddof=1)/3, sample means var(ddof=1)/6, residual mean square/18
    let fold = hits(&[&[1, 1, 0, 1, 0, 0], &[1, 0, 0, 1, 0, 1], &[1, 1, 0, 1, 1, 1]]);
    let found = Spread::of(std::slice::from_ref(&fold)).unwrap();
    assert!(close(found.estimate, 11.0 / 18.0, 1e-12));
    let runs = [0.5, 0.5, 5.0 / 6.0];
    let mean = runs.iter().sum::<f64>() / 3.0;
    let of_runs: f64 = runs.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0 / 3.0;
    let samples = [1.0, 2.0 / 3.0, 0.0, 1.0, 1.0 / 3.0, 2.0 / 3.0];
    let of_samples: f64 = samples.iter().map(|value: &f64| (value - mean).powi(2)).sum::<f64>() / 5.0 / 6.0;
    let cells = [[1, 1, 0, 1, 0, 0], [1, 0, 0, 1, 0, 1], [1, 1, 0, 1, 1, 1]];
    let residual = |(s, own): (usize, &[i32; 6])| {
        let parts = own
            .iter()
            .zip(&samples)
            .map(|(hit, sample)| f64::from(*hit) - sample - runs[s] + mean);
        parts.map(|part| part * part).sum::<f64>()
    };
    let of_both = cells.iter().enumerate().map(residual).sum::<f64>() / (2.0 * 5.0) / 18.0;
    assert!(
        close(found.variance(), of_runs + of_samples - of_both, 1e-12),
        "{found:?}"
    );
}

#[test]
fn quantiles_and_power_have_their_known_values() {
    // scipy.stats.nct: the noncentrality with which t exceeds its two-sided 5 % limit in 80 %
    for (degrees, distance) in [(2.0, 5.6533), (4.0, 3.7611), (9.0, 3.1496), (f64::INFINITY, 2.8016)] {
        assert!(
            close(detectable(0.95, degrees), distance, 1e-3),
            "{degrees}: {}",
            detectable(0.95, degrees)
        );
    }
    assert!(close(t_quantile(0.975, 2.0), 4.302_652_7, 1e-6));
    assert!(close(t_quantile(0.975, f64::INFINITY), 1.959_963_985, 1e-8));
}

#[test]
fn what_never_varies_has_no_certain_interval() {
    // 43 samples, always right in three runs: Wilson's [91.8, 100]
    let right = hits(&[&[1; 43][..]; 3]);
    let found = Spread::of(&[right]).unwrap();
    let interval = found.interval(Metric::Top1, 0.95);
    assert!(
        interval.high == 1.0 && close(interval.low, 0.9180, 1e-4),
        "{interval:?}"
    );
    for (metric, value) in [
        (Metric::Top5, 0.0),
        (Metric::MapAllClasses, 0.5),
        (Metric::Wer, 0.0),
        (Metric::Wer, 1.0),
        (Metric::Cer, 2.5),
        (Metric::DPrime, 1.5),
    ] {
        for runs in [1, 3] {
            let fold = FoldRuns {
                values: vec![value; runs],
                influences: vec![vec![0.0; 20]; runs],
                samples: 20,
            };
            let interval = Spread::of(&[fold]).unwrap().interval(metric, 0.95);
            assert!(
                interval.low <= value && value <= interval.high,
                "{metric:?} {interval:?}"
            );
            assert!(interval.low < interval.high, "{metric:?} {interval:?}");
        }
    }
}

#[test]
fn all_runs_count_and_folds_are_strata() {
    let one = hits(&[&[1, 0, 1, 1, 0, 1], &[1, 0, 0, 1, 0, 1]]);
    let two = hits(&[&[0, 0, 1, 0, 0, 1], &[0, 0, 0, 1, 0, 1]]);
    let found = Spread::of(&[one.clone(), two.clone()]).unwrap();
    // two seeds on two folds leave two degrees of freedom, not one
    assert_eq!((found.runs, found.sources, found.components[0].degrees), (4, 12, 2.0));
    let alone = |fold: &FoldRuns| Spread::of(std::slice::from_ref(fold)).unwrap().variance();
    let halves = (alone(&one) + alone(&two)) / 4.0;
    assert!(close(found.variance(), halves, 1e-9), "{} {halves}", found.variance());
    // one run in each fold differs by run and by samples, and that is all there is to know
    let single = |fold: &FoldRuns| FoldRuns {
        values: fold.values[..1].to_vec(),
        influences: fold.influences[..1].to_vec(),
        samples: fold.samples,
    };
    let found = Spread::of(&[single(&one), single(&two)]).unwrap();
    let whole = ((one.values[0] - two.values[0]) / 2.0).powi(2);
    assert!(close(found.variance(), whole, 1e-12), "{} {whole}", found.variance());
    assert_eq!(
        (found.runs, found.components.len(), found.components[0].degrees),
        (2, 1, 1.0)
    );
    // a second run of one fold tells less of the runs than the three folds do, which count by their runs
    let found = Spread::of(&[one.clone(), single(&two), single(&one)]).unwrap();
    let off = |mean: f64, share: f64| (share * (mean - found.estimate)).powi(2);
    let mean = one.values.iter().sum::<f64>() / 2.0;
    let whole = 1.5 * (off(mean, 0.5) + off(two.values[0], 0.25) + off(one.values[0], 0.25));
    assert!(close(found.variance(), whole, 1e-12), "{} {whole}", found.variance());
    assert_eq!((found.components.len(), found.components[0].degrees), (1, 2.0));
    // equal by chance: what samples say is left
    let found = Spread::of(&[single(&one), single(&one)]).unwrap();
    assert!(close(found.variance(), alone(&single(&one)) / 2.0, 1e-12));
    assert_eq!(Spread::of(&[]), None);
}

#[test]
fn sources_count_once() {
    let mut fold = hits(&[&[1, 1, 0, 0, 1, 0], &[1, 1, 0, 0, 0, 0]]);
    let samples = Spread::of(std::slice::from_ref(&fold)).unwrap();
    // every sample twice, as two samples of one source, tells no more
    fold.samples = 12;
    let sources = Spread::of(&[fold]).unwrap();
    assert_eq!(sources.variance(), samples.variance());
    assert_eq!(sources.interval(Metric::Top1, 0.95).method, "runs and sources, logit");
    assert_eq!(samples.interval(Metric::Top1, 0.95).method, "runs and samples, logit");
}

#[test]
fn p_is_small_exactly_where_the_interval_excludes_nothing() {
    let mut stream = Seed::root(7).child("p").stream();
    for _ in 0..200 {
        let runs = 2 + stream.below(3);
        let found = Spread::of(&[simulated(&mut stream, runs, 0.3, 1.0, 60)]).unwrap();
        let interval = found.interval_of_difference(Metric::DPrime, 0.95);
        assert_eq!(found.p() < 0.05, interval.low > 0.0 || interval.high < 0.0, "{found:?}");
    }
}

/// Normal values around 0: `runs` of variance `of_runs / samples`, samples of variance `shared`, and
/// the rest of 1 for both.
fn simulated(stream: &mut Stream, runs: usize, of_runs: f64, shared: f64, samples: usize) -> FoldRuns {
    let count = samples as f64;
    let mut normal = |variance: f64| variance.sqrt() * f64::from(stream.normal());
    let common: Vec<f64> = (0..samples).map(|_| normal(shared)).collect();
    let (mut values, mut influences) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let own = normal(of_runs / count);
        let all: Vec<f64> = common
            .iter()
            .map(|common| own + common + normal(1.0 - shared))
            .collect();
        let mean = all.iter().sum::<f64>() / count;
        influences.push(all.iter().map(|value| (value - mean) / count).collect());
        values.push(mean);
    }
    FoldRuns {
        values,
        influences,
        samples,
    }
}

/// What the top of `spread.rs` says of the quantile, within what 2,000 simulations can tell.
#[test]
fn the_quantile_covers_for_any_share_of_the_runs() {
    for (folds, runs, shared) in [(1, 3, 0.0), (1, 3, 0.6), (1, 5, 0.3), (5, 1, 0.6), (3, 1, 0.6)] {
        for of_runs in [0.0, 1.0, 10.0] {
            let law = format!("{folds} {runs} {shared} {of_runs}");
            let held = (0..2000u64).filter(|&i| {
                let mut stream = Seed::root(31).child(&law).indexed(i).stream();
                let mut fold = |_| simulated(&mut stream, runs, of_runs, shared, 40);
                let folds: Vec<FoldRuns> = (0..folds).map(&mut fold).collect();
                let interval = Spread::of(&folds).unwrap().interval(Metric::DPrime, 0.95);
                interval.low <= 0.0 && 0.0 <= interval.high
            });
            let share = held.count() as f64 / 2000.0;
            assert!((0.925..=0.97).contains(&share), "{law}: {share}");
        }
    }
}

proptest! {
    #[test]
    fn the_estimate_is_in_its_interval_and_no_end_leaves_the_range(
        right in prop::collection::vec(prop::collection::vec(0u8..2, 5), 1..4),
        metric in prop::sample::select(Metric::ALL.to_vec()),
    ) {
        let runs: Vec<&[u8]> = right.iter().map(Vec::as_slice).collect();
        let found = Spread::of(&[hits(&runs)]).unwrap();
        let (interval, (least, most)) = (found.interval(metric, 0.95), metric.range());
        prop_assert!(interval.low <= found.estimate && found.estimate <= interval.high);
        prop_assert!(least <= interval.low && interval.high <= most && interval.low < interval.high);
        let difference = found.interval_of_difference(metric, 0.95);
        prop_assert!(difference.low <= found.estimate && found.estimate <= difference.high);
        prop_assert!(found.p() > 0.0 && found.p() <= 1.0);
    }
}
