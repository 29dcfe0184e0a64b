//! Round trip of records, what two runs must agree in, and refusal of what is no record.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::fixtures::record;
use proptest::prelude::*;
use std::error::Error;

#[test]
fn a_record_reads_as_it_was_written() {
    let written = record(0, 165);
    let text = written.to_json().unwrap();
    assert_eq!(RunRecord::from_json(&text).unwrap(), written);
    insta::assert_snapshot!(text);
}

/// One file of every schema version that was ever written; a version's file never changes.
const PAST: [(u32, &str); 2] = [(1, include_str!("schema-1.json")), (2, include_str!("schema-2.json"))];

#[test]
fn every_schema_version_is_read() {
    assert_eq!(PAST.map(|(version, _)| version), std::array::from_fn(|i| i as u32 + 1));
    assert_eq!(PAST.len(), SCHEMA as usize);
    for (version, text) in PAST {
        let read = RunRecord::from_json(text).unwrap();
        assert_eq!(
            (read.schema, read.score("linear-probe", "top1").unwrap().value),
            (version, Some(0.4125))
        );
    }
}

#[test]
fn values_by_class_came_later_in_schema_2() {
    let read = RunRecord::from_json(include_str!("schema-2-per-class.json")).unwrap();
    let per_class = read.scores[0].per_class.as_ref().unwrap();
    assert_eq!(per_class.names, ["dog", "rain", "siren"]);
    assert_eq!(
        (&per_class.values[..], &per_class.n[..]),
        (&[Some(0.5), None, Some(0.25)][..], &[300, 0, 100][..])
    );
    assert!(
        RunRecord::from_json(PAST[1].1)
            .unwrap()
            .scores
            .iter()
            .all(|score| score.per_class.is_none())
    );
}

#[test]
fn what_may_vary_does_not_make_a_difference() {
    let a = record(0, 165);
    let mut b = a.clone();
    b.id = "another".into();
    b.machine.cpu = "another".into();
    b.program.command = Some(["bridle-bench", "run", "--resume"].map(String::from).into());
    b.seconds.insert("encoder-1".into(), 1.0);
    b.phases[0].seconds = 1.0;
    b.phases[0].samples_per_second = 1.0;
    b.phases[1].reused_from = Some("run-7".into());
    b.peak_memory_bytes.host = None;
    b.finished = b.started;
    assert_eq!(a.differences(&b).unwrap(), Vec::<String>::new());
    assert_eq!(a.comparable().unwrap(), b.comparable().unwrap());
}

#[test]
fn every_number_makes_a_difference() {
    let a = record(0, 165);
    let mut b = a.clone();
    b.phases[1].loss.last += 1e-12;
    b.phases[0].codebooks[1].counts[2] += 1;
    b.scores[0].value = Some(0.5);
    b.plan.insert("seconds".into(), 5.into());
    b.backend.threads = 3;
    b.scores.pop();
    insta::assert_snapshot!(a.differences(&b).unwrap().join("\n"), @r"
    /plan/seconds: only in the second
    /backend/threads: 2 and 3
    /phases/0/codebooks/1/counts/2: 21 and 22
    /phases/1/loss/last: 4.321 and 4.321000000001
    /scores: 2 and 1 entries
    ");
}

#[test]
fn a_number_without_a_form_in_json_is_refused() {
    let edits: [fn(&mut RunRecord); 6] = [
        |r| r.phases[0].loss.last = f64::NAN,
        |r| r.scores[0].value = Some(f64::INFINITY),
        |r| r.scores[0].interval.as_mut().unwrap().low = f64::NAN,
        |r| r.phases[0].codebooks[0].perplexity = f64::NAN,
        |r| r.seconds.extend([("encoder-1".to_string(), f64::NAN)]),
        |r| r.data.input.constants.mean[0] = f64::NAN,
    ];
    for edit in edits {
        let mut record = record(0, 165);
        edit(&mut record);
        let error = record.to_json().unwrap_err();
        assert!(matches!(error, RecordError::Unwritable(_)), "{error}");
    }
}

#[test]
fn an_undefined_score_says_why() {
    let mut record = record(0, 165);
    record.scores[0].value = None;
    assert!(matches!(record.to_json(), Err(RecordError::NoReason { .. })));
    record.scores[0].reason = Some("no class has a positive".into());
    let read = RunRecord::from_json(&record.to_json().unwrap()).unwrap();
    assert_eq!(read, record);
    // an edited record is read all the same, and judged by its values
    let edited = record.to_json().unwrap().replace("\"no class has a positive\"", "null");
    assert_eq!(RunRecord::from_json(&edited).unwrap().scores[0].reason, None);
}

#[test]
fn what_is_no_record_is_told_apart() {
    let text = record(0, 165).to_json().unwrap();
    let cases = [
        "hello".to_string(),
        String::new(),
        text[..text.len() / 2].to_string(),
        "[1, 2]".into(),
        "{\"schema\": \"one\"}".into(),
        text.replacen("\"schema\": 2", "\"schema\": 99", 1),
        text.replacen("\"schema\": 2", "\"schema\": 0", 1),
        text.replacen("\"plan_hash\"", "\"hash\"", 1),
        text.replacen("\"seed\": 0", "\"seed\": \"zero\"", 1),
    ];
    let messages = cases.iter().map(|case| {
        let error = RunRecord::from_json(case).unwrap_err();
        error
            .source()
            .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    });
    insta::assert_snapshot!(messages.collect::<Vec<_>>().join("\n"));
}

#[test]
fn plan_words_are_found_in_both_forms() {
    let mut record = record(0, 165);
    assert_eq!(
        (record.task(), record.method(), record.quantizer()),
        ("esc50", "bridle", Some("rq"))
    );
    record.plan["quantizer"] = serde_json::json!({ "kind": "vq", "codes": 1024 });
    assert_eq!(record.quantizer(), Some("vq"));
    for none in [Value::Null, "none".into()] {
        record.plan["quantizer"] = none;
        assert_eq!(record.quantizer(), None);
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop::num::f64::POSITIVE | prop::num::f64::NEGATIVE | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_record_reads_as_it_was_written(
        (seed, fold, n) in (any::<u64>(), any::<Option<u8>>(), any::<u64>()),
        numbers in prop::collection::vec(number(), 6),
        counts in prop::collection::vec(0u64..1 << 40, 1..9),
        words in prop::collection::vec("\\PC{0,12}", 4),
    ) {
        let mut written = record(0, 165);
        (written.seed, written.fold, written.scores[0].n) = (seed, fold, n);
        written.phases[0].loss = Loss { first: numbers[0], last: numbers[1] };
        written.phases[0].codebooks[0] = CodebookStatistics::from_counts(&counts);
        written.scores[0].value = Some(numbers[2]);
        written.seconds.insert(words[0].clone(), numbers[3]);
        written.data.input.constants.mean = numbers[4..].to_vec();
        written.id = words[1].clone();
        written.plan.insert(words[2].clone(), Value::from(numbers[5]));
        written.data.skipped.push(Skipped { id: words[3].clone(), reason: words[0].clone() });
        let read = RunRecord::from_json(&written.to_json().unwrap()).unwrap();
        prop_assert_eq!(&read, &written);
        prop_assert_eq!(read.to_json().unwrap(), written.to_json().unwrap());
    }
}
