//! The file of expected numbers: made from records, written as TOML that people can edit.

use super::run::{self, GateRun, Quantity, QuantityKind, RunKey};
use crate::stats;
use std::collections::BTreeMap;

/// The permitted distance from the baseline's number; the edge itself still passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    Absolute(f64),
    /// This share of the baseline's number.
    Relative(f64),
}

/// A permitted distance, and whether both sides count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// The permitted distance.
    pub width: Width,
    /// Whether leaving the band for the better is a regression too.
    pub two_sided: bool,
}

/// Default bands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bands {
    pub scores: Band,
    pub codebooks: Band,
}

impl Bands {
    /// Far enough for the rounding of another processor; a model that learned nothing lies outside.
    pub const ABSOLUTE: f64 = 0.05;
    /// Far enough for what training makes of rounding; a collapsed codebook lies outside.
    pub const RELATIVE: f64 = 0.25;

    /// Scores within `absolute`, codebook statistics within the share `relative`.
    pub fn new(absolute: f64, relative: f64) -> Self {
        let band = |width, two_sided| Band { width, two_sided };
        Self {
            scores: band(Width::Absolute(absolute), false),
            codebooks: band(Width::Relative(relative), true),
        }
    }

    pub(super) fn of(&self, section: QuantityKind) -> Band {
        match section {
            QuantityKind::Scores => self.scores,
            QuantityKind::Codebooks => self.codebooks,
        }
    }

    pub(super) fn of_mut(&mut self, section: QuantityKind) -> &mut Band {
        match section {
            QuantityKind::Scores => &mut self.scores,
            QuantityKind::Codebooks => &mut self.codebooks,
        }
    }
}

/// A number that a run should show.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedNumber {
    pub quantity: Quantity,
    pub value: f64,
    /// None for the default.
    pub width: Option<Width>,
    /// None for the default.
    pub two_sided: Option<bool>,
}

/// A run that should be there, and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub key: RunKey,
    /// A description of the data for readers; the key does the matching.
    pub data: String,
    pub entries: Vec<ExpectedNumber>,
}

/// The numbers that records should show.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Default bands.
    pub bands: Bands,
    /// The runs, in order of key.
    pub runs: Vec<Expected>,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    #[error("line {line}: not TOML: {message}")]
    NotToml { line: usize, message: String },
    #[error("line {line}: `{key}`: {message}")]
    Key { line: usize, key: String, message: String },
    #[error("a baseline without any number")]
    Empty,
    #[error("a band from the spread needs 3 seeds of a plan or more; those of {run}: {seeds}")]
    FewSeeds { seeds: usize, run: String },
}

/// Seeds without which a standard deviation says too little.
const SEEDS: usize = 3;

impl Baseline {
    /// Takes the numbers of these runs, each run once, without nulls. With `spread`, a band is that
    /// many standard deviations over the seeds of the plan, fold and backend; where all seeds
    /// agree, the default band applies.
    ///
    /// Entries are still those of single seeds: on one machine a seed repeats exactly, so a gate
    /// may run only one of them, and a missing one is noticed.
    pub fn of(runs: &[GateRun], bands: Bands, spread: Option<f64>) -> Result<Self, BaselineError> {
        let (runs, _) = run::distinct(runs);
        let mut seeds: BTreeMap<RunKey, Vec<&GateRun>> = BTreeMap::new();
        for run in &runs {
            seeds.entry(run.key.with_seed(0)).or_default().push(run);
        }
        let mut expected = Vec::new();
        for run in runs {
            let siblings = &seeds[&run.key.with_seed(0)];
            if spread.is_some() && siblings.len() < SEEDS {
                let (seeds, run) = (siblings.len(), run.key.to_string());
                return Err(BaselineError::FewSeeds { seeds, run });
            }
            let width = |quantity: &Quantity| width_over(siblings, quantity, spread?);
            let entries = run.values.iter().filter_map(|(quantity, value)| {
                Some(ExpectedNumber {
                    quantity: quantity.clone(),
                    value: (*value)?,
                    width: width(quantity),
                    two_sided: None,
                })
            });
            let entries: Vec<ExpectedNumber> = entries.collect();
            if !entries.is_empty() {
                let (key, data) = (run.key.clone(), run.data.clone());
                expected.push(Expected { key, data, entries });
            }
        }
        if expected.is_empty() {
            return Err(BaselineError::Empty);
        }
        let runs = expected;
        Ok(Self { bands, runs })
    }

    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.entries.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a baseline file. The same numbers give the same text.
    pub fn to_toml(&self) -> String {
        let mut text = HEAD.to_owned();
        for section in QuantityKind::ALL {
            let band = self.bands.of(section);
            let width = width_text(band.width);
            let line = format!("{} = {{ {width}, two_sided = {} }}\n", section.word(), band.two_sided);
            text.push_str(&line);
        }
        self.runs.iter().for_each(|run| write_run(run, &mut text));
        text
    }
}

