//! The training loss over steps: one plot for each task and phase, one line for each run.

use super::panel::{Axis, Caption, Look, Panel, legend, number};
use crate::record::{Phase, RunRecord, plural};
use crate::table::Series;
use crate::table::html::escaped;
use std::collections::{BTreeMap, BTreeSet};

/// The runs of a phase: their look, label and what they recorded.
type PhaseRuns<'a> = Vec<(Look, &'a str, &'a Phase)>;

/// All plots of losses, and in words what cannot be plotted.
pub(super) fn plots(series: &[Series]) -> String {
    let mut phases: BTreeMap<(&str, &str), PhaseRuns> = BTreeMap::new();
    let mut missing = String::new();
    for series in series {
        let look = Look::of(series);
        for run in &series.runs {
            for phase in run.phases.iter().filter(|phase| phase.curve.is_some()) {
                let runs = phases.entry((run.task(), &phase.name)).or_default();
                runs.push((look, &series.label, phase));
            }
            missing.push_str(&unrecorded(run, &series.label));
        }
    }
    let shown: BTreeMap<Look, &str> = phases
        .values()
        .flatten()
        .map(|(look, label, _)| (*look, *label))
        .collect();
    let mut figures: Vec<(usize, String)> = phases
        .iter()
        .enumerate()
        .map(|(i, ((task, phase), runs))| (order(series, task, phase), plot(i, task, phase, runs)))
        .collect();
    figures.sort_by_key(|(order, _)| *order);
    let figures: String = figures.into_iter().map(|(_, figure)| figure).collect();
    let mut out = String::new();
    if !figures.is_empty() {
        out = format!(
            "<p>Training loss, one line for each run. Losses of quantizers with other codebooks are not on one scale.</p>\n{}\
             <div class=\"panels\">\n{figures}</div>\n",
            legend(shown.into_iter())
        );
    }
    if !missing.is_empty() {
        out.push_str(&format!(
            "<p>Without a curve:</p>\n<ul class=\"notes\">\n{missing}</ul>\n"
        ));
    }
    out
}

/// The place of a phase in the runs that have it, which gives plots the order of training.
fn order(series: &[Series], task: &str, phase: &str) -> usize {
    let runs = series
        .iter()
        .flat_map(|series| &series.runs)
        .filter(|run| run.task() == task);
    let places = runs.filter_map(|run| run.phases.iter().position(|known| known.name == phase));
    places.max().unwrap_or(0)
}

/// First and last loss of the phases without a curve.
fn unrecorded(run: &RunRecord, label: &str) -> String {
    let phases = run.phases.iter().filter(|phase| phase.curve.is_none());
    let ends: Vec<String> = phases
        .map(|phase| {
            format!(
                "{} from {} to {}",
                phase.name,
                number(phase.loss.first, 3),
                number(phase.loss.last, 3)
            )
        })
        .collect();
    if ends.is_empty() {
        return String::new();
    }
    let words = run.seed_and_fold();
    let text = format!("{label} ({words}): loss over steps not recorded; {}", ends.join(", "));
    format!("<li>{}</li>\n", escaped(&text))
}

fn plot(i: usize, task: &str, phase: &str, runs: &PhaseRuns) -> String {
    let curves: Vec<(Look, Vec<(f64, f64)>)> = runs.iter().map(|(look, _, phase)| (*look, points(phase))).collect();
    let all = || curves.iter().flat_map(|(_, points)| points.iter().copied());
    let mut panel = Panel::new(
        Axis::over("step", all().map(|(step, _)| step)),
        Axis::over("loss", all().map(|(_, loss)| loss)),
    );
    for (look, points) in &curves {
        panel.line(*look, points);
    }
    let mut settings: Vec<String> = Vec::new();
    let labels: BTreeSet<(Look, &str)> = runs.iter().map(|(look, label, _)| (*look, *label)).collect();
    for (look, label) in labels {
        let phases: Vec<&Phase> = runs.iter().filter(|run| run.0 == look).map(|run| run.2).collect();
        let mean = |end: fn(&Phase) -> f64| phases.iter().map(|phase| end(phase)).sum::<f64>() / phases.len() as f64;
        let (first, last) = (mean(|phase| phase.loss.first), mean(|phase| phase.loss.last));
        let (first, last, n) = (number(first, 2), number(last, 2), phases.len());
        let runs = plural(n, "run");
        settings.push(format!("{label}: from {first} to {last} (mean of {n} {runs})"));
    }
    panel.figure(&Caption {
        id: format!("loss-{i}"),
        title: &format!("{task}, {phase}"),
        description: format!("Training loss over steps. {}.", settings.join("; ")),
    })
}

fn points(phase: &Phase) -> Vec<(f64, f64)> {
    let curve = phase.curve.iter();
    let points = curve.flat_map(|curve| curve.steps.iter().zip(&curve.loss));
    points.map(|(step, loss)| (*step as f64, *loss)).collect()
}
