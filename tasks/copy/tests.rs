//! Reports on generated and on real data, one difference at a time.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::*;
use crate::{Limits, OpenRequest, find};

fn report(task: &str, subset: Option<usize>, cache: &std::path::Path) -> CopyReport {
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
    CopyReport::measure(&dataset, &request.input).unwrap()
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
    assert_eq!(serde_json::from_str::<CopyReport>(&text).unwrap(), report);
    assert_eq!((report.known(), report.verify(false).unwrap()), (None, Vec::new()));
}

#[test]
fn sizes_are_those_of_the_sorted_files() {
    assert_eq!(Sizes::of(Vec::new()), None);
    let sizes = |least, median, most, total| {
        Some(Sizes {
            least,
            median,
            most,
            total,
        })
    };
    assert_eq!(Sizes::of(vec![7]), sizes(7, 7, 7, 7));
    assert_eq!(Sizes::of(vec![9, 1, 5, 4]), sizes(1, 5, 9, 19));
}
