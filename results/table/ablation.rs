//! Ablation tables: plans that differ in one value, and plans that differ from a reference in one
//! value or in several.

use super::best::ColumnRow;
use super::scores::{self, ScoreColumn};
use super::summary::Summary;
use super::{Cell, Heading, Style, Table, mean_cell, paper, runs};
use crate::evidence::Evidence;
use crate::record::{RunRecord, display_value, mark};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashSet};

mod reference;

/// Names in the plan that decide no number, and the protocols, which add scores and change none.
const NAMES: [&str; 3] = ["preset", "recipe", "protocols"];

/// The value that stands for a kind and all values of its section: two quantizers have sections of
/// their own, which do not count as further differences.
const KIND: &str = "quantizer";

/// Runs of plans that differ in one value, and the values they share, which distinguish families.
struct Family<'a> {
    backend: String,
    rest: Map<String, Value>,
    rows: Vec<ValueRuns<'a>>,
}

/// The runs of one value.
struct ValueRuns<'a> {
    value: Value,
    /// Values that belong to the value: those of a quantizer's own section.
    own: Map<String, Value>,
    runs: Vec<&'a RunRecord>,
}

/// One table for each task, its data, method and plan value that varies among otherwise equal plans, on one
/// backend and, unless it is what varies, with one quantizer. Before them, one for each reference
/// plan from which others differ in several values.
pub fn ablation_tables(records: &[RunRecord], evidence: &Evidence, style: Style) -> Vec<Table> {
    let (runs, _) = runs::distinct(records);
    let mixed = runs::of_several_data(&runs);
    let mut alike: BTreeMap<(&str, String, &str), Vec<&RunRecord>> = BTreeMap::new();
    for run in runs {
        let data = if mixed.contains(run.task()) {
            format!(", data {}", run.data.words())
        } else {
            String::new()
        };
        alike.entry((run.task(), data, run.method())).or_default().push(run);
    }
    let mut tables = Vec::new();
    for ((task, data, method), runs) in &alike {
        for around in reference::families(runs) {
            let of = format!("{task}, {}{data}", around.method);
            tables.extend(table("change", &of, &around.note(), &[around.family], evidence, style));
        }
        let keys: BTreeSet<&str> = runs
            .iter()
            .flat_map(|run| run.plan.keys())
            .map(String::as_str)
            .collect();
        for key in keys.into_iter().filter(|key| !NAMES.contains(key)) {
            let families = families(runs, key);
            if !families.is_empty() {
                let what = match key {
                    KIND => "the quantizer and its own values",
                    key => key,
                };
                let note = format!("plans that differ only in {what}");
                let of = format!("{task}, {method}{data}");
                tables.extend(table(key, &of, &note, &families, evidence, style));
            }
        }
    }
    tables
}

/// The plan without names and without `key`, in order of name: the values that belong to `key`,
/// then the others.
fn split(plan: &Map<String, Value>, key: &str) -> [Map<String, Value>; 2] {
    let mut values: Vec<(&String, &Value)> = plan.iter().collect();
    values.sort_by_key(|(name, _)| *name);
    let mut maps = [Map::new(), Map::new()];
    for (name, value) in values {
        if name != key && !NAMES.contains(&name.as_str()) {
            let stays = key != KIND || !is_own(name);
            maps[usize::from(stays)].insert(name.clone(), value.clone());
        }
    }
    maps
}

/// Whether a value belongs to the quantizer.
fn is_own(name: &str) -> bool {
    name.strip_prefix(KIND).is_some_and(|rest| rest.starts_with('.'))
}

/// All runs whose plans differ in this value alone, where there are at least two values.
fn families<'a>(runs: &[&'a RunRecord], key: &str) -> Vec<Family<'a>> {
    let mut families: BTreeMap<_, Family> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.plan.contains_key(key)) {
        let [own, rest] = split(&run.plan, key);
        let backend = run.backend_name();
        let family = (Value::Object(rest.clone()).to_string(), backend.clone());
        let family = families.entry(family).or_insert_with(|| Family {
            backend,
            rest,
            rows: Vec::new(),
        });
        let value = &run.plan[key];
        match family.rows.iter_mut().find(|row| row.value == *value && row.own == own) {
            Some(row) => row.runs.push(run),
            None => family.rows.push(ValueRuns {
                value: value.clone(),
                own,
                runs: vec![run],
            }),
        }
    }
    families.retain(|_, family| family.rows.iter().any(|row| row.value != family.rows[0].value));
    let mut families: Vec<Family> = families.into_values().collect();
    for family in &mut families {
        let own = |row: &ValueRuns| Value::Object(row.own.clone()).to_string();
        family
            .rows
            .sort_by(|a, b| order(&a.value, &b.value).then_with(|| own(a).cmp(&own(b))));
    }
    families
}

/// Numbers by size, before words by letter.
fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a_number, b_number) => b_number
            .is_some()
            .cmp(&a_number.is_some())
            .then_with(|| display_value(a).cmp(&display_value(b))),
    }
}

