//! A run beside the same run made again: scores, statistics of codebooks and predictions, equal to the
//! bit, within rounding, or different in what.

use crate::predictions::{Outputs, Predictions, Transcripts};
use crate::record::{RecordError, RunRecord};
use serde_json::{Map, Value};

/// How far apart two numbers are that rounding alone keeps apart, over the larger of them and 1.
pub const ROUNDING: f64 = 1e-4;

/// A number that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// What it is, such as `score linear-probe top1 value`.
    pub name: String,
    pub recorded: f64,
    pub again: f64,
}

impl Gap {
    /// The difference over the larger of both numbers and 1.
    pub fn size(&self) -> f64 {
        let scale = self.recorded.abs().max(self.again.abs()).max(1.0);
        (self.recorded - self.again).abs() / scale
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} recorded, {} again", self.name, self.recorded, self.again)
    }
}

/// What two runs have in common.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Everything is equal to the bit.
    Equal,
    /// Numbers differ, by no more than rounding does; the farthest apart.
    Rounding(Gap),
    /// What differs, the farthest apart first; numbers within rounding are left out.
    Different(Vec<String>),
}

/// Everything that two runs were compared in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reproduction {
    /// Numbers and words that both have.
    pub compared: usize,
    /// Predictions that both have.
    pub predictions: usize,
    /// Numbers that differ, the farthest apart first.
    gaps: Vec<Gap>,
    /// Everything else that differs, in words.
    others: Vec<String>,
}

impl Reproduction {
    /// Compares a record with one of the same run made again, each with its predictions. What the
    /// record does not have, since an older version wrote it, is not compared.
    ///
    /// # Errors
    /// As [`RunRecord::to_json`].
    pub fn of(
        recorded: (&RunRecord, Option<&Outputs>),
        again: (&RunRecord, Option<&Outputs>),
    ) -> Result<Self, RecordError> {
        let mut found = Self::default();
        found.values("", &named(recorded.0)?, &named(again.0)?);
        match (recorded.1, again.1) {
            (Some(Outputs::Scores(recorded)), Some(Outputs::Scores(again))) => found.scores(recorded, again),
            (Some(Outputs::Transcripts(recorded)), Some(Outputs::Transcripts(again))) => found.texts(recorded, again),
            (Some(_), _) => found.others.push("predictions: of another kind, or none".to_owned()),
            (None, _) => {}
        }
        found.gaps.sort_by(|a, b| b.size().total_cmp(&a.size()));
        Ok(found)
    }

    /// What the runs have in common, where numbers up to `rounding` apart count as the same.
    pub fn verdict(&self, rounding: f64) -> Verdict {
        let beyond = self.gaps.iter().filter(|gap| gap.size() > rounding);
        let different: Vec<String> = self.others.iter().cloned().chain(beyond.map(Gap::to_string)).collect();
        match self.gaps.first() {
            _ if !different.is_empty() => Verdict::Different(different),
            Some(most) => Verdict::Rounding(most.clone()),
            None => Verdict::Equal,
        }
    }

    /// Everything below `name` that the record has.
    fn values(&mut self, name: &str, recorded: &Value, again: &Value) {
        let below = |part: &str| {
            if name.is_empty() {
                part.to_owned()
            } else {
                format!("{name} {part}")
            }
        };
        match (recorded, again) {
            (Value::Object(recorded), Value::Object(again)) => {
                for (part, value) in recorded {
                    match again.get(part) {
                        Some(other) => self.values(&below(part), value, other),
                        None => self.others.push(format!("{}: only in the record", below(part))),
                    }
                }
            }
            (Value::Array(recorded), Value::Array(again)) if recorded.len() == again.len() => {
                for (number, (value, other)) in recorded.iter().zip(again).enumerate() {
                    self.values(&below(&(number + 1).to_string()), value, other);
                }
            }
            (recorded, again) => {
                self.compared += 1;
                match (recorded.as_f64(), again.as_f64()) {
                    _ if recorded == again => {}
                    (Some(recorded), Some(again)) => self.gap(name.to_owned(), recorded, again),
                    _ => self.others.push(format!("{name}: {recorded} recorded, {again} again")),
                }
            }
        }
    }

    fn gap(&mut self, name: String, recorded: f64, again: f64) {
        self.gaps.push(Gap { name, recorded, again });
    }

    /// Class scores: of each protocol the one farthest apart.
    fn scores(&mut self, recorded: &Predictions, again: &Predictions) {
        if (&recorded.ids, &recorded.targets) != (&again.ids, &again.targets) {
            return self.others.push("predictions: of other samples or classes".to_owned());
        }
        for of in &recorded.protocols {
            let name = format!("predictions of {}", of.protocol);
            let Some(scores) = again
                .protocol(&of.protocol)
                .filter(|scores| scores.len() == of.scores.len())
            else {
                self.others.push(format!("{name}: none again"));
                continue;
            };
            self.predictions += recorded.ids.len();
            let pairs = of.scores.iter().zip(scores).filter(|(a, b)| a.to_bits() != b.to_bits());
            let gaps = pairs.map(|(recorded, again)| Gap {
                name: name.clone(),
                recorded: f64::from(*recorded),
                again: f64::from(*again),
            });
            self.gaps.extend(gaps.max_by(|a, b| a.size().total_cmp(&b.size())));
        }
    }

