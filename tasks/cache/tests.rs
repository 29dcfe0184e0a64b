//! The feature cache: computed once, read back the same, never believed when damaged.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Ten samples of four values; sample 3 is skipped. Counts how many were computed.
struct Fixture {
    folder: tempfile::TempDir,
    computed: AtomicUsize,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            computed: AtomicUsize::new(0),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("key.features")
    }

    fn open(&self) -> Result<Prepared, DataError> {
        let work = Work {
            folder: self.folder.path(),
            key: "key",
            what: "numbers",
            samples: 10,
            row: 4,
            keep: true,
            limit: u64::MAX,
        };
        open_or_compute(&work, &pool(2).unwrap(), &(), |index| {
            self.computed.fetch_add(1, Ordering::Relaxed);
            Self::outcome(index)
        })
    }

    fn outcome(index: usize) -> Result<Outcome, DataError> {
        if index == 3 {
            return Ok(Outcome::Skipped("three".into()));
        }
        Ok(Outcome::Row(Row::measured(vec![index as f32; 4], |values| {
            values.iter_mut().for_each(|x| *x += 0.5)
        })))
    }

    fn check(&self, computed: usize) {
        let prepared = self.open().unwrap();
        let rows: Vec<f32> = prepared
            .rows
            .values()
            .unwrap()
            .chunks_exact(4)
            .map(|row| row[0])
            .collect();
        assert_eq!(rows, [0.5, 1.5, 2.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]);
        assert_eq!(prepared.skipped, [(3, "three".to_owned())]);
        let mean = (45.0 - 3.0) / 9.0;
        assert!((prepared.mean - mean).abs() < 1e-12);
        assert!((prepared.std - ((285.0 - 9.0) / 9.0 - mean * mean).sqrt()).abs() < 1e-12);
        assert_eq!(self.computed.load(Ordering::Relaxed), computed);
    }
}

#[test]
fn rows_are_computed_once_and_read_back() {
    let fixture = Fixture::new();
    fixture.check(10);
    // the skipped sample is tried again
    fixture.check(11);
    let names: Vec<_> = std::fs::read_dir(fixture.folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "only the features and the lock stay: {names:?}");
}

#[test]
fn a_damaged_file_is_computed_anew_wherever_the_damage_is() {
    let fixture = Fixture::new();
    fixture.check(10);
    let whole = std::fs::read(fixture.path()).unwrap();
    let mut computed = 10;
    for position in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x40;
        std::fs::write(fixture.path(), bytes).unwrap();
        computed += 10;
        fixture.check(computed);
    }
    for length in [0, 1, 100, whole.len() - 1] {
        std::fs::write(fixture.path(), &whole[..length]).unwrap();
        computed += 10;
        fixture.check(computed);
    }
}

#[test]
fn what_a_killed_program_left_is_removed() {
    let fixture = Fixture::new();
    let left = fixture.folder.path().join("other.4711.part");
    std::fs::write(&left, "half").unwrap();
    fixture.check(10);
    assert!(!left.exists());
}

#[test]
fn several_at_once_compute_once() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fixture.open().map(|_| ()).unwrap());
        }
    });
    let tried_again = 3;
    fixture.check(10 + tried_again + 1);
}

#[test]
fn a_file_that_changes_while_it_is_in_use_is_an_error() {
    let fixture = Fixture::new();
    let prepared = fixture.open().unwrap();
    assert_eq!(prepared.rows.row(4, 4).unwrap()[..], [1.5; 4]);
    let whole = std::fs::read(fixture.path()).unwrap();
    let write = |bytes: &[u8]| {
        let mut file = File::options().write(true).truncate(true).open(fixture.path()).unwrap();
        file.write_all(bytes).unwrap();
    };
    let message = |row: usize| {
        let error = prepared.rows.row(4 * row, 4).unwrap_err();
        assert!(matches!(error, DataError::Cache { .. }));
        format!("{error}: {}", std::error::Error::source(&error).unwrap())
    };
    let words = "key.features: it was changed by another program while it was in use";
    // cut off, in the middle and wholly
    write(&whole[..24]);
    assert_eq!(prepared.rows.row(0, 4).unwrap()[..], [0.5; 4]);
    assert!(message(1).ends_with(words), "{}", message(1));
    write(b"");
    assert!(message(0).ends_with(words));
    // another number in one row
    let mut other = whole.clone();
    other[16] ^= 1;
    write(&other);
    assert!(message(1).ends_with(words));
    assert_eq!(prepared.rows.row(8, 4).unwrap()[..], [2.5; 4]);
    // the same bytes again
    write(&whole);
    assert_eq!(prepared.rows.row(4, 4).unwrap()[..], [1.5; 4]);
}

