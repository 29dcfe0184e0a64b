//! What `check` makes of what it found: for data, device, memory, disk, steps, mask and records whether it
//! is enough, and which values of the plan would make it so.

use super::needs::{Needs, epochs_and_batch, size};
use crate::cli::error::Failure;
use crate::estimate::{self, Workload};
use crate::plan::{Flat, Plan};
use serde_json::{Value, json};

/// Estimates are good to this factor.
const FACTOR: f64 = 1.5;

/// Whether something is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Ok,
    /// It may not be enough, or not for what the run is for.
    Short,
    /// The run would fail.
    Cannot,
}

impl Ruling {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Short => "short",
            Self::Cannot => "cannot",
        }
    }

    /// Of a need next to what there is.
    fn of(needed: f64, available: Option<u64>) -> Self {
        let available = available.map_or(f64::INFINITY, |available| available as f64);
        if needed * FACTOR <= available {
            Self::Ok
        } else if needed <= available * FACTOR {
            Self::Short
        } else {
            Self::Cannot
        }
    }
}

/// The verdict on one thing.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub topic: &'static str,
    pub ruling: Ruling,
    why: String,
    /// `key=value` for each value of the plan that would make it enough.
    set: Vec<String>,
}

impl Verdict {
    /// Of what stops the run, if it does.
    pub fn of_failure(topic: &'static str, failure: Option<&Failure>) -> Self {
        Self {
            topic,
            ruling: failure.map_or(Ruling::Ok, |_| Ruling::Cannot),
            why: failure.map_or_else(String::new, Failure::message),
            set: Vec::new(),
        }
    }

    /// Of so many processes that train together, where this machine's memory `holds` some, if that is known.
    /// The others may run on further machines.
    pub fn of_ranks(count: usize, cannot: Option<&Failure>, holds: Option<usize>) -> Self {
        let lacking = holds.filter(|&holds| holds < count);
        Self {
            topic: "ranks",
            ruling: match (cannot, lacking) {
                (Some(_), _) => Ruling::Cannot,
                (None, Some(_)) => Ruling::Short,
                (None, None) => Ruling::Ok,
            },
            why: match (cannot, lacking) {
                (Some(failure), _) => failure.message(),
                (None, Some(holds)) => format!("this machine's memory holds {holds} of {count}"),
                (None, None) => String::new(),
            },
            set: Vec::new(),
        }
    }

    /// Of what the plan may have too few of to learn: `few` says so.
    pub fn of_plan(topic: &'static str, few: Option<String>) -> Self {
        Self {
            topic,
            ruling: few.as_ref().map_or(Ruling::Ok, |_| Ruling::Short),
            why: few.unwrap_or_default(),
            set: Vec::new(),
        }
    }

    /// Of main memory: what the plan holds at its peak on `training` samples.
    pub fn of_memory(needs: &Needs, plan: &Plan, training: &Workload) -> Self {
        let available = needs.memory_available;
        let ruling = Ruling::of(needs.memory_bytes, available);
        let fits = |set: &Set| {
            let changed = with(plan, set);
            changed.is_some_and(|plan| Ruling::of(peak(&plan, training, needs.ranks), available) == Ruling::Ok)
        };
        let set = match ruling {
            Ruling::Ok => None,
            _ => remedies(plan).into_iter().find(fits),
        };
        Self {
            topic: "memory",
            ruling,
            why: beside(needs.memory_bytes, available, ruling),
            set: set
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
        }
    }

    /// Of the disk that holds work files: inputs, and two checkpoints and the finished pretraining.
    pub fn of_disk(needs: &Needs) -> Self {
        let needed = needs.features_bytes as f64 + 3.0 * needs.checkpoint_bytes as f64;
        let ruling = Ruling::of(needed, needs.disk_free);
        Self {
            topic: "disk",
            ruling,
            why: beside(needed, needs.disk_free, ruling),
            set: Vec::new(),
        }
    }

    /// `memory: short, about 3.1 GB of 4.0 GB; --set pretrain.batch=8`.
    pub fn text(&self) -> String {
        let Self {
            topic,
            ruling,
            why,
            set,
        } = self;
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(", {why}")
        };
        let set: String = set.iter().map(|set| format!(" --set {set}")).collect();
        let set = if set.is_empty() {
            set
        } else {
            format!("; enough with{set}")
        };
        format!("{topic}: {}{why}{set}", ruling.word())
    }

    pub fn json(&self) -> Value {
        json!({"topic": self.topic, "verdict": self.ruling.word(), "why": self.why, "set": self.set})
    }
}

fn beside(needed: f64, available: Option<u64>, ruling: Ruling) -> String {
    match (ruling, available) {
        (Ruling::Ok, _) | (_, None) => String::new(),
        (_, Some(available)) => format!("about {} of {}", size(needed), size(available as f64)),
    }
}

