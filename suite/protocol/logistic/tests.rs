//! Against scikit-learn's weights, and laws of the choice.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::*;
use crate::protocol::hold_out::cross_validation;
use bridle_tasks::Target;
use serde_json::Value;

fn features(values: Vec<f32>, dim: usize, targets: Vec<Target>) -> Features {
    Features {
        groups: vec![None; targets.len()],
        sources: vec![None; targets.len()],
        values,
        dim,
        targets,
    }
}

/// `n` samples of `classes` classes; the first two of six features tell the class as an angle.
fn clouds(n: usize, classes: usize, noise: f32, seed: u64) -> Features {
    let mut stream = Seed::root(seed).stream();
    let mut values = Vec::new();
    for sample in 0..n {
        let angle = (sample % classes) as f32 / classes as f32 * std::f32::consts::TAU;
        values.extend([angle.cos(), angle.sin()].map(|x| x + noise * stream.normal()));
        values.extend((2..6).map(|_| 5.0 + stream.normal()));
    }
    let targets = (0..n).map(|sample| Target::Class(sample % classes)).collect();
    features(values, 6, targets)
}

fn values() -> Logistic {
    Logistic {
        penalties: vec![1.0, 0.1, 0.01, 0.001],
        parts: 4,
        tolerance: 1e-6,
        standardise: true,
    }
}

fn scores_of(found: &Outcome) -> &[f32] {
    found.predictions[0].values.scores()
}

#[test]
fn weights_are_those_of_scikit_learn() {
    let file: Value = serde_json::from_str(include_str!("sklearn.json")).unwrap();
    let (dim, classes) = (
        file["dim"].as_u64().unwrap() as usize,
        file["classes"].as_u64().unwrap() as usize,
    );
    let numbers = |value: &Value| -> Vec<f64> {
        let rows = value.as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()))
            .collect()
    };
    for case in file["cases"].as_array().unwrap() {
        let targets = case["targets"].as_array().unwrap().iter().map(|row| {
            let classes: Vec<usize> = row
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c.as_u64().unwrap() as usize)
                .collect();
            match case["several"].as_bool().unwrap() {
                true => Target::Classes(classes),
                false => Target::Class(classes[0]),
            }
        });
        let x = numbers(&case["features"]).into_iter().map(|x| x as f32).collect();
        let features = features(x, dim, targets.collect());
        let problem = Problem::new(&features, &Scale::of(&features, false), classes);
        let penalty = case["penalty"].as_f64().unwrap();
        let found = &path(&problem, &[penalty], 1e-9)[0];
        let wanted = numbers(&case["weights"]);
        // a multinomial's biases are known up to one number for all classes
        let shift = |weights: &[f64]| -> f64 { weights[dim * classes..].iter().sum::<f64>() / classes as f64 };
        let free = !problem.several;
        let (ours, theirs) = if free {
            (shift(&found.at), shift(&wanted))
        } else {
            (0.0, 0.0)
        };
        for (place, (a, b)) in found.at.iter().zip(&wanted).enumerate() {
            let (a, b) = if place < dim * classes {
                (*a, *b)
            } else {
                (a - ours, b - theirs)
            };
            assert!((a - b).abs() < 2e-5, "penalty {penalty}, weight {place}: {a}, not {b}");
        }
    }
}

#[test]
fn clear_classes_are_found_and_pure_noise_wants_the_largest_penalty() {
    let (train, test) = (clouds(200, 5, 0.1, 0), clouds(400, 5, 0.1, 1));
    let found = run(&train, &test, 5, &values(), Seed::root(2));
    assert!(quality(scores_of(&found), &test.targets, 5) > 0.95);
    let details = &found.predictions.len();
    assert_eq!(*details, 1);
    assert!(found.details["gradient"].as_f64().unwrap() <= 1e-6);
    assert_eq!(found.details["held_out"]["rule"], "each of 4 parts in turn");
    let mut shuffled = train;
    Seed::root(3).stream().shuffle(&mut shuffled.targets);
    let found = run(&shuffled, &test, 5, &values(), Seed::root(2));
    assert!((quality(scores_of(&found), &test.targets, 5) - 0.2).abs() < 0.2);
}

/// The lowest point is one: neither the order of samples nor their scale moves it.
#[test]
fn only_the_features_decide() {
    let (train, test) = (clouds(120, 5, 0.5, 0), clouds(60, 5, 0.5, 1));
    let one = Logistic {
        penalties: vec![0.01],
        ..values()
    };
    let found = run(&train, &test, 5, &one, Seed::root(2));
    let backwards: Vec<usize> = (0..train.len()).rev().collect();
    let scaled = |features: &Features| {
        let mut scaled = features.clone();
        scaled.values.iter_mut().for_each(|x| *x = 3.0 * *x + 1.0);
        scaled
    };
    let again = run(&scaled(&train.pick(&backwards)), &scaled(&test), 5, &one, Seed::root(7));
    let differ = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-3;
    assert!(!scores_of(&found).iter().zip(scores_of(&again)).any(differ));
}

#[test]
fn the_test_samples_decide_nothing_and_an_end_of_the_list_is_named() {
    let (train, test) = (clouds(100, 5, 0.05, 0), clouds(50, 5, 0.05, 1));
    let mut lied = test.clone();
    lied.targets.iter_mut().for_each(|target| *target = Target::Class(0));
    let small = Logistic {
        penalties: vec![0.01, 0.003, 0.001],
        ..values()
    };
    let run = |test: &Features| run(&train, test, 5, &small, Seed::root(2));
    let (seen, lied) = (run(&test), run(&lied));
    assert_eq!(scores_of(&seen), scores_of(&lied));
    assert_eq!(seen.details, lied.details);
    // with classes this clear, all penalties are right, and the largest is taken
    assert_eq!(
        (&seen.details["penalty"], &seen.details["at_edge"]),
        (&json!(0.01), &json!(true))
    );
}

#[test]
fn folds_are_the_parts() {
    let mut train = clouds(90, 5, 0.3, 0);
    train.groups = (0..90).map(|sample| Some(2 + (sample / 30) as u8)).collect();
    let (parts, rule) = cross_validation(&train, 5, Seed::root(0));
    assert_eq!((parts.len(), rule.as_str()), (3, "each of 3 folds in turn"));
    assert_eq!(parts[1].places, (30..60).collect::<Vec<_>>());
    train.groups = vec![None; 90];
    let (parts, _) = cross_validation(&train, 5, Seed::root(0));
    let mut all: Vec<usize> = parts.iter().flat_map(|part| part.places.clone()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..90).collect::<Vec<_>>());
    for part in &parts {
        let of_class = |class| {
            part.places
                .iter()
                .filter(|&&place| train.targets[place] == Target::Class(class))
                .count()
        };
        assert!((0..5).all(|class| (3..=4).contains(&of_class(class))), "{part:?}");
    }
}
