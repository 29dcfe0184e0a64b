//! Which runs belong together: those that differ in nothing but seed and fold.

use super::{Cell, Heading};
use crate::record::RunRecord;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Runs of one method and setting, to be shown in one row (or block of rows).
pub(super) struct Group<'a> {
    pub(super) method: String,
    setting: Setting,
    /// Start of the plan's hash, where nothing else tells this group from another.
    plan: Option<String>,
    pub(super) runs: Vec<&'a RunRecord>,
}

impl<'a> Group<'a> {
    pub(super) fn by_task(&self) -> BTreeMap<&'a str, Vec<&'a RunRecord>> {
        let mut tasks: BTreeMap<&str, Vec<&RunRecord>> = BTreeMap::new();
        self.runs
            .iter()
            .for_each(|run| tasks.entry(run.task()).or_default().push(run));
        tasks
    }
}

/// Stands for a value that a plan has no place for, such as the recipe of speech.
const NOT_PLANNED: &str = "-";

/// What tells groups of one method apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    preset: String,
    recipe: String,
    backend: String,
}

impl Setting {
    fn of(record: &RunRecord) -> Self {
        let word = |key| record.plan_word(key).unwrap_or(NOT_PLANNED).to_string();
        Self {
            preset: word("preset"),
            recipe: word("recipe"),
            backend: backend(record),
        }
    }

    fn values(&self) -> [(&'static str, &str); 3] {
        [
            ("preset", &self.preset),
            ("recipe", &self.recipe),
            ("backend", &self.backend),
        ]
    }
}

/// The backend with its dtype, and its device unless that is the processor.
pub(crate) fn backend(record: &RunRecord) -> String {
    let backend = &record.backend;
    let device = if backend.device == "cpu" {
        String::new()
    } else {
        format!(" {}", backend.device)
    };
    format!("{}{device} {}", backend.name, backend.dtype)
}

/// Seed and fold of a run, in words.
pub(crate) fn words(record: &RunRecord) -> String {
    let fold = record.fold.map(|fold| format!(", fold {fold}")).unwrap_or_default();
    format!("seed {}{fold}", record.seed)
}

/// The method with its quantizer, as a row is called.
pub(crate) fn method(record: &RunRecord) -> String {
    match record.quantizer() {
        Some(quantizer) => format!("{} {quantizer}", record.method()),
        None => record.method().to_string(),
    }
}

/// The start of a plan's hash.
pub(super) fn short_plan(record: &RunRecord) -> String {
    record.plan_hash.chars().take(6).collect()
}

/// Method, backend and plan in a line.
pub(crate) fn name(record: &RunRecord) -> String {
    format!("{}, {}, plan {}", method(record), backend(record), short_plan(record))
}

/// Each run once: of several records of one run the one that ended last. Gives the number left out too.
pub(super) fn distinct(records: &[RunRecord]) -> (Vec<&RunRecord>, usize) {
    let mut runs = BTreeMap::new();
    for record in records {
        let key = (
            record.task(),
            method(record),
            &record.plan_hash,
            backend(record),
            record.seed,
            record.fold,
        );
        let known = runs.entry(key).or_insert(record);
        if record.finished > known.finished {
            *known = record;
        }
    }
    let left_out = records.len() - runs.len();
    (runs.into_values().collect(), left_out)
}

/// Each run with codebooks once, and of the runs that share a pretraining the first. Gives the number of older records
/// left out too.
pub(super) fn pretrainings(records: &[RunRecord]) -> (Vec<&RunRecord>, usize) {
    let (mut runs, left_out) = distinct(records);
    let mut seen = HashSet::new();
    runs.retain(|run| {
        let is_first = |hash: &String| seen.insert((hash.clone(), backend(run)));
        run.phases.iter().any(|phase| !phase.codebooks.is_empty()) && run.pretrain_hash.as_ref().is_none_or(is_first)
    });
    (runs, left_out)
}

/// Groups of runs that may be averaged. `columns` names the cells that a run fills: two plans that fill the same cell
/// get rows of their own, told apart by the plan's hash.
pub(super) fn groups<'a, C: Ord>(runs: &[&'a RunRecord], columns: impl Fn(&RunRecord) -> Vec<C>) -> Vec<Group<'a>> {
    let mut settings: BTreeMap<(bool, String, Setting), Vec<&RunRecord>> = BTreeMap::new();
    for run in runs {
        // controls, which have no quantizer, come last
        settings
            .entry((run.quantizer().is_none(), method(run), Setting::of(run)))
            .or_default()
            .push(run);
    }
    let mut groups = Vec::new();
    for ((_, method, setting), runs) in settings {
        let mut plans: BTreeMap<C, BTreeSet<&str>> = BTreeMap::new();
        for run in &runs {
            columns(run).into_iter().for_each(|column| {
                plans.entry(column).or_default().insert(&run.plan_hash);
            });
        }
        if plans.values().all(|plans| plans.len() < 2) {
            groups.push(Group {
                method,
                setting,
                plan: None,
                runs,
            });
            continue;
        }
        let mut split: BTreeMap<&str, Vec<&RunRecord>> = BTreeMap::new();
        runs.iter()
            .for_each(|run| split.entry(&run.plan_hash).or_default().push(run));
        groups.extend(split.into_values().map(|runs| {
            let plan = runs.first().map(|run| short_plan(run));
            Group {
                method: method.clone(),
                setting: setting.clone(),
                plan,
                runs,
            }
        }));
    }
    groups
}

