//! Reports on generated and on real data, one difference at a time.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::*;
use crate::fixtures::outside_data;
use crate::{Limits, OpenRequest, find};

fn report(task: &str, subset: Option<usize>, cache: &std::path::Path) -> Census {
    let task = find(task).unwrap();
    let request = OpenRequest {
        data: None,
        offline: true,
        input: task.spec().input,
        subset,
        allow_different: false,
        cache: cache.to_owned(),
        threads: 0,
        limits: Limits::default(),
    };
    let dataset = task.open(&request, &()).unwrap();
    Census::measure(&dataset, &request.input).unwrap()
}

#[test]
fn a_report_counts_and_measures_what_was_opened() {
    let report = report("synthetic-image", Some(3), std::path::Path::new("never-used"));
    let each = |count| {
        (1..=4)
            .map(|step| (format!("step-{step}"), count))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        report.samples,
        BTreeMap::from([("test".to_owned(), each(3)), ("train".to_owned(), each(3))])
    );
    assert_eq!((report.bytes, report.measured.samples), (None, 24));
    // normalised by constants that were measured on all of it
    assert!(
        report.measured.mean.abs() < 0.1 && (report.measured.std - 1.0).abs() < 0.1,
        "{report:?}"
    );
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Census>(&text).unwrap(), report);
    assert_eq!((report.known(), report.verify(false).unwrap()), (None, Vec::new()));
}

#[test]
fn sizes_are_those_of_the_sorted_files() {
    assert_eq!(FileSizes::of(Vec::new()), None);
    let sizes = |least, median, most, total| {
        Some(FileSizes {
            least,
            median,
            most,
            total,
        })
    };
    assert_eq!(FileSizes::of(vec![7]), sizes(7, 7, 7, 7));
    assert_eq!(FileSizes::of(vec![9, 1, 5, 4]), sizes(1, 5, 9, 19));
}

#[test]
fn every_difference_from_the_known_variant_is_named_and_refused() {
    let known = esc50();
    let changed = |change: fn(&mut Census)| {
        let mut report = known.clone();
        change(&mut report);
        let named = report.verify(true).unwrap();
        let refused = report.verify(false).map_err(|error| error.to_string());
        assert!(refused.is_ok() == named.is_empty());
        assert!(refused.map_or_else(|error| error.ends_with(&named[0]), |none| none.is_empty()));
        named.join("; ")
    };
    assert_eq!(changed(|_| ()), "");
    assert_eq!(changed(|report| report.measured.mean += 0.9 * TOLERANCE), "");
    assert_eq!(
        changed(|report| drop(report.samples.remove("fold-5")))
            .matches("in fold-5 is 0, not 8")
            .count(),
        50
    );
    insta::assert_snapshot!(changed(|report| *report.samples.get_mut("fold-2").unwrap().get_mut("dog").unwrap() += 1), @"the number of samples of class dog in fold-2 is 9, not 8");
    insta::assert_snapshot!(changed(|report| report.samples.get_mut("fold-2").unwrap().extend([("wolf".into(), 1)])), @"the number of samples of class wolf in fold-2 is 1, not 0");
    insta::assert_snapshot!(changed(|report| report.skipped = 1), @"samples left out are 1, not 0");
    insta::assert_snapshot!(changed(|report| report.missing = 2), @"samples missing are 2, not 0");
    insta::assert_snapshot!(changed(|report| report.bytes = FileSizes::of(vec![1])), @"the bytes of all files are 1, not 81959651");
    insta::assert_snapshot!(changed(|report| (report.measured.mean, report.measured.std) = (0.25, 0.75)), @"the mean of the normalised inputs is 0.2500, not -0.0003; the standard deviation of the normalised inputs is 0.7500, not 0.5048");
    // another input has other statistics, a subset other counts too, and other data is another
    // matter
    let other = InputSpec::Audio {
        frames: 8,
        mels: 16,
        sample_rate: 16_000,
        mean: 0.0,
        std: 1.0,
    };
    let mut report = Census {
        input: other,
        ..known.clone()
    };
    report.measured.mean = 0.25;
    assert_eq!(report.verify(false).unwrap(), Vec::<String>::new());
    report.skipped = 1;
    assert!(report.verify(false).is_err());
    assert!(
        Census {
            subset: Some(1),
            ..report.clone()
        }
        .verify(false)
        .is_ok()
    );
    assert!(
        Census {
            variant: "different".to_owned(),
            ..report
        }
        .verify(false)
        .is_ok()
    );
}

/// What is known of ESC-50.
fn esc50() -> Census {
    serde_json::from_str(KNOWN[0]).unwrap()
}

#[test]
fn every_known_report_is_read_and_names_a_task_and_its_input() {
    for text in KNOWN {
        let known: Census = serde_json::from_str(text).unwrap();
        assert_eq!(known.input, find(&known.task).unwrap().spec().input);
        assert_eq!(known.known(), Some(known));
    }
}

#[test]
fn the_real_esc50_is_measured_as_it_is_known() {
    if outside_data("esc50").is_none() {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let report = report("esc50", None, cache.path());
    let known = esc50();
    assert_eq!(report.verify(false).unwrap(), Vec::<String>::new());
    assert_eq!(
        (&report.samples, report.bytes, report.measured.samples),
        (&known.samples, known.bytes, 256)
    );
}
