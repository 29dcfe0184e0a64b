//! Laws of comparison, and the errors that name what stands in its way.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::{other, record};
use crate::predictions::{Predictions, ProtocolScores};
use crate::record::Score;
use crate::table::{Format, comparison_sentences, comparison_table};
use std::error::Error;

mod groups;
mod transcripts;

const CLASSES: usize = 10;
const SAMPLES: usize = 200;

/// A run of `top1` right samples of 200, chosen by `salt`, in all its numbers as the program writes
/// it.
fn run(seed: u64, fold: Option<u8>, top1: usize, salt: usize) -> ScoredRun {
    let labels: Vec<usize> = (0..SAMPLES).map(|i| i % CLASSES).collect();
    let mut scores = vec![0.0; SAMPLES * CLASSES];
    for (i, &label) in labels.iter().enumerate() {
        // 7 has no factor in common with 200, so that each sample comes once
        let right = (i * 7 + salt) % SAMPLES < top1;
        scores[i * CLASSES + if right { label } else { (label + 1) % CLASSES }] = 1.0 + i as f32;
        scores[i * CLASSES + (label + 3) % CLASSES] = 0.5;
    }
    let ids = (0..SAMPLES).map(|i| format!("{}-{i}", fold.unwrap_or(0))).collect();
    let targets = labels.iter().map(|&label| vec![label as u32]).collect();
    with_predictions(seed, fold, ids, targets, scores)
}

fn with_predictions(
    seed: u64,
    fold: Option<u8>,
    ids: Vec<String>,
    targets: Vec<Vec<u32>>,
    scores: Vec<f32>,
) -> ScoredRun {
    let protocols = vec![ProtocolScores {
        protocol: "linear-probe".into(),
        scores,
    }];
    let predictions = Predictions::new(ids, targets, CLASSES, protocols).unwrap();
    let mut record = record(seed, 0);
    record.fold = fold;
    record.scores = Metric::ALL
        .iter()
        .filter_map(|&metric| score(metric, &predictions))
        .collect();
    ScoredRun {
        path: format!("run-s{seed}.json").into(),
        record,
        predictions: Outputs::Scores(predictions),
    }
}

/// The predictions of a run that classifies.
fn scores_of(run: &mut ScoredRun) -> &mut Predictions {
    match &mut run.predictions {
        Outputs::Scores(predictions) => predictions,
        Outputs::Transcripts(_) => panic!("a run that recognises speech"),
    }
}

fn score(metric: Metric, predictions: &Predictions) -> Option<Score> {
    let Predictions { targets, classes, .. } = predictions;
    let value = metric
        .of(predictions.protocol("linear-probe")?, targets, *classes)
        .ok()?;
    Some(Score {
        value,
        interval: None,
        ..Score::proportion("linear-probe", metric.name(), 0, targets.len() as u64)
    })
}

/// The run under another name and plan.
fn renamed(mut run: ScoredRun, hash: &str) -> ScoredRun {
    let scores = run.record.scores.clone();
    run.record = other(run.record, None, hash, 0);
    run.record.scores = scores;
    run.path = format!("{hash}-s{}.json", run.record.seed).into();
    run
}

fn compared(a: &[ScoredRun], b: &[ScoredRun]) -> Comparison {
    let mut found = compare(a, b, 200, &Seed::root(0)).unwrap();
    assert_eq!((found.comparisons.len(), found.left_out), (1, Vec::new()));
    found.comparisons.remove(0)
}

/// One run against another.
fn versus(a: &ScoredRun, b: &ScoredRun) -> Comparison {
    compared(std::slice::from_ref(a), std::slice::from_ref(b))
}

fn refused(a: &[ScoredRun], b: &[ScoredRun]) -> CompareError {
    compare(a, b, 20, &Seed::root(0)).unwrap_err()
}