fn table(key: &str, of: &str, what: &str, families: &[Family], evidence: &Evidence, style: Style) -> Vec<Table> {
    let all: Vec<&RunRecord> = families
        .iter()
        .flat_map(|family| family.rows.iter().flat_map(|row| row.runs.iter().copied()))
        .collect();
    let columns: BTreeSet<ScoreColumn> = all.iter().flat_map(|run| scores::columns(run)).collect();
    let others = others(families);
    let coded = all.iter().any(|run| first_perplexity(run).is_some());
    let backends: BTreeSet<&str> = families.iter().map(|family| family.backend.as_str()).collect();
    let mut header: Vec<Heading> = (backends.len() > 1)
        .then(|| Heading::key("backend"))
        .into_iter()
        .collect();
    header.extend(others.iter().map(Heading::key));
    header.push(Heading::key(key));
    let own = own(families);
    header.extend(own.iter().map(Heading::key));
    header.extend(columns.iter().map(scores::heading));
    header.extend(coded.then(|| Heading::new("level 1\nperplexity", "perplexity")));

    let mut summaries = Vec::new();
    let mut rows = Vec::new();
    for family in families {
        let cells = family_rows(family, [&others, &own], &columns, evidence, style, &mut summaries);
        rows.extend(cells.into_iter().zip(&family.rows).map(|(mut cells, row)| {
            if backends.len() > 1 {
                cells.insert(0, Cell::word(&family.backend));
            }
            cells.extend(coded.then(|| perplexity_cell(&row.runs)));
            cells
        }));
    }
    let mut notes = vec![format!("{of}: {what}")];
    notes.extend((backends.len() == 1).then(|| backends.iter().map(|name| format!("backend {name}")).collect()));
    notes.extend(scores::cell_notes(summaries.iter().map(|(_, cell)| cell), style));
    if style == Style::Full {
        let cells = summaries.iter().map(|(column, cell)| (column, cell));
        notes.extend(scores::could_show(cells));
    }
    notes.extend(coded.then(|| "perplexity: of the training data's codes after the last phase; ± over runs".into()));
    let table = Table {
        title: format!("Ablation: {key} ({of})"),
        header,
        rows,
        notes,
    };
    match style {
        Style::Full => vec![table],
        Style::Paper => paper::fitted(table, ""),
    }
}

/// Values that distinguish the families of a table; of a quantizer's own values, those that
/// distinguish families with the same quantizer. A value that a family does not have belongs to a
/// protocol that it did not run, or to another value on display, and distinguishes nothing.
fn others(families: &[Family]) -> Vec<String> {
    let names: BTreeSet<&String> = families.iter().flat_map(|family| family.rest.keys()).collect();
    let differ = |a: Option<&Value>, b: Option<&Value>| a.zip(b).is_some_and(|(a, b)| a != b);
    let varies = |name: &&String| {
        families.iter().any(|a| {
            let alike = families
                .iter()
                .filter(|b| !is_own(name) || a.rest.get(KIND) == b.rest.get(KIND));
            { alike }.any(|b| differ(a.rest.get(*name), b.rest.get(*name)))
        })
    };
    names.into_iter().filter(varies).cloned().collect()
}

/// The values that distinguish rows of one family and value.
fn own(families: &[Family]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for family in families {
        for (a, b) in family.rows.iter().zip(family.rows.iter().skip(1)) {
            let all = a.own.keys().chain(b.own.keys());
            names.extend(
                all.filter(|name| a.value == b.value && a.own.get(*name) != b.own.get(*name))
                    .cloned(),
            );
        }
    }
    names.into_iter().collect()
}

/// The rows of one family, without the codes; the best of each column is marked among them.
fn family_rows(
    family: &Family,
    [others, own]: [&[String]; 2],
    columns: &BTreeSet<ScoreColumn>,
    evidence: &Evidence,
    style: Style,
    summaries: &mut Vec<(ScoreColumn, Summary)>,
) -> Vec<Vec<Cell>> {
    let cell = |value: Option<&Value>| {
        value.map_or_else(Cell::missing, |value| Cell::new(display_value(value), value.clone()))
    };
    let lead = |row: &ValueRuns| {
        let others = others.iter().map(|name| cell(family.rest.get(name)));
        let own = own.iter().map(|name| cell(row.own.get(name)));
        others.chain([cell(Some(&row.value))]).chain(own).collect()
    };
    let mut rows: Vec<Vec<Cell>> = family.rows.iter().map(lead).collect();
    for column in columns {
        let of_row = |row: &ValueRuns| Summary::of(&row.runs, column, evidence);
        let cells: Vec<Option<Summary>> = family.rows.iter().map(of_row).collect();
        let of_column = family.rows.iter().zip(&cells);
        let of_column: Vec<ColumnRow> = of_column.map(|(row, cell)| (&row.runs[..], cell.as_ref())).collect();
        scores::push_column(&mut rows, &of_column, column, evidence, style);
        summaries.extend(cells.into_iter().flatten().map(|cell| (column.clone(), cell)));
    }
    rows
}

/// Perplexity of the first level after the last phase.
fn first_perplexity(run: &RunRecord) -> Option<f64> {
    let coded = run.phases.iter().rev().find(|phase| !phase.codebooks.is_empty())?;
    Some(coded.codebooks.first()?.perplexity)
}

/// Mean over the pretrainings; one that several runs share counts once.
fn perplexity_cell(runs: &[&RunRecord]) -> Cell {
    let mut seen = HashSet::new();
    let values: Vec<f64> = runs
        .iter()
        .filter(|run| run.pretrain_hash.as_ref().is_none_or(|hash| seen.insert(hash)))
        .filter_map(|run| first_perplexity(run))
        .collect();
    let signs = mark::signs(&mark::marks_of(runs.iter().copied()));
    mean_cell(&values, 1, 1.0, &signs)
}

#[cfg(test)]
mod tests;
