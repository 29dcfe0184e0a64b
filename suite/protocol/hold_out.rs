//! Training samples held out to choose a protocol's values, so that the test samples choose
//! nothing.

use super::features::{Features, has_several};
use bridle_seed::Seed;
use bridle_values::check::{Checked, require};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A division of the training samples.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldOut {
    /// Places of the samples that are trained on.
    pub kept: Vec<usize>,
    /// Places of the samples that choose.
    pub places: Vec<usize>,
    /// Which samples these are, in words.
    rule: String,
}

impl HoldOut {
    /// Where samples have groups (folds) the first group is held out; else a share of every class,
    /// drawn (of all samples, where they have several classes). Samples of one source stay together.
    ///
    /// Folds keep recordings of one source together, but for 4 of ESC-50's 1,524 sources. Each of
    /// these lies in two folds under two classes, which a test of the task counts.
    pub fn of(train: &Features, share: f64, seed: Seed) -> Self {
        if let [first, _, ..] = groups(train)[..] {
            let (places, kept) = (0..train.len()).partition(|&place| train.groups[place] == Some(first));
            let rule = format!("fold {first}");
            return Self { kept, places, rule };
        }
        let several = has_several(&train.targets);
        let of_class = |unit: &[usize]| match several {
            true => 0,
            false => train.targets[unit[0]].classes()[0],
        };
        let mut by_class: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
        for unit in units(train) {
            by_class.entry(of_class(&unit)).or_default().push(unit);
        }
        let mut held_out = vec![false; train.len()];
        let mut stream = seed.stream();
        for mut units in by_class.into_values() {
            stream.shuffle(&mut units);
            let count = (units.iter().map(Vec::len).sum::<usize>() as f64 * share).round() as usize;
            // what is left trains
            let (mut held, most) = (0, units.len().saturating_sub(1));
            for unit in units.iter().take(most) {
                if held >= count {
                    break;
                }
                held += unit.len();
                unit.iter().for_each(|&place| held_out[place] = true);
            }
        }
        let (places, kept) = (0..train.len()).partition(|&place| held_out[place]);
        let rule = if several { "all" } else { "every class" };
        let rule = format!("{share} of {rule}");
        Self { kept, places, rule }
    }

    /// For the record: the rule and how many samples it held out.
    pub fn in_words(&self) -> Value {
        json!({"rule": self.rule, "n": self.places.len()})
    }
}

/// The divisions by which a value is chosen, and their rule for the record: one part held out, a share or a fold; or
/// each of so many parts, or each fold, in turn.
pub fn divisions(train: &Features, share: f64, parts: Option<usize>, seed: Seed) -> (Vec<HoldOut>, Value) {
    let Some(parts) = parts else {
        let found = HoldOut::of(train, share, seed);
        let in_words = found.in_words();
        return (vec![found], in_words);
    };
    let (found, rule) = cross_validation(train, parts, seed);
    let judged: usize = found.iter().map(|division| division.places.len()).sum();
    (found, json!({"rule": rule, "n": judged}))
}

/// Checks a number of parts.
pub fn enough_parts(key: &str, parts: Option<usize>) -> Checked {
    require(parts.is_none_or(|parts| parts >= 2), key, || {
        "must be at least 2, or none".to_owned()
    })
}

/// The quality of each of so many values on held-out samples: the mean over the divisions, each by how many it judged.
/// `judged` has the samples to fit on and those to judge by. All 0 where there is nothing to choose or to judge by.
pub fn qualities(
    train: &Features,
    divisions: &[HoldOut],
    values: usize,
    judged: impl Fn(&Features, &Features) -> Vec<f64>,
) -> Vec<f64> {
    let all: usize = divisions.iter().map(|division| division.places.len()).sum();
    let mut qualities = vec![0.0; values];
    for division in divisions
        .iter()
        .filter(|division| values > 1 && !division.places.is_empty())
    {
        let (fit, judge) = (train.pick(&division.kept), train.pick(&division.places));
        let share = judge.len() as f64 / all as f64;
        for (quality, found) in qualities.iter_mut().zip(judged(&fit, &judge)) {
            *quality += share * found;
        }
    }
    qualities
}

