//! Which runs of A and of B belong together, with their samples in one order.

use super::groups::Group;
use super::{CompareError, Run};
use crate::metric::Metric;
use crate::stats::{Paired, PairedScores};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a run is paired by: the fold, then the seed.
type Key = (Option<u8>, u64);

/// The runs of one protocol that both sides have.
pub(super) struct Pairs<'a> {
    pub(super) protocol: String,
    folds: Vec<Fold<'a>>,
    left_out: [usize; 2],
}

/// The pairs of one fold, their samples in the order of the first run of A.
struct Fold<'a> {
    targets: &'a [Vec<u32>],
    classes: usize,
    has_number: bool,
    seeds: Vec<Seeded<'a>>,
}

/// The pair of one seed.
struct Seeded<'a> {
    seed: u64,
    runs: [&'a Run; 2],
    scores: [Vec<f32>; 2],
}

impl<'a> Pairs<'a> {
    pub(super) fn of(protocol: &str, a: &[&'a Run], b: &[&'a Run]) -> Result<Self, CompareError> {
        let (a, b) = (by_key('A', protocol, a)?, by_key('B', protocol, b)?);
        let common: Vec<Key> = a.keys().copied().filter(|key| b.contains_key(key)).collect();
        if common.is_empty() {
            let words = |runs: &BTreeMap<Key, &Run>| runs.keys().map(|key| in_words(*key)).collect();
            return Err(CompareError::NoCommonRun {
                protocol: protocol.into(),
                a: words(&a),
                b: words(&b),
            });
        }
        let mut folds: BTreeMap<Option<u8>, Vec<(u64, [&Run; 2])>> = BTreeMap::new();
        for key in &common {
            folds.entry(key.0).or_default().push((key.1, [a[key], b[key]]));
        }
        let fold = |(number, pairs): (Option<u8>, Vec<(u64, [&'a Run; 2])>)| Fold::of(protocol, number, &pairs);
        Ok(Self {
            protocol: protocol.into(),
            folds: folds.into_iter().map(fold).collect::<Result<_, _>>()?,
            left_out: [a.len() - common.len(), b.len() - common.len()],
        })
    }

    pub(super) fn paired<'s>(&'s self, metric: Metric) -> Result<Paired, CompareError> {
        let scores = |seeded: &'s Seeded<'a>| seeded.scores.each_ref().map(|scores| &scores[..]);
        let fold = |fold: &'s Fold<'a>| PairedScores {
            targets: fold.targets,
            classes: fold.classes,
            seeds: fold.seeds.iter().map(scores).collect(),
        };
        let folds: Vec<PairedScores> = self.folds.iter().map(fold).collect();
        // every run was judged before, so that the first one stands for all
        let first = self.folds[0].seeds[0].runs[0];
        Paired::new(metric, &folds).map_err(|source| first.unjudged(source))
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &'a Run> {
        self.folds
            .iter()
            .flat_map(|fold| &fold.seeds)
            .flat_map(|seeded| seeded.runs)
    }

    /// The seed of each pair, in the order of [`Paired::runs`].
    pub(super) fn seeds_of_runs(&self) -> impl Iterator<Item = u64> {
        self.folds.iter().flat_map(|fold| &fold.seeds).map(|seeded| seeded.seed)
    }

    pub(super) fn seeds(&self) -> BTreeSet<u64> {
        self.seeds_of_runs().collect()
    }

    pub(super) fn folds(&self) -> usize {
        self.folds.iter().filter(|fold| fold.has_number).count()
    }

    /// A note on the runs without a partner.
    pub(super) fn left_out(&self) -> Option<String> {
        let [a, b] = self.left_out;
        let note = format!("left out without a partner: {a} {} runs of A, {b} of B", self.protocol);
        (a + b > 0).then_some(note)
    }
}

impl<'a> Fold<'a> {
    fn of(protocol: &str, number: Option<u8>, pairs: &[(u64, [&'a Run; 2])]) -> Result<Self, CompareError> {
        let first = pairs[0].1[0];
        let seeded = |(seed, runs): &(u64, [&'a Run; 2])| {
            let [a, b] = *runs;
            Ok(Seeded {
                seed: *seed,
                runs: *runs,
                scores: [aligned(protocol, first, a)?, aligned(protocol, first, b)?],
            })
        };
        Ok(Self {
            targets: &first.predictions.targets,
            classes: first.predictions.classes,
            has_number: number.is_some(),
            seeds: pairs.iter().map(seeded).collect::<Result<_, CompareError>>()?,
        })
    }
}

/// The runs of a side, by fold and seed.
fn by_key<'a>(side: char, protocol: &str, runs: &[&'a Run]) -> Result<BTreeMap<Key, &'a Run>, CompareError> {
    let mut found: BTreeMap<Key, &Run> = BTreeMap::new();
    for &run in runs {
        let key = (run.record.fold, run.record.seed);
        if let Some(other) = found.insert(key, run) {
            return Err(CompareError::Twice {
                side,
                protocol: protocol.into(),
                run: in_words(key),
                path: other.path.clone(),
                other: run.path.clone(),
            });
        }
    }
    Ok(found)
}

fn in_words((fold, seed): Key) -> String {
    match fold {
        Some(fold) => format!("seed {seed} fold {fold}"),
        None => format!("seed {seed}"),
    }
}

/// The scores of `run` in the order of the samples of `order`.
fn aligned(protocol: &str, order: &Run, run: &Run) -> Result<Vec<f32>, CompareError> {
    let (wanted, given) = (&order.predictions, &run.predictions);
    let disagree = |id: String| CompareError::Targets {
        path: order.path.clone(),
        other: run.path.clone(),
        id,
    };
    if wanted.classes != given.classes {
        return Err(disagree(format!(
            "all samples: {} and {} classes",
            wanted.classes, given.classes
        )));
    }
    let (rows, in_order) = (rows(run)?, self::rows(order)?);
    let absent = |ids: &[String], rows: &HashMap<&str, usize>| -> Vec<String> {
        ids.iter().filter(|id| !rows.contains_key(&id[..])).cloned().collect()
    };
    let (missing, added) = (absent(&wanted.ids, &rows), absent(&given.ids, &in_order));
    if !missing.is_empty() || !added.is_empty() {
        return Err(CompareError::Samples {
            path: order.path.clone(),
            other: run.path.clone(),
            missing,
            added,
        });
    }
    let scores = run.scores(protocol)?;
    let mut aligned = Vec::with_capacity(scores.len());
    for (id, targets) in wanted.ids.iter().zip(&wanted.targets) {
        let row = rows[&id[..]];
        if *targets != given.targets[row] {
            return Err(disagree(format!("sample `{id}`")));
        }
        aligned.extend_from_slice(&scores[row * given.classes..][..given.classes]);
    }
    Ok(aligned)
}

/// The row of each sample.
fn rows(run: &Run) -> Result<HashMap<&str, usize>, CompareError> {
    let mut rows = HashMap::new();
    for (row, id) in run.predictions.ids.iter().enumerate() {
        if rows.insert(&id[..], row).is_some() {
            return Err(CompareError::SampleTwice {
                path: run.path.clone(),
                id: id.clone(),
            });
        }
    }
    Ok(rows)
}

/// A note where the two sides stand on other variants of the data.
pub(super) fn data_note(groups: [&Group; 2]) -> Option<String> {
    let [of_a, of_b] = groups.map(|group| {
        let variants: BTreeSet<&str> = group.runs.iter().map(|run| &run.record.data.variant[..]).collect();
        variants.into_iter().collect::<Vec<_>>().join(", ")
    });
    (of_a != of_b).then(|| format!("other variants of the data: A {of_a}, B {of_b}"))
}
