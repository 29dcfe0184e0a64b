//! What the predictions beside records say of their scores: how much each source of test samples
//! moves every value. Tables need it for intervals over runs and samples.

use crate::metric::{ErrorRate, Influence, Metric, MetricError};
use crate::predictions::Outputs;
use crate::record::RunRecord;
use crate::stats::{self, FoldRuns, Spread};
use crate::store::{self, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Tolerance between a recorded value and the one recomputed from predictions.
const RECORDED: f64 = 1e-6;

/// An error rate from which on a run learned nothing: empty texts have 1.
const EMPTY_TEXTS: f64 = 0.9;

/// The source recordings of samples of this task, `[N]`: as the data names them, or as the name of
/// an ESC-50 clip does (`fold-source-take-class`). None where neither does.
pub fn sources(task: &str, ids: &[String], named: Option<&[String]>) -> Option<Vec<String>> {
    let of_clip = |id: &String| {
        let parts: Vec<&str> = id.split('-').collect();
        match parts[..] {
            [_, source, _, _] => Some(source.to_string()),
            _ => None,
        }
    };
    match named {
        Some(sources) => Some(sources.to_vec()),
        None if task == "esc50" => ids.iter().map(of_clip).collect(),
        None => None,
    }
}

/// Units of test samples: their sources, or the samples where the data names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// In alphabetical order, each once, `[C]`.
    names: Vec<String>,
    /// The unit of each sample, by number, `[N]`.
    of_sample: Vec<usize>,
}

impl Units {
    /// Those of predictions of this task.
    pub fn of(task: &str, outputs: &Outputs) -> Self {
        Self::new(task, outputs.ids(), outputs.sources())
    }

    /// Those of samples of this task, with their sources where the data names them.
    pub fn new(task: &str, ids: &[String], named: Option<&[String]>) -> Self {
        let own = sources(task, ids, named).unwrap_or_else(|| ids.to_vec());
        let names: Vec<String> = BTreeSet::from_iter(own.iter().cloned()).into_iter().collect();
        let places: HashMap<&String, usize> = names.iter().enumerate().map(|(place, name)| (name, place)).collect();
        Self {
            of_sample: own.iter().map(|name| places[name]).collect(),
            names,
        }
    }

    /// The unit of each sample, by number, `[N]`.
    pub fn of_sample(&self) -> &[usize] {
        &self.of_sample
    }

    /// One run on these samples.
    pub fn one_run(&self, found: &Influence) -> FoldRuns {
        FoldRuns {
            values: vec![found.value],
            influences: vec![self.sums(&found.by_sample)],
            samples: self.of_sample.len(),
        }
    }

    /// Sums of these parts, `[N]`, over the samples of each unit, `[C]`.
    pub fn sums(&self, by_sample: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.names.len()];
        self.of_sample
            .iter()
            .zip(by_sample)
            .for_each(|(&unit, part)| sums[unit] += part);
        sums
    }
}

/// The value of a metric with the influence of each test sample, from the predictions of one
/// protocol. None where the metric is undefined, the protocol unknown, or predictions of this form
/// do not give it.
pub fn influence(outputs: &Outputs, protocol: &str, metric: Metric) -> Result<Option<Influence>, MetricError> {
    match (outputs, metric.unit()) {
        (Outputs::Scores(found), None) => match found.protocol(protocol) {
            Some(scores) => metric.influence(scores, &found.targets, found.classes),
            None => Ok(None),
        },
        (Outputs::Transcripts(found), Some(unit)) => {
            let Some(texts) = found.protocol(protocol) else {
                return Ok(None);
            };
            let pairs = found.references.iter().zip(texts);
            let rate = ErrorRate::of(unit, pairs.map(|(wanted, found)| (&wanted[..], &found[..])))?;
            Ok(Some(rate.influence()))
        }
        _ => Ok(None),
    }
}

/// What tells a record from all others.
type Key = (String, PathBuf);

fn key(record: &RunRecord) -> Key {
    (record.id.clone(), store::RunName::of(record).path())
}

/// The evidence behind the scores of some records.
#[derive(Clone, Debug, Default)]
pub struct Evidence(HashMap<Key, RunEvidence>);