/// The training samples in parts, each of which is held out in turn, and how they were divided:
/// their groups (folds) where they have several, else this many parts with an even share of every
/// class, drawn (of all samples, where they have several classes). Samples of one source stay
/// together, but where each class has one source alone, so that none could be held out.
pub fn cross_validation(train: &Features, parts: usize, seed: Seed) -> (Vec<HoldOut>, String) {
    let groups = groups(train);
    let (of_sample, rule): (Vec<Option<usize>>, String) = if groups.len() > 1 {
        let place = |group: &Option<u8>| groups.iter().position(|known| Some(*known) == *group).unwrap_or(0);
        let rule = format!("each of {} folds in turn", groups.len());
        (train.groups.iter().map(|group| Some(place(group))).collect(), rule)
    } else {
        let rule = format!("each of {parts} parts in turn");
        let by_source = dealt(train, &units(train), parts, seed);
        if by_source.iter().any(Option::is_some) {
            (by_source, rule)
        } else {
            let alone: Vec<Vec<usize>> = (0..train.len()).map(|place| vec![place]).collect();
            (dealt(train, &alone, parts, seed), format!("{rule}, sources divided"))
        }
    };
    let used: BTreeSet<usize> = of_sample.iter().flatten().copied().collect();
    let held_out = used.into_iter().map(|part| {
        let (places, kept) = (0..train.len()).partition(|&place| of_sample[place] == Some(part));
        let rule = rule.clone();
        HoldOut { kept, places, rule }
    });
    (held_out.collect(), rule)
}

/// The part of each sample: units of one class after the other are dealt to the parts in turn, drawn. None for what always
/// trains: a unit of each class that one part would hold whole.
fn dealt(train: &Features, units: &[Vec<usize>], parts: usize, seed: Seed) -> Vec<Option<usize>> {
    let several = has_several(&train.targets);
    let class = |place: usize| if several { 0 } else { train.targets[place].classes()[0] };
    let mut order = seed.stream().permutation(units.len());
    order.sort_by_key(|&unit| class(units[unit][0]));
    let mut of_sample = vec![None; train.len()];
    for (turn, unit) in order.into_iter().enumerate() {
        units[unit]
            .iter()
            .for_each(|&place| of_sample[place] = Some(turn % parts));
    }
    let mut of_class: BTreeMap<usize, BTreeSet<Option<usize>>> = BTreeMap::new();
    for (place, part) in of_sample.iter().enumerate() {
        of_class.entry(class(place)).or_default().insert(*part);
    }
    let mut whole: BTreeSet<usize> = of_class
        .into_iter()
        .filter(|(_, parts)| parts.len() == 1)
        .map(|(class, _)| class)
        .collect();
    for unit in units {
        let classes: BTreeSet<usize> = unit.iter().map(|&place| class(place)).collect();
        if !whole.is_disjoint(&classes) {
            unit.iter().for_each(|&place| of_sample[place] = None);
            whole.retain(|class| !classes.contains(class));
        }
    }
    of_sample
}

/// The places of the training samples by source, in the order of their first ones; a sample without a source is alone.
fn units(train: &Features) -> Vec<Vec<usize>> {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (place, source) in train.sources.iter().enumerate() {
        let unit = match source {
            Some(source) => *known.entry(source).or_insert(units.len()),
            None => units.len(),
        };
        match units.get_mut(unit) {
            Some(unit) => unit.push(place),
            None => units.push(vec![place]),
        }
    }
    units
}

