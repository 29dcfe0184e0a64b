//! From predictions to scores with intervals, and to the file beside the record, for each kind of
//! data.

use super::Protocol;
use super::features::{class_numbers, targets};
use super::{Examples, Outcome, Predicted, Prediction, Subject};
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::data::{Fixed, Utterances};
use crate::run::data_of;
use crate::train::TrainError;
use bridle_backends::TrainBackend;
use bridle_results::evidence::{self, Units};
use bridle_results::metric::{ErrorRate, Unit};
use bridle_results::predictions::{Outputs, Predictions, PredictionsError, ProtocolScores, ProtocolTexts, Transcripts};
use bridle_results::record::{self, Score, Scoring};
use bridle_results::stats::Spread;
use bridle_tasks::{Dataset, Role, Sample, SpeechSet, Target, is_same_name};
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// Confidence level of every interval.
const LEVEL: f64 = 0.95;

/// As [`Examples::require_parts`].
pub(super) fn require_parts<D: Examples>(data: &D, folds: &[Option<u8>]) -> Result<()> {
    for &fold in folds {
        let (train, test) = data.split(fold);
        let (lacking, there) = match (train.len(), test.len()) {
            (0, _) => ("training", format!("{} are for testing", test.len())),
            (_, 0) => ("test", format!("{} are for training", train.len())),
            _ => {
                require_classes(data, &train, &test)?;
                continue;
            }
        };
        let facts = data.facts();
        let fold = fold.map_or(String::new(), |fold| format!(" with test fold {fold}"));
        let how = facts.splitting.iter().map(|splitting| format!(" ({splitting})"));
        let how: String = how.collect();
        let message = format!(
            "`{}` has no usable {lacking} {}{fold}: {there}{how}",
            facts.task,
            D::NOUN
        );
        let failure = Failure::new(Exit::Data, anyhow::anyhow!(message));
        return Err(match facts.splitting {
            Some(_) => failure.with_hint("more samples, or say what is for testing, as by a column `split`"),
            None => failure,
        });
    }
    Ok(())
}

/// Fails if a class has samples in `test` and none in `train`.
fn require_classes<D: Examples>(data: &D, train: &[usize], test: &[usize]) -> Result<()> {
    let of = |sample: &usize| data.classes(*sample).unwrap_or_default().iter().copied();
    let trained: BTreeSet<usize> = train.iter().flat_map(of).collect();
    let untrained = || test.iter().flat_map(of).filter(|class| !trained.contains(class));
    let Some(class) = untrained().min() else {
        return Ok(());
    };
    let name = |class: usize| &*data.class_names()[class];
    let samples = untrained().filter(|found| *found == class).count();
    let others = untrained().collect::<BTreeSet<usize>>().len() - 1;
    let others = match others {
        0 => String::new(),
        others => format!(", nor have {others} other classes"),
    };
    let twin = trained
        .iter()
        .find(|&&trained| is_same_name(name(trained), name(class)));
    let twin = twin.map_or(String::new(), |&twin| {
        format!("; training has '{}', which differs in capital letters only", name(twin))
    });
    let message = format!(
        "`{}`: class '{}' has {samples} test samples and none to train on{others}{twin}",
        data.facts().task,
        name(class)
    );
    let hint = "training samples of every class, or its test samples taken out";
    Err(Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint(hint))
}

impl Examples for Fixed<'_> {
    const NOUN: &'static str = "sample";

    fn class_names(&self) -> &[String] {
        &self.dataset.classes
    }

    fn facts(&self) -> record::Data {
        data_of(&self.dataset.facts, self.dataset.samples_sha256())
    }

    fn split(&self, fold: Option<u8>) -> (Vec<usize>, Vec<usize>) {
        self.dataset.split(fold)
    }

    fn evaluate<B: TrainBackend>(
        protocol: Protocol,
        subject: &Subject<'_, B, Self>,
    ) -> std::result::Result<Outcome, TrainError> {
        protocol.values::<B>(subject.values).classes(subject)
    }

    fn scores(&self, test: &[usize], found: &Prediction) -> Result<Vec<Score>> {
        let judge = Scoring {
            protocol: &found.name,
            several: is_of_several(self.dataset),
            targets: &class_lists(self.dataset, test),
            classes: &self.dataset.classes,
            units: &Units::new(&self.facts().task, &ids(self.dataset, test), None),
            level: LEVEL,
        };
        let scores = judge.metrics().iter();
        let scores = scores.map(|&metric| judge.score(metric, found.values.scores()));
        let scores: std::result::Result<Vec<Score>, _> = scores.collect();
        scores.map_err(|error| Failure::new(Exit::Diverged, error))
    }

    fn outputs(&self, test: &[usize], found: Vec<Prediction>) -> std::result::Result<Outputs, PredictionsError> {
        let ids = ids(self.dataset, test);
        let sources = evidence::sources(&self.facts().task, &ids, None);
        let protocols = found.into_iter().map(|found| ProtocolScores {
            scores: found.values.scores().to_vec(),
            protocol: found.name,
        });
        let (targets, protocols) = (class_lists(self.dataset, test), protocols.collect());
        let predictions = Predictions::new(ids, targets, self.dataset.classes.len(), protocols)?;
        let predictions = match sources {
            Some(sources) => predictions.with_sources(sources)?,
            None => predictions,
        };
        Ok(Outputs::Scores(predictions))
    }
}

