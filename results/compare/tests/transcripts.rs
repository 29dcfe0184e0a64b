//! Comparison of runs that recognised speech: paired by utterance, less is better, texts that
//! agree.

use super::*;
use crate::metric::Unit;
use crate::predictions::{ProtocolTexts, Transcripts};
use bridle_seed::Seed;

const UTTERANCES: usize = 80;

/// A run that takes each word for another with the chance `wrong`.
fn spoken(seed: u64, wrong: f64, hash: &str) -> ScoredRun {
    let mut stream = Seed::root(seed).child(hash).stream();
    let references: Vec<String> = (0..UTTERANCES).map(|i| vec!["ONE"; 3 + i % 5].join(" ")).collect();
    let mut recognised = |reference: &String| {
        let word = |_| if stream.uniform_f64() < wrong { "NINE" } else { "ONE" };
        reference.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    let hypotheses: Vec<String> = references.iter().map(&mut recognised).collect();
    let ids = (0..UTTERANCES).map(|i| format!("utterance {i}")).collect();
    let mut record = other(record(seed, 0), None, hash, 0);
    record.fold = None;
    record.plan["task"] = "digits".into();
    let score = |unit: Unit| {
        let pairs = references.iter().zip(&hypotheses);
        let rate = ErrorRate::of(unit, pairs.map(|(wanted, found)| (&wanted[..], &found[..]))).unwrap();
        Score {
            value: Some(rate.value()),
            interval: None,
            ..Score::proportion("finetune", unit.metric().name(), 0, UTTERANCES as u64)
        }
    };
    record.scores = vec![score(Unit::Words), score(Unit::Characters)];
    let texts = ProtocolTexts {
        protocol: "finetune".into(),
        hypotheses,
    };
    let transcripts = Transcripts::new(ids, references, vec![texts]).unwrap();
    ScoredRun {
        path: format!("{hash}-s{seed}.json").into(),
        record,
        predictions: Outputs::Transcripts(transcripts),
    }
}

fn texts_of(run: &mut ScoredRun) -> &mut Transcripts {
    match &mut run.predictions {
        Outputs::Transcripts(transcripts) => transcripts,
        Outputs::Scores(_) => panic!("a run that classifies"),
    }
}

#[test]
fn fewer_errors_are_better() {
    let runs = |wrong: f64, hash: &str| -> Vec<ScoredRun> { (0..3).map(|seed| spoken(seed, wrong, hash)).collect() };
    let (low, high) = (runs(0.1, "aaaaaaaaaaaa"), runs(0.4, "bbbbbbbbbbbb"));
    let found = compared(&low, &high);
    let metrics: Vec<Metric> = found.differences.iter().map(|found| found.metric).collect();
    assert_eq!(metrics, [Metric::Wer, Metric::Cer]);
    for one in &found.differences {
        assert!(one.difference.unwrap() < 0.0 && one.interval.as_ref().unwrap().high < 0.0);
        assert_eq!(one.verdict, Conclusion::A);
        assert_eq!(
            (one.samples, one.seeds, one.test),
            (UTTERANCES as u64, 3, "t over runs and samples")
        );
    }
    let turned = compared(&high, &low);
    assert!(turned.differences.iter().all(|one| one.verdict == Conclusion::B));
    for one in compared(&low, &low).differences {
        assert_eq!(
            (one.difference, one.p, one.verdict),
            (Some(0.0), Some(1.0), Conclusion::NotShown)
        );
    }
}

#[test]
fn utterances_are_paired_by_id_and_must_say_the_same() {
    let (a, b) = (spoken(0, 0.1, "aaaaaaaaaaaa"), spoken(0, 0.2, "bbbbbbbbbbbb"));
    let mut turned = b.clone();
    let texts = texts_of(&mut turned);
    texts.ids.reverse();
    texts.references.reverse();
    texts.protocols[0].hypotheses.reverse();
    assert_eq!(versus(&a, &b), versus(&a, &turned));
    let side = std::slice::from_ref::<ScoredRun>;
    let refused = |other: &ScoredRun| compare(side(&a), side(other), 50, &Seed::root(0)).unwrap_err();
    let mut said = b.clone();
    // an utterance of four words that both have right or wrong alike
    texts_of(&mut said).references[1] = "ONE ONE ONE TEN".into();
    assert!(matches!(
        refused(&said),
        CompareError::Disagrees { .. } | CompareError::Targets { .. }
    ));
    let mut missing = b.clone();
    texts_of(&mut missing).ids[3] = "another".into();
    assert!(matches!(refused(&missing), CompareError::Samples { .. }));
    let mut recorded = b.clone();
    recorded.record.scores[0].value = Some(0.5);
    assert!(matches!(refused(&recorded), CompareError::Disagrees { .. }));
    let mut silent = b.clone();
    texts_of(&mut silent).protocols[0].protocol = "other".into();
    assert!(matches!(refused(&silent), CompareError::NoScores { .. }));
}

#[test]
fn transcripts_are_written_beside_the_record_and_read_back() {
    let out = tempfile::tempdir().unwrap();
    let mut one = spoken(0, 0.3, "aaaaaaaaaaaa");
    let path = store::write_transcripts(out.path(), &one.record.clone(), texts_of(&mut one)).unwrap();
    let read = ScoredRun::read(&path, &[]).unwrap();
    assert_eq!((read.len(), &read[0].predictions), (1, &one.predictions));
    assert_eq!(read[0].checked_metrics("finetune").unwrap(), [Metric::Wer, Metric::Cer]);
}
