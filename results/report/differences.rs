//! Differences from the best setting as dots with whiskers: one plot for each task, protocol and
//! metric.

use super::dots::each_place;
use super::panel::{Axis, Caption, Dots, Look, Panel};
use crate::evidence::Evidence;
use crate::table::{ScoreColumn, Series, against_best, decimals, scale};

/// All plots of differences with what their signs mean. Empty without any.
pub(super) fn plots(series: &[Series], evidence: &Evidence) -> String {
    let explanation = "Each setting less the best one of its plot, over the seeds, folds and test samples that both have, as \
        <code>compare</code> computes it. Whisker: 95 % interval; where it holds 0, no difference is shown. In brackets: the true \
        difference that 80 of 100 such comparisons would show. The best is chosen from the same numbers, so that those far \
        behind it seem a little worse than they are.";
    each_place(series, explanation, |i, place| plot(i, place, series, evidence))
}

fn plot(i: usize, place: &ScoreColumn, series: &[Series], evidence: &Evidence) -> Option<String> {
    let (task, (_, protocol), (_, metric)) = place;
    let (best, others) = against_best(series, place, evidence)?;
    let (scale, decimals) = (scale(metric), decimals(metric));
    let rows: Vec<(&Series, Dots)> = others
        .into_iter()
        .map(|(other, found)| {
            let [value, low, high] = [found.value, found.interval.low, found.interval.high].map(|x| x * scale + 0.0);
            let detectable = found.detectable * scale;
            let dots = Dots {
                middle: value,
                ends: Some((low, high)),
                runs: Vec::new(),
                text: format!("{value:+.decimals$} [{low:+.decimals$}, {high:+.decimals$}] ({detectable:.decimals$})"),
            };
            (&series[other], dots)
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let unit = if scale == 1.0 {
        metric.clone()
    } else {
        format!("difference of {metric} (points)")
    };
    let values = rows.iter().flat_map(|(_, dots)| {
        let (low, high) = dots.ends.unwrap_or((dots.middle, dots.middle));
        [low, high]
    });
    let names = rows
        .iter()
        .map(|(series, dots)| (series.label.as_str(), dots.text.as_str()));
    let mut panel = Panel::of_rows(Axis::of_differences(&unit, metric, values), names);
    panel.upright(0.0);
    for (row, (series, dots)) in rows.iter().enumerate() {
        panel.row(row, Look::of(series), &series.label, dots);
    }
    let described = rows
        .iter()
        .map(|(series, dots)| format!("{}: {}", series.label, dots.text));
    let described: Vec<String> = described.collect();
    Some(panel.figure(&Caption {
        id: format!("difference-{i}"),
        title: &format!("{task}, {protocol}, {metric}: less {}", series[best].label),
        description: format!("{unit}. {}.", described.join("; ")),
    }))
}
