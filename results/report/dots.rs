//! Scores as dots with whiskers: one plot for each task, protocol and metric, one row for each setting.

use super::panel::{Axis, Caption, Dots, Panel};
use crate::record::RunRecord;
use crate::stats::{self, Interval};
use crate::table::{Series, scale};
use std::collections::BTreeSet;

/// All plots of scores with what their signs mean.
pub(super) fn plots(series: &[Series]) -> String {
    let figures: String = places(series)
        .iter()
        .enumerate()
        .filter_map(|(i, place)| plot(i, place, series))
        .collect();
    if figures.is_empty() {
        return String::new();
    }
    format!(
        "<p>Marker: the value of one run, or the mean of several with each run as a small dot. Whisker: the interval of one \
         run over its test samples (95 %), or one sample standard deviation to each side of a mean over runs.</p>\n\
         <div class=\"panels\">\n{figures}</div>\n"
    )
}

/// Task, protocol and metric, in the order of first appearance within a task.
type Place<'a> = (&'a str, &'a str, &'a str);

fn places<'a>(series: &[Series<'a>]) -> Vec<Place<'a>> {
    let runs = series.iter().flat_map(|series| series.runs.iter().copied());
    let scores = runs.flat_map(|run: &'a RunRecord| {
        let scores = run.scores.iter();
        scores.map(|score| (run.task(), score.protocol.as_str(), score.metric.as_str()))
    });
    let mut seen = BTreeSet::new();
    let mut places: Vec<Place> = scores.filter(|place| seen.insert(*place)).collect();
    places.sort_by_key(|(task, _, _)| *task);
    places
}

fn plot(i: usize, (task, protocol, metric): &Place, series: &[Series]) -> Option<String> {
    let rows: Vec<(usize, &str, Dots)> = series
        .iter()
        .enumerate()
        .filter_map(|(kind, series)| Some((kind, series.label.as_str(), dots(series, task, protocol, metric)?)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let unit = if scale(metric) == 1.0 {
        metric.to_string()
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

/// What a series has to show for one score. None without a value.
fn dots(series: &Series, task: &str, protocol: &str, metric: &str) -> Option<Dots> {
    let of_task = series.runs.iter().filter(|run| run.task() == task);
    let scores = of_task.filter_map(|run| run.score(protocol, metric));
    let valued: Vec<_> = scores.filter_map(|score| Some((score.value?, score))).collect();
    let values: Vec<f64> = valued.iter().map(|(value, _)| *value).collect();
    let (mean, scale) = (stats::mean(&values)?, scale(metric));
    let decimals = if scale == 1.0 { 3 } else { 1 };
    let shown = |value: f64| format!("{:.decimals$}", value * scale);
    let (ends, text) = match (stats::sample_sd(&values), valued.first()?.1.interval.as_ref()) {
        (Some(sd), _) => (
            Some((mean - sd, mean + sd)),
            format!("{} ± {}, {} runs", shown(mean), shown(sd), values.len()),
        ),
        (None, Some(Interval { low, high, .. })) => (
            Some((*low, *high)),
            format!("{} [{}, {}]", shown(mean), shown(*low), shown(*high)),
        ),
        (None, None) => (None, format!("{} (no interval)", shown(mean))),
    };
    let several = values.len() > 1;
    let runs = values.into_iter().filter(|_| several).map(|value| value * scale);
    Some(Dots {
        middle: mean * scale,
        ends: ends.map(|(low, high)| (low * scale, high * scale)),
        runs: runs.collect(),
        text,
    })
}