    /// Transcripts: how many of each protocol differ.
    fn texts(&mut self, recorded: &Transcripts, again: &Transcripts) {
        if (&recorded.ids, &recorded.references) != (&again.ids, &again.references) {
            return self.others.push("transcripts: of other utterances".to_owned());
        }
        for of in &recorded.protocols {
            let found = again.protocols.iter().find(|texts| texts.protocol == of.protocol);
            let Some(texts) = found else {
                self.others.push(format!("transcripts of {}: none again", of.protocol));
                continue;
            };
            let all = of.hypotheses.len();
            self.predictions += all;
            let other = of
                .hypotheses
                .iter()
                .zip(&texts.hypotheses)
                .filter(|(a, b)| a != b)
                .count();
            if other > 0 {
                let protocol = &of.protocol;
                self.others
                    .push(format!("transcripts of {protocol}: {other} of {all} differ"));
            }
        }
    }
}

/// The part of a record that runs of one plan share, scores and phases by their names, so that a
/// version that adds one moves no other.
fn named(record: &RunRecord) -> Result<Value, RecordError> {
    let mut all = record.comparable()?;
    let mut part = |name: &str| all.get_mut(name).map(Value::take).unwrap_or_default();
    let (scores, phases, mut data) = (part("scores"), part("phases"), part("data"));
    // how the variant is described, in words that versions change
    data.as_object_mut()
        .into_iter()
        .for_each(|data| drop(data.remove("source")));
    let by_name = |items: Value, name: &dyn Fn(&Value) -> String| {
        let items = items.as_array().cloned().unwrap_or_default();
        Value::Object(items.into_iter().map(|item| (name(&item), item)).collect::<Map<_, _>>())
    };
    let word = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let scores = by_name(scores, &|score| {
        format!("{} {}", word(score, "protocol"), word(score, "metric"))
    });
    let phases = by_name(phases, &|phase| word(phase, "name"));
    let parts = [("score", scores), ("phase", phases), ("data", data)];
    Ok(Value::Object(
        parts.map(|(name, part)| (name.to_owned(), part)).into_iter().collect(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use crate::fixtures;

    fn verdict(recorded: &RunRecord, again: &RunRecord) -> Verdict {
        let found = Reproduction::of((recorded, None), (again, None)).unwrap();
        assert!(found.compared > 40, "{}", found.compared);
        found.verdict(ROUNDING)
    }

    #[test]
    fn a_run_made_again_is_equal_close_or_different_in_what_is_named() {
        let recorded = fixtures::record(0, 165);
        let mut again = recorded.clone();
        (again.id, again.phases[0].seconds, again.program.commit) = ("other".into(), 7.0, "f00".into());
        assert_eq!(verdict(&recorded, &again), Verdict::Equal);
        again.phases[0].loss.last += 1e-6;
        let Verdict::Rounding(most) = verdict(&recorded, &again) else {
            panic!("a difference of a millionth is one of rounding")
        };
        assert!(most.name == "phase encoder-1 loss last" && most.size() < 2e-6, "{most}");
        again.scores[0].value = Some(0.5);
        let Verdict::Different(what) = verdict(&recorded, &again) else {
            panic!("another score is no rounding")
        };
        assert_eq!(what, ["score linear-probe top1 value: 0.4125 recorded, 0.5 again"]);
    }

    #[test]
    fn what_an_older_record_does_not_have_is_not_compared() {
        let again = fixtures::record(0, 165);
        let mut recorded = again.clone();
        recorded.phases[0].labels = None;
        recorded.data.samples_sha256 = None;
        recorded.scores.pop();
        assert_eq!(verdict(&recorded, &again), Verdict::Equal);
        let Verdict::Different(what) = verdict(&again, &recorded) else {
            panic!("a score is missing")
        };
        assert!(
            what.contains(&"score linear-probe top5: only in the record".to_owned()),
            "{what:?}"
        );
    }

    #[test]
    fn predictions_are_compared_to_the_bit() {
        let record = fixtures::record(0, 165);
        let scores = |last: f32| {
            let protocols = vec![crate::predictions::ProtocolScores {
                protocol: "knn".into(),
                scores: vec![0.5, 0.25, 0.125, last],
            }];
            Outputs::Scores(
                Predictions::new(vec!["a".into(), "b".into()], vec![vec![0], vec![1]], 2, protocols).unwrap(),
            )
        };
        let verdict = |last: f32| {
            let (recorded, again) = (scores(0.875), scores(last));
            let found = Reproduction::of((&record, Some(&recorded)), (&record, Some(&again))).unwrap();
            assert_eq!(found.predictions, 2);
            found.verdict(ROUNDING)
        };
        assert_eq!(verdict(0.875), Verdict::Equal);
        assert!(matches!(verdict(0.875 + f32::EPSILON), Verdict::Rounding(_)));
        assert!(matches!(verdict(0.5), Verdict::Different(_)));
    }
}
