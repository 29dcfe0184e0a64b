//! The baseline: made from records, written as TOML for people to edit.

use super::run::{self, Key, Quantity, Run, Section};
use crate::stats;
use std::collections::BTreeMap;

/// How far a number may lie from the baseline's; the edge itself still passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// This far.
    Absolute(f64),
    /// This share of the baseline's number.
    Relative(f64),
}

/// A width, and whether both sides count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// How far a number may lie off.
    pub width: Width,
    /// Whether leaving the band for the better is a regression too.
    pub two_sided: bool,
}

/// The bands of numbers without one of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bands {
    /// Of scores.
    pub scores: Band,
    /// Of codebook statistics.
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

    pub(super) fn of(&self, section: Section) -> Band {
        match section {
            Section::Scores => self.scores,
            Section::Codebooks => self.codebooks,
        }
    }

    pub(super) fn of_mut(&mut self, section: Section) -> &mut Band {
        match section {
            Section::Scores => &mut self.scores,
            Section::Codebooks => &mut self.codebooks,
        }
    }
}

/// A number that a run should show.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which.
    pub quantity: Quantity,
    /// The number.
    pub value: f64,
    /// Its own width, where it is not the default.
    pub width: Option<Width>,
    /// Its own sides, where they are not the default.
    pub two_sided: Option<bool>,
}

/// A run that should be there, and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Which run.
    pub key: Key,
    /// The data behind the numbers, in words; nothing is matched by it, since the plan's hash covers it.
    pub data: String,
    /// Its numbers.
    pub entries: Vec<Entry>,
}

/// What records are held to.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The bands of numbers without one of their own.
    pub bands: Bands,
    /// The runs, in order of key.
    pub runs: Vec<Expected>,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The text is not TOML.
    #[error("line {line}: not TOML: {message}")]
    NotToml {
        /// The line, counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key is missing, unknown or has a wrong value.
    #[error("line {line}: `{key}`: {message}")]
    Key {
        /// The line, counted from 1.
        line: usize,
        /// The key with the tables that hold it.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// Nothing to hold records to.
    #[error("a baseline without any number")]
    Empty,
    /// A spread of too few seeds.
    #[error("a band from the spread needs 3 seeds of a plan or more; those of {run}: {seeds}")]
    FewSeeds {
        /// How many there are.
        seeds: usize,
        /// One of the runs.
        run: String,
    },
}

/// Seeds without which a standard deviation says too little.
const SEEDS: usize = 3;

impl Baseline {
    /// The numbers of these runs, each run once; a number that is null is left out. With `spread`, a number's band is
    /// that many standard deviations over the seeds of its plan, fold and backend; where all seeds agree, and would
    /// leave no band at all, the default holds.
    ///
    /// The entries stay those of single seeds even so: on one machine a seed repeats exactly, so that a gate needs to
    /// run but one of them, and one that is missing is seen.
    pub fn of(runs: &[Run], bands: Bands, spread: Option<f64>) -> Result<Self, BaselineError> {
        let (runs, _) = run::distinct(runs);
        let mut seeds: BTreeMap<Key, Vec<&Run>> = BTreeMap::new();
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
                Some(Entry {
                    quantity: quantity.clone(),
                    value: (*value)?,
                    width: width(quantity),
                    two_sided: None,
                })
            });
            let entries: Vec<Entry> = entries.collect();
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

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.entries.len()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a baseline file. The same numbers give the same text.
    pub fn to_toml(&self) -> String {
        let mut text = HEAD.to_owned();
        for section in Section::ALL {
            let band = self.bands.of(section);
            let width = width_text(band.width);
            let line = format!("{} = {{ {width}, two_sided = {} }}\n", section.word(), band.two_sided);
            text.push_str(&line);
        }
        self.runs.iter().for_each(|run| write_run(run, &mut text));
        text
    }
}

/// `k` standard deviations over these runs. None where fewer than three have a value, or all have the same: computed
/// from equal numbers, a deviation can still come out just above 0.
fn width_over(runs: &[&Run], quantity: &Quantity, k: f64) -> Option<Width> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.value(quantity)?).collect();
    let differ = values.iter().any(|value| *value != values[0]);
    let sd = stats::sample_sd(&values).filter(|_| differ && values.len() >= SEEDS)?;
    Some(Width::Absolute(k * sd))
}

/// What the file says about itself.
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
    for section in Section::ALL {
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

fn entry_text(entry: &Entry) -> String {
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
