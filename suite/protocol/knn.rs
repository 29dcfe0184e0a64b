//! Nearest neighbours: each test sample takes the classes of the training samples most like it, by
//! the cosine of their frozen features; votes weigh exp(cosine / temperature) (Wu et al. 2018,
//! arXiv 1805.01978).
//!
//! The number of neighbours is chosen from a closed list on a held-out part of the training
//! samples, the smaller on a tie. Nothing is trained, so that the figure depends on the features
//! alone.

use super::features::{Choice, Features, has_several, quality};
use super::hold_out::{divisions, enough_parts, qualities};
use super::scale::Scale;
use super::{Evaluate, Outcome, Subject};
use crate::data::{Fixed, Utterances};
use crate::plan::{Core, Judging, Section, Stage, Takes};
use crate::train::TrainError;
use bridle::codebook::unit;
use bridle_backends::{Ops, TrainBackend};
use bridle_seed::Seed;
use bridle_values::check::{Checked, at_least_one, held_out, positive, require};
use bridle_values::choices;
use burn::tensor::{ElementConversion, Tensor};
use serde::{Deserialize, Serialize};

/// Test samples compared at a time: their cosines with all training samples are in memory together.
const ROWS: usize = 256;

/// Classes that none of the neighbours has are ranked by the votes of all training samples. These
/// weigh so little that the neighbours decide among the others.
const REST: f32 = 1e-6;

/// Nearest neighbours among frozen, mean-pooled features, by cosine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knn {
    /// Closed list of numbers of neighbours; one is chosen on held-out training samples, never on
    /// the test samples.
    pub neighbours: Vec<usize>,
    /// A vote weighs exp(cosine / temperature).
    pub temperature: f64,
    /// Share of the training samples held out to choose the number; a fold, where there are several.
    pub holdout: f64,
    /// Parts of a cross-validation, or the folds, each held out in turn to choose the number; None: only one part is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
    /// Whether each feature is brought to mean 0 and deviation 1, as measured on the training
    /// samples.
    pub standardise: bool,
    /// What ranks classes without a vote. Plans omit `none`, which is what plans without this value
    /// meant.
    #[serde(default = "Rest::earlier", skip_serializing_if = "Rest::is_none")]
    pub rest: Rest,
}

choices! {
    /// What ranks the classes that no neighbour votes for, of which few neighbours leave many.
    "rank of classes without a vote" Rest {
        /// the votes of all training samples
        All = "all",
        /// nothing, so that a class's number decides among them, as in plans of earlier versions
        None = "none",
    }
}

impl Rest {
    const fn earlier() -> Self {
        Self::None
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Section for Knn {
    const STAGE: Stage = Stage::Judging;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("rest", "\"none\""), ("parts", "null")];
    const DEFAULTS: &'static str = "
        [knn]
        neighbours = [1, 5, 10, 20, 50]
        temperature = 0.07
        holdout = 0.2
        standardise = true
        rest = \"all\"

        [preset.mini.knn]
        neighbours = [1, 5, 10, 20, 50, 100, 200]
        parts = 5
    ";

    fn check(&self, _plan: &Core) -> Checked {
        require(!self.neighbours.is_empty(), "knn.neighbours", || {
            "the list of numbers is empty".to_owned()
        })?;
        self.neighbours
            .iter()
            .try_for_each(|&count| at_least_one("knn.neighbours", count))?;
        positive("knn.temperature", self.temperature)?;
        held_out("knn.holdout", self.holdout)?;
        enough_parts("knn.parts", self.parts)
    }
}

impl Judging for Knn {
    const TRAINS_ENCODER: bool = false;
    const TAKES: Takes = Takes::Fixed;
    const TAKES_VECTORS: bool = true;
    const OVER_RANKS: bool = true;
}

impl<B: TrainBackend> Evaluate<B> for Knn {
    fn classes(&self, subject: &Subject<'_, B, Fixed<'_>>) -> Result<Outcome, TrainError> {
        let what = format!("knn: {} numbers of neighbours", self.neighbours.len());
        subject.progress.say(&what);
        let (train, test) = subject.features()?;
        let (seed, classes) = (subject.seed.child("knn"), subject.classes());
        let found = run::<B::InnerBackend>(train, test, classes, self, seed, subject.device);
        Ok(subject.of_features(found))
    }

