//! Scores as dots with whiskers: one plot for each task, protocol and metric, one row for each
//! setting.

use super::panel::{Axis, Caption, Dots, Panel};
use crate::stats::Interval;
use crate::table::{ScoreColumn, Series, Summary, columns, decimals, scale};
use std::collections::BTreeSet;

/// All plots of scores with what their signs mean.
pub(super) fn plots(series: &[Series]) -> String {
    let runs = series.iter().flat_map(|series| &series.runs);
    let places: BTreeSet<ScoreColumn> = runs.flat_map(|run| columns(run)).collect();
    let figures = places.iter().enumerate();
    let figures: String = figures.filter_map(|(i, place)| plot(i, place, series)).collect();
    if figures.is_empty() {
        return String::new();
    }
    format!(
        "<p>Marker: the value of one run, or the mean of several with each run as a small dot. Whisker: 95 % t interval of \
         the mean over n seeds, as in the table of scores. A single seed (n=1) has none: \
         it does not tell what another would give. The interval of one run over its test samples stands in the table.</p>\n\
         <div class=\"panels\">\n{figures}</div>\n"
    )
}

fn plot(i: usize, place: &ScoreColumn, series: &[Series]) -> Option<String> {
    let (task, (_, protocol), (_, metric)) = place;
    let rows: Vec<(usize, &str, Dots)> = series
        .iter()
        .enumerate()
        .filter_map(|(kind, series)| Some((kind, series.label.as_str(), dots(series, place)?)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let unit = if scale(metric) == 1.0 {
        metric.clone()
    } else {
        format!("{metric} (%)")
    };
    let values = rows.iter().flat_map(|(_, _, dots)| {
        let ends = dots.ends.map(|(low, high)| [low, high]);
        dots.runs
            .iter()
            .copied()
            .chain([dots.middle])
            .chain(ends.into_iter().flatten())
    });
    let mut panel = Panel::of_rows(Axis::over(&unit, values), rows.len());
    for (row, (kind, label, dots)) in rows.iter().enumerate() {
        panel.row(row, *kind, label, dots);
    }
    let described: Vec<String> = rows
        .iter()
        .map(|(_, label, dots)| format!("{label}: {}", dots.text))
        .collect();
    Some(panel.figure(&Caption {
        id: format!("score-{i}"),
        title: &format!("{task}, {protocol}, {metric}"),
        description: format!("{unit}. {}.", described.join("; ")),
    }))
}

/// The dots of a series for one score. None without a value.
fn dots(series: &Series, place: &ScoreColumn) -> Option<Dots> {
    let metric = &place.2.1;
    let (summary, scale, decimals) = (Summary::of(&series.runs, place)?, scale(metric), decimals(metric));
    let (mean, values) = (summary.mean()?, summary.values()?);
    let shown = |value: f64| format!("{:.decimals$}", value * scale);
    let text = match (summary.over_seeds(), values) {
        (Some(Interval { low, high, n, .. }), _) => {
            format!("{} [{}, {}] n={n}", shown(mean), shown(*low), shown(*high))
        }
        (None, [_]) => format!("{} n=1", shown(mean)),
        (None, _) => format!("{}, {}", shown(mean), summary.over()),
    };
    let runs = values.iter().filter(|_| values.len() > 1).map(|value| value * scale);
    Some(Dots {
        middle: mean * scale,
        ends: summary
            .over_seeds()
            .map(|found| (found.low * scale, found.high * scale)),
        runs: runs.collect(),
        text,
    })
}