fn ids(dataset: &Dataset, samples: &[usize]) -> Vec<String> {
    let of_sample = |&sample: &usize| dataset.samples[sample].id.clone();
    samples.iter().map(of_sample).collect()
}

/// Whether a sample may have several classes, also where no test sample has.
fn is_of_several(dataset: &Dataset) -> bool {
    let several = |sample: &Sample| matches!(sample.target, Target::Classes(_));
    dataset.samples.iter().any(several)
}

/// The class numbers of each of these samples.
fn class_lists(dataset: &Dataset, samples: &[usize]) -> Vec<Vec<u32>> {
    targets(dataset, samples).iter().map(class_numbers).collect()
}

impl Examples for Utterances<'_> {
    const NOUN: &'static str = "utterance";

    fn facts(&self) -> record::Data {
        data_of(&self.set.facts, self.set.samples_sha256())
    }

    /// Copies without test utterances are tested on those for choosing between settings.
    fn split(&self, _fold: Option<u8>) -> (Vec<usize>, Vec<usize>) {
        let test = match self.set.of_role(Role::Test) {
            none if none.is_empty() => self.set.of_role(Role::Dev),
            test => test,
        };
        (self.set.of_role(Role::Train), test)
    }

    fn evaluate<B: TrainBackend>(
        protocol: Protocol,
        subject: &Subject<'_, B, Self>,
    ) -> std::result::Result<Outcome, TrainError> {
        protocol.values::<B>(subject.values).transcripts(subject)
    }

    fn scores(&self, test: &[usize], found: &Prediction) -> Result<Vec<Score>> {
        let units = Units::new(&self.facts().task, &utterance_ids(self.set, test), None);
        let score = |unit: Unit| {
            let references = test.iter().map(|&index| &self.set.utterances[index].text[..]);
            let pairs = references.zip(found.values.texts().iter().map(String::as_str));
            let rate = ErrorRate::of(unit, pairs).map_err(|error| Failure::new(Exit::Data, error))?;
            let (total, metric) = (rate.total(), unit.metric().name());
            let counts = [
                ("substitutions", total.substitutions),
                ("deletions", total.deletions),
                ("insertions", total.insertions),
                ("length", total.length),
            ];
            Ok(Score {
                protocol: found.name.clone(),
                metric: metric.to_owned(),
                value: Some(rate.value()),
                reason: None,
                n: test.len() as u64,
                interval: Spread::of(&[units.one_run(&rate.influence())])
                    .map(|spread| spread.interval(unit.metric(), LEVEL)),
                details: Map::from_iter(counts.map(|(name, count)| (name.to_owned(), json!(count)))),
                per_class: None,
            })
        };
        [Unit::Words, Unit::Characters].into_iter().map(score).collect()
    }

    fn outputs(&self, test: &[usize], found: Vec<Prediction>) -> std::result::Result<Outputs, PredictionsError> {
        let utterances = || test.iter().map(|&index| &self.set.utterances[index]);
        let protocols = found.into_iter().map(|found| ProtocolTexts {
            hypotheses: found.values.texts().to_vec(),
            protocol: found.name,
        });
        let ids = utterance_ids(self.set, test);
        let references = utterances().map(|utterance| utterance.text.clone()).collect();
        Transcripts::new(ids, references, protocols.collect()).map(Outputs::Transcripts)
    }
}

fn utterance_ids(set: &SpeechSet, utterances: &[usize]) -> Vec<String> {
    let of_utterance = |&index: &usize| set.utterances[index].id.clone();
    utterances.iter().map(of_utterance).collect()
}

impl Outcome {
    /// Every metric of every prediction; each first metric has the details of the protocol too.
    ///
    /// # Errors
    /// As [`Examples::scores`].
    pub fn scores<D: Examples>(&self, data: &D, test: &[usize]) -> Result<Vec<Score>> {
        let mut all = Vec::new();
        for found in &self.predictions {
            let mut scores = data.scores(test, found)?;
            if let Some(first) = scores.first_mut() {
                let own = std::mem::replace(&mut first.details, self.details.clone());
                first.details.extend(own);
            }
            all.extend(scores);
        }
        Ok(all)
    }
}

impl Predicted {
    pub(super) fn scores(&self) -> &[f32] {
        match self {
            Self::Scores(scores) => scores,
            Self::Texts(_) => unreachable!("protocols give scores for samples of classes"),
        }
    }

    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::Scores(_) => unreachable!("protocols give texts for utterances"),
            Self::Texts(texts) => texts,
        }
    }
}
