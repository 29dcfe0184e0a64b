//! The comparison of two groups of records: as a table, and as one sentence per metric.

use super::scores::{decimals, scale};
use super::{Cell, Heading, Table};
use crate::compare::{Comparison, Conclusion, MetricDifference};
use crate::record::plural;
use crate::stats::Interval;
use serde_json::json;

/// One row per protocol and metric: A, B, their difference with its interval, p with its test,
/// verdict.
pub fn comparison_table(comparison: &Comparison) -> Table {
    let mut header = vec![
        Heading::key("score"),
        Heading::new("A", "a"),
        Heading::new("B", "b"),
        Heading::new("A - B", "difference"),
        Heading::new("could show", "detectable"),
    ];
    header.extend(["p", "test", "n", "verdict"].map(Heading::word));
    let row = |found: &MetricDifference| {
        let mut row = vec![Cell::new(
            name(found),
            format!("{} {}", found.protocol, found.metric.name()),
        )];
        row.extend(found.values.map(|value| number(found, value)));
        row.push(difference(found));
        row.push(number_or_missing(found, found.detectable));
        row.push(found.p.map_or_else(Cell::missing, |p| Cell::new(p_value(p), p)));
        row.push(Cell::word(found.test));
        let value = json!({ "samples": found.samples, "seeds": found.seeds, "folds": found.folds });
        row.push(Cell::new(counts(found), value));
        row.push(Cell::word(verdict(found)));
        row
    };
    let sides = ["A", "B"].into_iter().zip(&comparison.names);
    let mut notes: Vec<String> = sides.map(|(side, name)| format!("{side}: {name}")).collect();
    notes.extend(comparison.notes.iter().cloned());
    Table {
        title: format!("A against B on {}, {}", comparison.task, comparison.protocol),
        header,
        rows: comparison.differences.iter().map(row).collect(),
        notes,
    }
}

/// A sentence for each protocol and metric: the verdict, then the numbers behind it.
pub fn comparison_sentences(comparison: &Comparison) -> Vec<String> {
    let sentence = |found: &MetricDifference| {
        let [a, b] = found.values.map(|value| number(found, value).text);
        let p = found.p.map_or_else(|| "undefined".into(), p_value);
        format!(
            "{}: {}; A {a}, B {b}, A - B {}, p = {p} ({}); {}",
            name(found),
            verdict(found),
            difference(found).text,
            found.test,
            counts(found)
        )
    };
    comparison.differences.iter().map(sentence).collect()
}

/// The verdict in words. That no difference is shown never stands without the difference that could
/// have been.
fn verdict(found: &MetricDifference) -> String {
    match (found.verdict, found.detectable) {
        (Conclusion::NotShown, Some(detectable)) => {
            let (metric, words) = (found.metric.name(), Conclusion::NotShown.words());
            let unit = if scale(metric) == 1.0 { "" } else { " points" };
            format!(
                "{words}; {}{unit} could have been",
                number(found, Some(detectable)).text
            )
        }
        (Conclusion::NotShown, None) => "undecided: no interval".into(),
        (shown, _) => shown.words().into(),
    }
}

fn number_or_missing(found: &MetricDifference, value: Option<f64>) -> Cell {
    value.map_or_else(Cell::missing, |value| number(found, Some(value)))
}

/// The counts behind a row. Folds are left out where the task has none.
fn counts(found: &MetricDifference) -> String {
    let counts = [(found.samples, "sample"), (found.seeds, "seed"), (found.folds, "fold")];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, noun)| format!("{count} {}", plural(*count as usize, noun)))
        .collect();
    counts.join(", ")
}

fn name(found: &MetricDifference) -> String {
    let metric = found.metric.name();
    let unit = if scale(metric) == 1.0 { "" } else { " (%)" };
    format!("{} {metric}{unit}", found.protocol)
}

fn number(found: &MetricDifference, value: Option<f64>) -> Cell {
    let metric = found.metric.name();
    match value {
        Some(value) => Cell::new(format!("{:.*}", decimals(metric), value * scale(metric)), value),
        None => Cell::new("undefined", serde_json::Value::Null),
    }
}

/// One decimal more than the values have, as small differences are what is looked for.
fn signed(found: &MetricDifference, value: f64) -> String {
    let metric = found.metric.name();
    // adding 0 turns the -0 of equal values, which would be shown with its sign
    format!("{:+.*}", decimals(metric) + 1, value * scale(metric) + 0.0)
}

fn ends(found: &MetricDifference, interval: &Interval) -> String {
    format!("[{}, {}]", signed(found, interval.low), signed(found, interval.high))
}

fn difference(found: &MetricDifference) -> Cell {
    let value = json!({ "value": found.difference, "interval": found.interval });
    let text = match (found.difference, &found.interval) {
        (Some(difference), Some(interval)) => format!("{} {}", signed(found, difference), ends(found, interval)),
        (Some(difference), None) => format!("{} (no interval)", signed(found, difference)),
        (None, _) => "undefined".into(),
    };
    Cell::new(text, value)
}

fn p_value(p: f64) -> String {
    if p < 0.001 {
        format!("{p:.1e}")
    } else {
        format!("{p:.3}")
    }
}