#[test]
fn copies_do_not_differ() {
    for runs in [
        vec![run(0, Some(1), 100, 3)],
        vec![run(0, None, 100, 3), run(1, None, 110, 4)],
        vec![run(0, Some(1), 100, 3), run(0, Some(2), 90, 3)],
    ] {
        let comparison = compared(&runs, &runs);
        let of_scores = Metric::ALL.iter().filter(|metric| metric.unit().is_none());
        assert_eq!(comparison.differences.len(), of_scores.count());
        for found in comparison.differences {
            let interval = found.interval.unwrap();
            assert_eq!(found.difference, Some(0.0), "{:?}", found.metric);
            // samples that never differ do not prove that others would not
            assert!(interval.low < 0.0 && interval.high == -interval.low, "{interval:?}");
            assert!(found.detectable.unwrap() > 0.0);
            assert_eq!((found.p, found.verdict), (Some(1.0), Conclusion::NotShown));
        }
    }
}

#[test]
fn a_run_that_did_not_train_is_in_no_mean() {
    let trained = [90, 92, 94, 95].map(|right| right as usize);
    let runs = |last: usize| -> Vec<ScoredRun> {
        let all = trained.into_iter().chain([last]).zip(0..);
        all.map(|(right, seed)| run(seed, None, right, seed as usize)).collect()
    };
    let renamed =
        |runs: Vec<ScoredRun>| -> Vec<ScoredRun> { runs.into_iter().map(|run| renamed(run, "cccccccccccc")).collect() };
    // one class in ten is always right
    let (failed, fine) = (runs(20), renamed(runs(93)));
    for (a, b, sides, told) in [
        (&failed, &fine, [1, 0], "1 of 5 runs of A did not train"),
        (&fine, &failed, [0, 1], "1 of 5 runs of B did not train"),
    ] {
        let comparison = compared(a, b);
        let found = &comparison.differences[0];
        assert_eq!((found.metric, found.untrained, found.runs), (Metric::Top1, sides, 5));
        assert_eq!(
            found.values.map(Option::unwrap)[usize::from(sides[1] == 1)],
            0.46,
            "the median"
        );
        assert_eq!(
            (found.difference, &found.interval, found.p, found.detectable),
            (None, &None, None, None)
        );
        let sentence = comparison_sentences(&comparison).remove(0);
        assert!(
            sentence.contains(told) && sentence.contains("median 46.0"),
            "{sentence}"
        );
    }
    let comparison = compared(&fine, &fine);
    assert_eq!(
        (
            comparison.differences[0].untrained,
            comparison.differences[0].difference
        ),
        ([0, 0], Some(0.0))
    );
}

#[test]
fn clear_differences_have_a_verdict_and_small_ones_have_none() {
    let (low, high) = (run(0, Some(1), 80, 3), renamed(run(0, Some(1), 150, 3), "cccccccccccc"));
    let top1 = |a: &ScoredRun, b: &ScoredRun| versus(a, b).differences.remove(0);
    let found = top1(&low, &high);
    assert_eq!(
        (found.metric, found.verdict, found.test),
        (Metric::Top1, Conclusion::B, "exact McNemar")
    );
    assert_eq!(found.values, [Some(0.4), Some(0.75)]);
    // B is right wherever A is, and in 70 samples more
    assert_eq!(found.p, Some(stats::mcnemar(0, 70)));
    assert_eq!(top1(&high, &low).verdict, Conclusion::A);
    assert_eq!(top1(&low, &run(0, Some(1), 82, 3)).verdict, Conclusion::NotShown);
}

#[test]
fn sides_can_be_exchanged() {
    let (a, b) = (run(0, Some(1), 90, 3), run(0, Some(1), 110, 50));
    let (forth, back) = (versus(&a, &b), versus(&b, &a));
    for (forth, back) in forth.differences.iter().zip(&back.differences) {
        assert_eq!(forth.difference, back.difference.map(|difference| -difference));
        assert_eq!(forth.p, back.p, "{:?}", forth.metric);
        let (of_forth, of_back) = (forth.interval.as_ref().unwrap(), back.interval.as_ref().unwrap());
        assert!(
            (of_forth.low + of_back.high).abs() < 1e-9,
            "{of_forth:?} and {of_back:?}"
        );
    }
}

#[test]
fn the_order_of_samples_does_not_matter() {
    let (a, b) = (run(0, Some(1), 90, 3), run(0, Some(1), 110, 50));
    let mut turned = b.clone();
    let predictions = scores_of(&mut turned);
    predictions.ids.reverse();
    predictions.targets.reverse();
    let scores = std::mem::take(&mut predictions.protocols[0].scores);
    predictions.protocols[0].scores = scores.chunks_exact(CLASSES).rev().flatten().copied().collect();
    assert_eq!(versus(&a, &b), versus(&a, &turned));
}

