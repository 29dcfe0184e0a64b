//! Plans that evaluate one pretraining by different protocols: they belong in one row.

use crate::record::RunRecord;
use std::collections::BTreeMap;

/// Names in the plan that decide no number, and the list of protocols.
const NAMES: [&str; 3] = ["preset", "recipe", "protocols"];

/// For the plan of each run, the plan that stands for all with the same pretraining that evaluate it
/// alike: the first in the order of hashes.
pub(super) fn plans<'a>(runs: &[&'a RunRecord]) -> BTreeMap<&'a str, &'a str> {
    let mut of_plan: BTreeMap<&str, Vec<&RunRecord>> = BTreeMap::new();
    for run in runs {
        of_plan.entry(&run.plan_hash).or_default().push(run);
    }
    // the plans that stand for others, each with the runs of all of them
    let mut heads: Vec<(&str, Vec<&RunRecord>)> = Vec::new();
    let mut found = BTreeMap::new();
    for (plan, runs) in of_plan {
        let known = heads
            .iter_mut()
            .find(|(_, known)| share_pretraining(known, &runs) && known.iter().all(|run| are_alike(run, runs[0])));
        match known {
            Some((head, known)) => {
                found.insert(plan, *head);
                known.extend(runs);
            }
            None => {
                found.insert(plan, plan);
                heads.push((plan, runs));
            }
        }
    }
    found
}

/// Whether a run of one is evaluated with the pretrained weights of a run of the other.
fn share_pretraining(a: &[&RunRecord], b: &[&RunRecord]) -> bool {
    let hash = |run: &RunRecord| run.pretrain_hash.clone();
    a.iter()
        .filter_map(|run| hash(run))
        .any(|known| b.iter().any(|run| hash(run).as_ref() == Some(&known)))
}

/// Whether two plans agree in every value that both have: those of a protocol that only one runs are
/// its own.
fn are_alike(a: &RunRecord, b: &RunRecord) -> bool {
    let common = a.plan.iter().filter(|(key, _)| !NAMES.contains(&key.as_str()));
    { common }.all(|(key, value)| b.plan.get(key).is_none_or(|other| other == value))
}
