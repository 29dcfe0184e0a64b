//! Logistic regression on frozen, mean-pooled features, fitted to convergence: multinomial, or one
//! binary regression per class for samples of several classes.
//!
//! What is minimised is the mean cross-entropy (binary: summed over classes) plus
//! `penalty / 2 * |W|²`; biases go free. That has one lowest point, so the figure depends on the
//! features alone: no rate, no order of samples, no number of epochs. The penalty is chosen from a
//! closed list by cross-validation over the training samples, the largest on a tie; the test
//! samples are looked at once, at the end. All is computed in 64 bits on the host.

use super::features::{Choice, Features, has_several, quality};
use super::hold_out::{divisions, qualities};
use super::lbfgs::{Minimum, minimise};
use super::scale::Scale;
use super::{Evaluate, Outcome, Subject};
use crate::data::{Fixed, Utterances};
use crate::plan::{Core, Judging, Section, Stage, Takes};
use crate::train::TrainError;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use bridle_values::check::{Checked, positive, require};
use gemm::Parallelism;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// No search takes so many iterations, unless the penalty is next to nothing.
const MOST_ITERATIONS: usize = 2_000;

/// Values of the regression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    /// Closed list of penalties, from the largest down.
    pub penalties: Vec<f64>,
    /// Parts of the cross-validation; the task's own folds, where it has them.
    pub parts: usize,
    /// The largest part of the gradient at which a fit has converged.
    pub tolerance: f64,
    /// Whether each feature is brought to mean 0 and deviation 1, as measured on the training
    /// samples.
    pub standardise: bool,
}

impl Section for Logistic {
    const STAGE: Stage = Stage::Judging;
    const DEFAULTS: &'static str = "
        [logistic]
        penalties = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5, 1e-5]
        parts = 5
        tolerance = 1e-5
        standardise = true
    ";

    fn check(&self, _plan: &Core) -> Checked {
        let falls = self.penalties.windows(2).all(|pair| pair[0] > pair[1]);
        require(falls && !self.penalties.is_empty(), "logistic.penalties", || {
            "must be a list from the largest down".to_owned()
        })?;
        self.penalties
            .iter()
            .try_for_each(|&penalty| positive("logistic.penalties", penalty))?;
        require(self.parts >= 2, "logistic.parts", || "must be at least 2".to_owned())?;
        positive("logistic.tolerance", self.tolerance)
    }
}

impl Judging for Logistic {
    const TRAINS_ENCODER: bool = false;
    const TAKES: Takes = Takes::Fixed;
    const OVER_RANKS: bool = true;
}

impl<B: TrainBackend> Evaluate<B> for Logistic {
    fn classes(&self, subject: &Subject<'_, B, Fixed<'_>>) -> Result<Outcome, TrainError> {
        let what = format!("logistic-regression: {} penalties", self.penalties.len());
        subject.progress.say(&what);
        let (train, test) = subject.features()?;
        let seed = subject.seed.child("logistic");
        Ok(run(train, test, subject.classes(), self, seed))
    }

    fn transcripts(&self, _subject: &Subject<'_, B, Utterances<'_>>) -> Result<Outcome, TrainError> {
        unreachable!("no plan of speech has logistic-regression")
    }
}

fn run(train: &Features, test: &Features, classes: usize, values: &Logistic, seed: Seed) -> Outcome {
    let (parts, rule) = divisions(train, 0.0, Some(values.parts), seed);
    let penalties = &values.penalties;
    let qualities = qualities(train, &parts, penalties.len(), |fit, judge| {
        let scale = Scale::of(fit, values.standardise);
        let path = path(&Problem::new(fit, &scale, classes), penalties, values.tolerance);
        let scores = path.iter().map(|found| scores(&found.at, judge, &scale, classes));
        scores.map(|scores| quality(&scores, &judge.targets, classes)).collect()
    });
    let chosen = Choice::new("penalty", penalties, &qualities, train, rule);
    let scale = Scale::of(train, values.standardise);
    // from the largest penalty down, each fit begins where the one before ended
    let until = penalties.iter().take_while(|&&penalty| penalty >= chosen.best).count();
    let problem = Problem::new(train, &scale, classes);
    let path = path(&problem, &penalties[..until], values.tolerance);
    let found = path.last().expect("the list has a penalty");
    let mut details = chosen.details;
    details.insert("iterations".to_owned(), json!(found.iterations));
    details.insert("gradient".to_owned(), json!(found.gradient));
    Outcome::of_scores("logistic-regression", scores(&found.at, test, &scale, classes), details)
}

