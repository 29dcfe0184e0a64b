//! The backend table: one plan on several backends, by score and by time.

use super::runs;
use super::scores::scale;
use super::{Cell, Heading, Table};
use crate::record::{RunRecord, mark};
use crate::stats;
use std::collections::BTreeMap;

const REFERENCE: &str = "flex fp32";

/// Runs by the name of their backend.
type ByBackend<'a> = BTreeMap<String, Vec<&'a RunRecord>>;

/// Every plan that ran on more than one backend, on the same data: score, paired difference to the reference backend
/// over common seeds and folds, training seconds. None if no plan did.
pub fn backend_table(records: &[RunRecord]) -> Option<Table> {
    let (runs, _) = runs::distinct(records);
    let mut plans: BTreeMap<(&str, String, &str, String), ByBackend> = BTreeMap::new();
    for run in &runs {
        let backends = plans
            .entry((run.task(), run.method_name(), &run.plan_hash, run.data.identity()))
            .or_default();
        backends.entry(run.backend_name()).or_default().push(run);
    }
    plans.retain(|_, backends| backends.len() > 1);
    if plans.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    let mut shown = Vec::new();
    for ((task, method, ..), backends) in &plans {
        let reference = if backends.contains_key(REFERENCE) {
            REFERENCE
        } else {
            backends.keys().next()?
        };
        for (protocol, metric) in scores(backends.values().flatten()) {
            for (name, runs) in backends {
                let mut row = vec![Cell::word(*task), Cell::word(method)];
                row.push(
                    runs.first()
                        .map_or_else(Cell::missing, |run| Cell::word(run.short_plan())),
                );
                row.extend([&protocol, &metric, name].map(Cell::word));
                let base = if name == reference {
                    None
                } else {
                    backends.get(reference)
                };
                row.extend(backend_cells(runs, base.map(Vec::as_slice), &protocol, &metric));
                rows.push(row);
                shown.extend(runs.iter().copied());
            }
        }
    }
    let mut header: Vec<Heading> = ["task", "method", "plan", "protocol", "metric", "backend"]
        .map(Heading::key)
        .into();
    header.push(Heading::new("mean (%)", "mean"));
    header.push(Heading::word("difference"));
    header.push(Heading::new("training (s)", "training_seconds"));
    header.push(Heading::word("runs"));
    let mut notes = vec![
        format!("difference: mean over the same seeds and folds, in points, to {REFERENCE} or else the first backend"),
        "training: mean seconds of all phases of one run".to_string(),
    ];
    notes.extend(mark::marks_of(shown).into_iter().map(mark::Mark::note));
    Some(Table {
        title: "Backends".into(),
        header,
        rows,
        notes,
    })
}

/// The protocols and metrics of these runs, in the order of the first run that has them.
fn scores<'a>(runs: impl Iterator<Item = &'a &'a RunRecord>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for score in runs.flat_map(|run| &run.scores) {
        let key = (score.protocol.clone(), score.metric.clone());
        if !all.contains(&key) {
            all.push(key);
        }
    }
    all
}

fn backend_cells(runs: &[&RunRecord], base: Option<&[&RunRecord]>, protocol: &str, metric: &str) -> [Cell; 4] {
    let value = |run: &RunRecord| run.score(protocol, metric)?.value;
    let values: Vec<f64> = runs.iter().filter_map(|run| value(run)).collect();
    let signs = mark::signs(&mark::marks_of(runs.iter().copied()));
    let differences: Vec<f64> = runs
        .iter()
        .filter_map(|run| {
            let twin = base?
                .iter()
                .find(|twin| (twin.seed, twin.fold) == (run.seed, run.fold))?;
            Some(value(run)? - value(twin)?)
        })
        .collect();
    // a reused phase has the seconds of the run that trained it
    let trained = runs.iter().filter(|run| !run.phases.is_empty());
    let seconds: Vec<f64> = trained
        .map(|run| run.phases.iter().map(|phase| phase.seconds).sum())
        .collect();
    let cell = |mean: Option<f64>, text: &dyn Fn(f64) -> String| {
        mean.map_or_else(Cell::missing, |mean| Cell::new(text(mean), mean))
    };
    [
        cell(stats::mean(&values), &|mean| {
            format!("{:.1}{signs}", mean * scale(metric))
        }),
        cell(stats::mean(&differences), &|mean| {
            format!("{:+.2}", mean * scale(metric))
        }),
        cell(stats::mean(&seconds), &|mean| format!("{mean:.1}")),
        Cell::new(values.len().to_string(), values.len()),
    ]
}
