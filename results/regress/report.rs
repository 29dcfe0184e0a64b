//! Prints a verdict: for the terminal, as a summary page of a CI run, and for programs.

use super::baseline::{Band, Width};
use super::judge::{Judgement, Outcome, REGRESSIONS, Verdict};
use super::run::Key;
use crate::table::{Cell, Format, Heading, Table, markdown};
use serde_json::{Value, json};

impl Verdict {
    /// The verdict for programs: `passed`, how many numbers stand how, and every one of them.
    pub fn to_json(&self) -> Value {
        let counts: serde_json::Map<String, Value> = Outcome::ALL
            .into_iter()
            .map(|outcome| (outcome.name().to_owned(), self.count(outcome).into()))
            .collect();
        let new_run = |(key, values): &(Key, usize)| json!({ "run": key_json(key), "values": values });
        json!({
            "passed": self.passed(),
            "counts": counts,
            "entries": self.judgements.iter().map(entry_json).collect::<Vec<_>>(),
            "new_runs": self.new_runs.iter().map(new_run).collect::<Vec<_>>(),
            "remarks": self.remarks,
        })
    }

    /// A headline, every number in a line, and which run is which; ends with a line end.
    pub fn terminal(&self) -> String {
        let runs = self.runs();
        let table = Table {
            title: format!("{}\n{}", self.headline(), self.counts()),
            header: header(),
            rows: self.judgements.iter().map(|judgement| row(judgement, &runs)).collect(),
            notes: self.notes(&runs),
        };
        table.render(Format::Terminal)
    }

    /// A page for the summary of a CI run: what moved, and the rest folded away; ends with a line end.
    pub fn markdown(&self) -> String {
        let runs = self.runs();
        let part = |within: bool| Table {
            title: String::new(),
            header: header(),
            rows: self
                .judgements
                .iter()
                .filter(|judgement| (judgement.outcome == Outcome::Within) == within)
                .map(|judgement| row(judgement, &runs))
                .collect(),
            notes: Vec::new(),
        };
        let (moved, within) = (part(false), part(true));
        let mut text = format!("### {}\n\n{}\n\n", self.headline(), self.counts());
        if !moved.rows.is_empty() {
            text.push_str(&format!("{}\n\n", markdown::rows(&moved)));
        }
        if !within.rows.is_empty() {
            let grid = markdown::rows(&within);
            let summary = format!("{} within their bands", within.rows.len());
            text.push_str(&format!(
                "<details><summary>{summary}</summary>\n\n{grid}\n\n</details>\n\n"
            ));
        }
        for note in self.notes(&runs) {
            text.push_str(&format!("- {}\n", markdown::escaped(&note)));
        }
        text
    }

    fn headline(&self) -> String {
        format!("Regression check: {}", if self.passed() { "passed" } else { "FAILED" })
    }

    /// How many numbers stand how, in words.
    fn counts(&self) -> String {
        let held = self.judgements.len() - self.count(Outcome::New);
        let regressed: usize = REGRESSIONS.into_iter().map(|outcome| self.count(outcome)).sum();
        let of = match regressed {
            0 => String::new(),
            _ => format!(" ({})", self.tally(true)),
        };
        let rest = match self.tally(false) {
            rest if rest.is_empty() => rest,
            rest => format!("; {rest}"),
        };
        format!("{regressed} of {held} numbers regressed{of}{rest}")
    }

    /// The statuses of the regressions or of all others, with their counts.
    fn tally(&self, regression: bool) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        let chosen = self
            .judgements
            .iter()
            .filter(|judgement| judgement.outcome.is_regression() == regression);
        for status in chosen.map(status) {
            match counts.iter_mut().find(|(known, _)| *known == status) {
                Some((_, count)) => *count += 1,
                None => counts.push((status, 1)),
            }
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(status, count)| format!("{count} {status}"))
            .collect();
        counts.join(", ")
    }

    /// The runs in order of their numbers.
    fn runs(&self) -> Vec<&Key> {
        let mut runs: Vec<&Key> = self.judgements.iter().map(|judgement| &judgement.key).collect();
        runs.sort();
        runs.dedup();
        runs
    }

    fn notes(&self, runs: &[&Key]) -> Vec<String> {
        let mut notes: Vec<String> = (1..)
            .zip(runs)
            .map(|(number, run)| format!("run {number}: {run}"))
            .collect();
        notes.push("!: a regression; the edge of a band still passes; scores are fractions".to_owned());
        let new = self.new_runs.iter();
        notes.extend(new.map(|(run, values)| format!("new, not in the baseline: {run} ({values} numbers)")));
        notes.extend(self.remarks.iter().cloned());
        notes
    }
}

