//! Laws of the metrics: cases by hand, plain definitions and scikit-learn's numbers.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn close(a: Option<f64>, b: Option<f64>, within: f64) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= within,
        (a, b) => a == b,
    }
}

#[test]
fn a_small_table_by_hand() {
    let scores = [0.1, 0.7, 0.2, 0.5, 0.3, 0.2, 0.0, -1.0, 2.0];
    assert_eq!(ranks(&scores, &[1, 1, 1], 3).unwrap(), [0, 1, 2]);
    assert_eq!(top_k(&scores, &[1, 1, 1], 3, 2).unwrap(), Accuracy { correct: 2, n: 3 });
    assert_eq!(top_k(&scores, &[1, 0, 2], 3, 1).unwrap().value(), 1.0);
}

#[test]
fn of_equal_scores_the_first_class_wins() {
    let flat = [0.5; 8];
    assert_eq!(ranks(&flat, &[0, 3], 4).unwrap(), [0, 3]);
    assert_eq!(top_k(&flat, &[0, 3], 4, 1).unwrap().value(), 0.5);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    assert_eq!(ranks(&[], &[], 3), Err(MetricError::Empty));
    assert_eq!(
        ranks(&[0.0; 5], &[0, 1], 3),
        Err(MetricError::Shape {
            scores: 5,
            samples: 2,
            classes: 3
        })
    );
    let with_nan = [0.0, 1.0, 2.0, f32::NAN];
    assert_eq!(
        ranks(&with_nan, &[0, 1], 2),
        Err(MetricError::NotANumber { sample: 1, class: 1 })
    );
    assert_eq!(
        ranks(&[0.0; 4], &[0, 2], 2),
        Err(MetricError::Target {
            sample: 1,
            target: 2,
            classes: 2
        })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn agrees_with_sorting(scores in prop::collection::vec(-3i8..3, 5 * 7), targets in prop::collection::vec(0usize..7, 5)) {
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let ranks = ranks(&scores, &targets, 7).unwrap();
        for ((row, &target), &rank) in scores.chunks_exact(7).zip(&targets).zip(&ranks) {
            let mut order: Vec<usize> = (0..7).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            prop_assert_eq!(order[rank], target);
        }
        let share = |k| top_k(&scores, &targets, 7, k).unwrap().correct;
        prop_assert!((1..7).all(|k| share(k) <= share(k + 1)));
        prop_assert_eq!(share(7), 5);
    }
    #[test]
    fn rankings_are_their_definitions(
        scores in prop::collection::vec(-3i8..3, 18 * 2),
        positive in prop::collection::vec(any::<bool>(), 18 * 2),
    ) {
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let targets = targets_where(&positive, 2);
        let ranking = Ranking::of(&scores, &targets, 2).unwrap();
        for (class, found) in ranking.classes.iter().enumerate() {
            let of_class: Vec<(f32, bool)> =
                (0..18).map(|i| (scores[2 * i + class], positive[2 * i + class])).collect();
            prop_assert!(close(found.average_precision, plain_average_precision(&of_class), 1e-12));
            prop_assert!(close(found.auc, plain_auc(&of_class), 1e-12));
        }
    }

    #[test]
    fn rankings_do_not_depend_on_the_scale_of_scores(
        scores in prop::collection::vec(-20i8..20, 18 * 3),
        positive in prop::collection::vec(any::<bool>(), 18 * 3),
    ) {
        let targets = targets_where(&positive, 3);
        let raw: Vec<f32> = scores.iter().copied().map(f32::from).collect();
        let rescaled: Vec<f32> = raw.iter().map(|score| 3.0 * score.powi(3) - 7.0).collect();
        prop_assert_eq!(Ranking::of(&raw, &targets, 3).unwrap(), Ranking::of(&rescaled, &targets, 3).unwrap());
    }

    #[test]
    fn weights_count_as_copies(
        rows in prop::collection::vec((-3i8..3, any::<bool>(), 0usize..4), 12),
    ) {
        let one_class = |rows: &[(i8, bool)]| {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
            let positive: Vec<bool> = rows.iter().map(|row| row.1).collect();
            ClassOrder::all(&[&scores], &targets_where(&positive, 1), 1).unwrap().remove(0)
        };
        let distinct: Vec<(i8, bool)> = rows.iter().map(|&(score, positive, _)| (score, positive)).collect();
        let copied: Vec<(i8, bool)> =
            rows.iter().flat_map(|&(score, positive, copies)| vec![(score, positive); copies]).collect();
        prop_assume!(!copied.is_empty());
        let weights: Vec<f64> = rows.iter().map(|row| row.2 as f64).collect();
        let (weighted, plain) = (one_class(&distinct).evaluate(&weights), one_class(&copied).evaluate(&vec![1.0; copied.len()]));
        prop_assert!(close(weighted.average_precision, plain.average_precision, 1e-12));
        prop_assert!(close(weighted.auc, plain.auc, 1e-12));
    }

    #[test]
    fn systems_side_by_side_keep_their_metrics(
        scores in prop::collection::vec(-3i8..3, 2 * 15 * 2),
        positive in prop::collection::vec(any::<bool>(), 15 * 2),
    ) {
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let (a, b) = scores.split_at(15 * 2);
        let targets = targets_where(&positive, 2);
        let orders = ClassOrder::all(&[a, b], &targets, 2).unwrap();
        for (system, scores) in [a, b].into_iter().enumerate() {
            let weights: Vec<f64> = (0..30).map(|entry| f64::from(u8::from(entry / 15 == system))).collect();
            let classes: Vec<ClassRanking> = orders.iter().map(|order| order.evaluate(&weights)).collect();
            prop_assert_eq!(Ranking { classes }, Ranking::of(scores, &targets, 2).unwrap());
        }
    }
}

/// The targets of samples whose classes are marked, `[N, C]`.
fn targets_where(positive: &[bool], classes: usize) -> Vec<Vec<u32>> {
    let row = |row: &[bool]| (0..classes as u32).filter(|&class| row[class as usize]).collect();
    positive.chunks_exact(classes).map(row).collect()
}

/// The mean over positives of the precision at their score, all samples of that score included.
fn plain_average_precision(samples: &[(f32, bool)]) -> Option<f64> {
    let positives: Vec<f32> = samples
        .iter()
        .filter(|sample| sample.1)
        .map(|sample| sample.0)
        .collect();
    let precision = |&score: &f32| {
        let at_least = |&&sample: &&(f32, bool)| sample.0 >= score;
        let hits = samples.iter().filter(at_least).filter(|sample| sample.1).count();
        hits as f64 / samples.iter().filter(at_least).count() as f64
    };
    let sum: f64 = positives.iter().map(precision).sum();
    (!positives.is_empty()).then(|| sum / positives.len() as f64)
}

/// The share of pairs of a positive and a negative in which the positive has the higher score; ties
/// count half.
fn plain_auc(samples: &[(f32, bool)]) -> Option<f64> {
    let (mut won, mut pairs) = (0.0, 0.0);
    for positive in samples.iter().filter(|sample| sample.1) {
        for negative in samples.iter().filter(|sample| !sample.1) {
            pairs += 1.0;
            won += match positive.0.total_cmp(&negative.0) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    (pairs > 0.0).then(|| won / pairs)
}

#[test]
fn classes_without_what_they_need_are_counted() {
    // class 0 is separated, class 1 has no positive, class 2 no negative, class 3 ranks the
    // positive last
    let scores = [0.9, 0.1, 0.5, 0.1, 0.2, 0.3, 0.5, 0.2, 0.1, 0.2, 0.4, 0.9];
    let ranking = Ranking::of(&scores, &[vec![0, 2, 3], vec![2], vec![2]], 4).unwrap();
    assert_eq!(
        (ranking.without_positives(), ranking.without_auc(), ranking.saturated()),
        (1, 2, 2)
    );
    assert!(close(ranking.map(), Some((1.0 + 1.0 + 1.0 / 3.0) / 3.0), 1e-12));
    assert!(close(
        ranking.map_all_classes(),
        Some((1.0 + 1.0 + 1.0 / 3.0) / 4.0),
        1e-12
    ));
    assert_eq!((ranking.auc(), ranking.d_prime()), (Some(0.5), Some(0.0)));
    let separated = Ranking::of(&[1.0, 0.0], &[vec![0], vec![]], 1).unwrap();
    assert_eq!(
        (separated.auc(), separated.d_prime(), separated.saturated()),
        (Some(1.0), None, 1)
    );
    let empty = Ranking::of(&[1.0, 0.0], &[vec![], vec![]], 1).unwrap();
    assert_eq!(
        (empty.map(), empty.map_all_classes(), empty.auc()),
        (None, Some(0.0), None)
    );
}

#[test]
fn rankings_refuse_what_cannot_be_judged() {
    let of = |scores: &[f32], targets: &[Vec<u32>]| Ranking::of(scores, targets, 2).unwrap_err();
    assert_eq!(of(&[], &[]), MetricError::Empty);
    assert_eq!(
        of(&[0.0, f32::NAN], &[vec![0]]),
        MetricError::NotANumber { sample: 0, class: 1 }
    );
    let target = MetricError::Target {
        sample: 0,
        target: 2,
        classes: 2,
    };
    assert_eq!(of(&[0.0; 2], &[vec![2]]), target);
    let several = Metric::Top1.of(&[0.0; 2], &[vec![0, 1]], 2).unwrap_err();
    assert_eq!(several, MetricError::NotSingleLabel { sample: 0, targets: 2 });
}

#[test]
fn metrics_are_found_by_name() {
    assert!(
        Metric::ALL
            .iter()
            .all(|metric| Metric::named(metric.name()) == Some(*metric))
    );
    assert_eq!(Metric::named("loss"), None);
    let errors: Vec<&str> = Metric::ALL
        .map(Metric::name)
        .into_iter()
        .filter(|name| Metric::is_error(name))
        .collect();
    assert_eq!(errors, ["wer", "cer"]);
}

/// Cases and values that `tests/metrics_sklearn.py` made.
#[test]
fn scikit_learn_says_the_same() {
    let stored: Value = serde_json::from_str(include_str!("sklearn.json")).unwrap();
    let classes = stored["classes"].as_u64().unwrap() as usize;
    let cases = stored["cases"].as_array().unwrap();
    assert!(cases.iter().any(|case| case.get("top5").is_some()));
    for case in cases {
        let scores: Vec<f32> = serde_json::from_value(case["scores"].clone()).unwrap();
        let targets: Vec<Vec<u32>> = serde_json::from_value(case["targets"].clone()).unwrap();
        let expected = |name: &str| -> Vec<Option<f64>> { serde_json::from_value(case[name].clone()).unwrap() };
        let ranking = Ranking::of(&scores, &targets, classes).unwrap();
        for (class, found) in ranking.classes.iter().enumerate() {
            assert!(
                close(found.average_precision, expected("average_precision")[class], 1e-12),
                "{class}: {found:?}"
            );
            assert!(close(found.auc, expected("auc")[class], 1e-12), "{class}: {found:?}");
        }
        assert_eq!(
            ranking.without_positives(),
            expected("average_precision").iter().filter(|ap| ap.is_none()).count()
        );
        for metric in Metric::ALL {
            let name = if metric == Metric::Auc {
                "mean_auc"
            } else {
                metric.name()
            };
            let Some(expected) = case.get(name) else { continue };
            let found = metric.of(&scores, &targets, classes).unwrap();
            // the quantile of statrs is good to some 1e-11
            assert!(
                close(found, expected.as_f64(), 1e-9),
                "{name}: {found:?} instead of {expected}"
            );
        }
    }
}

#[test]
fn classes_on_their_own_make_up_the_whole() {
    let (classes, n) = (6usize, 60usize);
    // class 5 has no sample; every other ten
    let single: Vec<Vec<u32>> = (0..n).map(|i| vec![(i % 6 % 5) as u32]).collect();
    let several: Vec<Vec<u32>> = (0..n as u32)
        .map(|i| (0..5).filter(|c| (i * 5 + c * 3) % 4 == 0).collect())
        .collect();
    let scores: Vec<f32> = (0..n * classes).map(|i| ((i * 37 + i / 7) % 19) as f32).collect();
    let top1 = Metric::Top1.by_class(&scores, &single, classes).unwrap().unwrap();
    assert_eq!((top1.positives.iter().sum::<u64>(), top1.positives[5]), (n as u64, 0));
    let right = top1.values.iter().zip(&top1.positives);
    let right: f64 = right.filter_map(|(value, n)| Some((*value)? * *n as f64)).sum();
    let whole = Metric::Top1.of(&scores, &single, classes).unwrap().unwrap();
    assert!((right / n as f64 - whole).abs() < 1e-12);
    for metric in [Metric::Map, Metric::Auc] {
        let found = metric.by_class(&scores, &several, classes).unwrap().unwrap();
        assert_eq!((found.values.len(), found.values[5]), (classes, None));
        let defined: Vec<f64> = found.values.iter().flatten().copied().collect();
        let whole = metric.of(&scores, &several, classes).unwrap().unwrap();
        assert!((defined.iter().sum::<f64>() / defined.len() as f64 - whole).abs() < 1e-12);
        let targets: usize = several.iter().map(Vec::len).sum();
        assert_eq!(found.positives.iter().sum::<u64>(), targets as u64);
    }
    for metric in [Metric::Top5, Metric::MapAllClasses, Metric::DPrime] {
        assert_eq!(metric.by_class(&scores, &single, classes).unwrap(), None);
    }
}
