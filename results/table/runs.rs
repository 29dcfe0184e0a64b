//! Groups of runs that belong in one row: those that differ only in seed and fold.

use super::scores::ScoreColumn;
use super::{Cell, Heading, Style};
use crate::record::{RunRecord, plural};
use std::collections::{BTreeMap, BTreeSet, HashSet};

mod pretraining;

/// Runs of one method and setting, to be shown in one row (or block of rows).
#[derive(Clone)]
pub(super) struct Group<'a> {
    pub(super) method: String,
    setting: Setting,
    /// Start of the plan's hash, where nothing else tells this group from another.
    plan: Option<String>,
    /// Start of the data's identity, where runs of one task had different data.
    data: Option<String>,
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

impl Group<'_> {
    /// Whether one of its runs has this score.
    pub(super) fn has(&self, (task, (_, protocol), (_, metric)): &ScoreColumn) -> bool {
        let mut of_task = self.runs.iter().filter(|run| run.task() == task);
        of_task.any(|run| run.score(protocol, metric).is_some())
    }

    /// Method and backend.
    pub(super) fn words(&self) -> String {
        format!("{}, {}", self.method, self.setting.backend)
    }

    /// The one of these that it is compared with: the only one of its setting, of its backend, or of
    /// all. None if it is one of them.
    pub(super) fn partner<'g, 'a>(&self, groups: &'g [Group<'a>]) -> Option<&'g Group<'a>> {
        let is_own =
            |other: &Group| (&other.method, &other.setting, &other.plan) == (&self.method, &self.setting, &self.plan);
        if groups.iter().any(is_own) {
            return None;
        }
        let only = |fits: &dyn Fn(&Group) -> bool| {
            let mut fitting = groups.iter().filter(|group| fits(group));
            fitting.next().filter(|_| fitting.next().is_none())
        };
        only(&|other| other.setting == self.setting)
            .or_else(|| only(&|other| other.setting.backend == self.setting.backend))
            .or_else(|| only(&|_| true))
    }

    /// The data of a group whose runs had the same.
    fn data_words(&self) -> String {
        let run = self.runs[0];
        format!("{} {}", run.task(), run.data.words())
    }
}

/// Shown for a value that a plan does not have, such as the recipe of speech.
const NOT_PLANNED: &str = "-";

/// What distinguishes groups of one method.
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
            backend: record.backend_name(),
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

/// Each run once: of several records of one run, on the same data, the latest. Also returns the number left out.
pub(super) fn distinct(records: &[RunRecord]) -> (Vec<&RunRecord>, usize) {
    let mut runs = BTreeMap::new();
    for record in records {
        let key = (
            record.task(),
            record.method_name(),
            &record.plan_hash,
            record.backend_name(),
            record.data.identity(),
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

/// Each run with codebooks once, and of the runs that share a pretraining the first. Also returns
/// the number of older records left out.
pub(super) fn pretrainings(records: &[RunRecord]) -> (Vec<&RunRecord>, usize) {
    let (mut runs, left_out) = distinct(records);
    let mut seen = HashSet::new();
    runs.retain(|run| {
        let is_first = |hash: &String| seen.insert((hash.clone(), run.backend_name(), run.data.identity()));
        run.phases.iter().any(|phase| !phase.codebooks.is_empty()) && run.pretrain_hash.as_ref().is_none_or(is_first)
    });
    (runs, left_out)
}

/// Groups of runs that may be averaged. `columns` names the cells that a run fills. Two plans that
/// fill the same cell get separate rows, distinguished by the plan's hash, unless they share their
/// pretraining and evaluate it alike; so do runs of one task on different data, distinguished by its
/// identity.
pub(super) fn groups<'a, C: Ord>(runs: &[&'a RunRecord], columns: impl Fn(&RunRecord) -> Vec<C>) -> Vec<Group<'a>> {
    let mut settings: BTreeMap<(bool, String, Setting), Vec<&RunRecord>> = BTreeMap::new();
    for run in runs {
        // controls, which have no quantizer, come last
        settings
            .entry((run.quantizer().is_none(), run.method_name(), Setting::of(run)))
            .or_default()
            .push(run);
    }
    let mut groups = Vec::new();
    for ((_, method, setting), runs) in settings {
        let plans = pretraining::plans(&runs);
        let plan_of = |run: &RunRecord| plans[&run.plan_hash[..]];
        let mut filled: BTreeMap<C, BTreeSet<&str>> = BTreeMap::new();
        for run in &runs {
            columns(run).into_iter().for_each(|column| {
                filled.entry(column).or_default().insert(plan_of(run));
            });
        }
        let by_plan = filled.values().any(|plans| plans.len() > 1);
        let mixed = of_several_data(&runs);
        let mut split: BTreeMap<(Option<&str>, Option<String>), Vec<&RunRecord>> = BTreeMap::new();
        for &run in &runs {
            let plan = by_plan.then_some(plan_of(run));
            let data = mixed.contains(run.task()).then(|| run.data.short_identity());
            split.entry((plan, data)).or_default().push(run);
        }
        groups.extend(split.into_iter().map(|((plan, data), runs)| Group {
            method: method.clone(),
            setting: setting.clone(),
            plan: plan.map(|_| runs[0].short_plan()),
            data,
            runs,
        }));
    }
    groups
}

/// The tasks whose runs had different data.
pub(super) fn of_several_data<'a>(runs: &[&'a RunRecord]) -> BTreeSet<&'a str> {
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for &run in runs {
        found.entry(run.task()).or_default().insert(run.data.identity());
    }
    found.retain(|_, data| data.len() > 1);
    found.into_keys().collect()
}

/// The leading columns of a table of groups: the method, then whatever tells the groups apart.
pub(super) struct RowLabels {
    varying: Vec<usize>,
    plans: bool,
    /// The data of groups that differ in it, in words.
    data: BTreeSet<String>,
    /// What all groups share, in words; empty without groups.
    pub(super) shared: String,
}

impl RowLabels {
    pub(super) fn of(groups: &[Group]) -> Self {
        let mut labels = Self {
            varying: Vec::new(),
            plans: groups.iter().any(|g| g.plan.is_some()),
            data: groups
                .iter()
                .filter(|g| g.data.is_some())
                .map(Group::data_words)
                .collect(),
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
            .chain((!self.data.is_empty()).then_some("data"))
            .map(Heading::key)
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
        if !self.data.is_empty() {
            cells.push(group.data.as_ref().map_or_else(Cell::missing, Cell::word));
        }
        cells
    }

    /// The notes that every table of groups has: what is shared, unless the caption says it, and
    /// records that were left out.
    pub(super) fn notes(&self, left_out: usize, style: Style) -> Vec<String> {
        let mut notes = Vec::new();
        if style == Style::Full && !self.shared.is_empty() {
            notes.push(self.shared.clone());
        }
        if !self.data.is_empty() {
            let data: Vec<&str> = self.data.iter().map(String::as_str).collect();
            notes.push(format!("runs on different data are not averaged: {}", data.join("; ")));
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
