//! Training samples held out to choose a protocol's values, so that the test samples choose
//! nothing.

use super::features::{Features, has_several};
use bridle_seed::Seed;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    /// drawn (of all samples, where they have several classes).
    ///
    /// Folds keep recordings of one source together, but for 4 of ESC-50's 1,524 sources. Each of
    /// these lies in two folds under two classes, which a test of the task counts.
    pub fn of(train: &Features, share: f64, seed: Seed) -> Self {
        if let [first, _, ..] = groups(train)[..] {
            let (places, kept) = (0..train.len()).partition(|&place| train.groups[place] == Some(first));
            let rule = format!("fold {first}");
            return Self { kept, places, rule };
        }
        let mut held_out = vec![false; train.len()];
        let mut stream = seed.stream();
        if has_several(&train.targets) {
            let drawn = stream.permutation(train.len());
            let (places, kept) = drawn.split_at((train.len() as f64 * share).round() as usize);
            let sorted = |places: &[usize]| {
                let mut places = places.to_vec();
                places.sort_unstable();
                places
            };
            let rule = format!("{share} of all");
            return Self {
                kept: sorted(kept),
                places: sorted(places),
                rule,
            };
        }
        let of = |place: usize| train.targets[place].classes()[0];
        let classes = (0..train.len()).map(of).max().map_or(0, |most| most + 1);
        for class in 0..classes {
            let mut members: Vec<usize> = (0..train.len()).filter(|&place| of(place) == class).collect();
            stream.shuffle(&mut members);
            let count = (members.len() as f64 * share).round() as usize;
            members.iter().take(count).for_each(|&place| held_out[place] = true);
        }
        let (places, kept) = (0..train.len()).partition(|&place| held_out[place]);
        let rule = format!("{share} of every class");
        Self { kept, places, rule }
    }

    /// For the record: the rule and how many samples it held out.
    pub fn in_words(&self) -> Value {
        json!({"rule": self.rule, "n": self.places.len()})
    }
}

/// The training samples in parts, each of which is held out in turn, and how they were divided:
/// their groups (folds) where they have several, else this many parts with an even share of every
/// class, drawn (of all samples, where they have several classes).
pub fn cross_validation(train: &Features, parts: usize, seed: Seed) -> (Vec<HoldOut>, String) {
    let groups = groups(train);
    let (of_sample, rule): (Vec<usize>, String) = if groups.len() > 1 {
        let place = |group: &Option<u8>| groups.iter().position(|known| Some(*known) == *group).unwrap_or(0);
        let rule = format!("each of {} folds in turn", groups.len());
        (train.groups.iter().map(place).collect(), rule)
    } else {
        // samples of one class after the other are dealt to the parts in turn
        let mut dealt = seed.stream().permutation(train.len());
        if !has_several(&train.targets) {
            dealt.sort_by_key(|&place| train.targets[place].classes()[0]);
        }
        let mut of_sample = vec![0; train.len()];
        for (turn, place) in dealt.into_iter().enumerate() {
            of_sample[place] = turn % parts;
        }
        (of_sample, format!("each of {parts} parts in turn"))
    };
    let count = of_sample.iter().max().map_or(0, |most| most + 1);
    let held_out = (0..count).map(|part| {
        let (places, kept) = (0..train.len()).partition(|&place| of_sample[place] == part);
        let rule = rule.clone();
        HoldOut { kept, places, rule }
    });
    (held_out.collect(), rule)
}

/// The groups (folds) of the training samples, each once.
fn groups(train: &Features) -> Vec<u8> {
    let groups: BTreeSet<u8> = train.groups.iter().flatten().copied().collect();
    groups.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridle_tasks::Target;

    fn features(groups: Vec<Option<u8>>) -> Features {
        let n = groups.len();
        Features {
            values: vec![0.0; n],
            dim: 1,
            targets: (0..n).map(|sample| Target::Class(sample % 5)).collect(),
            groups,
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
}
