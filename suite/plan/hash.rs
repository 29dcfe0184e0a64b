//! Names for plans: equal hashes, equal numbers.

use super::Plan;
use super::flat::Flat;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names for values, which decide nothing themselves.
pub(crate) const NAMES: [&str; 4] = ["preset", "recipe", "init.name", "decoding.lm"];
/// Values that matter only after pretraining: by name, and by the start of the name.
const AFTER_PRETRAINING: [&str; 1] = ["protocols"];
const SECTIONS_AFTER_PRETRAINING: [&str; 6] = ["probe.", "knn.", "finetune.", "test.", "esc50.", "decoding."];

impl Plan {
    /// 12 hexadecimal digits over all that decides the numbers: every value but the names of preset and recipe.
    pub fn plan_hash(&self) -> String {
        plan_hash(self.to_flat())
    }

    /// 12 hexadecimal digits over all that decides the pretrained weights. Runs that share them share one pretraining.
    pub fn pretrain_hash(&self, seed: u64, fold: Option<u8>, backend: &str, dtype: &str) -> String {
        pretrain_hash(self.to_flat(), seed, fold, backend, dtype)
    }
}

/// As [`Plan::plan_hash`], of any plan's flat map.
pub(crate) fn plan_hash(plan: Flat) -> String {
    let decides = |(key, _): &(String, Value)| !NAMES.contains(&key.as_str());
    digest("plan", plan.into_iter().filter(decides))
}

/// As [`Plan::pretrain_hash`], of any plan's flat map.
pub(crate) fn pretrain_hash(plan: Flat, seed: u64, fold: Option<u8>, backend: &str, dtype: &str) -> String {
    let decides = |key: &str| {
        !NAMES.contains(&key)
            && !AFTER_PRETRAINING.contains(&key)
            && !SECTIONS_AFTER_PRETRAINING
                .iter()
                .any(|section| key.starts_with(section))
    };
    let mut values: Flat = plan.into_iter().filter(|(key, _)| decides(key)).collect();
    values.insert("run.seed".to_owned(), seed.into());
    values.insert("run.fold".to_owned(), fold.into());
    values.insert("run.backend".to_owned(), backend.into());
    values.insert("run.dtype".to_owned(), dtype.into());
    digest("pretraining", values)
}

/// BLAKE3 over canonical JSON (sorted names, shortest numbers), kept apart by purpose.
fn digest(purpose: &str, values: impl IntoIterator<Item = (String, Value)>) -> String {
    let sorted: BTreeMap<String, Value> = values.into_iter().collect();
    let text = serde_json::to_string(&sorted).expect("a map of JSON values is JSON");
    let key = format!("bridle-bench 2026 hash of a {purpose}");
    blake3::Hasher::new_derive_key(&key)
        .update(text.as_bytes())
        .finalize()
        .to_hex()[..12]
        .to_owned()
}
