//! Pairs the runs of two groups by seed and fold, and brings their samples into one order.

use super::groups::RunGroup;
use super::{CompareError, ScoredRun};
use crate::evidence::{self, Units};
use crate::metric::{ErrorRate, Influence, Metric, MetricError};
use crate::predictions::Outputs;
use crate::stats::{FoldRuns, Paired, PairedScores, PairedTranscripts, Spread};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What pairs two runs: the fold, then the seed.
type SeedOfFold = (Option<u8>, u64);

/// The runs of one protocol that both sides have.
pub(super) struct Pairs<'a> {
    pub(super) protocol: String,
    folds: Vec<FoldPairs<'a>>,
    left_out: [usize; 2],
}

/// The pairs of one fold, their samples in the order of the first run of A.
struct FoldPairs<'a> {
    wanted: &'a Outputs,
    units: Units,
    has_number: bool,
    seeds: Vec<Seeded<'a>>,
}

/// The pair of one seed.
struct Seeded<'a> {
    seed: u64,
    runs: [&'a ScoredRun; 2],
    found: [Aligned; 2],
}

/// A run's predictions in the order of another run's samples.
enum Aligned {
    Scores(Vec<f32>),
    Texts(Vec<String>),
}

impl Aligned {
    /// The scores; empty for transcripts.
    fn scores(&self) -> &[f32] {
        match self {
            Self::Scores(scores) => scores,
            Self::Texts(_) => &[],
        }
    }

    /// The texts; empty for scores.
    fn texts(&self) -> &[String] {
        match self {
            Self::Scores(_) => &[],
            Self::Texts(texts) => texts,
        }
    }
}

