//! Computes scores from predictions: the value, its interval, what was left out, values per class.

use super::Score;
use crate::evidence::Units;
use crate::metric::{ByClass, Metric, MetricError, Ranking};
use crate::stats::{self, Spread};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A metric of each class on its own, in order of class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerClass {
    /// Names of the classes, `[C]`.
    pub names: Vec<String>,
    /// The values, `[C]`: null where the class lacks what the metric needs.
    #[serde(with = "crate::finite")]
    pub values: Vec<Option<f64>>,
    /// Test samples of the class, `[C]`.
    pub n: Vec<u64>,
}

/// Computes the scores of a protocol from class scores.
#[derive(Clone, Debug)]
pub struct Scoring<'a> {
    pub protocol: &'a str,
    /// Whether samples may have several classes.
    pub several: bool,
    /// Classes of each test sample, `[N]`: one in single-label tasks, any number in others.
    pub targets: &'a [Vec<u32>],
    /// Names of the classes, `[C]`.
    pub classes: &'a [String],
    /// The test samples' sources.
    pub units: &'a Units,
    pub level: f64,
}

impl Scoring<'_> {
    /// The metrics of such targets, the main one first. Samples of one class each: top-1,
    /// and top-5 if there are more than 5 classes. Others: mean average precision, also over all
    /// classes, AUC and d'.
    pub fn metrics(&self) -> &'static [Metric] {
        if self.several {
            &[Metric::Map, Metric::MapAllClasses, Metric::Auc, Metric::DPrime]
        } else if self.classes.len() > 5 {
            &[Metric::Top1, Metric::Top5]
        } else {
            &[Metric::Top1]
        }
    }

    /// The score of these class scores, `[N, C]`, by one metric.
    ///
    /// # Errors
    /// As [`Metric::of`].
    pub fn score(&self, metric: Metric, scores: &[f32]) -> Result<Score, MetricError> {
        let (n, classes) = (self.targets.len() as u64, self.classes.len());
        let found = metric.influence(scores, self.targets, classes)?;
        let value = found.as_ref().map(|found| found.value);
        let spread = found.and_then(|found| Spread::of(&[self.units.one_run(&found)]));
        let interval = match spread {
            Some(spread) => Some(spread.interval(metric, self.level)),
            // one sample has no spread
            None if n == 1 && metric.first_classes().is_some() => {
                stats::wilson(u64::from(value == Some(1.0)), n, self.level)
            }
            None => None,
        };
        let by_class = metric.by_class(scores, self.targets, classes)?;
        Ok(Score {
            protocol: self.protocol.into(),
            metric: metric.name().into(),
            value,
            reason: value.is_none().then(|| undefined(metric).into()),
            n,
            interval,
            details: left_out(metric, scores, self.targets, classes)?,
            per_class: by_class.map(|ByClass { values, positives }| PerClass {
                names: self.classes.to_vec(),
                values,
                n: positives,
            }),
        })
    }
}

fn undefined(metric: Metric) -> &'static str {
    match metric {
        Metric::DPrime => "no class has samples of both kinds, or their mean AUC is 0 or 1, where d' is infinite",
        _ => "no class has the samples that it needs",
    }
}

/// How many classes a ranking metric leaves out, and in how many d' is infinite.
fn left_out(
    metric: Metric,
    scores: &[f32],
    targets: &[Vec<u32>],
    classes: usize,
) -> Result<Map<String, Value>, MetricError> {
    let mut details = Map::new();
    if metric.first_classes().is_some() {
        return Ok(details);
    }
    let ranking = Ranking::of(scores, targets, classes)?;
    let mut tell = |name: &str, count: usize| details.insert(name.into(), count.into());
    match metric {
        Metric::Map => tell("classes_without_positives", ranking.without_positives()),
        Metric::Auc => tell("classes_without_auc", ranking.without_auc()),
        Metric::DPrime => tell("saturated", ranking.saturated()),
        _ => None,
    };
    Ok(details)
}

#[cfg(test)]
mod tests;