/// The runs of one row of the main table.
pub(crate) struct Series<'a> {
    /// The method and whatever tells it from the others, in words.
    pub(crate) label: String,
    /// Its runs, by task, plan, seed and fold.
    pub(crate) runs: Vec<&'a RunRecord>,
}

/// The rows of the main table with their runs, in the order of the table.
pub(crate) fn series<'a>(records: &'a [RunRecord]) -> Vec<Series<'a>> {
    let (runs, _) = distinct(records);
    let groups = groups(&runs, |run| super::scores::columns(run).collect());
    let labels = Labels::of(&groups);
    let of_group = |group: &Group<'a>| {
        let header = labels.header();
        let cells = header
            .iter()
            .zip(labels.cells(group))
            .filter(|(_, cell)| !cell.text.is_empty());
        let words: Vec<String> = cells
            .map(|(heading, cell)| match heading.name.as_str() {
                "plan" => format!("plan {}", cell.text),
                _ => cell.text,
            })
            .collect();
        Series {
            label: words.join(", "),
            runs: group.runs.clone(),
        }
    };
    groups.iter().map(of_group).collect()
}

/// The leading columns of a table of groups: the method, then whatever tells the groups apart.
pub(super) struct Labels {
    varying: Vec<usize>,
    plans: bool,
    /// What all groups share, in words; empty without groups.
    pub(super) shared: String,
}

impl Labels {
    pub(super) fn of(groups: &[Group]) -> Self {
        let mut labels = Self {
            varying: Vec::new(),
            plans: groups.iter().any(|g| g.plan.is_some()),
            shared: String::new(),
        };
        let Some(first) = groups.first() else { return labels };
        let mut shared = Vec::new();
        for (i, (name, value)) in first.setting.values().into_iter().enumerate() {
            if groups.iter().any(|group| group.setting.values()[i].1 != value) {
                labels.varying.push(i);
            } else if value != NOT_PLANNED {
                shared.push(format!("{name} {value}"));
            }
        }
        labels.shared = shared.join(", ");
        labels
    }

    /// Headings of the leading columns.
    pub(super) fn header(&self) -> Vec<Heading> {
        let names = ["preset", "recipe", "backend"];
        let varying = self.varying.iter().map(|&i| names[i]);
        ["method"]
            .into_iter()
            .chain(varying)
            .chain(self.plans.then_some("plan"))
            .map(Heading::word)
            .collect()
    }

    /// The leading cells of a group's rows.
    pub(super) fn cells(&self, group: &Group) -> Vec<Cell> {
        let mut cells = vec![Cell::word(&group.method)];
        let values = group.setting.values();
        cells.extend(self.varying.iter().map(|&i| Cell::word(values[i].1)));
        if self.plans {
            cells.push(group.plan.as_ref().map_or_else(Cell::missing, Cell::word));
        }
        cells
    }

    /// The notes that every table of groups has: what is shared, and records that were left out.
    pub(super) fn notes(&self, left_out: usize) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.shared.is_empty() {
            notes.push(self.shared.clone());
        }
        if left_out > 0 {
            notes.push(format!(
                "{left_out} older {} of the same run left out",
                plural(left_out, "record")
            ));
        }
        notes
    }
}

/// A value of the plan as people write it.
pub(crate) fn value_word(value: &Value) -> String {
    match value {
        Value::Null => "none".to_string(),
        Value::String(word) => word.clone(),
        other => other.to_string(),
    }
}

/// A noun with its plural's ending for any count but 1.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_string()
    } else {
        format!("{noun}s")
    }
}