fn header() -> Vec<Heading> {
    ["status", "run", "number", "baseline", "found", "change", "band"]
        .map(Heading::word)
        .into()
}

fn row(judgement: &Judgement, runs: &[&Key]) -> Vec<Cell> {
    let status = status(judgement);
    let status = if judgement.outcome.is_regression() {
        format!("! {status}")
    } else {
        status.to_owned()
    };
    let run = runs
        .iter()
        .position(|run| **run == judgement.key)
        .map_or(0, |place| place + 1);
    let cell = |value: Option<String>| value.map_or_else(Cell::missing, Cell::word);
    let band = judgement.expected.map(|(_, band)| band);
    vec![
        Cell::word(status),
        Cell::new(run.to_string(), run),
        Cell::word(judgement.quantity.to_string()),
        cell(judgement.expected.map(|(value, _)| short(value))),
        cell(judgement.found.map(short)),
        cell(judgement.change().map(|change| change_text(change, judgement))),
        cell(band.map(|band| band_text(band, judgement.quantity.lower_is_better()))),
    ]
}

/// How a number stands, in words.
fn status(judgement: &Judgement) -> &'static str {
    match judgement.outcome {
        Outcome::Worse | Outcome::Better if judgement.change() > Some(0.0) => "moved up",
        Outcome::Worse | Outcome::Better => "moved down",
        outcome => outcome.name(),
    }
}

/// Some four digits: enough to see a change, few enough to read.
fn short(value: f64) -> String {
    let whole = value.abs().max(1.0).log10() as usize + 1;
    format!("{value:.*}", 5usize.saturating_sub(whole))
}

/// The change in the measure of its band.
fn change_text(change: f64, judgement: &Judgement) -> String {
    match judgement.expected {
        Some((
            value,
            Band {
                width: Width::Relative(_),
                ..
            },
        )) if value != 0.0 => {
            format!("{:+.1} %", 100.0 * change / value.abs())
        }
        _ if change >= 0.0 => format!("+{}", short(change)),
        _ => short(change),
    }
}

fn band_text(band: Band, lower_is_better: bool) -> String {
    let sign = match (band.two_sided, lower_is_better) {
        (true, _) => "±",
        (false, false) => "-",
        (false, true) => "+",
    };
    match band.width {
        Width::Absolute(width) => format!("{sign}{width}"),
        Width::Relative(share) => format!("{sign}{} %", 100.0 * share),
    }
}

fn key_json(key: &Key) -> Value {
    json!({
        "task": key.task, "method": key.method, "quantizer": key.quantizer, "plan_hash": key.plan_hash,
        "backend": key.backend, "dtype": key.dtype, "seed": key.seed, "fold": key.fold,
    })
}

fn entry_json(judgement: &Judgement) -> Value {
    let band = judgement.expected.map(|(_, band)| match band.width {
        Width::Absolute(width) => json!({ "absolute": width, "two_sided": band.two_sided }),
        Width::Relative(share) => json!({ "relative": share, "two_sided": band.two_sided }),
    });
    json!({
        "outcome": judgement.outcome.name(), "regression": judgement.outcome.is_regression(),
        "run": key_json(&judgement.key), "section": judgement.quantity.section.word(),
        "number": judgement.quantity.path, "baseline": judgement.expected.map(|(value, _)| value),
        "found": judgement.found, "change": judgement.change(), "band": band,
    })
}
