//! Use of codes: perplexity over steps per level, and how often each code was chosen.

use super::panel::{Axis, Caption, Look, Panel, dashes, number};
use crate::codes::CodebookStatistics;
use crate::record::{Curve, Phase, RunRecord};
use crate::table::Series;
use crate::table::html::escaped;
use std::collections::BTreeMap;

/// The most bars of a histogram; larger codebooks are shown by the mean of neighbours in rank.
const BARS: usize = 256;

pub(super) fn plots(series: &[Series]) -> String {
    let tasks = by_task(series);
    let (perplexity, histograms) = (perplexities(&tasks), histograms(&tasks));
    if perplexity.is_empty() && histograms.is_empty() {
        return String::new();
    }
    let perplexity = if perplexity.is_empty() {
        "<p>Perplexity over steps: not recorded.</p>\n".to_string()
    } else {
        perplexity
    };
    format!("<h3>Perplexity over steps</h3>\n{perplexity}<h3>How often each code is chosen</h3>\n{histograms}")
}

/// One series on one task.
struct TaskSeries<'a> {
    title: String,
    /// The place of its method.
    method: usize,
    runs: Vec<&'a RunRecord>,
}

fn by_task<'a>(series: &[Series<'a>]) -> Vec<TaskSeries<'a>> {
    let mut settings: BTreeMap<(&str, usize), TaskSeries> = BTreeMap::new();
    for (i, series) in series.iter().enumerate() {
        for run in &series.runs {
            let setting = settings.entry((run.task(), i)).or_insert_with(|| TaskSeries {
                title: format!("{}, {}", run.task(), series.label),
                method: series.method,
                runs: Vec::new(),
            });
            setting.runs.push(run);
        }
    }
    settings.into_values().collect()
}

fn perplexities(settings: &[TaskSeries]) -> String {
    let mut figures = String::new();
    let mut levels = 0;
    for setting in settings {
        let mut phases: Vec<(&str, Vec<&Curve>)> = Vec::new();
        for phase in setting.runs.iter().flat_map(|run| &run.phases) {
            let Some(curve) = phase.curve.as_ref().filter(|curve| !curve.perplexity.is_empty()) else {
                continue;
            };
            levels = levels.max(curve.perplexity.len());
            match phases.iter_mut().find(|(name, _)| *name == phase.name) {
                Some((_, curves)) => curves.push(curve),
                None => phases.push((&phase.name, vec![curve])),
            }
        }
        for (phase, curves) in phases {
            let id = format!("perplexity-{}", figures.matches("<figure>").count());
            figures.push_str(&perplexity(id, setting, phase, &curves));
        }
    }
    if figures.is_empty() {
        return figures;
    }
    let names = (0..levels).map(|level| (level, format!("level {}", level + 1)));
    format!(
        "<p>Of the codes of each step's batch, one line for each run and level. Phases with fixed labels have none.</p>\n{}\
         <div class=\"panels\">\n{figures}</div>\n",
        dashes(names)
    )
}

fn perplexity(id: String, setting: &TaskSeries, phase: &str, curves: &[&Curve]) -> String {
    let lines: Vec<(usize, Vec<(f64, f64)>)> = curves
        .iter()
        .flat_map(|curve| curve.perplexity.iter().enumerate().map(|level| (*curve, level)))
        .map(|(curve, (level, values))| {
            let points = curve.steps.iter().zip(values);
            (level, points.map(|(step, value)| (*step as f64, *value)).collect())
        })
        .collect();
    let all = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let mut panel = Panel::new(
        Axis::over("step", all().map(|(step, _)| step)),
        Axis::over("perplexity", all().map(|(_, value)| value).chain([1.0])),
    );
    let mut ends = Vec::new();
    for (level, points) in &lines {
        let look = Look {
            method: setting.method,
            part: *level,
        };
        panel.line(look, points);
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            ends.push(format!(
                "level {} from {} to {}",
                level + 1,
                number(first.1, 1),
                number(last.1, 1)
            ));
        }
    }
    panel.figure(&Caption {
        id,
        title: &format!("{}: {phase}", setting.title),
        description: format!("Perplexity over steps: {}.", ends.join("; ")),
    })
}

/// The codebooks of each setting's first run. Phases that did not change them share one row of
/// plots.
fn histograms(settings: &[TaskSeries]) -> String {
    let mut out = String::new();
    for (i, setting) in settings.iter().enumerate() {
        let with_codes = |run: &&&RunRecord| run.phases.iter().any(|phase| !phase.codebooks.is_empty());
        let Some(run) = setting.runs.iter().find(with_codes) else {
            continue;
        };
        out.push_str(&format!(
            "<h4>{} ({})</h4>\n",
            escaped(&setting.title),
            escaped(&run.seed_and_fold())
        ));
        let codebooks = run.phases.iter().flat_map(|phase| &phase.codebooks);
        let all: Vec<f64> = codebooks.flat_map(shares).collect();
        for (j, (names, codebooks)) in distinct(&run.phases).iter().enumerate() {
            let plots = codebooks.iter().enumerate();
            let plots: String = plots
                .map(|(level, codes)| {
                    let look = Look {
                        method: setting.method,
                        part: level,
                    };
                    histogram(&format!("codes-{i}-{j}-{level}"), look, codes, &all)
                })
                .collect();
            out.push_str(&format!(
                "<h5>{}</h5>\n<div class=\"small panels\">\n{plots}</div>\n",
                escaped(&names.join(", "))
            ));
        }
    }
    if !out.is_empty() {
        let told = "Codes in order of their use over the training data, after the phase; the scale is one of powers of \
                    ten, and a code that is never chosen has no bar. Broken line: the even share. Of several runs the \
                    first is shown.";
        out.insert_str(0, &format!("<p>{told}</p>\n"));
    }
    out
}

/// Phases with codebooks; those that follow each other with the same counts are taken together.
fn distinct(phases: &[Phase]) -> Vec<(Vec<&str>, &[CodebookStatistics])> {
    let mut out: Vec<(Vec<&str>, &[CodebookStatistics])> = Vec::new();
    for phase in phases.iter().filter(|phase| !phase.codebooks.is_empty()) {
        match out.last_mut() {
            Some((names, codebooks)) if *codebooks == phase.codebooks => names.push(&phase.name),
            _ => out.push((vec![&phase.name], &phase.codebooks)),
        }
    }
    out
}

/// Shares of the codes in per cent, the largest first, at most [`BARS`] of them.
fn shares(codes: &CodebookStatistics) -> Vec<f64> {
    let total = codes.total().max(1) as f64;
    let mut counts = codes.counts.clone();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let width = counts.len().div_ceil(BARS).max(1);
    let mean = |counts: &[u64]| counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    counts.chunks(width).map(|chunk| 100.0 * mean(chunk) / total).collect()
}

fn histogram(id: &str, look: Look, codes: &CodebookStatistics, all: &[f64]) -> String {
    let rank = Axis::whole("rank", codes.codes as f64);
    let mut panel = Panel::small(rank, Axis::of_powers("share (%)", all.iter().copied()));
    panel.bars(look, &shares(codes));
    panel.level(100.0 / codes.codes.max(1) as f64);
    let used = format!("{} of {} used", codes.used, codes.codes);
    let perplexity = number(codes.perplexity, 1);
    panel.figure(&Caption {
        id: id.to_string(),
        title: &format!("level {}: {used}", look.part + 1),
        description: format!("Codes by how often they are chosen: {used}, perplexity {perplexity}."),
    })
}
