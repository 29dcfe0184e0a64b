//! The comparison of two groups of records: as a table, and as one sentence per metric.

use super::scores::{decimals, scale};
use super::{Cell, Heading, Table};
use crate::compare::{Comparison, Conclusion, MetricDifference};
use crate::record::mark::{self, Mark};
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
        row.extend([0, 1].map(|side| value(comparison, found, side)));
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
        let [a, b] = [0, 1].map(|side| value(comparison, found, side).text);
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

/// What an arm of a study has shown against the reference so far.
#[derive(Clone, Debug)]
pub struct ArmAnswer {
    pub arm: String,
    /// Hashes of its plan and of the reference's; none where it is not known yet.
    pub plans: Option<[String; 2]>,
    /// Runs that it and the reference both have, and how many the study asks for.
    pub runs: [usize; 2],
    /// Hours of computing that its runs took.
    pub hours: f64,
    /// The comparisons, one for each protocol and backend.
    pub found: Vec<Comparison>,
}

/// Runs of both below which nothing is known of the arm: one says nothing of another run.
const FEWEST: usize = 2;

/// What is known of an arm by each score: the differences of its protocols' main metrics.
pub fn answer_differences(answer: &ArmAnswer) -> impl Iterator<Item = (&str, &MetricDifference)> {
    let known = answer.found.iter().filter(|_| answer.runs[0] >= FEWEST);
    known.filter_map(|found| Some((answer.arm.as_str(), found.differences.first()?)))
}

/// What a study has shown: a row for each arm and protocol, by the protocol's main metric.
pub fn answer_table(question: &str, task: &str, answers: &[ArmAnswer], mut notes: Vec<String>) -> Table {
    let mut found = answers.iter().flat_map(|answer| &answer.found);
    if found.any(|found| found.under_trained.contains(&true)) {
        notes.push(Mark::UnderTrained.note());
    }
    let mut header = vec![Heading::key("arm"), Heading::key("score"), Heading::word("runs")];
    header.extend([
        Heading::word("arm's"),
        Heading::word("reference's"),
        Heading::new("difference", "difference"),
        Heading::new("could show", "detectable"),
        Heading::word("answer"),
        Heading::word("hours"),
    ]);
    let row = |answer: &ArmAnswer, found: Option<(&Comparison, &MetricDifference)>| {
        let (comparison, found) = found.unzip();
        let [runs, of] = answer.runs;
        let progress = format!("{runs} of {of} runs");
        let known = found.filter(|_| runs >= FEWEST);
        let told = match known {
            None => format!("not known yet: {progress}"),
            Some(found) if runs < of => format!("{} ({progress})", of_arm(found)),
            Some(found) => of_arm(found),
        };
        let of_found = |value: &dyn Fn(&MetricDifference) -> Cell| found.map_or_else(Cell::missing, value);
        let both = comparison.zip(found);
        let side = |side| both.map_or_else(Cell::missing, |(comparison, found)| value(comparison, found, side));
        vec![
            Cell::new(&*answer.arm, json!({ "name": answer.arm, "plans": answer.plans })),
            of_found(&|found| Cell::new(name(found), format!("{} {}", found.protocol, found.metric.name()))),
            Cell::new(progress, runs),
            side(0),
            side(1),
            known.map_or_else(Cell::missing, difference),
            known.map_or_else(Cell::missing, |found| number_or_missing(found, found.detectable)),
            Cell::word(told),
            Cell::new(format!("{:.2}", answer.hours), answer.hours),
        ]
    };
    let rows = answers.iter().flat_map(|answer| {
        let main = answer
            .found
            .iter()
            .filter_map(|found| Some((found, found.differences.first()?)));
        let rows: Vec<Vec<Cell>> = main.map(|found| row(answer, Some(found))).collect();
        if rows.is_empty() { vec![row(answer, None)] } else { rows }
    });
    Table {
        title: format!("{question} ({task})"),
        header,
        rows: rows.collect(),
        notes,
    }
}

/// The verdict on an arm, against the reference.
fn of_arm(found: &MetricDifference) -> String {
    match found.verdict {
        Conclusion::A => "better".into(),
        Conclusion::B => "worse".into(),
        Conclusion::NotShown => verdict(found),
    }
}

/// The verdict in words. That no difference is shown never stands without the difference that could
/// have been.
fn verdict(found: &MetricDifference) -> String {
    let failed = ["A", "B"]
        .into_iter()
        .zip(found.untrained)
        .filter(|(_, count)| *count > 0);
    let failed: Vec<String> = failed
        .map(|(side, count)| format!("{count} of {} runs of {side} did not train", found.runs))
        .collect();
    if !failed.is_empty() {
        return format!("undecided: {}", failed.join(", "));
    }
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

/// The value of A (side 0) or B, with the mark of one whose training was too short.
fn value(comparison: &Comparison, found: &MetricDifference, side: usize) -> Cell {
    let mut cell = number(found, found.values[side]);
    if found.untrained[side] > 0 {
        cell.text.insert_str(0, "median ");
    }
    if comparison.under_trained[side] {
        cell.text.push_str(&mark::signs(&[Mark::UnderTrained]));
    }
    cell
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
