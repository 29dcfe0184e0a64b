//! Holds runs to a baseline: what lies outside its band, what is missing, what is new.

use super::baseline::{Band, Baseline, Entry, Expected, Width};
use super::run::{self, Key, Quantity, Run};

/// How one number stands to the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
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

/// The outcomes that close the gate.
pub(super) const REGRESSIONS: [Outcome; 3] = [Outcome::Missing, Outcome::Undefined, Outcome::Worse];

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::Undefined,
        Self::Worse,
        Self::Better,
        Self::New,
        Self::Within,
    ];

    /// Its name for programs.
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

    /// Whether the gate closes.
    pub fn is_regression(self) -> bool {
        REGRESSIONS.contains(&self)
    }
}

/// One number, held to the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Which run.
    pub key: Key,
    /// Which number of it.
    pub quantity: Quantity,
    /// The baseline's number and its band. None for a new one.
    pub expected: Option<(f64, Band)>,
    /// The number found.
    pub found: Option<f64>,
    /// How it stands.
    pub outcome: Outcome,
}

impl Judgement {
    /// How far the number lies above the baseline's, where there are both.
    pub fn change(&self) -> Option<f64> {
        Some(self.found? - self.expected?.0)
    }
}

/// What a comparison of runs with a baseline found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Every number of the baseline and every new one of its runs: regressions first, then what moved for the better,
    /// then what is new; among those the runs in order of key.
    pub judgements: Vec<Judgement>,
    /// Runs that the baseline does not know, with the number of their values.
    pub new_runs: Vec<(Key, usize)>,
    /// What helps to understand the above.
    pub remarks: Vec<String>,
}

impl Verdict {
    /// Whether there is no regression.
    pub fn passed(&self) -> bool {
        !self
            .judgements
            .iter()
            .any(|judgement| judgement.outcome.is_regression())
    }

    /// How many numbers stand so.
    pub fn count(&self, outcome: Outcome) -> usize {
        let same = self.judgements.iter().filter(|judgement| judgement.outcome == outcome);
        same.count()
    }
}

/// Holds these runs to the baseline. Of several records of one run the one that ended last counts; the order of the
/// records does not matter.
pub fn judge(baseline: &Baseline, runs: &[Run]) -> Verdict {
    let (runs, left_out) = run::distinct(runs);
    let mut judgements = Vec::new();
    let mut remarks = Vec::new();
    for expected in &baseline.runs {
        let run = runs.iter().find(|run| run.key == expected.key);
        match run {
            Some(run) => judgements.extend(new_values(expected, run)),
            None => remarks.extend(other_plan(expected, baseline, &runs)),
        }
        judgements.extend(
            expected
                .entries
                .iter()
                .map(|entry| hold(baseline, expected, entry, run)),
        );
    }
    judgements.sort_by_key(|judgement| rank(judgement.outcome));
    if left_out > 0 {
        remarks.push(format!("older records of the same run left out: {left_out}"));
    }
    let is_new = |run: &&&Run| !baseline.runs.iter().any(|expected| expected.key == run.key);
    let new_runs = runs
        .iter()
        .filter(is_new)
        .map(|run| (run.key.clone(), run.values.len()));
    Verdict {
        judgements,
        new_runs: new_runs.collect(),
        remarks,
    }
}

/// Order of printing: the regressions together, in the order of runs, then the rest by interest.
fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Better => 1,
        Outcome::New => 2,
        Outcome::Within => 3,
        _ => 0,
    }
}

fn hold(baseline: &Baseline, expected: &Expected, entry: &Entry, run: Option<&&Run>) -> Judgement {
    let default = baseline.bands.of(entry.quantity.section);
    let band = Band {
        width: entry.width.unwrap_or(default.width),
        two_sided: entry.two_sided.unwrap_or(default.two_sided),
    };
    let value = run.and_then(|run| run.value(&entry.quantity));
    let found = value.flatten().filter(|value| value.is_finite());
    let outcome = match (value, found) {
        (None, _) => Outcome::Missing,
        (Some(_), None) => Outcome::Undefined,
        (Some(_), Some(found)) => beside(entry, band, found),
    };
    Judgement {
        key: expected.key.clone(),
        quantity: entry.quantity.clone(),
        expected: Some((entry.value, band)),
        found,
        outcome,
    }
}

/// Decimal numbers have no exact binary form, so that 0.4 - 0.35 comes out above 0.05. An edge is as wide as this
/// share of the numbers that make it.
const ROUNDING: f64 = 1e-12;

fn beside(entry: &Entry, band: Band, found: f64) -> Outcome {
    let width = match band.width {
        Width::Absolute(width) => width,
        Width::Relative(share) => share * entry.value.abs(),
    };
    let change = found - entry.value;
    if change.abs() <= width + ROUNDING * (entry.value.abs() + width) {
        Outcome::Within
    } else if band.two_sided || (change < 0.0) != entry.quantity.lower_is_better() {
        Outcome::Worse
    } else {
        Outcome::Better
    }
}

fn new_values(expected: &Expected, run: &Run) -> Vec<Judgement> {
    let is_new = |quantity: &Quantity| !expected.entries.iter().any(|entry| entry.quantity == *quantity);
    let new = run.values.iter().filter(|(quantity, _)| is_new(quantity));
    new.map(|(quantity, value)| Judgement {
        key: run.key.clone(),
        quantity: quantity.clone(),
        expected: None,
        found: value.filter(|value| value.is_finite()),
        outcome: Outcome::New,
    })
    .collect()
}

/// A missing run most often is one whose plan has changed: names the runs that differ in nothing but the plan's hash.
fn other_plan(expected: &Expected, baseline: &Baseline, runs: &[&Run]) -> Option<String> {
    let is_known = |key: &Key| baseline.runs.iter().any(|run| run.key == *key);
    let plan_hash = |run: &&&Run| {
        let plan_hash = run.key.plan_hash.clone();
        let with_that = Key {
            plan_hash,
            ..expected.key.clone()
        };
        with_that == run.key && !is_known(&run.key)
    };
    let others = runs.iter().filter(plan_hash).map(|run| run.key.plan_hash.as_str());
    let others: Vec<&str> = others.collect();
    let key = &expected.key;
    (!others.is_empty()).then(|| {
        format!(
            "no record of {key}; has the plan changed? There is plan {}",
            others.join(", ")
        )
    })
}
