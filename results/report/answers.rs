//! What a study has shown, as a figure by itself: for each score a plot, in which each arm has a row with its
//! difference from the reference.

use super::panel::{Axis, Dots, Look, Panel, WIDTH};
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

/// The figure (SVG). None while nothing is known of any arm.
pub fn answers_figure(question: &str, task: &str, reference: &str, answers: &[ArmAnswer]) -> Option<String> {
    let mut scores: BTreeMap<(&str, &str), Vec<(&str, Dots)>> = BTreeMap::new();
    for (arm, found) in answers.iter().flat_map(answer_differences) {
        let (metric, interval) = (found.metric.name(), found.interval.as_ref());
        let (scale, decimals) = (scale(metric), decimals(metric));
        let (Some(value), Some(interval)) = (found.difference, interval) else {
            continue;
        };
        let [middle, low, high] = [value, interval.low, interval.high].map(|x| x * scale + 0.0);
        let dots = Dots {
            middle,
            ends: Some((low, high)),
            runs: Vec::new(),
            text: format!("{middle:+.decimals$} [{low:+.decimals$}, {high:+.decimals$}]"),
        };
        scores.entry((&found.protocol, metric)).or_default().push((arm, dots));
    }
    if scores.is_empty() {
        return None;
    }
    let (mut body, mut y) = (String::new(), LINE);
    for part in wrapped(&format!("{question} ({task})")) {
        write(&mut body, &mut y, "title", &part);
    }
    for ((protocol, metric), rows) in &scores {
        let title = format!("{protocol} {metric}: less {reference}");
        write(&mut body, &mut y, "label", &title);
        let unit = if scale(metric) == 1.0 { *metric } else { "points" };
        let ends = rows.iter().filter_map(|(_, dots)| dots.ends).flat_map(<[f64; 2]>::from);
        let names = rows.iter().map(|(arm, dots)| (*arm, dots.text.as_str()));
        let mut panel = Panel::of_rows(Axis::of_differences(unit, metric, ends), names);
        panel.upright(0.0);
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
