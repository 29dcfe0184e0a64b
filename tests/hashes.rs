//! The law of hashes: the plan of every committed record reads back whole, and has the hashes that
//! the record was written with. A section, a key or a default that moves them breaks `resume`,
//! shared pretraining and comparisons with old records.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use bridle_bench::plan::Plan;
use bridle_bench::run::root::Root;
use bridle_results::record::RunRecord;
use bridle_results::store;
use std::path::Path;

/// Folders that hold committed records.
const FOLDERS: [&str; 4] = [
    "results/records",
    "results/ablations",
    "results/small-sets",
    "results/smoke",
];

/// Records whose plan lacks a value that plans have had ever since, and that value. Their tables
/// and comparisons need nothing but the values that they have.
const OLDER: [(&str, &str); 1] = [(
    "results/records/esc50/bridle-rq/5c29c904fe2b-flex-fp32-s0-f1.json",
    "transductive",
)];

/// The hash of the record's plan, and that of its pretraining, as this version of the program
/// computes them.
fn hashes(record: &RunRecord) -> (String, String) {
    let (backend, dtype) = (&*record.backend.name, &*record.backend.dtype);
    let plan = Plan::from_flat(&record.plan).unwrap();
    assert_eq!(plan.to_flat(), record.plan);
    (
        plan.plan_hash(),
        plan.pretrain_hash(&Root::of_record(record), backend, dtype),
    )
}

#[test]
fn every_committed_record_keeps_its_hashes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut kinds = std::collections::BTreeSet::new();
    let mut pretrained = 0;
    for folder in FOLDERS {
        let records = store::find(&[root.join(folder)]).unwrap();
        assert!(!records.is_empty(), "{folder} holds records");
        for (path, record) in records {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if let Some((_, missing)) = OLDER.iter().find(|(older, _)| *older == name) {
                let error = Plan::from_flat(&record.plan).unwrap_err().to_string();
                assert!(error.contains(&format!("missing field `{missing}`")), "{name}: {error}");
                continue;
            }
            let (plan, pretrain) = hashes(&record);
            assert_eq!(plan, record.plan_hash, "plan of {}", path.display());
            if let Some(recorded) = &record.pretrain_hash {
                assert_eq!(&pretrain, recorded, "pretraining of {}", path.display());
                pretrained += 1;
            }
            kinds.insert(record.plan["data.kind"].as_str().unwrap().to_owned());
        }
    }
    assert!(pretrained > 40, "{pretrained} records pretrained something");
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["audio", "image", "speech", "video"]
    );
}
