//! Scores of predictions, of samples with one class and with several, and what tables make of the
//! latter.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::evidence::Evidence;
use crate::fixtures::{other, record};
use crate::record::RunRecord;
use crate::regress::{self, Bands, Baseline, GateRun};
use crate::report;
use crate::table::{Format, View, score_tables};

const N: usize = 80;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

/// Any number of classes for each sample; the last class has none.
fn several(classes: usize) -> Vec<Vec<u32>> {
    let of_sample = |i: usize| {
        (0..classes as u32 - 1)
            .filter(|c| (i * 5 + *c as usize * 3).is_multiple_of(4))
            .collect()
    };
    (0..N).map(of_sample).collect()
}

/// Scores that know the targets, but for noise.
fn scores(targets: &[Vec<u32>], classes: usize, noise: f32) -> Vec<f32> {
    let of_sample = |(i, targets): (usize, &Vec<u32>)| -> Vec<f32> {
        let right = |c: usize| f32::from(u8::from(targets.contains(&(c as u32))));
        (0..classes)
            .map(|c| right(c) + noise * ((i * 37 + c * 11) % 19) as f32)
            .collect()
    };
    targets.iter().enumerate().flat_map(of_sample).collect()
}

/// Each of so many samples on its own.
fn units(samples: usize) -> Units {
    let ids: Vec<String> = (0..samples).map(|sample| format!("sample {sample}")).collect();
    Units::new("a task", &ids, None)
}

fn judge<'a>(targets: &'a [Vec<u32>], classes: &'a [String], units: &'a Units) -> Scoring<'a> {
    Scoring {
        protocol: "finetune",
        several: targets.iter().any(|targets| targets.len() != 1),
        targets,
        classes,
        units,
        level: 0.95,
    }
}

fn judged(targets: &[Vec<u32>], classes: &[String], noise: f32) -> Vec<Score> {
    let units = units(targets.len());
    let (judge, scores) = (judge(targets, classes, &units), scores(targets, classes.len(), noise));
    let metrics = judge.metrics().iter();
    metrics.map(|metric| judge.score(*metric, &scores).unwrap()).collect()
}

#[test]
fn the_metrics_follow_from_the_targets() {
    let single: Vec<Vec<u32>> = (0..N).map(|i| vec![i as u32 % 6]).collect();
    let metrics = |targets: &[Vec<u32>], classes: usize| -> Vec<&str> {
        let names = names(classes);
        judge(targets, &names, &units(targets.len()))
            .metrics()
            .iter()
            .map(|metric| metric.name())
            .collect()
    };
    assert_eq!(metrics(&single, 6), ["top1", "top5"]);
    assert_eq!(metrics(&[vec![0], vec![1]], 2), ["top1"]);
    assert_eq!(metrics(&several(6), 6), ["map", "map_all_classes", "auc", "dprime"]);
    assert_eq!(metrics(&[vec![0], vec![]], 2)[0], "map");
}

#[test]
fn scores_have_what_is_behind_them() {
    let classes = names(6);
    let found = judged(&several(6), &classes, 0.1);
    assert!(found.iter().all(|score| score.n == N as u64 && score.value.is_some()));
    assert!(found.iter().all(|score| score.interval.is_some()), "{found:?}");
    assert_eq!(found[0].details["classes_without_positives"], 1);
    assert_eq!(found[2].details["classes_without_auc"], 1);
    let per_class = found[0].per_class.as_ref().unwrap();
    assert_eq!(
        (&per_class.names, per_class.values[5], per_class.n[5]),
        (&classes, None, 0)
    );
    // as a proportion of right samples, to the last digit
    let single: Vec<Vec<u32>> = (0..N).map(|i| vec![i as u32 % 6]).collect();
    let top1 = &judged(&single, &classes, 0.1)[0];
    let right = (top1.value.unwrap() * N as f64).round() as u64;
    let plain = Score::proportion("finetune", "top1", right, N as u64);
    assert_eq!((top1.value, &top1.interval), (plain.value, &plain.interval));
}

#[test]
fn an_infinite_d_prime_says_so() {
    let classes = names(3);
    let found = judged(&several(3), &classes, 0.0);
    assert_eq!((found[3].value, &found[3].details["saturated"]), (None, &2.into()));
    assert!(found[3].reason.is_some());
}

/// A run of a task with several classes for each sample.
fn multi_label(quantizer: &str, hash: &str, seed: u64, noise: f32) -> RunRecord {
    let mut run = other(record(seed, 0), Some(quantizer), hash, 0);
    run.plan["task"] = "own clips".into();
    run.data.task = "own clips".into();
    run.fold = None;
    run.scores = judged(&several(6), &names(6), noise + 0.01 * seed as f32);
    run
}

#[test]
fn a_record_with_classes_reads_as_it_was_written() {
    let written = multi_label("rq", "aaaaaaaaaaaa", 0, 0.1);
    let text = written.to_json().unwrap();
    assert_eq!(RunRecord::from_json(&text).unwrap(), written);
    let mut lost = written.clone();
    lost.scores[0].per_class.as_mut().unwrap().values[0] = Some(0.0);
    assert_eq!(written.differences(&lost).unwrap().len(), 1);
    lost.scores[0].per_class.as_mut().unwrap().values[0] = Some(f64::NAN);
    assert!(lost.to_json().is_err());
}

#[test]
fn the_headline_of_several_labels_is_average_precision() {
    let runs = [
        multi_label("rq", "aaaaaaaaaaaa", 0, 0.1),
        multi_label("rq", "aaaaaaaaaaaa", 1, 0.1),
        multi_label("vq", "bbbbbbbbbbbb", 0, 0.3),
    ];
    let table = score_tables(&runs, &Evidence::default(), &View::default()).remove(0);
    let heads: Vec<&str> = table.header[1..].iter().map(|heading| heading.name.as_str()).collect();
    let expected = ["map", "map_all_classes", "auc", "dprime"].map(|metric| format!("own clips finetune {metric}"));
    assert_eq!(heads, expected);
    // the better ranking is the best of each column, d' in its own unit
    assert!(
        table.rows[0][1..].iter().all(|cell| cell.best),
        "{}",
        table.render(Format::Terminal { columns: 250 })
    );
    let page = report::page(&runs, &Evidence::default(), std::slice::from_ref(&table));
    for title in [
        "own clips, finetune, map",
        "own clips, finetune, map, bridle vq: all 5 classes",
    ] {
        assert!(page.contains(&format!("<figcaption>{title}</figcaption>")), "{title}");
    }
}

#[test]
fn the_gate_holds_average_precision() {
    let held =
        |noise: f32| GateRun::from_json(&multi_label("rq", "aaaaaaaaaaaa", 0, noise).to_json().unwrap()).unwrap();
    let bands = Bands::new(Bands::ABSOLUTE, Bands::RELATIVE);
    let baseline = Baseline::of(&[held(0.05)], bands, None).unwrap();
    assert!(regress::check(&baseline, &[held(0.05)]).passed());
    let worse = regress::check(&baseline, &[held(0.4)]);
    let lines: Vec<String> = worse
        .checks
        .iter()
        .filter(|check| check.outcome.is_regression())
        .map(|check| check.quantity.to_string())
        .collect();
    assert!(lines.contains(&"finetune map".to_string()), "{lines:?}");
    assert!(!worse.passed());
}
