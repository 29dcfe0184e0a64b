//! The first samples of each class.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::Entry;
use crate::{Sample, Split};

/// The first `n` samples of each class in each split, or over all folds, taking the folds of a
/// class in turn. A sample of several classes is kept while one of them has room, and counts for
/// all.
pub(super) fn subset(entries: Vec<Entry<Sample>>, n: usize) -> Vec<Entry<Sample>> {
    let mut turns: BTreeMap<(&[usize], Option<u8>), usize> = BTreeMap::new();
    let mut order: Vec<(usize, Option<u8>, usize)> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().map(|entry| &entry.sample).enumerate() {
        let turn = turns.entry((entry.target.classes(), entry.fold)).or_insert(0);
        order.push((if entry.fold.is_some() { *turn } else { 0 }, entry.fold, index));
        *turn += 1;
    }
    order.sort_unstable();
    let mut held: BTreeMap<(Split, usize), usize> = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for (_, _, index) in order {
        let Sample { target, split, .. } = &entries[index].sample;
        let room = |class: &usize| held.get(&(*split, *class)).is_none_or(|&held| held < n);
        if target.classes().iter().any(room) {
            target
                .classes()
                .iter()
                .for_each(|&class| *held.entry((*split, class)).or_insert(0) += 1);
            kept.insert(index);
        }
    }
    entries
        .into_iter()
        .enumerate()
        .filter(|(index, _)| kept.contains(index))
        .map(|(_, entry)| entry)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use crate::Target;

    fn entry(id: usize, classes: &[usize], split: Split, fold: Option<u8>) -> Entry<Sample> {
        let target = match classes {
            [class] => Target::Class(*class),
            classes => Target::Classes(classes.to_vec()),
        };
        let mut entry = Entry::new(id.to_string(), None, target, split);
        entry.sample.fold = fold;
        entry
    }

    fn kept(entries: Vec<Entry<Sample>>, n: usize) -> Vec<String> {
        subset(entries, n).into_iter().map(|entry| entry.sample.id).collect()
    }

    #[test]
    fn a_subset_is_the_first_of_each_class_in_each_split() {
        let splits = [Split::Train, Split::Test];
        let entries = (0..24).map(|id| entry(id, &[id % 3], splits[id / 12], None)).collect();
        assert_eq!(
            kept(entries, 2),
            ["0", "1", "2", "3", "4", "5", "12", "13", "14", "15", "16", "17"]
        );
    }

    #[test]
    fn a_subset_takes_the_folds_of_a_class_in_turn() {
        let entries = || {
            (0..12)
                .map(|id| entry(id, &[0], Split::Train, Some(1 + (id / 4) as u8)))
                .collect()
        };
        assert_eq!(kept(entries(), 4), ["0", "1", "4", "8"]);
        assert_eq!(kept(entries(), 99).len(), 12);
    }

    #[test]
    fn every_class_of_several_has_its_samples_in_a_subset() {
        let classes: [&[usize]; 5] = [&[0, 1], &[0], &[1], &[1, 2], &[2]];
        let entries = classes
            .iter()
            .enumerate()
            .map(|(id, classes)| entry(id, classes, Split::Train, None))
            .collect();
        assert_eq!(kept(entries, 1), ["0", "3"]);
    }
}
