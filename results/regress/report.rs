//! Formats a verdict: for the terminal, for the summary page of a CI run, and as JSON.

use super::baseline::{Band, Width};
use super::check::{Check, REGRESSIONS, Standing, Verdict};
use super::envelope::LeftRun;
use super::run::RunKey;
use crate::record::plural;
use crate::table::{Cell, Format, Heading, Table, markdown};
use serde_json::{Value, json};

impl Verdict {
    /// The verdict for programs: `passed`, how many numbers stand how, and every one of them.
    pub fn to_json(&self) -> Value {
        let counts: serde_json::Map<String, Value> = Standing::ALL
            .into_iter()
            .map(|outcome| (outcome.name().to_owned(), self.count(outcome).into()))
            .collect();
        let new_run = |(key, values): &(RunKey, usize)| json!({ "run": key_json(key), "values": values });
        let mut verdict = json!({
            "passed": self.passed(),
            "counts": counts,
            "entries": self.checks.iter().map(entry_json).collect::<Vec<_>>(),
            "new_runs": self.new_runs.iter().map(new_run).collect::<Vec<_>>(),
            "remarks": self.remarks,
        });
        if !self.left.is_empty() {
            verdict["left_envelopes"] = self.left.iter().map(left_json).collect();
        }
        verdict
    }

    /// A headline, every number in a line, and which run is which, in so many columns; ends with a
    /// line end.
    pub fn terminal(&self, columns: usize) -> String {
        let runs = self.runs();
        let table = Table {
            title: format!("{}\n{}", self.headline(), self.counts()),
            header: header(),
            rows: self.checks.iter().map(|check| row(check, &runs)).collect(),
            notes: self.notes(&runs),
        };
        table.render(Format::Terminal { columns })
    }

    /// The summary page of a CI run: what moved, and the rest folded; ends with a line end.
    pub fn markdown(&self) -> String {
        let runs = self.runs();
        let part = |within: bool| Table {
            title: String::new(),
            header: header(),
            rows: self
                .checks
                .iter()
                .filter(|check| (check.outcome == Standing::Within) == within)
                .map(|check| row(check, &runs))
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

    /// The number of each outcome.
    fn counts(&self) -> String {
        let held = self.checks.len() - self.count(Standing::New);
        let regressed: usize = REGRESSIONS.into_iter().map(|outcome| self.count(outcome)).sum();
        let of = match regressed {
            0 => String::new(),
            _ => format!(" ({})", self.tally(true)),
        };
        let rest = match self.tally(false) {
            rest if rest.is_empty() => rest,
            rest => format!("; {rest}"),
        };
        let left = match self.left.len() {
            0 => String::new(),
            count => format!("; {count} {} left the envelope of the plan", plural(count, "run")),
        };
        format!("{regressed} of {held} numbers regressed{of}{rest}{left}")
    }

    /// The statuses of the regressions or of all others, with their counts.
    fn tally(&self, regression: bool) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        let chosen = self
            .checks
            .iter()
            .filter(|check| check.outcome.is_regression() == regression);
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
    fn runs(&self) -> Vec<&RunKey> {
        let mut runs: Vec<&RunKey> = self.checks.iter().map(|check| &check.key).collect();
        runs.sort();
        runs.dedup();
        runs
    }

    fn notes(&self, runs: &[&RunKey]) -> Vec<String> {
        let mut notes: Vec<String> = (1..)
            .zip(runs)
            .map(|(number, run)| format!("run {number}: {run}"))
            .collect();
        notes.push("!: a regression; the edge of a band still passes; scores are fractions".to_owned());
        let new = self.new_runs.iter();
        notes.extend(new.map(|(run, values)| format!("new, not in the baseline: {run} ({values} numbers)")));
        notes.extend(self.remarks.iter().cloned());
        for LeftRun { key, runs, departures } in &self.left {
            let departures = departures.iter();
            notes.extend(departures.map(|place| format!("! left the envelope of {runs} runs: {key}: {place}")));
        }
        notes
    }
}

fn left_json(left: &LeftRun) -> Value {
    let curve = |place: &super::Departure| {
        json!({
            "phase": place.phase, "what": place.what, "step": place.step, "value": place.value,
            "low": place.low, "high": place.high, "outside": place.outside, "points": place.points,
        })
    };
    let curves: Vec<Value> = left.departures.iter().map(curve).collect();
    json!({ "run": key_json(&left.key), "runs": left.runs, "curves": curves })
}

fn header() -> Vec<Heading> {
    ["status", "run", "number", "baseline", "found", "change", "band"]
        .map(Heading::word)
        .into()
}

fn row(check: &Check, runs: &[&RunKey]) -> Vec<Cell> {
    let status = status(check);
    let status = if check.outcome.is_regression() {
        format!("! {status}")
    } else {
        status.to_owned()
    };
    let run = runs
        .iter()
        .position(|run| **run == check.key)
        .map_or(0, |place| place + 1);
    let cell = |value: Option<String>| value.map_or_else(Cell::missing, Cell::word);
    let band = check.expected.map(|(_, band)| band);
    vec![
        Cell::word(status),
        Cell::new(run.to_string(), run),
        Cell::word(check.quantity.to_string()),
        cell(check.expected.map(|(value, _)| short(value))),
        cell(check.found.map(short)),
        cell(check.change().map(|change| change_text(change, check))),
        cell(band.map(|band| band_text(band, check.quantity.lower_is_better()))),
    ]
}

/// The outcome in words.
fn status(check: &Check) -> &'static str {
    match check.outcome {
        Standing::Worse | Standing::Better if check.change() > Some(0.0) => "moved up",
        Standing::Worse | Standing::Better => "moved down",
        outcome => outcome.name(),
    }
}

/// About four digits: enough to see a change, few enough to read.
fn short(value: f64) -> String {
    let whole = value.abs().max(1.0).log10() as usize + 1;
    format!("{value:.*}", 5usize.saturating_sub(whole))
}

/// The change in the unit of its band.
fn change_text(change: f64, check: &Check) -> String {
    match check.expected {
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

fn key_json(key: &RunKey) -> Value {
    let mut json = json!({
        "task": key.task, "method": key.method, "quantizer": key.quantizer, "plan_hash": key.plan_hash,
        "backend": key.backend, "dtype": key.dtype, "seed": key.seed, "fold": key.fold,
    });
    if let Some(data) = &key.data {
        json["data"] = data.clone().into();
    }
    json
}

fn entry_json(check: &Check) -> Value {
    let band = check.expected.map(|(_, band)| match band.width {
        Width::Absolute(width) => json!({ "absolute": width, "two_sided": band.two_sided }),
        Width::Relative(share) => json!({ "relative": share, "two_sided": band.two_sided }),
    });
    json!({
        "outcome": check.outcome.name(), "regression": check.outcome.is_regression(),
        "run": key_json(&check.key), "section": check.quantity.section.word(),
        "number": check.quantity.path, "baseline": check.expected.map(|(value, _)| value),
        "found": check.found, "change": check.change(), "band": band,
    })
}
