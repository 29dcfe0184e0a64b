//! What a study has shown, as a figure by itself: for each score a plot, in which each arm has a row.

use super::panel::{Axis, Dots, Look, Panel, WIDTH};
use crate::compare::MetricDifference;
use crate::table::html::escaped;
use crate::table::{ArmAnswer, answer_differences, decimals, scale};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Letters of a line of the question.
const LETTERS: usize = 44;
/// Height of a line of text.
const LINE: f64 = 17.0;
/// Colours of the dots, of the text and of the page in light and dark.
const STYLE: &str = include_str!("figure.css");

/// A row of a plot: its name, and what is drawn.
type Row<'a> = (&'a str, Dots);

/// The figure (SVG): differences from the reference; the scores themselves while no arm has two runs to compare. None
/// while nothing is known of any arm.
pub fn answers_figure(question: &str, task: &str, reference: &str, answers: &[ArmAnswer]) -> Option<String> {
    let (mut differences, mut scores): (BTreeMap<_, Vec<Row>>, BTreeMap<_, Vec<Row>>) = Default::default();
    for (arm, found) in answers.iter().flat_map(answer_differences) {
        let row = difference(found).map(|dots| (arm, dots));
        differences.entry(place(found)).or_default().extend(row);
    }
    for answer in answers {
        for found in answer.found.iter().filter_map(|found| found.differences.first()) {
            let rows = scores.entry(place(found)).or_default();
            let row = |name, side| Some((name, score(found, side)?));
            rows.extend(
                Some(reference)
                    .filter(|_| rows.is_empty())
                    .and_then(|name| row(name, 1)),
            );
            rows.extend(row(&answer.arm, 0));
        }
    }
    let is_known = differences.values().any(|rows| !rows.is_empty());
    let mut plots = if is_known { differences } else { scores };
    plots.retain(|_, rows| !rows.is_empty());
    if plots.is_empty() {
        return None;
    }
    let (mut body, mut y) = (String::new(), LINE);
    for part in wrapped(&format!("{question} ({task})")) {
        write(&mut body, &mut y, "title", &part);
    }
    for ((protocol, metric), rows) in &plots {
        let title = format!("{protocol} {metric}");
        let title = if is_known {
            format!("{title}: less {reference}")
        } else {
            title
        };
        write(&mut body, &mut y, "label", &title);
        let values = rows.iter().flat_map(|(_, dots)| {
            [dots.middle]
                .into_iter()
                .chain(dots.ends.into_iter().flat_map(<[f64; 2]>::from))
        });
        let axis = match (is_known, scale(metric) == 1.0) {
            (true, true) => Axis::of_differences(metric, metric, values),
            (true, false) => Axis::of_differences("points", metric, values),
            (false, true) => Axis::of_metric(metric, metric, values),
            (false, false) => Axis::of_metric("%", metric, values),
        };
        let names = rows.iter().map(|(arm, dots)| (*arm, dots.text.as_str()));
        let mut panel = Panel::of_rows(axis, names);
        if is_known {
            panel.upright(0.0);
        }
        for (row, (arm, dots)) in rows.iter().enumerate() {
            let look = Look { method: 0, part: 0 };
            panel.row(row, look, arm, dots);
        }
        let (plot, height) = panel.part();
        writeln!(body, "<g transform=\"translate(0 {:.0})\">\n{plot}</g>", y - LINE).expect("a string");
        y += height;
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {:.0}\" width=\"{:.0}\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n",
        y - LINE,
        1.5 * WIDTH
    ))
}

/// Protocol and metric, each of which has a plot.
fn place(found: &MetricDifference) -> (&str, &str) {
    (&found.protocol, found.metric.name())
}

/// A difference with its interval. None without one.
fn difference(found: &MetricDifference) -> Option<Dots> {
    let metric = found.metric.name();
    let (scale, decimals) = (scale(metric), decimals(metric));
    let interval = found.interval.as_ref()?;
    let [middle, low, high] = [found.difference?, interval.low, interval.high].map(|x| x * scale + 0.0);
    Some(Dots {
        middle,
        ends: Some((low, high)),
        runs: Vec::new(),
        text: format!("{middle:+.decimals$} [{low:+.decimals$}, {high:+.decimals$}]"),
    })
}

/// The score of a side of a comparison, over as many runs as are said. None where it is undefined.
fn score(found: &MetricDifference, side: usize) -> Option<Dots> {
    let metric = found.metric.name();
    let (middle, decimals) = (found.values[side]? * scale(metric), decimals(metric));
    Some(Dots {
        middle,
        ends: None,
        runs: Vec::new(),
        text: format!("{middle:.decimals$} n={}", found.runs),
    })
}

/// A line of text at this height, and the height of the next.
fn write(body: &mut String, y: &mut f64, class: &str, text: &str) {
    let text = escaped(text);
    writeln!(body, "<text class=\"{class}\" x=\"14\" y=\"{y:.0}\">{text}</text>").expect("a string");
    *y += LINE;
}

/// Lines of whole words.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= LETTERS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