#[test]
fn several_runs_are_compared_over_runs_and_samples() {
    let runs = |top1: usize, step: usize| -> Vec<ScoredRun> {
        (0..5)
            .map(|seed| run(seed, None, top1 + step * seed as usize, 3))
            .collect()
    };
    let found = &compared(&runs(80, 1), &runs(140, 3)).differences[0];
    assert_eq!(
        (found.samples, found.seeds, found.folds, found.test),
        (200, 5, 0, "t over runs and samples")
    );
    let interval = found.interval.as_ref().unwrap();
    assert_eq!((interval.n, &interval.method[..]), (200, "runs and samples, linear"));
    assert!((found.difference.unwrap() + 0.32).abs() < 1e-12, "{found:?}");
    assert!(interval.high < 0.0 && found.p.unwrap() < 1e-6, "{found:?}");
    assert_eq!(found.verdict, Conclusion::B);
}

#[test]
fn no_difference_shown_never_stands_without_what_could_have_been() {
    let side = |tops: [usize; 2], hash: &str| -> Vec<ScoredRun> {
        let runs = tops.iter().enumerate();
        runs.map(|(seed, top1)| renamed(run(seed as u64, Some(1), *top1, 3), hash))
            .collect()
    };
    // much better with one seed, somewhat worse with the other
    let found = compared(&side([180, 60], "a00000000000"), &side([60, 70], "b00000000000"));
    let first = &found.differences[0];
    assert_eq!(first.verdict, Conclusion::NotShown, "{first:?}");
    let could = format!("{:.1} points could have been", 100.0 * first.detectable.unwrap());
    for text in comparison_sentences(&found)
        .into_iter()
        .chain([comparison_table(&found).render(Format::Terminal { columns: 250 })])
    {
        assert_eq!(
            text.contains("no difference shown"),
            text.contains("could have been"),
            "{text}"
        );
    }
    assert!(comparison_sentences(&found)[0].contains(&could), "{could}");
}

#[test]
fn only_runs_of_both_sides_count() {
    let a = [run(0, Some(1), 90, 3), run(0, Some(2), 80, 3), run(1, Some(1), 200, 3)];
    let b = [run(0, Some(2), 100, 3), run(0, Some(1), 110, 3)];
    let comparison = compared(&a, &b);
    let found = &comparison.differences[0];
    assert_eq!((found.samples, found.seeds, found.folds), (400, 1, 2));
    let [a, b] = found.values.map(Option::unwrap);
    assert!((a - 0.425).abs() < 1e-12 && (b - 0.525).abs() < 1e-12, "{found:?}");
    let note = "left out without a partner: 1 linear-probe runs of A, 0 of B".to_string();
    assert!(comparison.notes.contains(&note), "{:?}", comparison.notes);
}

#[test]
fn several_labels_are_compared_too() {
    let several = |shift: usize| {
        let targets: Vec<Vec<u32>> = (0..60)
            .map(|i| {
                (0..CLASSES as u32)
                    .filter(|c| (i * 5 + *c as usize).is_multiple_of(4))
                    .collect()
            })
            .collect();
        let of_sample = |(i, targets): (usize, &Vec<u32>)| -> Vec<f32> {
            (0..CLASSES as u32)
                .map(|c| f32::from(u8::from(targets.contains(&c))) + ((i * 37 + c as usize * shift) % 19) as f32 / 8.0)
                .collect()
        };
        let scores = targets.iter().enumerate().flat_map(of_sample).collect();
        with_predictions(0, None, (0..60).map(|i| format!("clip {i}")).collect(), targets, scores)
    };
    let mut a = several(11);
    a.record.scores.push(Score {
        metric: "wer".into(),
        ..a.record.scores[0].clone()
    });
    let comparison = versus(&a, &several(13));
    let metrics: Vec<&str> = comparison.differences.iter().map(|found| found.metric.name()).collect();
    assert_eq!(metrics, ["map", "map_all_classes", "auc", "dprime"]);
    assert!(
        comparison
            .differences
            .iter()
            .all(|found| found.p.is_some() && found.interval.is_some())
    );
    assert!(
        comparison
            .notes
            .iter()
            .any(|note| note == "left out: wer, which cannot be computed from predictions")
    );
}

