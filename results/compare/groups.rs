//! Groups of runs that differ only in seed and fold, and which group of A is paired with which of
//! B.

use super::{CompareError, ScoredRun};
use crate::record::{Data, RunRecord};
use std::collections::{BTreeMap, BTreeSet};

/// Runs of one task and its data that have scores of one protocol and differ in nothing but seed and
/// fold.
#[derive(Clone, Debug)]
pub(super) struct RunGroup<'a> {
    /// Method, backend and plan.
    pub(super) name: String,
    pub(super) runs: Vec<&'a ScoredRun>,
}

/// What distinguishes groups, in the order in which it narrows the choice of a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GroupKey {
    /// The samples kept of each class: other test samples cannot be paired.
    Subset,
    /// Which data it was.
    Data,
    /// Backend, device and dtype.
    Backend,
    /// Method and quantizer.
    Method,
    Plan,
}

const KEYS: [GroupKey; 5] = [
    GroupKey::Subset,
    GroupKey::Data,
    GroupKey::Backend,
    GroupKey::Method,
    GroupKey::Plan,
];

impl<'a> RunGroup<'a> {
    /// The group of these runs, of which there is one at least.
    fn of(runs: Vec<&'a ScoredRun>) -> Self {
        Self {
            name: runs[0].record.title(),
            runs,
        }
    }

    /// The data of its runs.
    pub(super) fn data(&self) -> &Data {
        &self.runs[0].record.data
    }

    fn word(&self, key: GroupKey) -> String {
        word(key, &self.runs[0].record)
    }
}

fn word(key: GroupKey, record: &RunRecord) -> String {
    match key {
        GroupKey::Subset => format!("{:?}", record.data.subset),
        GroupKey::Data => record.data.identity(),
        GroupKey::Backend => record.backend_name(),
        GroupKey::Method => record.method_name(),
        GroupKey::Plan => record.plan_hash.clone(),
    }
}

/// Runs by what tells their groups apart, in the order of [`KEYS`].
type ByWords<'a> = BTreeMap<[String; KEYS.len()], Vec<&'a ScoredRun>>;

/// The groups of a side by task and protocol.
pub(super) fn groups(runs: &[ScoredRun]) -> BTreeMap<(&str, &str), Vec<RunGroup<'_>>> {
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
    all.map(|(place, groups)| (place, told_apart(groups.into_values().map(RunGroup::of).collect())))
        .collect()
}

/// The same groups; where they had different data, their names say which.
fn told_apart(mut groups: Vec<RunGroup<'_>>) -> Vec<RunGroup<'_>> {
    let data: BTreeSet<String> = groups.iter().map(|group| group.data().identity()).collect();
    if data.len() > 1 {
        for group in &mut groups {
            group.name = format!("{}, data {}", group.name, group.data().words());
        }
    }
    groups
}

/// The error of two sides without a task and protocol in common.
pub(super) fn nothing_in_common(groups: &[BTreeMap<(&str, &str), Vec<RunGroup>>; 2]) -> CompareError {
    let [a, b] = groups.each_ref().map(|groups| {
        let places = groups.keys();
        places.map(|(task, protocol)| format!("{task} {protocol}")).collect()
    });
    CompareError::NothingInCommon { a, b }
}

/// Pairs groups of A and B: one group with the other where each side has one; else those of one
/// backend. Where both sides have several, those of one method, then plan, if that uses up one
/// side.
///
/// # Errors
/// If a group has several possible partners.
pub(super) fn paired<'g, 'a>(
    protocol: &str,
    a: &'g [RunGroup<'a>],
    b: &'g [RunGroup<'a>],
) -> Result<Vec<[&'g RunGroup<'a>; 2]>, CompareError> {
    let mut pairs = Vec::new();
    let sides = [a, b].map(|groups| groups.iter().collect::<Vec<_>>());
    narrow(protocol, &sides, &KEYS, &mut pairs)?;
    Ok(pairs)
}

fn narrow<'g, 'a>(
    protocol: &str,
    sides: &[Vec<&'g RunGroup<'a>>; 2],
    keys: &[GroupKey],
    pairs: &mut Vec<[&'g RunGroup<'a>; 2]>,
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
    let is_setting = matches!(key, GroupKey::Subset | GroupKey::Data | GroupKey::Backend);
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
