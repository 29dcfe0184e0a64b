//! Plans around a reference: those that differ from it in one value, and those that differ in
//! several.

use super::{Family, NAMES, ValueRuns, is_own};
use crate::record::{RunRecord, display_value};
use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The reference with the plans around it, and how its table is called.
pub(super) struct AroundReference<'a> {
    pub(super) method: String,
    pub(super) family: Family<'a>,
    /// Notes on the reference and on changes of several values.
    notes: Vec<String>,
}

impl AroundReference<'_> {
    pub(super) fn note(&self) -> String {
        self.notes.join("; ")
    }
}

/// The runs of one plan.
type PlanRuns<'a> = Vec<&'a RunRecord>;

/// The values, by name, in which a plan differs from the reference.
type Change = BTreeMap<String, Value>;

/// A family for each method with quantizer, backend, preset, list of protocols and data in which
/// some plan differs from the others in several values, or several values vary one at a time.
pub(super) fn families<'a>(runs: &[&'a RunRecord]) -> Vec<AroundReference<'a>> {
    let mut alike: BTreeMap<Vec<String>, BTreeMap<&str, PlanRuns<'a>>> = BTreeMap::new();
    for &run in runs {
        let value = |key: &str| run.plan.get(key).map_or_else(String::new, display_value);
        let of = ["preset", "protocols", "data.variant", "data.subset"].map(value);
        let setting = [vec![run.method_name(), run.backend_name()], of.into()].concat();
        let plans = alike.entry(setting).or_default();
        plans.entry(&run.plan_hash).or_default().push(run);
    }
    let alike = alike.into_values().map(|plans| plans.into_values().collect());
    alike.filter_map(around).collect()
}

/// The plans around the reference: the one from which most others differ in one value; of equals
/// the one of the authors' recipe, then the one with the most runs. None if at most one value
/// varies.
fn around(mut plans: Vec<PlanRuns>) -> Option<AroundReference> {
    let singles = |plan: &PlanRuns| {
        plans
            .iter()
            .filter(|other| change(plan[0], other[0]).len() == 1)
            .count()
    };
    let rank = |plan: &PlanRuns| {
        (
            singles(plan),
            plan[0].plan_word("recipe") == Some("authors"),
            plan.len(),
        )
    };
    let place = (0..plans.len()).max_by_key(|&place| (rank(&plans[place]), Reverse(place)))?;
    let reference = plans.remove(place);
    let mut changed: Vec<(Change, PlanRuns)> = plans
        .into_iter()
        .map(|plan| (change(reference[0], plan[0]), plan))
        .filter(|(change, _)| !change.is_empty())
        .collect();
    let keys: BTreeSet<&String> = changed.iter().flat_map(|(change, _)| change.keys()).collect();
    if keys.len() < 2 {
        return None;
    }
    let single: BTreeSet<String> = changed
        .iter()
        .filter(|(change, _)| change.len() == 1)
        .flat_map(|(change, _)| change.keys().cloned())
        .collect();
    changed.sort_by_cached_key(|(change, _)| (change.len(), words(change), change.keys().cloned().collect::<Vec<_>>()));
    let mut notes = vec![format!("the reference is plan {}", reference[0].short_plan())];
    let mut rows = vec![row("reference".into(), reference.clone())];
    for (change, plan) in changed {
        let name = name(&change, plan[0], reference[0], &single);
        if change.len() > NAMED {
            notes.push(format!("{name}: {}", words(&change)));
        }
        rows.push(row(name, plan));
    }
    Some(AroundReference {
        method: reference[0].method_name(),
        family: Family {
            backend: reference[0].backend_name(),
            rest: Map::new(),
            rows,
        },
        notes,
    })
}

fn row(name: String, runs: PlanRuns) -> ValueRuns {
    ValueRuns {
        value: name.into(),
        own: Map::new(),
        runs,
    }
}

/// The values of `other` in which it differs from `reference`, null where it has none.
fn change(reference: &RunRecord, other: &RunRecord) -> Change {
    let keys: BTreeSet<&String> = reference.plan.keys().chain(other.plan.keys()).collect();
    let same_kind = reference.plan.get("quantizer") == other.plan.get("quantizer");
    let counts = |key: &&String| !NAMES.contains(&key.as_str()) && (same_kind || !is_own(key));
    let value = |run: &RunRecord, key: &str| run.plan.get(key).cloned().unwrap_or(Value::Null);
    let differs = |key: &&String| value(reference, key) != value(other, key);
    let changed = keys.into_iter().filter(counts).filter(differs);
    changed.map(|key| (key.clone(), value(other, key))).collect()
}

/// The most values in a row's name; if there are more, the name holds their count and the notes
/// list them.
const NAMED: usize = 2;

fn words(change: &Change) -> String {
    let words = change
        .iter()
        .map(|(key, value)| format!("{key} = {}", display_value(value)));
    words.collect::<Vec<_>>().join(", ")
}

/// The change in a few words: by the recipe's name where that is what differs.
fn name(change: &Change, run: &RunRecord, reference: &RunRecord, single: &BTreeSet<String>) -> String {
    let count = change.len();
    let recipe = run
        .plan_word("recipe")
        .filter(|_| run.plan_word("recipe") != reference.plan_word("recipe"));
    let named = match recipe {
        Some(recipe) if count > 1 => format!("recipe = {recipe} ({count} values)"),
        _ if count <= NAMED => words(change),
        _ => format!("{count} values, plan {}", run.short_plan()),
    };
    let is_all = count > 1 && single.len() > 1 && single.iter().all(|key| change.contains_key(key));
    if is_all {
        format!("all together: {named}")
    } else {
        named
    }
}
