//! The best and the worst classes: bars for each setting and score with values per class.

use super::panel::{Axis, Caption, Look, Panel};
use crate::record::PerClass;
use crate::stats;
use crate::table::{ScoreColumn, Series, columns, decimals, scale};
use std::collections::{BTreeMap, BTreeSet};

/// Classes shown from either end of the list.
const ENDS: usize = 8;

/// All plots of classes. Empty without any.
pub(super) fn plots(series: &[Series]) -> String {
    let mut figures = String::new();
    for series in series {
        let places: BTreeSet<ScoreColumn> = series.runs.iter().flat_map(|run| columns(run)).collect();
        for place in &places {
            let id = format!("classes-{}", figures.matches("<figure>").count());
            figures.push_str(&plot(id, series, place).unwrap_or_default());
        }
    }
    if figures.is_empty() {
        return figures;
    }
    format!(
        "<p>The best and the worst classes, each by the mean over the runs; n: test samples of the class, each counted once \
         for a fold. Of few samples the order is mostly chance.</p>\n<div class=\"panels\">\n{figures}</div>\n"
    )
}

#[derive(Default)]
struct Class {
    values: Vec<f64>,
    /// Test samples by fold.
    samples: BTreeMap<Option<u8>, u64>,
}

fn plot(id: String, series: &Series, place: &ScoreColumn) -> Option<String> {
    let (task, (_, protocol), (_, metric)) = place;
    let mut classes: BTreeMap<&str, Class> = BTreeMap::new();
    for run in series.runs.iter().filter(|run| run.task() == task) {
        let score = run.score(protocol, metric);
        let Some(PerClass { names, values, n }) = score.and_then(|score| score.per_class.as_ref()) else {
            continue;
        };
        for ((name, value), n) in names.iter().zip(values).zip(n) {
            let class = classes.entry(name).or_default();
            class.values.extend(value);
            class.samples.insert(run.fold, *n);
        }
    }
    let valued = classes.iter().filter_map(|(name, class)| {
        let samples: u64 = class.samples.values().sum();
        Some((stats::mean(&class.values)? * scale(metric), *name, samples))
    });
    let mut valued: Vec<(f64, &str, u64)> = valued.collect();
    // names break ties, so that the order is always the same
    valued.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    if valued.is_empty() {
        return None;
    }
    let count = valued.len();
    if count > 2 * ENDS {
        valued.drain(ENDS..count - ENDS);
    }
    let unit = format!("{metric} (%)");
    let texts = valued
        .iter()
        .map(|(value, _, samples)| format!("{value:.*} n={samples}", decimals(metric)));
    let texts: Vec<String> = texts.collect();
    let names = || {
        valued
            .iter()
            .map(|(_, name, _)| *name)
            .zip(texts.iter().map(String::as_str))
    };
    let mut panel = Panel::of_rows(Axis::over(&unit, [0.0, 100.0].into_iter()), names());
    for (row, ((name, text), (value, ..))) in names().zip(&valued).enumerate() {
        panel.bar(row, Look::of(series), name, *value, text);
    }
    let described: Vec<String> = names().map(|(name, text)| format!("{name}: {text}")).collect();
    let shown = match valued.len() {
        all if all == count => format!("all {count} classes"),
        _ => format!("the {ENDS} best and the {ENDS} worst of {count} classes"),
    };
    Some(panel.figure(&Caption {
        id,
        title: &format!("{task}, {protocol}, {metric}, {}: {shown}", series.label),
        description: format!("{unit}. {}.", described.join("; ")),
    }))
}
