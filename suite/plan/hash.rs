//! Hashes of plans: equal hashes, equal numbers. Which value enters which hash is what its section
//! says.

use super::flat::{Flat, difference};
use super::sections::Stage;
use super::{PhaseKind, PhaseRestart, Plan, PlanError, section_of};
use crate::run::root::Root;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

impl Plan {
    /// 12 hexadecimal digits over all that decides the numbers: every value but mere names.
    pub fn plan_hash(&self) -> String {
        plan_hash(self.to_flat())
    }

    /// As [`Self::plan_hash`], without values that nothing reads in this plan: plans with the same are one plan in effect.
    pub fn effect_hash(&self) -> String {
        let mut unread = vec!["pretrain.checkpoint", "init.transductive", "labels.transductive"];
        let phases = self.phases();
        let rounds = self.pretrain.as_ref().and_then(|pretrain| pretrain.rounds);
        let mut kinds = phases.iter().map(|phase| phase.kind);
        let learns = kinds.any(|kind| matches!(kind, PhaseKind::Tokenizer | PhaseKind::Joint));
        if rounds.is_some() && !learns {
            unread.extend([
                "pretrain.tokenizer.",
                "model.estimator.",
                "quantizer.decay",
                "quantizer.commitment",
            ]);
            if phases.iter().all(|phase| phase.length.restart == PhaseRestart::Off) {
                unread.extend(["quantizer.restart", "quantizer.restart_every", "quantizer.usage_decay"]);
            }
        }
        if rounds == Some(1) {
            unread.push("pretrain.relabel");
        }
        if self.labels.is_some() {
            unread.push("cold_start.");
            // a tokenizer phase that follows still has a quantizer of its own
            if !learns {
                unread.extend([
                    "quantizer.space",
                    "quantizer.code_dim",
                    "quantizer.start",
                    "quantizer.kmeans_iterations",
                ]);
            }
        }
        let is_read = |key: &str| {
            !unread
                .iter()
                .any(|name| key == *name || name.ends_with('.') && key.starts_with(name))
        };
        let mut flat = self.to_flat();
        flat.retain(|key, _| is_read(key));
        plan_hash(flat)
    }

    /// 12 hexadecimal digits over all that decides the pretrained weights. Runs that share them
    /// share one pretraining.
    pub fn pretrain_hash(&self, root: &Root, backend: &str, dtype: &str) -> String {
        let decides = |(key, _): &(String, Value)| decides(key) == Some(Stage::Pretraining);
        let run = [
            ("run.seed", root.seed.into()),
            ("run.fold", root.fold.into()),
            ("run.backend", backend.into()),
            ("run.dtype", dtype.into()),
        ];
        let in_root = root.fold_in_root.then(|| ("run.fold_in_root", true.into()));
        let run = run.into_iter().chain(in_root);
        let run = run.map(|(key, value): (&str, Value)| (key.to_owned(), value));
        digest("pretraining", self.to_flat().into_iter().filter(decides).chain(run))
    }
}

/// As [`Plan::plan_hash`], of a plan's flat map.
pub(crate) fn plan_hash(plan: Flat) -> String {
    let decides = |(key, _): &(String, Value)| decides(key).is_some();
    digest("plan", plan.into_iter().filter(decides))
}

/// What a value decides; None if it is a mere name. A value of no known section decides everything.
pub fn decides(key: &str) -> Option<Stage> {
    match (key, section_of(key)) {
        ("preset" | "recipe", _) => None,
        ("protocols", _) => Some(Stage::Judging),
        (_, Some((section, value))) => (!section.names.contains(&value)).then_some(section.stage),
        _ => Some(Stage::Pretraining),
    }
}

/// Checks that an earlier run, stored in `folder` with the flat map of its plan, had the same
/// values as this plan.
///
/// # Errors
/// Lists the values that differ. Names decide nothing and may differ.
pub(crate) fn require_same(plan: &Flat, stored: &Flat, folder: &Path) -> Result<(), PlanError> {
    let mut differences = difference(stored, plan);
    differences.retain(|difference| decides(&difference.key).is_some());
    if differences.is_empty() {
        return Ok(());
    }
    Err(PlanError::Changed {
        folder: folder.to_owned(),
        differences,
    })
}

/// BLAKE3 over canonical JSON (sorted names, shortest numbers), with a key for each purpose.
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