/// The evidence behind the scores of one run.
#[derive(Clone, Debug)]
struct RunEvidence {
    units: Units,
    /// Influence of each unit, `[C]`, by protocol and metric.
    scores: BTreeMap<(String, String), Vec<f64>>,
    /// The share of the most frequent class among the targets. None for transcripts.
    frequent: Option<f64>,
}

impl Evidence {
    /// Reads the predictions beside these records. Records without readable predictions, and scores
    /// that differ from them, have no evidence: their tables then say so.
    ///
    /// # Errors
    /// If the machine fails to read one: their tables would hold other intervals.
    pub fn read(records: &[(PathBuf, RunRecord)]) -> Result<Self, StoreError> {
        let mut all = Self::default();
        for (path, record) in records {
            all.add_file(path, record)?;
        }
        Ok(all)
    }

    /// Reads the predictions beside one record.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn add_file(&mut self, path: &Path, record: &RunRecord) -> Result<(), StoreError> {
        match store::read_predictions(path, record) {
            Ok(Some(outputs)) => self.add(record, &outputs),
            Err(error) if error.is_of_the_machine() => return Err(error),
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }

    /// Adds the evidence of one run.
    pub fn add(&mut self, record: &RunRecord, outputs: &Outputs) {
        let units = Units::of(record.task(), outputs);
        let of_score = |score: &crate::record::Score| {
            let metric = Metric::named(&score.metric)?;
            let found = influence(outputs, &score.protocol, metric).ok()??;
            let agrees = (found.value - score.value?).abs() <= RECORDED;
            agrees.then(|| {
                (
                    (score.protocol.clone(), score.metric.clone()),
                    units.sums(&found.by_sample),
                )
            })
        };
        let run = RunEvidence {
            scores: record.scores.iter().filter_map(of_score).collect(),
            frequent: frequent(outputs),
            units,
        };
        self.0.insert(key(record), run);
    }

    /// The spread of a score over these runs. None if one of them has no evidence, or runs of one fold have different samples.
    pub(crate) fn spread(&self, runs: &[&RunRecord], protocol: &str, metric: &str) -> Option<Spread> {
        let place = (protocol.to_string(), metric.to_string());
        let mut folds: BTreeMap<Option<u8>, (&Units, FoldRuns)> = BTreeMap::new();
        for run in runs {
            let evidence = self.0.get(&key(run))?;
            let influence = evidence.scores.get(&place)?;
            let empty = FoldRuns {
                values: Vec::new(),
                influences: Vec::new(),
                samples: evidence.units.of_sample.len(),
            };
            let (units, fold) = folds.entry(run.fold).or_insert((&evidence.units, empty));
            if units.names != evidence.units.names {
                return None;
            }
            fold.values.push(run.score(protocol, metric)?.value?);
            fold.influences.push(influence.clone());
        }
        let folds: Vec<FoldRuns> = folds.into_values().map(|(_, fold)| fold).collect();
        Spread::of(&folds)
    }

    /// The spread of the difference of two groups of runs over the seeds and folds that both have;
    /// no group has one twice. None if they share none, a run of a pair has no evidence, or runs of
    /// one fold have different samples.
    pub(crate) fn difference(
        &self,
        a: &[&RunRecord],
        b: &[&RunRecord],
        protocol: &str,
        metric: &str,
    ) -> Option<Spread> {
        let place = (protocol.to_string(), metric.to_string());
        let mut folds: BTreeMap<Option<u8>, (&Units, FoldRuns)> = BTreeMap::new();
        for first in a {
            let Some(second) = b.iter().find(|run| (run.seed, run.fold) == (first.seed, first.fold)) else {
                continue;
            };
            let [of_first, of_second] = [first, second].map(|run| self.0.get(&key(run)));
            let (of_first, of_second) = (of_first?, of_second?);
            let parts = of_first.scores.get(&place)?.iter().zip(of_second.scores.get(&place)?);
            let empty = FoldRuns {
                values: Vec::new(),
                influences: Vec::new(),
                samples: of_first.units.of_sample.len(),
            };
            let (units, fold) = folds.entry(first.fold).or_insert((&of_first.units, empty));
            let is_alike = |other: &Units| other.names == units.names && other.of_sample.len() == fold.samples;
            if !is_alike(&of_first.units) || !is_alike(&of_second.units) {
                return None;
            }
            let value = |run: &RunRecord| run.score(protocol, metric)?.value;
            fold.values.push(value(first)? - value(second)?);
            fold.influences.push(parts.map(|(a, b)| a - b).collect());
        }
        let folds: Vec<FoldRuns> = folds.into_values().map(|(_, fold)| fold).collect();
        Spread::of(&folds)
    }