/// The most memory that a phase of the plan holds, on each of so many ranks.
pub(super) fn peak(plan: &Plan, training: &Workload, ranks: usize) -> f64 {
    let phases = estimate::phases(plan, training, ranks).into_iter();
    let trained = phases
        .chain(estimate::finetune(plan, training, ranks))
        .map(|phase| phase.memory_bytes);
    trained.fold(estimate::features(plan, training.count()).memory_bytes, f64::max)
}

/// Values of a plan to set together.
type Set = Vec<(&'static str, usize)>;

/// What needs less memory, the mildest first: batches in parts change no number beyond rounding,
/// smaller batches do.
fn remedies(plan: &Plan) -> Vec<Set> {
    let pretrain = plan.pretrain.as_ref();
    let finetune = plan.evaluation.finetune.as_ref().map(epochs_and_batch);
    let parts = pretrain.filter(|_| !(plan.method.masks_frames() || plan.is_speech()));
    let halvings = || (1..20).map(|power| 1_usize << power);
    let of_finetune = |parts: usize| finetune.map(|(_, batch)| ("finetune.batch", (batch / parts).max(1)));
    let accumulated = halvings().filter_map(|times| {
        let pretrain = parts.filter(|pretrain| pretrain.batch % times == 0)?;
        let smaller = [
            ("pretrain.batch", pretrain.batch / times),
            ("pretrain.accumulate", pretrain.accumulate * times),
        ];
        Some(smaller.into_iter().chain(of_finetune(times)).collect())
    });
    let smaller = halvings().map(|times| {
        let batch = pretrain.map(|pretrain| ("pretrain.batch", (pretrain.batch / times).max(1)));
        batch.into_iter().chain(of_finetune(times)).collect()
    });
    let tuned = halvings().filter_map(|times| Some(vec![of_finetune(times)?]));
    tuned.chain(accumulated).chain(smaller).collect()
}

/// The plan with other values; None if there is no such plan.
fn with(plan: &Plan, set: &Set) -> Option<Plan> {
    let mut flat: Flat = plan.to_flat();
    set.iter()
        .for_each(|(key, value)| drop(flat.insert((*key).to_owned(), json!(value))));
    Plan::from_flat(&flat).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use crate::plan::PlanRequest;

    #[test]
    fn an_estimate_rules_with_its_uncertainty() {
        for (needed, available, ruling) in [
            (1.0, Some(100), Ruling::Ok),
            (90.0, Some(100), Ruling::Short),
            (149.0, Some(100), Ruling::Short),
            (151.0, Some(100), Ruling::Cannot),
            (1e30, None, Ruling::Ok),
        ] {
            assert_eq!(Ruling::of(needed, available), ruling, "{needed} of {available:?}");
        }
    }

    #[test]
    fn ranks_that_have_no_room_may_run_elsewhere_and_those_without_samples_nowhere() {
        let text = |cannot: Option<&Failure>, holds| Verdict::of_ranks(4, cannot, holds).text();
        assert_eq!(
            (text(None, None), text(None, Some(4))),
            ("ranks: ok".to_owned(), "ranks: ok".to_owned())
        );
        assert_eq!(text(None, Some(3)), "ranks: short, this machine's memory holds 3 of 4");
        let cannot = Failure::wrong_use("4 ranks cannot share 2 samples");
        assert_eq!(
            text(Some(&cannot), Some(3)),
            "ranks: cannot, 4 ranks cannot share 2 samples"
        );
    }

    #[test]
    fn batches_in_parts_come_before_smaller_ones_and_fit() {
        let request = |method: &str| PlanRequest {
            task: "esc50".to_owned(),
            method: Some(method.to_owned()),
            ..PlanRequest::default()
        };
        let plan = Plan::resolve(&request("bridle")).unwrap();
        let clips = Workload::Samples(1600);
        let first = &remedies(&plan)[0];
        assert_eq!(first[..], [("pretrain.batch", 8), ("pretrain.accumulate", 2)]);
        let parts = with(&plan, first).unwrap();
        assert!(peak(&parts, &clips, 1) < peak(&plan, &clips, 1));
        assert!(peak(&plan, &clips, 2) < peak(&plan, &clips, 1));
        let needs = Needs {
            ranks: 1,
            memory_bytes: peak(&plan, &clips, 1),
            memory_available: Some((peak(&parts, &clips, 1) * FACTOR) as u64 + 1),
            features_bytes: 1,
            checkpoint_bytes: 1,
            disk_free: Some(100),
            phases: Vec::new(),
            finetune: None,
            operations: 0.0,
            time: None,
        };
        let verdict = Verdict::of_memory(&needs, &plan, &clips);
        assert!(
            verdict
                .text()
                .ends_with("enough with --set pretrain.batch=8 --set pretrain.accumulate=2"),
            "{verdict:?}"
        );
        assert_eq!(Verdict::of_disk(&needs).text(), "disk: ok");
        // a method that takes one batch a step
        let masked = Plan::resolve(&request("best-rq")).unwrap();
        assert_eq!(remedies(&masked)[0][..], [("pretrain.batch", 8)]);
    }
}
