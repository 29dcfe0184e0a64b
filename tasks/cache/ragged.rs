//! Inputs of different lengths in one file: rows of whole frames, with their lengths in the footer.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::{Outcome, Row, Work, open_or_compute as equal, open_or_compute_ragged as open_or_compute, pool};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

const FRAME: usize = 3;

fn work(folder: &Path, keep: bool) -> Work<'_> {
    Work {
        folder,
        key: "key",
        what: "nothing",
        samples: 5,
        row: FRAME,
        keep,
        limit: u64::MAX,
    }
}

/// Sample `index` has `index` frames of that number; sample 3 cannot be used.
fn compute(index: usize) -> Outcome {
    match index {
        3 => Outcome::Skipped("broken".to_owned()),
        _ => Outcome::Row(Row::measured(vec![index as f32; index * FRAME], |_| ())),
    }
}

#[test]
fn rows_of_any_length_come_back_from_the_file_without_computing() {
    let (folder, pool) = (tempfile::tempdir().unwrap(), pool(2).unwrap());
    let folder = folder.path().join("task");
    let computed = AtomicUsize::new(0);
    for keep in [true, false] {
        let open = || {
            open_or_compute(&work(&folder, keep), 100, &pool, &(), |index| {
                computed.fetch_add(1, Ordering::Relaxed);
                Ok(compute(index))
            })
            .unwrap()
        };
        computed.store(0, Ordering::Relaxed);
        for (prepared, lengths) in [open(), open()] {
            assert_eq!(lengths, [0, 1, 2, 4]);
            let values = [[1.0].repeat(3), [2.0].repeat(6), [4.0].repeat(12)].concat();
            assert_eq!(prepared.rows.values().unwrap(), if keep { &values[..] } else { &[] });
            assert_eq!(prepared.skipped, [(3, "broken".to_owned())]);
            assert!((prepared.mean - values.iter().sum::<f32>() as f64 / 21.0).abs() < 1e-12);
        }
        // all, and the skipped one again
        assert_eq!(computed.load(Ordering::Relaxed), 6);
    }
}

#[test]
fn a_file_of_equal_rows_is_not_taken_for_one_of_ragged_rows() {
    let (folder, pool) = (tempfile::tempdir().unwrap(), pool(1).unwrap());
    let folder = folder.path().join("task");
    let row = |index: usize| Ok(Outcome::Row(Row::measured(vec![index as f32; FRAME], |_| ())));
    equal(&work(&folder, true), &pool, &(), row).unwrap();
    let (_, lengths) = open_or_compute(&work(&folder, true), 60, &pool, &(), row).unwrap();
    assert_eq!(lengths, [1; 5]);
    equal(&work(&folder, true), &pool, &(), row).unwrap();
}