/// `k` standard deviations over these runs. None for fewer than three values, and for equal values,
/// whose computed deviation can come out just above 0.
fn width_over(runs: &[&GateRun], quantity: &Quantity, k: f64) -> Option<Width> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.value(quantity)?).collect();
    let differ = values.iter().any(|value| *value != values[0]);
    let sd = stats::sample_sd(&values).filter(|_| differ && values.len() >= SEEDS)?;
    Some(Width::Absolute(k * sd))
}

/// The explanation at the top of the file.
const HEAD: &str = "\
# What records should show: the baseline of `bridle-bench regress`. Written by `regress --write`, which replaces the
# whole file; meant to be edited.
#
# A number is given plainly, or with a band of its own: { value = 0.4, absolute = 0.02, two_sided = true }
#   absolute   may lie this far off; the edge still passes
#   relative   may lie this share of the number off
#   two_sided  whether leaving the band for the better is a regression too; otherwise it is told of and passes
# Scores are fractions as in the records. `data` is for the reader: the plan's hash covers it.

# for numbers without a band of their own
[bands]
";

fn write_run(run: &Expected, text: &mut String) {
    let key = &run.key;
    let words = [
        ("task", Some(&key.task)),
        ("method", Some(&key.method)),
        ("quantizer", key.quantizer.as_ref()),
        ("plan_hash", Some(&key.plan_hash)),
        ("backend", Some(&key.backend)),
        ("dtype", Some(&key.dtype)),
    ];
    text.push_str("\n[[run]]\n");
    for (name, word) in words {
        if let Some(word) = word {
            text.push_str(&format!("{name} = {}\n", quoted(word)));
        }
    }
    text.push_str(&format!("seed = {}\n", key.seed));
    if let Some(fold) = key.fold {
        text.push_str(&format!("fold = {fold}\n"));
    }
    text.push_str(&format!("data = {}\n", quoted(&run.data)));
    if let Some(identity) = &key.data {
        text.push_str(&format!("data_identity = {}\n", quoted(identity)));
    }
    for section in QuantityKind::ALL {
        let mut entries = run
            .entries
            .iter()
            .filter(|entry| entry.quantity.section == section)
            .peekable();
        if entries.peek().is_some() {
            text.push_str(&format!("[run.{}]\n", section.word()));
        }
        for entry in entries {
            let path: Vec<String> = entry.quantity.path.iter().map(|part| key_text(part)).collect();
            text.push_str(&format!("{} = {}\n", path.join("."), entry_text(entry)));
        }
    }
}

fn entry_text(entry: &ExpectedNumber) -> String {
    let value = number(entry.value);
    let width = entry.width.map(width_text);
    let sides = entry.two_sided.map(|two_sided| format!("two_sided = {two_sided}"));
    match [width, sides].into_iter().flatten().collect::<Vec<_>>() {
        own if own.is_empty() => value,
        own => format!("{{ value = {value}, {} }}", own.join(", ")),
    }
}

fn width_text(width: Width) -> String {
    match width {
        Width::Absolute(width) => format!("absolute = {}", number(width)),
        Width::Relative(width) => format!("relative = {}", number(width)),
    }
}

/// The shortest text that reads as this number, with a point or an exponent as TOML's floats need.
fn number(value: f64) -> String {
    format!("{value:?}")
}

/// A part of a dotted key, quoted where it must be.
fn key_text(word: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !word.is_empty() && word.chars().all(is_bare) {
        word.to_owned()
    } else {
        quoted(word)
    }
}

/// A string on one line.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
