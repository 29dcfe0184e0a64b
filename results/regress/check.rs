//! Compares runs with a baseline: what is outside its band, what is missing, what is new.

use super::baseline::{Band, Baseline, Expected, ExpectedNumber, Width};
use super::envelope::LeftRun;
use super::run::{self, GateRun, Quantity, RunKey};

/// The outcome for one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no record of the run, or no such number in it. A regression.
    Missing,
    /// The record has no value: a null or a NaN. A regression.
    Undefined,
    /// Outside the band, to the bad side or of a band with two. A regression.
    Worse,
    /// Outside the band to the good side.
    Better,
    /// In the record of a known run, but not in the baseline.
    New,
    /// Within the band, whose edges count as inside.
    Within,
}

/// The outcomes that fail the gate.
pub(super) const REGRESSIONS: [Standing; 3] = [Standing::Missing, Standing::Undefined, Standing::Worse];

impl Standing {
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::Undefined,
        Self::Worse,
        Self::Better,
        Self::New,
        Self::Within,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Undefined => "undefined",
            Self::Worse => "worse",
            Self::Better => "better",
            Self::New => "new",
            Self::Within => "within",
        }
    }

    pub fn is_regression(self) -> bool {
        REGRESSIONS.contains(&self)
    }
}

/// One number compared with the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub key: RunKey,
    pub quantity: Quantity,
    /// The baseline's number and its band. None for a new one.
    pub expected: Option<(f64, Band)>,
    pub found: Option<f64>,
    pub outcome: Standing,
}

impl Check {
    /// How far the number lies above the baseline's, where there are both.
    pub fn change(&self) -> Option<f64> {
        Some(self.found? - self.expected?.0)
    }
}

/// The result of comparing runs with a baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Every number of the baseline and every new one of its runs: regressions first, then
    /// improvements, then new numbers; within those, in order of run.
    pub checks: Vec<Check>,
    /// Runs that the baseline does not know, with the number of their values.
    pub new_runs: Vec<(RunKey, usize)>,
    pub remarks: Vec<String>,
    /// Runs that left the envelopes of their plans, which are regressions.
    pub left: Vec<LeftRun>,
}

impl Verdict {
    pub fn passed(&self) -> bool {
        self.left.is_empty() && !self.checks.iter().any(|check| check.outcome.is_regression())
    }

    pub fn count(&self, outcome: Standing) -> usize {
        let same = self.checks.iter().filter(|check| check.outcome == outcome);
        same.count()
    }
}

/// Compares these runs with the baseline. Of several records of one run the latest counts.
pub fn check(baseline: &Baseline, runs: &[GateRun]) -> Verdict {
    let (runs, left_out) = run::distinct(runs);
    let mut checks = Vec::new();
    let mut remarks = Vec::new();
    for expected in &baseline.runs {
        let answers = runs.iter().filter(|run| run.key.answers(&expected.key));
        let run = answers.clone().max_by_key(|run| &run.finished);
        if answers.count() > 1 {
            remarks.push(format!(
                "there are runs of {} on different data; the latest counts",
                expected.key
            ));
        }
        match run {
            Some(run) => checks.extend(new_values(expected, run)),
            None => remarks.extend(other_plan(expected, baseline, &runs)),
        }
        checks.extend(
            expected
                .entries
                .iter()
                .map(|entry| hold(baseline, expected, entry, run)),
        );
    }
    checks.sort_by_key(|check| rank(check.outcome));
    if left_out > 0 {
        remarks.push(format!("older records of the same run left out: {left_out}"));
    }
    let is_new = |run: &&&GateRun| !baseline.runs.iter().any(|expected| run.key.answers(&expected.key));
    let new_runs = runs
        .iter()
        .filter(is_new)
        .map(|run| (run.key.clone(), run.values.len()));
    Verdict {
        checks,
        new_runs: new_runs.collect(),
        remarks,
        left: Vec::new(),
    }
}

/// Order of printing: the regressions together, in the order of runs, then the rest by interest.
fn rank(outcome: Standing) -> u8 {
    match outcome {
        Standing::Better => 1,
        Standing::New => 2,
        Standing::Within => 3,
        _ => 0,
    }
}

fn hold(baseline: &Baseline, expected: &Expected, entry: &ExpectedNumber, run: Option<&&GateRun>) -> Check {
    let default = baseline.bands.of(entry.quantity.section);
    let band = Band {
        width: entry.width.unwrap_or(default.width),
        two_sided: entry.two_sided.unwrap_or(default.two_sided),
    };
    let value = run.and_then(|run| run.value(&entry.quantity));
    let found = value.flatten().filter(|value| value.is_finite());
    let outcome = match (value, found) {
        (None, _) => Standing::Missing,
        (Some(_), None) => Standing::Undefined,
        (Some(_), Some(found)) => beside(entry, band, found),
    };
    Check {
        key: expected.key.clone(),
        quantity: entry.quantity.clone(),
        expected: Some((entry.value, band)),
        found,
        outcome,
    }
}

/// Decimal numbers have no exact binary form, so that 0.4 - 0.35 comes out above 0.05. An edge is
/// as wide as this share of the numbers that make it.
const ROUNDING: f64 = 1e-12;

fn beside(entry: &ExpectedNumber, band: Band, found: f64) -> Standing {
    let width = match band.width {
        Width::Absolute(width) => width,
        Width::Relative(share) => share * entry.value.abs(),
    };
    let change = found - entry.value;
    if change.abs() <= width + ROUNDING * (entry.value.abs() + width) {
        Standing::Within
    } else if band.two_sided || (change < 0.0) != entry.quantity.lower_is_better() {
        Standing::Worse
    } else {
        Standing::Better
    }
}

fn new_values(expected: &Expected, run: &GateRun) -> Vec<Check> {
    let is_new = |quantity: &Quantity| !expected.entries.iter().any(|entry| entry.quantity == *quantity);
    let new = run.values.iter().filter(|(quantity, _)| is_new(quantity));
    new.map(|(quantity, value)| Check {
        key: run.key.clone(),
        quantity: quantity.clone(),
        expected: None,
        found: value.filter(|value| value.is_finite()),
        outcome: Standing::New,
    })
    .collect()
}

/// Explains a missing run: its plan or its data has probably changed. Names the runs that differ in
/// nothing else.
fn other_plan(expected: &Expected, baseline: &Baseline, runs: &[&GateRun]) -> Option<String> {
    let is_known = |key: &RunKey| baseline.runs.iter().any(|run| key.answers(&run.key));
    let is_like = |run: &&&GateRun| {
        let like = RunKey {
            plan_hash: run.key.plan_hash.clone(),
            data: run.key.data.clone(),
            ..expected.key.clone()
        };
        like == run.key && !is_known(&run.key)
    };
    let key = &expected.key;
    let words = |run: &&GateRun| {
        let data = run.key.data.as_ref().filter(|data| key.data.as_ref() != Some(data));
        let data = data.map_or_else(String::new, |data| format!(" on data {}", &data[..8]));
        format!("{}{data}", run.key.plan_hash)
    };
    let others: Vec<String> = runs.iter().filter(is_like).map(words).collect();
    let other_data = runs
        .iter()
        .filter(is_like)
        .any(|run| run.key.plan_hash == key.plan_hash);
    let what = if other_data { "data" } else { "plan" };
    let others = (!others.is_empty()).then(|| others.join(", "))?;
    Some(format!(
        "no record of {key}; has the {what} changed? There is plan {others}"
    ))
}