    /// How many of these runs did not train; see [`untrained`].
    pub(crate) fn untrained(&self, runs: &[&RunRecord], protocol: &str) -> usize {
        untrained(runs.iter().map(|run| {
            let evidence = self.0.get(&key(run))?;
            judged(run, evidence.frequent, protocol)
        }))
    }
}

/// A run that learned nothing did not train if it is also this many standard deviations of the
/// other runs away from their mean. Low scores that vary much are not set apart.
const APART: f64 = 4.0;

/// How many of several runs did not train: fewer than half, unlike the others. 0 where what [`judged`] says is not known
/// of all.
pub(crate) fn untrained(runs: impl Iterator<Item = Option<(f64, bool)>>) -> usize {
    let found: Option<Vec<(f64, bool)>> = runs.collect();
    let (without, with): (Vec<_>, Vec<_>) = found.unwrap_or_default().into_iter().partition(|(_, nothing)| *nothing);
    let with: Vec<f64> = with.into_iter().map(|(value, _)| value).collect();
    let (Some(mean), Some(sd)) = (stats::mean(&with), stats::sample_sd(&with)) else {
        return 0;
    };
    let is_apart = without.iter().all(|(value, _)| (value - mean).abs() > APART * sd);
    if is_apart && without.len() < with.len() {
        without.len()
    } else {
        0
    }
}

/// The value by which a run's training is judged, and whether it is no better than what an output that ignores its
/// input has: the most frequent class, an AUC of a half, or nearly empty texts. None where it has no such score.
pub(crate) fn judged(run: &RunRecord, frequent: Option<f64>, protocol: &str) -> Option<(f64, bool)> {
    let value = |metric: &str| run.score(protocol, metric)?.value;
    if let Some(top1) = value("top1") {
        return Some((top1, top1 <= frequent?));
    }
    if let Some(auc) = value("auc") {
        return Some((auc, auc <= 0.5));
    }
    // decodings of one model share its training
    let rates = run.scores.iter().filter(|score| score.metric == "wer");
    let worst = rates.filter_map(|score| score.value).fold(0.0, f64::max);
    Some((value("wer")?, worst >= EMPTY_TEXTS))
}

/// The share of the most frequent class among the targets.
pub(crate) fn frequent(outputs: &Outputs) -> Option<f64> {
    let Outputs::Scores(found) = outputs else { return None };
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for target in found.targets.iter().flatten() {
        *counts.entry(*target).or_default() += 1;
    }
    Some(*counts.values().max()? as f64 / found.targets.len() as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::predictions::{Predictions, ProtocolScores};

    fn outputs(ids: &[&str]) -> Outputs {
        let scores = vec![ProtocolScores {
            protocol: "knn".into(),
            scores: vec![0.0; ids.len()],
        }];
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let targets = vec![vec![0]; ids.len()];
        Outputs::Scores(Predictions::new(ids, targets, 1, scores).unwrap())
    }

    #[test]
    fn sources_are_those_of_the_file_or_of_the_names_of_esc50_clips() {
        let clips = outputs(&["1-100032-A-0", "1-100032-B-0", "1-17-A-3"]);
        let found = Units::of("esc50", &clips);
        assert_eq!(found.of_sample(), [0, 0, 1]);
        assert_eq!(found.sums(&[1.0, 2.0, 4.0]), [3.0, 4.0]);
        let other = Units::of("own", &clips);
        assert_eq!(other.of_sample(), [0, 1, 2]);
        let named = clips.with_sources(vec!["b".into(), "a".into(), "b".into()]).unwrap();
        assert_eq!(Units::of("esc50", &named).sums(&[1.0, 2.0, 4.0]), [2.0, 5.0]);
        assert_eq!(
            Units::of("esc50", &outputs(&["clip 1", "1-17-A-3"])).of_sample(),
            [1, 0]
        );
    }
}