/// The groups (folds) of the training samples, each once.
fn groups(train: &Features) -> Vec<u8> {
    let groups: BTreeSet<u8> = train.groups.iter().flatten().copied().collect();
    groups.into_iter().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle_tasks::Target;

    fn features(groups: Vec<Option<u8>>) -> Features {
        let n = groups.len();
        Features {
            values: vec![0.0; n],
            dim: 1,
            targets: (0..n).map(|sample| Target::Class(sample % 5)).collect(),
            groups,
            sources: vec![None; n],
        }
    }

    #[test]
    fn a_fold_is_held_out_whole() {
        let train = features((0..60).map(|sample| Some(2 + (sample / 20) as u8)).collect());
        let found = HoldOut::of(&train, 0.2, Seed::root(0));
        assert_eq!((found.kept.len(), found.rule.as_str()), (40, "fold 2"));
        assert_eq!(found.places, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn without_folds_every_class_gives_its_share() {
        let train = features(vec![None; 60]);
        let found = HoldOut::of(&train, 0.25, Seed::root(0));
        assert_eq!((found.kept.len(), found.places.len()), (45, 15));
        let of_class = |class| {
            found
                .places
                .iter()
                .filter(|&&place| train.targets[place] == Target::Class(class))
                .count()
        };
        assert!((0..5).all(|class| of_class(class) == 3));
    }

    /// 60 recordings of 1 to 6 samples each, and 30 samples of no recording.
    #[test]
    fn samples_of_a_source_stay_on_one_side() {
        let cut = |source: usize| std::iter::repeat_n(Some(source), 1 + source % 6);
        let sources: Vec<Option<usize>> = (0..60).flat_map(cut).chain([None; 30]).collect();
        let mut train = features(vec![None; sources.len()]);
        for (place, source) in sources.iter().enumerate() {
            train.targets[place] = Target::Class(source.unwrap_or(place) % 5);
            train.sources[place] = source.map(|source| format!("recording {source}"));
        }
        let sides = |found: &HoldOut| {
            let of = |places: &[usize]| {
                places
                    .iter()
                    .filter_map(|&place| sources[place])
                    .collect::<BTreeSet<_>>()
            };
            (of(&found.kept), of(&found.places))
        };
        let (parts, _) = cross_validation(&train, 4, Seed::root(1));
        for found in parts.iter().chain([&HoldOut::of(&train, 0.2, Seed::root(0))]) {
            let (kept, held_out) = sides(found);
            assert!(kept.is_disjoint(&held_out), "{:?}", kept.intersection(&held_out));
            let share = found.places.len() as f64 / train.len() as f64;
            assert!((0.17..0.33).contains(&share), "{share}");
        }
        // one recording alone is not held out, since nothing would be left to train on
        train
            .sources
            .iter_mut()
            .for_each(|source| *source = Some("one".to_owned()));
        train.targets.iter_mut().for_each(|target| *target = Target::Class(0));
        assert_eq!(HoldOut::of(&train, 0.2, Seed::root(0)).places.len(), 0);
    }

    #[test]
    fn no_part_holds_a_class_whole() {
        let divided = |classes: &[usize], sources: &[Option<&str>], parts: usize| {
            let mut train = features(vec![None; classes.len()]);
            train.targets = classes.iter().map(|&class| Target::Class(class)).collect();
            train.sources = sources.iter().map(|source| source.map(str::to_owned)).collect();
            let (found, rule) = divisions(&train, 0.2, Some(parts), Seed::root(0));
            for division in &found {
                assert!(!division.places.is_empty());
                let of = |places: &[usize]| places.iter().map(|&place| classes[place]).collect::<BTreeSet<_>>();
                assert!(of(&division.places).is_subset(&of(&division.kept)), "{division:?}");
            }
            // every value is judged, whatever there is to judge by
            let found = qualities(&train, &found, 2, |fit, judge| {
                vec![fit.len().min(judge.len()).min(1) as f64; 2]
            });
            (
                found[0].round(),
                rule["rule"].as_str().unwrap().to_owned(),
                rule["n"].as_u64().unwrap(),
            )
        };
        let whole = |n| (1.0, "each of 5 parts in turn".to_owned(), n);
        let (a, b) = (Some("a"), Some("b"));
        // one source alone, and one for each class: nothing else can be held out
        let apart = |n| (1.0, "each of 5 parts in turn, sources divided".to_owned(), n);
        assert_eq!(divided(&[0, 0, 0, 1, 1, 1], &[a; 6], 5), apart(6));
        assert_eq!(divided(&[0, 0, 0, 1, 1, 1], &[a, a, a, b, b, b], 5), apart(6));
        // a source of its own for one class: it always trains
        assert_eq!(divided(&[0, 0, 0, 1, 1, 1], &[a, a, a, None, None, None], 5), whole(3));
        // two sources of two classes each; fewer sources than parts
        assert_eq!(divided(&[0, 1, 0, 1], &[a, a, b, b], 5), whole(4));
        // a class with one sample; no class with more
        assert_eq!(divided(&[0, 0, 0, 1], &[None; 4], 5), whole(3));
        assert_eq!(divided(&[0, 1, 2], &[None; 3], 5), (0.0, apart(0).1, 0));
    }

    #[test]
    fn every_part_judges_by_its_share_and_all_samples_choose() {
        let train = features(vec![None; 70]);
        let (parts, rule) = divisions(&train, 0.2, Some(3), Seed::root(0));
        assert_eq!(rule, json!({"rule": "each of 3 parts in turn", "n": 70}));
        let sizes = |fit: &Features, judge: &Features| {
            assert_eq!(fit.len() + judge.len(), 70);
            vec![1.0, judge.len() as f64]
        };
        let squares: usize = parts.iter().map(|part| part.places.len().pow(2)).sum();
        let found = qualities(&train, &parts, 2, sizes);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - squares as f64 / 70.0).abs() < 1e-12);
        // nothing to choose from
        assert_eq!(qualities(&train, &parts, 1, |_, _| panic!("judged")), [0.0]);
        let (one, rule) = divisions(&train, 0.2, None, Seed::root(0));
        assert_eq!((one.len(), rule["n"].as_u64()), (1, Some(15)));
    }
}