    fn transcripts(&self, _subject: &Subject<'_, B, Utterances<'_>>) -> Result<Outcome, TrainError> {
        unreachable!("no plan of speech has knn")
    }
}

fn run<B: Ops>(
    train: &Features,
    test: &Features,
    classes: usize,
    knn: &Knn,
    seed: Seed,
    device: &B::Device,
) -> Outcome {
    let (divisions, rule) = divisions(train, knn.holdout, knn.parts, seed.child("hold-out"));
    let shares = qualities(train, &divisions, knn.neighbours.len(), |fit, judge| {
        let voted = votes::<B>(fit, judge, classes, knn, &knn.neighbours, device);
        let shares = voted.iter().map(|scores| quality(scores, &judge.targets, classes));
        shares.collect()
    });
    let chosen = Choice::new("neighbours", &knn.neighbours, &shares, train, rule);
    let scores = votes::<B>(train, test, classes, knn, &[chosen.best], device);
    Outcome::of_scores("knn", scores.into_iter().flatten().collect(), chosen.details)
}

/// Class scores [n, C] of the test samples for each number of neighbours.
fn votes<B: Ops>(
    train: &Features,
    test: &Features,
    classes: usize,
    knn: &Knn,
    neighbours: &[usize],
    device: &B::Device,
) -> Vec<Vec<f32>> {
    let scale = Scale::of(train, knn.standardise);
    let known: Tensor<B, 2> = unit(scale.apply(train, device)); // [n, D]
    let asked: Tensor<B, 2> = unit(scale.apply(test, device));
    let most = neighbours.iter().copied().max().unwrap_or(0);
    // a class of one among several is found by comparing samples, for which votes must be shares
    let shares = has_several(&train.targets);
    let mut scores = vec![vec![0.0; test.len() * classes]; neighbours.len()];
    for first in (0..test.len()).step_by(ROWS) {
        let rows = ROWS.min(test.len() - first);
        let cosines = B::dot_products(asked.clone().narrow(0, first, rows), known.clone()); // [rows, n]
        let cosines: Vec<f32> = cosines.into_data().iter::<f32>().map(|cosine| cosine.elem()).collect();
        for (row, cosines) in cosines.chunks_exact(train.len()).enumerate() {
            let near = nearest(cosines, most);
            let vote = |samples: &mut dyn Iterator<Item = usize>, votes: &mut [f32]| {
                let mut weights = 0.0;
                for sample in samples {
                    let weight = (cosines[sample] / knn.temperature as f32).exp();
                    weights += weight;
                    let classes = train.targets[sample].classes();
                    classes.iter().for_each(|&class| votes[class] += weight);
                }
                weights
            };
            let mut all = vec![0.0; classes];
            let all_weights = match knn.rest {
                Rest::All => vote(&mut (0..train.len()), &mut all),
                Rest::None => 1.0,
            };
            for (&count, scores) in neighbours.iter().zip(&mut scores) {
                let votes = &mut scores[(first + row) * classes..][..classes];
                let weights = vote(&mut near.iter().take(count).copied(), votes);
                if shares || knn.rest == Rest::All {
                    votes.iter_mut().for_each(|vote| *vote /= weights);
                }
                let rest = all.iter().map(|vote| REST * vote / all_weights);
                votes.iter_mut().zip(rest).for_each(|(vote, rest)| *vote += rest);
            }
        }
    }
    scores
}

/// The places of the `count` highest values, highest first, the first of equals first.
fn nearest(values: &[f32], count: usize) -> Vec<usize> {
    let count = count.min(values.len());
    let mut places: Vec<usize> = (0..values.len()).collect();
    let order = |a: &usize, b: &usize| values[*b].total_cmp(&values[*a]).then(a.cmp(b));
    if count < places.len() {
        places.select_nth_unstable_by(count, order);
        places.truncate(count);
    }
    places.sort_unstable_by(order);
    places
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle_tasks::Target;
    use burn_flex::Flex;
    use proptest::prelude::*;
    use serde_json::json;

    fn knn(neighbours: &[usize]) -> Knn {
        Knn {
            neighbours: neighbours.to_vec(),
            temperature: 0.07,
            holdout: 0.25,
            parts: None,
            standardise: false,
            rest: Rest::None,
        }
    }

    /// Points on a circle; the class is the quarter.
    fn circle(n: usize, noise: f32, seed: u64) -> Features {
        let mut stream = Seed::root(seed).stream();
        let mut values = Vec::new();
        let mut targets = Vec::new();
        for sample in 0..n {
            let angle = sample as f32 / n as f32;
            let turned = (angle + noise * stream.normal()) * std::f32::consts::TAU;
            values.extend([turned.cos(), turned.sin()]);
            targets.push(Target::Class((angle * 4.0) as usize));
        }
        Features {
            values,
            dim: 2,
            targets,
            groups: vec![None; n],
            sources: vec![None; n],
        }
    }

    fn scores_of(found: &Outcome) -> &[f32] {
        found.predictions[0].values.scores()
    }

    fn judge(train: &Features, test: &Features, values: &Knn) -> Outcome {
        run::<Flex>(train, test, 4, values, Seed::root(0), &Default::default())
    }

    #[test]
    fn one_neighbour_of_a_known_sample_is_itself() {
        let train = circle(40, 0.0, 0);
        let found = judge(&train, &train, &knn(&[1]));
        assert_eq!(quality(scores_of(&found), &train.targets, 4), 1.0);
        assert!(
            scores_of(&found)
                .chunks_exact(4)
                .all(|row| row.iter().filter(|&&votes| votes > 0.0).count() == 1)
        );
    }

    /// With one neighbour, one class of four has a vote. The next one lies beside it, never opposite.
    #[test]
    fn classes_without_a_vote_are_ranked_by_all_samples() {
        let (train, test) = (circle(80, 0.0, 0), circle(37, 0.02, 1));
        let all = Knn {
            rest: Rest::All,
            ..knn(&[1])
        };
        let (found, voted) = (judge(&train, &test, &all), judge(&train, &test, &knn(&[1])));
        let ranked = |found: &Outcome| {
            scores_of(found)
                .chunks_exact(4)
                .map(|row| nearest(row, 4))
                .collect::<Vec<_>>()
        };
        let (found, voted) = (ranked(&found), ranked(&voted));
        assert!(found.iter().zip(&voted).all(|(found, voted)| found[0] == voted[0]));
        let opposite = |ranks: &[Vec<usize>]| ranks.iter().filter(|ranks| (ranks[0] + ranks[1]) % 2 == 0).count();
        assert_eq!(opposite(&found), 0);
        assert!(opposite(&voted) > 0, "the lowest number decides");
    }

    #[test]
    fn length_of_features_says_nothing() {
        let (train, test) = (circle(80, 0.02, 0), circle(37, 0.02, 1));
        let mut longer = test.clone();
        longer.values.chunks_exact_mut(2).enumerate().for_each(|(row, point)| {
            point.iter_mut().for_each(|x| *x *= 1.0 + row as f32);
        });
        let (a, b) = (judge(&train, &test, &knn(&[5])), judge(&train, &longer, &knn(&[5])));
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * a.abs().max(1.0);
        assert!(scores_of(&a).iter().zip(scores_of(&b)).all(close));
    }

    #[test]
    fn noise_wants_more_neighbours_and_the_test_samples_do_not_choose() {
        let (mut train, test) = (circle(400, 0.0, 0), circle(100, 0.0, 1));
        // every third class is drawn: the nearest neighbour alone is often wrong
        let mut stream = Seed::root(3).stream();
        train
            .targets
            .iter_mut()
            .step_by(3)
            .for_each(|target| *target = Target::Class(stream.below(4)));
        let found = judge(&train, &test, &knn(&[1, 25]));
        assert_eq!(found.details["neighbours"], json!(25));
        let mut lied = test.clone();
        lied.targets.iter_mut().for_each(|target| *target = Target::Class(0));
        let again = judge(&train, &lied, &knn(&[1, 25]));
        assert_eq!(scores_of(&again), scores_of(&found));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nearest_agrees_with_sorting(values in prop::collection::vec(-4i8..4, 1..40), count in 0usize..45) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut sorted: Vec<usize> = (0..values.len()).collect();
            sorted.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            sorted.truncate(count);
            prop_assert_eq!(nearest(&values, count), sorted);
        }
    }
}