impl<'a> Pairs<'a> {
    pub(super) fn of(protocol: &str, a: &[&'a ScoredRun], b: &[&'a ScoredRun]) -> Result<Self, CompareError> {
        let (a, b) = (by_key('A', protocol, a)?, by_key('B', protocol, b)?);
        let common: Vec<SeedOfFold> = a.keys().copied().filter(|key| b.contains_key(key)).collect();
        if common.is_empty() {
            let words = |runs: &BTreeMap<SeedOfFold, &ScoredRun>| runs.keys().map(|key| in_words(*key)).collect();
            return Err(CompareError::NoCommonRun {
                protocol: protocol.into(),
                a: words(&a),
                b: words(&b),
            });
        }
        let mut folds: BTreeMap<Option<u8>, Vec<(u64, [&ScoredRun; 2])>> = BTreeMap::new();
        for key in &common {
            folds.entry(key.0).or_default().push((key.1, [a[key], b[key]]));
        }
        let fold =
            |(number, pairs): (Option<u8>, Vec<(u64, [&'a ScoredRun; 2])>)| FoldPairs::of(protocol, number, &pairs);
        Ok(Self {
            protocol: protocol.into(),
            folds: folds.into_iter().map(fold).collect::<Result<_, _>>()?,
            left_out: [a.len() - common.len(), b.len() - common.len()],
        })
    }

    pub(super) fn paired(&self, metric: Metric) -> Result<Paired, CompareError> {
        let (mut scores, mut texts): (Vec<PairedScores>, Vec<PairedTranscripts>) = Default::default();
        for fold in &self.folds {
            let seeds = || fold.seeds.iter().map(|seeded| &seeded.found);
            match fold.wanted {
                Outputs::Scores(wanted) => scores.push(PairedScores {
                    targets: &wanted.targets,
                    sources: fold.units.of_sample(),
                    classes: wanted.classes,
                    seeds: seeds().map(|found| found.each_ref().map(Aligned::scores)).collect(),
                }),
                Outputs::Transcripts(wanted) => texts.push(PairedTranscripts {
                    references: &wanted.references,
                    sources: fold.units.of_sample(),
                    seeds: seeds().map(|found| found.each_ref().map(Aligned::texts)).collect(),
                }),
            }
        }
        let paired = match metric.unit() {
            Some(unit) => Paired::of_transcripts(unit, &texts),
            None => Paired::new(metric, &scores),
        };
        // each run was evaluated before, so the first stands for all
        let first = self.folds[0].seeds[0].runs[0];
        paired.map_err(|source| first.metric_error(source))
    }

    /// The spread of the difference A - B over pairs of runs and test samples. None where the metric
    /// is undefined, and with fewer than two sources.
    pub(super) fn spread(&self, metric: Metric) -> Result<Option<Spread>, CompareError> {
        let of_fold = |fold: &FoldPairs| {
            let mut runs = FoldRuns {
                values: Vec::new(),
                influences: Vec::new(),
                samples: fold.wanted.ids().len(),
            };
            for seeded in &fold.seeds {
                let [Some(a), Some(b)] = [0, 1].map(|side| fold.influence(metric, &seeded.found[side])) else {
                    return Ok(None);
                };
                let (a, b) = (a?, b?);
                let by_sample: Vec<f64> = a.by_sample.iter().zip(&b.by_sample).map(|(a, b)| a - b).collect();
                runs.values.push(a.value - b.value);
                runs.influences.push(fold.units.sums(&by_sample));
            }
            Ok(Some(runs))
        };
        let folds: Result<Vec<Option<FoldRuns>>, MetricError> = self.folds.iter().map(of_fold).collect();
        // each run was evaluated before, so the first stands for all
        let first = self.folds[0].seeds[0].runs[0];
        let folds = folds.map_err(|source| first.metric_error(source))?;
        let folds: Option<Vec<FoldRuns>> = folds.into_iter().collect();
        Ok(folds.and_then(|folds| Spread::of(&folds)))
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &'a ScoredRun> {
        self.folds
            .iter()
            .flat_map(|fold| &fold.seeds)
            .flat_map(|seeded| seeded.runs)
    }

    fn of_side(&self, side: usize) -> impl Iterator<Item = &'a ScoredRun> {
        self.runs().skip(side).step_by(2)
    }

    /// How many runs of A (side 0) or B did not train.
    pub(super) fn untrained(&self, side: usize) -> usize {
        evidence::untrained(self.of_side(side).map(|run| {
            let frequent = evidence::frequent(&run.predictions);
            evidence::judged(&run.record, frequent, &self.protocol)
        }))
    }

    /// The recorded values of A's (side 0) or B's runs.
    pub(super) fn values(&self, side: usize, metric: Metric) -> Vec<f64> {
        let of_run = |run: &ScoredRun| run.record.score(&self.protocol, metric.name())?.value;
        self.of_side(side).filter_map(of_run).collect()
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

impl<'a> FoldPairs<'a> {
    fn of(protocol: &str, number: Option<u8>, pairs: &[(u64, [&'a ScoredRun; 2])]) -> Result<Self, CompareError> {
        let first = pairs[0].1[0];
        let seeded = |(seed, runs): &(u64, [&'a ScoredRun; 2])| {
            let [a, b] = *runs;
            Ok(Seeded {
                seed: *seed,
                runs: *runs,
                found: [aligned(protocol, first, a)?, aligned(protocol, first, b)?],
            })
        };
        Ok(Self {
            wanted: &first.predictions,
            units: Units::of(first.record.task(), &first.predictions),
            has_number: number.is_some(),
            seeds: pairs.iter().map(seeded).collect::<Result<_, CompareError>>()?,
        })
    }
}

impl FoldPairs<'_> {
    /// The metric of predictions in the order of this fold's samples. None where it is undefined.
    fn influence(&self, metric: Metric, found: &Aligned) -> Option<Result<Influence, MetricError>> {
        match (self.wanted, metric.unit()) {
            (Outputs::Scores(wanted), None) => {
                let found = metric.influence(found.scores(), &wanted.targets, wanted.classes);
                found.transpose()
            }
            (Outputs::Transcripts(wanted), Some(unit)) => {
                let pairs = wanted.references.iter().zip(found.texts());
                let rate = ErrorRate::of(unit, pairs.map(|(wanted, found)| (&wanted[..], &found[..])));
                Some(rate.map(|rate| rate.influence()))
            }
            _ => None,
        }
    }
}

/// The runs of a side, by fold and seed.
fn by_key<'a>(
    side: char,
    protocol: &str,
    runs: &[&'a ScoredRun],
) -> Result<BTreeMap<SeedOfFold, &'a ScoredRun>, CompareError> {
    let mut found: BTreeMap<SeedOfFold, &ScoredRun> = BTreeMap::new();
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

fn in_words((fold, seed): SeedOfFold) -> String {
    match fold {
        Some(fold) => format!("seed {seed} fold {fold}"),
        None => format!("seed {seed}"),
    }
}

/// The predictions of `run` in the order of the samples of `order`.
fn aligned(protocol: &str, order: &ScoredRun, run: &ScoredRun) -> Result<Aligned, CompareError> {
    let disagree = |id: String| CompareError::Targets {
        path: order.path.clone(),
        other: run.path.clone(),
        id,
    };
    let kind = |run: &ScoredRun| match &run.predictions {
        Outputs::Scores(predictions) => format!("{} classes", predictions.classes),
        Outputs::Transcripts(_) => "transcripts".to_owned(),
    };
    if kind(order) != kind(run) {
        let (wanted, given) = (kind(order), kind(run));
        let wanted = wanted
            .strip_suffix(" classes")
            .filter(|_| given.ends_with("classes"))
            .unwrap_or(&wanted);
        return Err(disagree(format!("all samples: {wanted} and {given}")));
    }
    let (rows, in_order) = (rows(run)?, self::rows(order)?);
    let absent = |ids: &[String], rows: &HashMap<&str, usize>| -> Vec<String> {
        ids.iter().filter(|id| !rows.contains_key(&id[..])).cloned().collect()
    };
    let (missing, added) = (
        absent(order.predictions.ids(), &rows),
        absent(run.predictions.ids(), &in_order),
    );
    if !missing.is_empty() || !added.is_empty() {
        return Err(CompareError::Samples {
            path: order.path.clone(),
            other: run.path.clone(),
            missing,
            added,
        });
    }
    let in_order = order.predictions.ids().iter().map(|id| (id, rows[&id[..]]));
    let mut aligned = match run.predictions {
        Outputs::Scores(_) => Aligned::Scores(Vec::new()),
        Outputs::Transcripts(_) => Aligned::Texts(Vec::new()),
    };
    for (place, (id, row)) in in_order.enumerate() {
        let agree = match (&order.predictions, &run.predictions, &mut aligned) {
            (Outputs::Scores(wanted), Outputs::Scores(given), Aligned::Scores(aligned)) => {
                let scores = given.protocol(protocol).ok_or_else(|| run.no_scores(protocol))?;
                aligned.extend_from_slice(&scores[row * given.classes..][..given.classes]);
                wanted.targets[place] == given.targets[row]
            }
            (Outputs::Transcripts(wanted), Outputs::Transcripts(given), Aligned::Texts(aligned)) => {
                let texts = given.protocol(protocol).ok_or_else(|| run.no_scores(protocol))?;
                aligned.push(texts[row].clone());
                wanted.references[place] == given.references[row]
            }
            // they were found to be of one kind
            _ => false,
        };
        if !agree {
            return Err(disagree(format!("sample `{id}`")));
        }
    }
    Ok(aligned)
}

/// The row of each sample.
fn rows(run: &ScoredRun) -> Result<HashMap<&str, usize>, CompareError> {
    let mut rows = HashMap::new();
    for (row, id) in run.predictions.ids().iter().enumerate() {
        if rows.insert(&id[..], row).is_some() {
            return Err(CompareError::SampleTwice {
                path: run.path.clone(),
                id: id.clone(),
            });
        }
    }
    Ok(rows)
}

/// A note where the two sides had different data.
pub(super) fn data_note(groups: [&RunGroup; 2]) -> Option<String> {
    let [a, b] = groups.map(RunGroup::data);
    if a.variant != b.variant {
        return Some(format!(
            "different variants of the data: A {}, B {}",
            a.variant, b.variant
        ));
    }
    let differ = a.identity() != b.identity();
    differ.then(|| format!("different data: A {}, B {}", a.words(), b.words()))
}
