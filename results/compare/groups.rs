//! Which runs of A are compared with which of B: groups that differ in nothing but seed and fold, paired where there is
//! one way to do it.

use super::{CompareError, Run};
use crate::record::RunRecord;
use crate::table::{backend_words, method_words, run_name};
use std::collections::{BTreeMap, BTreeSet};

/// Runs of one task that have scores of one protocol and differ in nothing but seed and fold.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    /// Method, backend and plan, in words.
    pub(super) name: String,
    pub(super) runs: Vec<&'a Run>,
}

/// What groups are told apart by, in the order in which it narrows the choice of a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// The samples kept of each class: other test samples cannot be paired.
    Subset,
    /// Backend, device and dtype.
    Backend,
    /// Method and quantizer.
    Method,
    Plan,
}

const KEYS: [Key; 4] = [Key::Subset, Key::Backend, Key::Method, Key::Plan];

impl<'a> Group<'a> {
    /// The group of these runs, of which there is one at least.
    fn of(runs: Vec<&'a Run>) -> Self {
        Self {
            name: run_name(&runs[0].record),
            runs,
        }
    }

    fn word(&self, key: Key) -> String {
        word(key, &self.runs[0].record)
    }
}

fn word(key: Key, record: &RunRecord) -> String {
    match key {
        Key::Subset => format!("{:?}", record.data.subset),
        Key::Backend => backend_words(record),
        Key::Method => method_words(record),
        Key::Plan => record.plan_hash.clone(),
    }
}

/// Runs by what tells their groups apart, in the order of [`KEYS`].
type ByWords<'a> = BTreeMap<[String; KEYS.len()], Vec<&'a Run>>;

/// The groups of a side by task and protocol.
pub(super) fn groups(runs: &[Run]) -> BTreeMap<(&str, &str), Vec<Group<'_>>> {
    let mut found: BTreeMap<(&str, &str), ByWords> = BTreeMap::new();
    for run in runs {
        let protocols: BTreeSet<&str> = run.record.scores.iter().map(|score| &score.protocol[..]).collect();
        let words = KEYS.map(|key| word(key, &run.record));
        for protocol in protocols {
            let of_protocol = found.entry((run.record.task(), protocol)).or_default();
            of_protocol.entry(words.clone()).or_default().push(run);
        }
    }
    let all = found.into_iter();
    all.map(|(place, groups)| (place, groups.into_values().map(Group::of).collect()))
        .collect()
}

/// The error of two sides without a task and protocol in common.
pub(super) fn nothing_in_common(groups: &[BTreeMap<(&str, &str), Vec<Group>>; 2]) -> CompareError {
    let [a, b] = groups.each_ref().map(|groups| {
        let places = groups.keys();
        places.map(|(task, protocol)| format!("{task} {protocol}")).collect()
    });
    CompareError::NothingInCommon { a, b }
}

/// The pairs of A and B that follow: one group with the other where each side has one; else those of one backend, and
/// where both sides have several, those of the same method, then plan, if that leaves none of one side over.
///
/// # Errors
/// If a group could have several partners.
pub(super) fn paired<'g, 'a>(
    protocol: &str,
    a: &'g [Group<'a>],
    b: &'g [Group<'a>],
) -> Result<Vec<[&'g Group<'a>; 2]>, CompareError> {
    let mut pairs = Vec::new();
    let sides = [a, b].map(|groups| groups.iter().collect::<Vec<_>>());
    narrow(protocol, &sides, &KEYS, &mut pairs)?;
    Ok(pairs)
}

fn narrow<'g, 'a>(
    protocol: &str,
    sides: &[Vec<&'g Group<'a>>; 2],
    keys: &[Key],
    pairs: &mut Vec<[&'g Group<'a>; 2]>,
) -> Result<(), CompareError> {
    if let [[a], [b]] = sides.each_ref().map(Vec::as_slice) {
        pairs.push([a, b]);
        return Ok(());
    }
    let Some((&key, rest)) = keys.split_first() else {
        let [a, b] = sides
            .each_ref()
            .map(|side| side.iter().map(|group| group.name.clone()).collect());
        let protocol = protocol.into();
        return Err(CompareError::Ambiguous { protocol, a, b });
    };
    let words = sides
        .each_ref()
        .map(|side| side.iter().map(|group| group.word(key)).collect::<BTreeSet<_>>());
    let common: Vec<&String> = words[0].intersection(&words[1]).collect();
    let is_setting = matches!(key, Key::Subset | Key::Backend);
    let leaves_none = words.iter().any(|words| words.len() == common.len());
    let is_choice = sides.iter().any(|side| side.len() == 1);
    if common.is_empty() || !is_setting && (is_choice || !leaves_none) {
        return narrow(protocol, sides, rest, pairs);
    }
    for word in common {
        let of_word = sides.each_ref().map(|side| {
            let same = side.iter().filter(|group| group.word(key) == *word);
            same.copied().collect()
        });
        narrow(protocol, &of_word, rest, pairs)?;
    }
    Ok(())
}