/// The regressions with these penalties.
fn path(problem: &Problem, penalties: &[f64], tolerance: f64) -> Vec<Minimum> {
    let mut start = vec![0.0; (problem.dim + 1) * problem.classes];
    let fit = |&penalty: &f64| {
        let place = std::mem::take(&mut start);
        let found = minimise(place, tolerance, MOST_ITERATIONS, |weights| {
            problem.value_and_gradient(weights, penalty)
        });
        start.clone_from(&found.at);
        found
    };
    penalties.iter().map(fit).collect()
}

/// Class scores of samples, row-major [n, C], by weights [D + 1, C] whose last row is the bias.
fn scores(weights: &[f64], features: &Features, scale: &Scale, classes: usize) -> Vec<f32> {
    let logits = product(
        &inputs(features, scale),
        weights,
        [features.len(), features.dim + 1, classes],
    );
    logits.into_iter().map(|score| score as f32).collect()
}

/// The scaled features with a last column of 1, row-major [n, D + 1].
fn inputs(features: &Features, scale: &Scale) -> Vec<f64> {
    let rows = features.values.chunks_exact(features.dim);
    rows.flat_map(|row| scale.scaled(row).map(f64::from).chain([1.0]))
        .collect()
}

/// Samples to be fitted.
struct Problem {
    /// Row-major [n, D + 1].
    inputs: Vec<f64>,
    /// 1 where a sample is of a class, row-major [n, C].
    hot: Vec<f64>,
    samples: usize,
    dim: usize,
    classes: usize,
    several: bool,
}

impl Problem {
    fn new(features: &Features, scale: &Scale, classes: usize) -> Self {
        let mut hot = vec![0.0; features.len() * classes];
        for (row, target) in hot.chunks_exact_mut(classes).zip(&features.targets) {
            target.classes().iter().for_each(|&class| row[class] = 1.0);
        }
        Self {
            inputs: inputs(features, scale),
            hot,
            samples: features.len(),
            dim: features.dim,
            classes,
            several: has_several(&features.targets),
        }
    }

    /// The penalised loss of weights [D + 1, C], and its gradient.
    fn value_and_gradient(&self, weights: &[f64], penalty: f64) -> (f64, Vec<f64>) {
        let Self { samples, classes, .. } = *self;
        let mut errors = product(&self.inputs, weights, [samples, self.dim + 1, classes]);
        let rows = errors.chunks_exact_mut(classes).zip(self.hot.chunks_exact(classes));
        let loss: f64 = rows
            .map(|(row, hot)| match self.several {
                true => binary(row, hot),
                false => multinomial(row, hot),
            })
            .sum();
        let n = samples as f64;
        let mut gradient = product_of_transposed(&self.inputs, &errors, [self.dim + 1, samples, classes]);
        gradient.iter_mut().for_each(|part| *part /= n);
        let mut squares = 0.0;
        // biases, the last row, go free
        for (part, weight) in gradient.iter_mut().zip(weights).take(self.dim * classes) {
            *part += penalty * weight;
            squares += weight * weight;
        }
        (loss / n + 0.5 * penalty * squares, gradient)
    }
}

/// The cross-entropy of a row of logits [C], which become probabilities less `hot`.
fn multinomial(row: &mut [f64], hot: &[f64]) -> f64 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|logit| (logit - most).exp()).sum();
    let norm = most + sum.ln();
    let mut loss = 0.0;
    for (logit, hot) in row.iter_mut().zip(hot) {
        loss += hot * (norm - *logit);
        *logit = (*logit - norm).exp() - hot;
    }
    loss
}

/// The same with a binary choice for every class.
fn binary(row: &mut [f64], hot: &[f64]) -> f64 {
    let mut loss = 0.0;
    for (logit, hot) in row.iter_mut().zip(hot) {
        // ln(1 + e^x), without overflow
        loss += logit.max(0.0) + (-logit.abs()).exp().ln_1p() - hot * *logit;
        *logit = (1.0 + (-*logit).exp()).recip() - hot;
    }
    loss
}

/// `a` [m, k] times `b` [k, n].
fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    multiply(a, [k as isize, 1], b, [m, k, n])
}

/// `a` [k, m] transposed, times `b` [k, n].
fn product_of_transposed(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    multiply(a, [1, m as isize], b, [m, k, n])
}

/// The product [m, n] of a matrix [m, k] with these distances between rows and between columns, and
/// `b` [k, n].
fn multiply(a: &[f64], [row, column]: [isize; 2], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    assert_eq!((a.len(), b.len()), (m * k, k * n), "matrices of their own sizes");
    let mut out = vec![0.0; m * n];
    let wide = n as isize;
    // SAFETY: the assertion holds the sizes to the slices; `out` has m * n numbers, and nothing else
    // refers to it
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            wide,
            false,
            a.as_ptr(),
            column,
            row,
            b.as_ptr(),
            1,
            wide,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
    out
}

#[cfg(test)]
mod tests;