#[test]
fn a_sample_that_can_be_decoded_again_is_no_longer_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let work = Work {
        folder: folder.path(),
        key: "key",
        what: "numbers",
        samples: 3,
        row: 1,
        keep: true,
        limit: u64::MAX,
    };
    let open = |works: bool| {
        open_or_compute(&work, &pool(1).unwrap(), &(), |index| {
            Ok(match works || index != 1 {
                true => Outcome::Row(Row::measured(vec![index as f32], |_| ())),
                false => Outcome::Skipped("no decoder".to_owned()),
            })
        })
    };
    for (works, skipped) in [(false, 1), (false, 1), (true, 0), (true, 0)] {
        assert_eq!(open(works).unwrap().skipped.len(), skipped);
    }
}

#[test]
fn a_cache_that_cannot_be_a_folder_is_named() {
    let fixture = Fixture::new();
    let file = fixture.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let work = Work {
        folder: &file.join("cache"),
        key: "key",
        what: "numbers",
        samples: 1,
        row: 1,
        keep: true,
        limit: u64::MAX,
    };
    let result = open_or_compute(&work, &pool(1).unwrap(), &(), |_| unreachable!("nothing can be kept"));
    let message = result.map(|_| ()).unwrap_err().to_string();
    assert!(
        message.contains("feature cache") && message.contains("file/cache"),
        "{message}"
    );
}

#[test]
fn an_error_leaves_no_file_behind() {
    let fixture = Fixture::new();
    let work = Work {
        folder: fixture.folder.path(),
        key: "key",
        what: "numbers",
        samples: 5,
        row: 1,
        keep: true,
        limit: u64::MAX,
    };
    let bad = |index: usize| DataError::BadSample {
        path: format!("clip {index}").into(),
        reason: "noise".into(),
    };
    let result = open_or_compute(&work, &pool(2).unwrap(), &(), |index| {
        if index >= 2 {
            Err(bad(index))
        } else {
            Ok(Outcome::Row(Row::measured(vec![1.0], |_| ())))
        }
    });
    assert_eq!(result.map(|_| ()).unwrap_err().to_string(), "clip 2: noise");
    let left: Vec<_> = std::fs::read_dir(fixture.folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn features_in_nobodys_hands_make_room_for_new_ones() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("task");
    let open = |key: &str| {
        let work = Work {
            folder: &folder,
            key,
            what: "numbers",
            samples: 100,
            row: 10,
            keep: true,
            limit: 10_000,
        };
        let row = |_| Ok(Outcome::Row(Row::measured(vec![1.0; 10], |_| ())));
        open_or_compute(&work, &pool(1).unwrap(), &(), row).unwrap()
    };
    let there = |key: &str| folder.join(format!("{key}.features")).exists();
    // each takes 4,000 bytes and a footer, so that two fit and three do not
    let first = open("first");
    drop(open("second"));
    drop(open("third"));
    assert!(there("first") && !there("second") && there("third"));
    assert_eq!(first.rows.values().unwrap().len(), 1_000);
}

#[test]
fn what_is_not_kept_is_computed_once_and_what_was_learned_is_the_same() {
    let (fixture, survey) = (Fixture::new(), tempfile::tempdir().unwrap());
    let kept = fixture.open().unwrap();
    let computed = AtomicUsize::new(0);
    for _ in 0..2 {
        let work = Work {
            folder: survey.path(),
            key: "key",
            what: "numbers",
            samples: 10,
            row: 4,
            keep: false,
            limit: 0,
        };
        let looked = open_or_compute(&work, &pool(2).unwrap(), &(), |index| {
            computed.fetch_add(1, Ordering::Relaxed);
            Fixture::outcome(index)
        });
        let looked = looked.unwrap();
        assert!(looked.rows.values().unwrap().is_empty());
        assert_eq!(
            (&looked.skipped, looked.mean, looked.std),
            (&kept.skipped, kept.mean, kept.std)
        );
    }
    // all, and the skipped one again
    assert_eq!(computed.load(Ordering::Relaxed), 11);
}