#[test]
fn comparisons_are_printed() {
    let runs = |top1: usize| -> Vec<ScoredRun> {
        (0..3)
            .map(|seed| run(seed, Some(1), top1 + 4 * seed as usize, 3))
            .collect()
    };
    let b: Vec<ScoredRun> = runs(120).into_iter().map(|run| renamed(run, "cccccccccccc")).collect();
    let comparison = compared(&runs(90), &b);
    let table = comparison_table(&comparison);
    let text = format!(
        "{}\n\n{}",
        comparison_sentences(&comparison).join("\n"),
        table.render(Format::Terminal { columns: 250 })
    );
    insta::assert_snapshot!("comparison", text);
    insta::assert_snapshot!("comparison_json", table.render(Format::Json));
}

#[test]
fn what_cannot_be_compared_is_named() {
    let a = run(0, Some(1), 90, 3);
    let mut elsewhere = run(0, Some(1), 90, 3);
    elsewhere.record.plan["task"] = "synthetic".into();
    let mut recorded = a.clone();
    recorded.record.scores[0].value = Some(0.46);
    let mut counted = a.clone();
    counted.record.scores[1].n = 199;
    let mut samples = a.clone();
    scores_of(&mut samples).ids[..5].iter_mut().for_each(|id| id.push('x'));
    let mut twice = a.clone();
    scores_of(&mut twice).ids[1] = "1-0".into();
    // right for one run and wrong for the other, so that both have the score that they name
    let mut targets = run(0, Some(1), 0, 3);
    scores_of(&mut targets).targets[7] = vec![9];
    let mut silent = a.clone();
    scores_of(&mut silent).protocols[0].protocol = "knn".into();
    let mut knn = a.clone();
    knn.record
        .scores
        .iter_mut()
        .for_each(|score| score.protocol = "knn".into());
    let side = std::slice::from_ref::<ScoredRun>;
    let errors = [
        refused(side(&a), side(&elsewhere)),
        refused(&[a.clone(), renamed(a.clone(), "cccccccccccc")], side(&a)),
        refused(&[a.clone(), a.clone()], side(&a)),
        refused(side(&a), &[a.clone(), renamed(run(1, Some(1), 90, 3), "cccccccccccc")]),
        refused(side(&a), &[run(0, Some(2), 90, 3), run(1, Some(2), 90, 3)]),
        refused(side(&a), side(&knn)),
        refused(side(&recorded), side(&a)),
        refused(side(&a), side(&counted)),
        refused(side(&a), side(&samples)),
        refused(side(&a), side(&twice)),
        refused(side(&a), side(&targets)),
        refused(side(&silent), side(&a)),
    ];
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn runs_are_read_with_their_predictions() {
    let out = tempfile::tempdir().unwrap();
    let mut one = run(0, Some(1), 90, 3);
    let (record, predictions) = (one.record.clone(), scores_of(&mut one).clone());
    assert!(matches!(
        ScoredRun::read(out.path(), &[]),
        Err(CompareError::Store(StoreError::Empty { .. }))
    ));
    let path = store::write(out.path(), &record, Some(&predictions)).unwrap();
    let read = ScoredRun::read(out.path(), &[]).unwrap();
    assert_eq!(
        (read.len(), &read[0].path, &read[0].predictions),
        (1, &path, &one.predictions)
    );
    assert_eq!(ScoredRun::read(&path, &[]).unwrap()[0].record, read[0].record);
    std::fs::remove_file(path.with_extension("predictions.csv")).unwrap();
    let missing = ScoredRun::read(&path, &[]).unwrap_err();
    assert!(
        matches!(&missing, CompareError::PredictionsMissing { path: named, .. } if *named == path),
        "{missing}"
    );
    store::write(out.path(), &record, None).unwrap();
    let without = ScoredRun::read(&path, &[]).unwrap_err();
    assert!(
        matches!(without, CompareError::NoPredictions { .. }) && without.source().is_none(),
        "{without}"
    );
}
