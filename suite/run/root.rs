//! Where a run's random numbers begin.

use bridle_results::record::RunRecord;
use bridle_seed::Seed;

/// Seed and test fold. The runs of a seed on several folds are runs of their own only if they share no random numbers:
/// the fold is part of the root, but for the first, whose runs are those of a task without folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Given with `--seed`.
    pub seed: u64,
    /// Test fold, counted from 1.
    pub fold: Option<u8>,
    /// Whether random numbers begin at seed and fold, not at the seed alone.
    pub fold_in_root: bool,
}

impl Root {
    /// Of a new run.
    pub fn new(seed: u64, fold: Option<u8>) -> Self {
        let fold_in_root = fold.is_some_and(|fold| fold > 1);
        Self {
            seed,
            fold,
            fold_in_root,
        }
    }

    /// Of a recorded run; in older records it is the seed alone.
    pub fn of_record(record: &RunRecord) -> Self {
        Self {
            seed: record.seed,
            fold: record.fold,
            fold_in_root: record.fold_in_root,
        }
    }

    /// The root of the tree of random numbers.
    pub fn tree(&self) -> Seed {
        let root = Seed::root(self.seed);
        match self.fold {
            Some(fold) if self.fold_in_root => root.child("fold").indexed(fold.into()),
            _ => root,
        }
    }

    /// What checkpoints of a run on the data of this identity must fit: also where its random numbers begin.
    pub fn identity(&self, data: &str) -> String {
        match self.fold {
            Some(fold) if self.fold_in_root => format!("{data}, numbers of fold {fold}"),
            _ => data.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_and_fold_has_numbers_of_its_own() {
        let mut trees = Vec::new();
        for seed in 0..3 {
            for fold in 1..=5 {
                trees.push(Root::new(seed, Some(fold)).tree());
            }
        }
        for (place, tree) in trees.iter().enumerate() {
            assert!(!trees[..place].contains(tree));
        }
        assert_eq!(Root::new(2, Some(1)).tree(), Root::new(2, None).tree());
        assert_eq!(Root::new(2, None).tree(), Seed::root(2));
        let shared = Root {
            fold_in_root: false,
            ..Root::new(1, Some(4))
        };
        assert_eq!(shared.tree(), Seed::root(1));
        // checkpoints of the one do not go on as the other
        assert_ne!(shared.identity("data"), Root::new(1, Some(4)).identity("data"));
        assert_eq!(shared.identity("data"), Root::new(1, Some(1)).identity("data"));
    }
}
