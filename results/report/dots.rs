//! Scores as dots with whiskers: one plot for each task, protocol and metric, one row for each
//! setting.

use super::panel::{Axis, Caption, Dots, Look, Panel};
use crate::evidence::Evidence;
use crate::stats::Interval;
use crate::table::{ScoreColumn, Series, Summary, columns, decimals, scale};
use std::collections::BTreeSet;

/// All plots of scores with what their signs mean.
pub(super) fn plots(series: &[Series], evidence: &Evidence) -> String {
    let explanation = "Marker: the value of one run, or the mean of several with each run as a small dot; the median where \
        some did not train. Whisker: 95 % interval over runs and test samples, as in the table of scores. A single run \
        (n=1) has none: it does not tell what another would give. Its interval over its test samples stands in the table.";
    each_place(series, explanation, |i, place| plot(i, place, series, evidence))
}

/// A plot of each task, protocol and metric under an explanation (HTML). Empty without any plot.
pub(super) fn each_place(
    series: &[Series],
    explanation: &str,
    plot: impl Fn(usize, &ScoreColumn) -> Option<String>,
) -> String {
    let runs = series.iter().flat_map(|series| &series.runs);
    let places: BTreeSet<ScoreColumn> = runs.flat_map(|run| columns(run)).collect();
    let figures = places.iter().enumerate();
    let figures: String = figures.filter_map(|(i, place)| plot(i, place)).collect();
    if figures.is_empty() {
        return String::new();
    }
    format!("<p>{explanation}</p>\n<div class=\"panels\">\n{figures}</div>\n")
}

fn plot(i: usize, place: &ScoreColumn, series: &[Series], evidence: &Evidence) -> Option<String> {
    let (task, (_, protocol), (_, metric)) = place;
    let rows: Vec<(Look, &str, Dots)> = series
        .iter()
        .filter_map(|series| Some((Look::of(series), series.label.as_str(), dots(series, place, evidence)?)))
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
    let names = rows.iter().map(|(_, label, dots)| (*label, dots.text.as_str()));
    let mut panel = Panel::of_rows(Axis::of_metric(&unit, metric, values), names);
    for (row, (look, label, dots)) in rows.iter().enumerate() {
        panel.row(row, *look, label, dots);
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
fn dots(series: &Series, place: &ScoreColumn, evidence: &Evidence) -> Option<Dots> {
    let metric = &place.2.1;
    let summary = Summary::of(&series.runs, place, evidence)?;
    let (scale, decimals) = (scale(metric), decimals(metric));
    let (middle, values) = (summary.middle()?, summary.values()?);
    let shown = |value: f64| format!("{:.decimals$}", value * scale);
    let count = values.len();
    let interval = summary.interval().filter(|_| count > 1);
    let text = match interval {
        Some(Interval { low, high, .. }) => format!("{} [{}, {}] n={count}", shown(middle), shown(*low), shown(*high)),
        None if count == 1 => format!("{} n=1", shown(middle)),
        None => format!("{}, {}", shown(middle), summary.over()),
    };
    let runs = values.iter().filter(|_| count > 1).map(|value| value * scale);
    let ends = interval.map(|found| (found.low * scale, found.high * scale));
    Some(Dots {
        middle: middle * scale,
        ends,
        runs: runs.collect(),
        text,
    })
}
