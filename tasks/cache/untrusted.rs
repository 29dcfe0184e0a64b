//! The law of feature files: whatever stands in one, the inputs are those that were computed.
#![allow(clippy::unwrap_used)] // a failed unwrap is a broken law

use super::footer::MARK;
use super::*;

const SAMPLES: usize = 3;
const ROW: usize = 2;

/// `bytes` are a footer, which gets its own hash, length and mark, as its rows get the hash that it
/// names: what any program could write. An odd first byte asks for rows of any length.
pub(crate) fn feature_file(bytes: &[u8]) {
    let Some((first, json)) = bytes.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<u8> = (0..SAMPLES * ROW)
        .flat_map(|value| (value as f32).to_le_bytes())
        .collect();
    for keep in [true, false] {
        let work = Work {
            folder: folder.path(),
            key: "key",
            what: "nothing",
            samples: SAMPLES,
            row: ROW,
            keep,
            limit: u64::MAX,
        };
        let rows = if keep { &rows[..] } else { &[] };
        let json = String::from_utf8_lossy(json).replace("HASH", blake3::hash(rows).to_hex().as_str());
        let (json, length) = (json.as_bytes(), (json.len() as u64).to_le_bytes());
        let file = [rows, json, blake3::hash(json).as_bytes(), &length, MARK].concat();
        std::fs::write(work.path(), file).unwrap();
        let compute = |index: usize| {
            assert!(index < SAMPLES, "there is no sample {index}");
            Ok(Outcome::Row(Row::measured(vec![index as f32; ROW], |_| ())))
        };
        let pool = pool(1).unwrap();
        let (prepared, lengths) = match first % 2 {
            0 => (open_or_compute(&work, &pool, &(), compute).unwrap(), None),
            _ => {
                let (prepared, lengths) = open_or_compute_ragged(&work, 0, &pool, &(), compute).unwrap();
                (prepared, Some(lengths))
            }
        };
        // nothing is skipped that can be computed
        assert!(prepared.skipped.is_empty());
        assert!(lengths.is_none_or(|lengths| lengths.len() == SAMPLES));
        if keep {
            for start in 0..SAMPLES {
                assert_eq!(prepared.rows.row(start * ROW, ROW).unwrap().len(), ROW);
            }
        }
    }
}
